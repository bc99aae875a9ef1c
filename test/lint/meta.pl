#!/usr/bin/env perl
# What PGXN's Meta Spec 1.0.0 asks of a META.json, whose own validator Debian does not have: perl meta.pl FOLDER [ARCHIVE]. Each fault is a line.
use strict;
use warnings;
use JSON::PP;

my ($folder, $archive) = @ARGV;
my @faults;
sub fault { push @faults, join('', @_) . "\n"; return }

my $semver = qr/\A(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}(?:-[A-Za-z][-0-9A-Za-z]*|[A-Za-z][-0-9A-Za-z]*)?\z/;
my $range = qr/\A(?:(?:==|!=|[<>]=?)? *(?:0|\d+\.\d+\.\d+\S*)(?:, *|\z))+\z/;
my $term = qr/\A[^\/\\\p{Cntrl}\s]{2,}\z/;
my $tag = qr/\A[^\/\\\p{Cntrl}]{1,256}\z/;
my $text = qr/\A.*\S.*\z/s;

open my $fh, '<', "$folder/META.json" or die "$folder/META.json: $!\n";
my $meta = eval { decode_json(do { local $/; <$fh> }) } or die "META.json is no JSON: $@";

# must(WHERE, OBJECT, KEY, PATTERN): a string of that form is there.
sub must
{
	my ($where, $object, $key, $pattern) = @_;
	return fault("$where lacks $key") if !defined $object->{$key};
	return fault("$where\'s $key is no string") if ref $object->{$key};
	fault("$where\'s $key is not valid: $object->{$key}") if $object->{$key} !~ $pattern;
	return;
}

must('META.json', $meta, @$_) for [ name => $term ], [ version => $semver ], [ abstract => $text ];
for my $key (qw(maintainer license tags))
{
	my @values = ref $meta->{$key} eq 'ARRAY' ? @{ $meta->{$key} } : defined $meta->{$key} && !ref $meta->{$key} ? $meta->{$key} : ();
	fault("META.json lacks $key") if !@values;
	my $pattern = { license => qr/\A(?:agpl_3|apache_[12]_[01]|artistic_[12]|bsd|freebsd|gfdl_1_[23]|gpl_[123]|lgpl_(?:2_1|3_0)|mit|mozilla_1_[01]|openssl|perl_5|postgresql|qpl_1_0|ssleay|sun|zlib|open_source|restricted|unrestricted|unknown)\z/, tags => $tag }->{$key} // $text;
	$_ =~ $pattern or fault("META.json\'s $key is not valid: $_") for @values;
}
my $spec = $meta->{'meta-spec'} // {};
must('meta-spec', $spec, version => qr/\A1\.0\.\d+\z/);
must('meta-spec', $spec, url => qr{\Ahttps?://pgxn\.org/meta/spec\.txt\z}) if exists $spec->{url};

fault('META.json provides nothing') if ref $meta->{provides} ne 'HASH' || !%{ $meta->{provides} };
for my $name (sort keys %{ $meta->{provides} // {} })
{
	my $extension = $meta->{provides}{$name};
	fault("$name is no name of an extension") if $name !~ $term;
	must($name, $extension, @$_) for [ file => $text ], [ version => $semver ];
	must($name, $extension, $_ => $text) for grep { exists $extension->{$_} } qw(abstract docfile);
	$_ =~ /\A(?:file|version|abstract|docfile|x_.*)\z/i or fault("$name has an unknown $_") for sort keys %$extension;
	-e "$folder/$_" or fault("$name names $_, which is missing") for grep { defined } @$extension{qw(file docfile)};
}
for my $phase (sort keys %{ $meta->{prereqs} // {} })
{
	$phase =~ /\A(?:configure|build|test|runtime|develop|x_.*)\z/i or fault("prereqs has an unknown phase $phase");
	for my $relation (sort keys %{ $meta->{prereqs}{$phase} })
	{
		$relation =~ /\A(?:requires|recommends|suggests|conflicts|x_.*)\z/i or fault("$phase has an unknown relation $relation");
		my $packages = $meta->{prereqs}{$phase}{$relation};
		must("$phase $relation", $packages, $_ => $range) for sort keys %$packages;
	}
}
must('META.json', $meta, release_status => qr/\A(?:stable|testing|unstable)\z/) if exists $meta->{release_status};
must('META.json', $meta, $_ => $text) for grep { exists $meta->{$_} } qw(description generated_by);
$_ =~ /\A(?:name|version|abstract|maintainer|license|provides|meta-spec|description|generated_by|tags|no_index|prereqs|release_status|resources|x_.*)\z/i
	or fault("META.json has an unknown $_") for sort keys %$meta;
fault("the archive is named $archive, not $meta->{name}-$meta->{version}.zip") if defined $archive && $archive ne "$meta->{name}-$meta->{version}.zip";

print @faults;
exit(@faults ? 1 : 0);
