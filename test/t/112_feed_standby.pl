# On a standby a running transaction is none that is over, a token that is newer than the standby is kept, and a promotion ends the
# history.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "autovacuum = off\n");
$primary->start;
$primary->safe_psql('postgres', slurp_file('test/feed/client.sql'));
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

my $as_reader = q{SET feed.groups = '1,2'; SET ROLE feed_reader; };
sub ask
{
	my ($node, $token, $what) = @_;
	return $node->safe_psql('postgres', "$as_reader SELECT $what FROM feed_api.items_changes(" . ($token ? "'$token'" : '') . ')');
}

# Nothing is replayed from then on.
sub pause
{
	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
	return $standby->poll_query_until('postgres', q{SELECT pg_get_wal_replay_pause_state() = 'paused'}) || die 'replay does not pause';
}

# A transaction that runs while others, with later ids, come and go.
my $late = $primary->background_psql('postgres');
$late->query_safe(q{BEGIN});
$late->query_safe(q{INSERT INTO feed.item VALUES (1, 1, 'late')});
$primary->safe_psql('postgres', q{INSERT INTO feed.item VALUES (2, 1, 'early')});
$primary->wait_for_catchup($standby);
my $token = ask($standby, '', 'next_page_token');
my $latest = ask($standby, 'latest', 'next_page_token');
$late->query_safe(q{COMMIT});
$late->quit;
$primary->wait_for_catchup($standby);
is(ask($standby, $token, q{items -> 0 ->> 'title'}), 'late', 'a commit that comes late is told on the standby');
is(ask($primary, $token, q{items -> 0 ->> 'title'}), 'late', 'and on the primary, with the same token');
is(ask($primary, $latest, q{items -> 0 ->> 'title'}), 'late', 'also if the latest was asked for');

# Reads move from the primary to a standby that lags.
$token = ask($primary, $token, 'next_page_token');
pause();
$primary->safe_psql('postgres', q{INSERT INTO feed.item SELECT i, 2, 'new' FROM generate_series(10, 15) i});
my $newer = ask($primary, $token, 'next_page_token');
my $walking = $primary->safe_psql('postgres', "$as_reader SELECT next_page_token FROM feed_api.items_changes('$token', 2)");
is(ask($standby, $newer, q{json_array_length(items) || ' ' || has_more}), '0 false', 'a standby that lags has nothing to tell');
my $kept = ask($standby, $newer, 'next_page_token');
my ($rc, $out, $err) = $standby->psql('postgres', "$as_reader SELECT feed_api.items_changes('$walking', 2)");
like($err, qr/try_again/, 'and cannot go on with a walk');
$primary->safe_psql('postgres', q{INSERT INTO feed.item VALUES (20, 2, 'newest')});
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
$primary->wait_for_catchup($standby);
is(ask($standby, $kept, q{items -> 0 ->> 'title'}), 'newest', 'the token that it gave back misses nothing');
is($standby->safe_psql('postgres', "$as_reader SELECT json_array_length(items) FROM feed_api.items_changes('$walking', 100)"), '4', 'the walk goes on');

# A walk whose pages come from both, while rows that were deleted softly are purged: one that lags has the row still, the other its
# departure, at the same place.
$token = ask($primary, $newer, 'next_page_token');
$primary->safe_psql('postgres', q{SET feed.groups = '2'; DELETE FROM feed_api.items WHERE id IN (10, 11, 12, 13)});
$primary->wait_for_catchup($standby);
sub removed { my ($node, $from) = @_; return split /[|]/, $node->safe_psql('postgres', "$as_reader SELECT next_page_token, removed -> 0 ->> 'id', json_array_length(removed) FROM feed_api.items_changes('$from', 1)") }
my @page = removed($primary, $token);
is($page[1], '10', 'the first page');
pause();
$primary->safe_psql('postgres', q{DELETE FROM feed.item WHERE id IN (11, 12, 13)});
@page = removed($primary, $page[0]);
is($page[1], '11', 'the next one, after a purge');
@page = removed($standby, $page[0]);
is($page[1], '12', 'one from a standby that has not heard of it');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
$primary->wait_for_catchup($standby);
@page = removed($standby, $page[0]);
is($page[1], '13', 'and one when it has');
is(ask($primary, $page[0], q{json_array_length(removed) || ' ' || json_array_length(items) || ' ' || has_more}), '0 0 false', 'nothing is left');

# Another time line is another history.
$standby->promote;
($rc, $out, $err) = $standby->psql('postgres', "$as_reader SELECT feed_api.items_changes('$newer')");
like($err, qr/cursor_expired/, 'a token from before a promotion has expired');
is(ask($standby, '', q{json_array_length(items)}), '5', 'and starting over tells all there is');
$standby->stop;
$primary->stop;
done_testing();
