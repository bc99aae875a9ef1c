# A page of the documentation that is played: what its blocks of code are, and what they print on a server of their own.
#
#   <!-- played -->       anywhere: the page is one of these
#   ```sql, ```sh         run in order, in one psql and one shell; a block without a language right behind is the output
#   ```console            commands behind "$ ", each followed by its output
#   <!-- sql ... -->      run, and not shown; sh likewise
#   <!-- not played -->   right before a block: it is text
#
# A block without an output must not fail. In the shell curl's localhost:8080 is the gateway that the page has started, and the
# headers of HTTP that say nothing here are left out.
package Guide;

use strict;
use warnings;
use File::Path 'make_path';
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = POSIX::getcwd();
my @shells;
my $owner = $$;
END { if ($$ == $owner) { local $?; kill 'KILL', map { -$_ } @shells } }

# blocks(TEXT): the page in pieces: text as a string, code as { kind, code, output, shown }, in order.
sub blocks
{
	my ($text) = @_;
	my @blocks;
	while ($text =~ /\G(?: (?<skipped> <!--\ not\ played\ -->\n+```.*?^```\n )
		| <!--\ (?<kind>sql|sh)\n (?<code>.*?) ^-->\n
		| ```(?<kind>sql|sh)\n (?<code>.*?) ^```\n (?: (?<gap>\n*) ```\n (?<output>.*?) ^```\n )?
		| ```(?<kind>console)\n (?<code>.*?) ^```\n
		| (?<other> ```.*?^```\n)
		| (?<line> [^\n]*\n) )/gmsx)
	{
		my %found = %+;
		if (!defined $found{kind})
		{
			push @blocks, $found{skipped} // $found{other} // $found{line};
			next;
		}
		push @blocks, { %found, whole => $& };
	}
	return @blocks;
}

# same(TEXT): what is left of an output if one leaves out what differs each time.
sub same
{
	my ($text) = @_;
	$text =~ s/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/UUID/g;
	$text =~ s/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d(:?\d\d)?|Z)?/TIME/g;
	$text =~ s/\b\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT\b/TIME/g;
	# a word of base64 or base64url, which need not have a digit
	$text =~ s{(?<![A-Za-z0-9_-])(?=[A-Za-z0-9_.-]*[a-z])(?=[A-Za-z0-9_.-]*[A-Z])[A-Za-z0-9_.-]{20,}={0,2}(?![A-Za-z0-9_-])}{TOKEN}g;
	$text =~ s/\b\d+(\.\d+)? ms\b/N ms/g;
	$text =~ s/;r=\d+;t=\d+/;r=N;t=N/g;
	$text =~ s/^(Retry-After: )[1-9]\d*/$1N/img;
	$text =~ s/\bTry again in \d+ seconds?/Try again in N seconds/g;
	# plans, as the majors show them
	$text =~ s/\(InitPlan \w+\)\.col\d|\$\d\b/\$N/g;
	$text =~ s/InitPlan \w+( \(returns \$N\))?/InitPlan/g;
	$text =~ s/(?:EXISTS)?\(SubPlan \w+\)/(SubPlan)/g;
	$text =~ s/SubPlan \w+/SubPlan/g;
	$text =~ s/rows=(\d+)\.00\b/rows=$1/g;
	$text =~ s/^ *(Index Searches|Planning Time|Execution Time): .*\n//mg;
	$text =~ s/^-[-+]+-$/-/mg;
	$text =~ s/[ \t]+/ /g;
	$text =~ s/ $//mg;
	return $text;
}

