#!/usr/bin/perl
# http.pl BASE TOKEN SECONDS: times of GET requests over one connection.
#
# Reads lines "depth<TAB>name<TAB>path" and runs them in turn: each for so many SECONDS, at least three times after one that is not counted.
# Prints "depth<TAB>name<TAB>p50<TAB>p99<TAB>digest of the ids<TAB>rows", times in milliseconds. An answer other than 200 ends it.
use strict;
use warnings;
use Digest::MD5 'md5_hex';
use HTTP::Tiny;
use JSON::PP;
use Time::HiRes 'time';

my ($base, $token, $seconds) = @ARGV;
my $http = HTTP::Tiny->new(timeout => 300, keep_alive => 1, default_headers => { Authorization => "Bearer $token" });
while (my $line = <STDIN>)
{
	chomp $line;
	my ($depth, $name, $path) = split /\t/, $line;
	my (@ms, $answer);
	my $until;
	do
	{
		my $started = time;
		$answer = $http->get($base . $path);
		my $ended = time;
		$answer->{status} == 200 or die "$path: $answer->{status} $answer->{content}\n";
		push @ms, 1000 * ($ended - $started) if $until;
		$until //= $ended + $seconds;
	} while (@ms < 3 || time < $until);
	my @sorted = sort { $a <=> $b } @ms;
	my $rows = decode_json($answer->{content});
	$rows = $rows->{items} if ref $rows eq 'HASH';
	printf "%s\t%s\t%.3f\t%.3f\t%s\t%d\n", $depth, $name, $sorted[ $#sorted / 2 ], $sorted[ $#sorted * 0.99 ],
	  md5_hex(join ' ', map { $_->{id} } @$rows), scalar @$rows;
}
