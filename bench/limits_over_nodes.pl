#!/usr/bin/perl
# bench/limits_over_nodes.pl [SEED]: what limits admit and deny if N servers count each for itself, for docs/scale.md. No server is needed.
#
# GCRA, 60 a minute with a burst of 60. The flood: one caller, ten times the limit for ten minutes. The others: 2000 callers who each send
# 48 at once, once a minute, which the limit allows. Spread at random with the whole limit on each server, at random with an N-th part,
# or each caller to one server. The same seed gives the same figures.
use strict;
use warnings;

my $state = ($ARGV[0] // 1) & 0xFFFFFFFF;
sub random { $state = ($state * 1664525 + 1013904223) & 0xFFFFFFFF; return ($state >> 8) / 2**24 }

# One request at a time (seconds); true if it is admitted.
sub charge
{
	my ($tat, $at, $rate, $burst) = @_;
	my $interval = 60 / $rate;
	my $earliest = ($$tat // 0) > $at ? $$tat : $at;
	return 0 if $earliest + $interval - $at > $burst * $interval + 1e-9;
	$$tat = $earliest + $interval;
	return 1;
}

printf "%-8s %-28s %22s %26s\n", 'servers', 'callers are', 'a flood is admitted', 'denied of allowed bursts';
foreach my $servers (2, 4, 8)
{
	foreach my $how ('at random, whole limit', 'at random, an N-th part', 'hashed to one server')
	{
		my $part = $how =~ /part/ ? $servers : 1;
		my ($rate, $burst) = (60 / $part, 60 / $part);
		my $server = sub { return $how =~ /hashed/ ? $_[0] % $servers : int(random() * $servers) };

		my (@flood, $admitted);
		for my $n (0 .. 6000 - 1)
		{
			my $at = $n / 10;
			$admitted += charge(\$flood[ $server->(7) ], $at, $rate, $burst);
		}

		my ($sent, $denied) = (0, 0);
		foreach my $caller (1 .. 2000)
		{
			my @tat;
			foreach my $minute (0 .. 4)
			{
				for (1 .. 48)
				{
					$sent++;
					$denied++ unless charge(\$tat[ $server->($caller) ], 60 * $minute, $rate, $burst);
				}
			}
		}
		printf "%-8d %-28s %16.2f times %24.1f %%\n", $servers, $how, $admitted / 660, 100 * $denied / $sent;
	}
}