# new(NAME): a server with nothing in its database app, a psql and a shell.
sub new
{
	my ($class, $name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\nlog_statement = none\ntimezone = 'UTC'\n");
	# plans are those of the statistics that a page makes
	$node->append_conf('postgresql.conf', "autovacuum = off\n");
	$node->start;
	$node->safe_psql('postgres', 'CREATE DATABASE app');
	my $folder = PostgreSQL::Test::Utils::tempdir;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	mkdir "$folder/bin" or die;
	mkdir "$folder/work" or die;
	symlink "$root/$_", "$folder/work/$_" foreach qw(examples scripts docs);
	my %program = map { my $p = $_; $p => (grep { -x } map { "$_/$p" } split /:/, $ENV{PATH})[0] // die "there is no program \"$p\"" } qw(curl node python3);
	# Debian's python3, which has Debian's psycopg
	$program{python3} = '/usr/bin/python3' if -x '/usr/bin/python3';
	# where the tests' node finds its packages, whatever a page says
	my $node_path = $ENV{NODE_PATH} // '';
	my %script = (
		curl => qq{for i in \$(seq 1800); do
				case \$($program{curl} -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/readyz") in 000 | 503) sleep 0.1 ;; *) break ;; esac
			done
			$program{curl} -sS --connect-to "localhost:8080:127.0.0.1:$port" "\$@" | LC_ALL=C tr -d '\\r' |
			grep -aEiv '^(date|connection|keep-alive|transfer-encoding|content-length|vary|cache-control|x-content-type-options|x-request-id|read-after|server): ' || true},
		(map { $_ => qq{NODE_PATH=$node_path PORT=$port exec $program{$_} "\$@" >>"$PostgreSQL::Test::Utils::log_path/${name}_server.log" 2>&1} } qw(node python3)),
	);
	foreach (sort keys %script)
	{
		append_to_file("$folder/bin/$_", "#!/bin/sh\n$script{$_}\n");
		chmod 0755, "$folder/bin/$_";
	}
	local %ENV = (%ENV, PATH => "$folder/bin:$ENV{PATH}", PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'app', PSQL_PAGER => '');
	delete $ENV{COLUMNS};
	my $self = bless { node => $node }, $class;
	# without the CONTEXT of errors, which is lines of functions
	$self->{sql} = talk("$folder/work", 'psql', '-X', '-q', '-v', 'SHOW_CONTEXT=never');
	$self->{sh} = talk("$folder/work", 'sh');
	return $self;
}

# talk(FOLDER, COMMAND...): a program that reads commands, in a process group of its own.
sub talk
{
	my ($folder, @command) = @_;
	pipe my $in, my $to or die;
	pipe my $from, my $out or die;
	my $pid = fork // die "fork: $!";
	if (!$pid)
	{
		setpgrp;
		chdir $folder;
		open STDIN, '<&', $in;
		open STDOUT, '>&', $out;
		open STDERR, '>&', $out;
		close $_ foreach $in, $to, $from, $out;
		exec @command or POSIX::_exit(1);
	}
	push @shells, $pid;
	$to->autoflush(1);
	return { pid => $pid, to => $to, from => $from };
}

# run(KIND, CODE): what it prints, and whether it failed.
sub run
{
	my ($self, $kind, $code) = @_;
	my $program = $self->{$kind};
	local $SIG{PIPE} = 'IGNORE';
	local $SIG{ALRM} = sub { die "no end of: $code" };
	alarm $PostgreSQL::Test::Utils::timeout_default;
	print { $program->{to} } $code, $kind eq 'sql' ? "\\! echo 'end of block' 0\n" : "\nprintf 'end of block %s\\n' \$?\n";
	my $output = '';
	my $status;
	while (defined(my $line = readline $program->{from}))
	{
		if ($line =~ s/end of block (\d+)\n\z//)
		{
			$status = $1;
			# an output without a last newline
			$output .= "$line\n" if length $line;
			last;
		}
		$output .= $line;
	}
	alarm 0;
	die "the program ended:\n$output" if !defined $status;
	$output =~ s/[ \t]+$//mg;
	$output =~ s/\n+\z/\n/;
	return ($output, $kind eq 'sql' ? $output =~ /^(?:ERROR|FATAL|PANIC): /m : $status != 0);
}

# play(TEXT): the page as it should be, and a description of each block that failed or differs.
sub play
{
	my ($self, $text) = @_;
	my ($page, @wrong) = '';
	foreach my $block (blocks($text))
	{
		if (!ref $block)
		{
			$page .= $block;
			next;
		}
		if ($block->{kind} eq 'console')
		{
			$page .= "```console\n";
			# a command, the lines that go on with it, and its output
			while ($block->{code} =~ /^(\$ (.*(?:\\\n.*)*)\n)((?:(?!\$ ).*\n)*)/mg)
			{
				my ($shown, $command, $was) = ($1, $2, $3);
				my ($output) = $self->run('sh', $command);
				push @wrong, "$shown$output-- instead of\n$was" if same($output) ne same($was);
				$page .= $shown . (same($output) eq same($was) ? $was : $output);
			}
			$page .= "```\n";
			next;
		}
		my ($output, $failed) = $self->run($block->{kind}, $block->{code});
		if (!defined $block->{output})
		{
			push @wrong, "$block->{code}$output-- which it should not" if $failed;
			$page .= $block->{whole};
			next;
		}
		push @wrong, "$block->{code}$output-- instead of\n$block->{output}" if same($output) ne same($block->{output});
		$page .= "```$block->{kind}\n$block->{code}```\n$block->{gap}```\n" . (same($output) eq same($block->{output}) ? $block->{output} : $output) . "```\n";
	}
	$self->stop;
	return ($page, @wrong);
}

# check(PATTERN...): the test of all pages of these names that are played. GUIDES chooses pages; with GUIDES_WRITE they are written into
# that folder as they should be (scripts/guides).
sub check
{
	plan skip_all => 'the pages show the gateway' if ($ENV{LAYER} // 'gateway') ne 'gateway';
	my @pages = grep { slurp_file($_) =~ /^<!-- played -->$/m } map { glob } @_;
	ok(@pages > 0, 'there are pages');
	if ($ENV{GUIDES})
	{
		my %chosen = map { $_ => 1 } split ' ', $ENV{GUIDES};
		@pages = grep { $chosen{$_} } @pages;
	}
	foreach my $path (@pages)
	{
		my ($page, @wrong) = Guide->new($path =~ s/\W+/_/gr)->play(slurp_file($path));
		if (my $folder = $ENV{GUIDES_WRITE})
		{
			make_path("$folder/" . ($path =~ s{/?[^/]*$}{}r));
			append_to_file("$folder/$path", $page);
			@wrong = grep { /^-- which it should not\n?\z/m } @wrong;
		}
		is(join("\n", @wrong), '', "$path prints what it shows");
	}
	done_testing();
	return;
}

sub stop
{
	my ($self) = @_;
	foreach (@$self{qw(sql sh)})
	{
		close $_->{to};
		kill 'TERM', -$_->{pid};
		waitpid $_->{pid}, 0;
	}
	$self->{node}->stop('fast');
	return;
}

1;
