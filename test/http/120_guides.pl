# Each page of the documentation that shows commands with their output is true: played from top to bottom, they print just that.
# GUIDES chooses pages; with GUIDES_WRITE they are written into that folder as they should be (scripts/guides).
use strict;
use warnings;
use File::Path 'make_path';
use FindBin;
use lib $FindBin::RealBin;
use Guide;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'the pages show the gateway' if ($ENV{LAYER} // 'gateway') ne 'gateway';
my @pages = $ENV{GUIDES} ? split ' ', $ENV{GUIDES} : grep { slurp_file($_) =~ /^<!-- played -->$/m } glob 'README.md docs/*.md docs/*/*.md examples/*/README.md';
ok(@pages > 0, 'there are pages');
foreach my $path (@pages)
{
	my $name = $path =~ s/\W+/_/gr;
	my ($page, @wrong) = Guide->new($name)->play(slurp_file($path));
	if (my $folder = $ENV{GUIDES_WRITE})
	{
		make_path("$folder/" . ($path =~ s{/?[^/]*$}{}r));
		append_to_file("$folder/$path", $page);
		@wrong = grep { /^-- which it should not\n?\z/m } @wrong;
	}
	is(join("\n", @wrong), '', "$path prints what it shows");
}
done_testing();
