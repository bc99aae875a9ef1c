# A crash loses transaction ids that were seen as over, and they are drawn again: what a client of the change feed was told is true
# after a crash too, and nothing that is committed afterwards is passed by.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('feed');
$node->init;
# Nobody but a commit flushes the log
$node->append_conf('postgresql.conf', "wal_writer_delay = 10s\nautovacuum = off\nbgwriter_lru_maxpages = 0\ncheckpoint_timeout = 1h\n");
$node->start;
$node->safe_psql('postgres', slurp_file('test/feed/client.sql'));

my $as_reader = q{SET feed.groups = '1,2'; SET ROLE feed_reader; };
sub token { return $node->safe_psql('postgres', "$as_reader SELECT next_page_token FROM feed_api.items_changes(" . ($_[0] ? "'$_[0]'" : '') . ')'); }
sub told { return $node->safe_psql('postgres', "$as_reader SELECT items::text ~ '\"title\":\"$_[1]\"' FROM feed_api.items_changes('$_[0]')"); }

# Ids of transactions that failed, and whose abort records are not on disk.
sub storm
{
	my $n = shift;
	$node->safe_psql('postgres', join '', map { "BEGIN; SELECT pg_current_xact_id(); ROLLBACK;\n" } 1 .. $n);
}

for my $round (1 .. 3)
{
	$node->safe_psql('postgres', "INSERT INTO feed.item VALUES ($round, 1, 'before $round')");
	my $first = token();
	storm(50);
	my $idle = token($first);
	my $latest = $round == 2 ? token('latest') : $idle;
	my $next = $node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())');
	storm(5);
	$node->stop('immediate');
	$node->start;
	my $now = $node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())');
	note "round $round: next was $next, and is $now after the crash";
	$node->safe_psql('postgres', "INSERT INTO feed.item VALUES (100 + $round, 1, 'after $round')");
	is(told($idle, "after $round"), 't', "round $round: what was committed after the crash is told to a client that had nothing new");
	is(told($latest, "after $round"), 't', "round $round: and to one that asked for the latest");
	is(told($first, "after $round"), 't', "round $round: and to one with an older token");
}

# A walk that is on its way when the server crashes.
$node->safe_psql('postgres', q{DELETE FROM feed.item; INSERT INTO feed.item SELECT i, 1, 'walk' FROM generate_series(1, 6) i});
my ($page) = $node->safe_psql('postgres', "$as_reader SELECT next_page_token FROM feed_api.items_changes(NULL, 2)");
my $base = token();
$node->safe_psql('postgres', 'UPDATE feed.item SET id = id + 10 WHERE id < 3');
storm(50);
my $walk = $node->safe_psql('postgres', "$as_reader SELECT next_page_token FROM feed_api.items_changes('$base', 2)");
storm(5);
$node->stop('immediate');
$node->start;
$node->safe_psql('postgres', 'DELETE FROM feed.item WHERE id = 3');
my %copy = map { $_ => 1 } 3 .. 6;
for (1 .. 10)
{
	my $answer = $node->safe_psql('postgres', "$as_reader SELECT next_page_token, has_more, (SELECT string_agg(i ->> 'id', ' ') FROM json_array_elements(items) i),"
		. " (SELECT string_agg(r ->> 'id', ' ') FROM json_array_elements(removed) r) FROM feed_api.items_changes('$walk', 2)");
	my ($token, $more, $items, $removed) = split /\|/, $answer;
	$copy{$_} = 1 for split ' ', $items // '';
	delete $copy{$_} for split ' ', $removed // '';
	$walk = $token;
	last if $more eq 'f' && $_ > 4;
}
is(join(' ', sort { $a <=> $b } keys %copy), '4 5 6 11 12', 'a walk goes on behind a crash, and what leaves then is told');

# What is told is on disk: a commit that did not wait for that included.
$node->safe_psql('postgres', q{SET synchronous_commit = off; INSERT INTO feed.item VALUES (50, 1, 'unflushed')});
my $told = token($walk);
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', q{SELECT title FROM feed.item WHERE id = 50}), 'unflushed', 'what a client was told survives');
$node->stop;
done_testing();
