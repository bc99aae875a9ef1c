# Stamps that a dump brings into another cluster mean nothing there: old tokens have expired, and what is written afterwards is told,
# though all stamps of before lie in the future. In the same cluster, a copy of the database is another history too. A server that is rolled
# back with its disk has tokens of the future.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old = PostgreSQL::Test::Cluster->new('old');
$old->init;
$old->start;
$old->safe_psql('postgres', 'CREATE DATABASE source');
# ids that the other cluster will not have for long
$old->safe_psql('source', join '', map { "BEGIN; SELECT pg_current_xact_id(); ROLLBACK;\n" } 1 .. 3000);
$old->safe_psql('source', slurp_file('test/feed/client.sql'));
$old->safe_psql('source', q{INSERT INTO feed.item SELECT i, 1, 'old' FROM generate_series(1, 5) i});
my $as_reader = q{SET feed.groups = '1,2'; SET ROLE feed_reader; };
my $token = $old->safe_psql('source', "$as_reader SELECT next_page_token FROM feed_api.items_changes()");

# A copy in the same cluster, and a change in it that the original's token must not be taken to have seen.
$old->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'source'}) or die 'somebody is in the database';
$old->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE source');
$old->safe_psql('copy', q{UPDATE feed.item SET title = 'in the copy' WHERE id = 1});
my $later = $old->safe_psql('source', qq{INSERT INTO feed.item VALUES (6, 1, 'later'); $as_reader SELECT next_page_token FROM feed_api.items_changes('$token')});
my ($rc, $out, $err) = $old->psql('copy', "$as_reader SELECT feed_api.items_changes('$later')");
like($err, qr/cursor_expired/, 'in a copy of the database a token has expired');

my $dump = $old->basedir . '/source.dump';
$old->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $old->connstr('source') ], 'pg_dump');
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
# which would draw the ids that are undone below
$new->append_conf('postgresql.conf', "autovacuum = off\n");
$new->start;
$new->safe_psql('postgres', 'CREATE DATABASE target; CREATE ROLE feed_reader');
$new->command_ok([ 'pg_restore', '--exit-on-error', '-d', $new->connstr('target'), $dump ], 'pg_restore');

($rc, $out, $err) = $new->psql('target', "$as_reader SELECT feed_api.items_changes('$token')");
like($err, qr/cursor_expired/, 'in another cluster a token has expired');
is($new->safe_psql('target', q{SELECT (changed::text::numeric % 281474976710656) > pg_snapshot_xmax(pg_current_snapshot())::text::numeric FROM feed.item LIMIT 1}), 't',
	'stamps of before lie in the future');
my $fresh = $new->safe_psql('target', "$as_reader SELECT next_page_token FROM feed_api.items_changes()");
is($new->safe_psql('target', "$as_reader SELECT json_array_length(items) FROM feed_api.items_changes()"), '6', 'starting over tells all there is');
is($new->safe_psql('target', "$as_reader SELECT json_array_length(items) FROM feed_api.items_changes('$fresh')"), '0', 'and then nothing');

# The first write begins another incarnation; the next ones are told, one by one, those of a row that was restored too.
my $client = sub { return $new->safe_psql('target', "$as_reader SELECT feed.sync('c')"); };
$new->safe_psql('target', "$as_reader SELECT 1");
is($client->(), '+1 +2 +3 +4 +5 +6', 'a client begins');
$new->safe_psql('target', q{UPDATE feed.item SET title = 'new' WHERE id = 2});
is($new->safe_psql('target', 'SELECT incarnation FROM taskapi.change_source'), '2', 'a new incarnation has begun');
is($client->(), '+2', 'the first write is told');
$new->safe_psql('target', q{UPDATE feed.item SET title = 'newer' WHERE id = 3; DELETE FROM feed.item WHERE id = 4});
is($client->(), '+3 -4', 'and the next');
is($new->safe_psql('target', q{SELECT feed.differs('c', '{1,2}')}), '', 'the client has what there is');
is($new->safe_psql('target', 'SELECT incarnation FROM taskapi.change_source'), '2', 'it is the same incarnation still');

# Two first writes at once: one waits for the other.
$new->command_ok([ 'pg_restore', '-l', $dump ], 'the dump is there');
$new->safe_psql('postgres', 'CREATE DATABASE again');
$new->command_ok([ 'pg_restore', '--exit-on-error', '-d', $new->connstr('again'), $dump ], 'pg_restore');
my @writers = map { $new->background_psql('again') } 1 .. 2;
$writers[0]->query_safe('BEGIN');
$writers[0]->query_safe(q{UPDATE feed.item SET title = 'a' WHERE id = 1});
$writers[1]->query_until(qr/start/, "\\echo start\nUPDATE feed.item SET title = 'b' WHERE id = 2;\n");
$new->poll_query_until('again', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'}) or die 'no writer waits';
$writers[0]->query_safe('ROLLBACK');
$writers[0]->query_safe(q{UPDATE feed.item SET title = 'c' WHERE id = 3});
$_->quit for @writers;
is($new->safe_psql('again', q{SELECT incarnation FROM taskapi.change_source}), '2', 'one incarnation has begun');
is($new->safe_psql('again', q{SELECT count(DISTINCT changed::text::numeric % 281474976710656), min(trunc(changed::text::numeric / 281474976710656)) FROM feed.item WHERE title IN ('b', 'c')}),
	'2|2', 'and both writes are of it');

# The files of an earlier time, as a snapshot of the disk brings them back: the same history, in which what the client has seen did not
# happen yet.
$new->stop;
my $files = PostgreSQL::Test::Utils::tempdir() . '/data';
$new->command_ok([ 'cp', '-a', $new->data_dir, $files ], 'the files are copied');
$new->start;
$fresh = $new->safe_psql('target', "$as_reader SELECT next_page_token FROM feed_api.items_changes()");
my $before = $fresh;
$fresh = $new->safe_psql('target', qq{UPDATE feed.item SET title = 'undone' WHERE id = 1; $as_reader SELECT next_page_token FROM feed_api.items_changes('$fresh')});
my $half = $new->safe_psql('target', qq{UPDATE feed.item SET title = 'undone'; $as_reader SELECT next_page_token FROM feed_api.items_changes('$fresh', 1)});
$new->stop;
$new->command_ok([ 'rm', '-r', $new->data_dir ], 'the server is rolled back');
$new->command_ok([ 'cp', '-a', $files, $new->data_dir ], 'to them');
$new->start;
foreach ([ $fresh, 'a token' ], [ $half, 'a token of a walk' ])
{
	($rc, $out, $err) = $new->psql('target', "$as_reader SELECT feed_api.items_changes('$_->[0]')");
	like($err, qr/cursor_expired/, "$_->[1] from the time that was undone has expired");
}
is($new->safe_psql('target', "$as_reader SELECT json_array_length(items) FROM feed_api.items_changes('$before')"), '0', 'one from before goes on');
$new->safe_psql('target', q{TRUNCATE feed.item_departures});
($rc, $out, $err) = $new->psql('target', "$as_reader SELECT feed_api.items_changes('$before')");
like($err, qr/cursor_expired/, 'until its departures are truncated, which ends the history by hand');

$new->stop;
$old->stop;
done_testing();
