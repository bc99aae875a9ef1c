# Cursors where one session is not enough: keys rotated and retired elsewhere, a standby, a restored dump, parallel
# workers, a database with a linguistic collation.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "wal_receiver_status_interval = 1\n");
$primary->start;
$primary->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	CREATE TYPE mood AS ENUM ('sad', 'ok');
	CREATE TABLE post (id int PRIMARY KEY, at timestamptz NOT NULL, m mood);
	INSERT INTO post SELECT i, '2026-01-01'::timestamptz + i * interval '1 minute', (ARRAY['sad', 'ok', NULL]::mood[])[1 + i % 3] FROM generate_series(1, 20000) i;
	CREATE INDEX ON post (at, id);
	CREATE INDEX ON post (taskapi.cursor('m NULLS FIRST, id DESC', m, id));
	ANALYZE post;
});
my $next_page = q{SELECT string_agg(id::text, ' ' ORDER BY at DESC, id DESC) FROM
	(SELECT * FROM post WHERE taskapi.cursor('at DESC, id DESC', at, id) > '%s' ORDER BY at DESC, id DESC LIMIT 3) s};
my $next_mixed = q{SELECT string_agg(id::text, ' ' ORDER BY n) FROM
	(SELECT id, row_number() OVER () AS n FROM
	(SELECT id FROM post WHERE taskapi.cursor('m NULLS FIRST, id DESC', m, id) > '%s' ORDER BY taskapi.cursor('m NULLS FIRST, id DESC', m, id) LIMIT 3) s) t};
my $token = $primary->safe_psql('postgres', q{SELECT taskapi.cursor('at DESC, id DESC', at, id) FROM post WHERE id = 100});
my $mixed = $primary->safe_psql('postgres', q{SELECT taskapi.cursor('m NULLS FIRST, id DESC', m, id) FROM post WHERE id = 3});
is($primary->safe_psql('postgres', sprintf($next_page, $token)), '99 98 97', 'the token opens');
is($primary->safe_psql('postgres', sprintf($next_mixed, $mixed)), '19999 19996 19993', 'the token of a mixed order opens');

# A session that has used the key already sees at once what another one does to it.
my $session = $primary->background_psql('postgres', on_error_stop => 0);
my $try = sub {
	my $result = $session->query(qq{DO \$\$ BEGIN PERFORM '$_[0]'::taskapi.cursor; RAISE NOTICE 'opened'; EXCEPTION WHEN OTHERS THEN RAISE NOTICE '%', SQLERRM; END \$\$; SELECT 1});
	my ($notice) = $session->{stderr} =~ /NOTICE:\s+(.*)/;
	$session->{stderr} = '';
	return $notice;
};
is($try->($token), 'opened', 'another session opens it');
is($primary->safe_psql('postgres', q{SELECT taskapi.rotate_secret('cursor')}), '2', 'a key is added elsewhere');
my $second = $primary->safe_psql('postgres', q{SELECT taskapi.cursor('at DESC, id DESC', at, id) FROM post WHERE id = 200});
is($try->($second), 'opened', 'what the new key signed opens at once');
is($try->($token), 'opened', 'and what the old one did');
like($session->query(q{SELECT taskapi.cursor_encode('a', 1)}), qr/^AQI/, 'the session signs with the new key');
$primary->safe_psql('postgres', q{SELECT taskapi.retire_secret('cursor', 1)});
is($try->($token), 'cursor is not valid', 'retired elsewhere, the old key opens nothing');
is($try->($second), 'opened', 'the new one does');
$session->quit;
$token = $second;
$mixed = $primary->safe_psql('postgres', q{SELECT taskapi.cursor('m NULLS FIRST, id DESC', m, id) FROM post WHERE id = 3});

# A session that could not read the catalog the first time is not blind to cursors for good.
my $blind = $primary->background_psql('postgres', on_error_stop => 0);
$blind->query("LOAD 'taskapi'");
my $holder = $primary->background_psql('postgres');
$holder->query('BEGIN; LOCK TABLE pg_catalog.pg_proc');
$blind->query("SET lock_timeout = '100ms'");
$blind->query('TABLE post');	# whose analysis needs nothing of pg_proc, so that the planner's hook is the first to ask
like($blind->{stderr}, qr/canceling statement due to lock timeout/, 'the catalog cannot be read');
# by a command whose answer says that the lock is gone: a session ends after its client
$holder->query_safe('ROLLBACK');
$holder->quit;
$blind->{stderr} = '';
$blind->query(q{SELECT count(*) FROM post WHERE taskapi.cursor('id', id) > taskapi.cursor('other', 3)});
like($blind->{stderr}, qr/cursor belongs to another query/, 'and a cursor of another order is refused once it can');
like($blind->query(q{EXPLAIN (COSTS OFF) SELECT id FROM post WHERE taskapi.cursor('id', id) > taskapi.cursor('id', 19990)}), qr/Index Cond: .*id > /, 'and one of this order bounds an index');
$blind->quit;

# A standby opens and seals.
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', sprintf($next_page, $token)), '199 198 197', 'a standby opens a token');
is($standby->safe_psql('postgres', sprintf($next_mixed, $mixed)), '19999 19996 19993', 'and one of a mixed order');
my $made_there = $standby->safe_psql('postgres', q{SELECT taskapi.cursor('at DESC, id DESC', at, id) FROM post WHERE id = 300});
is($primary->safe_psql('postgres', sprintf($next_page, $made_there)), '299 298 297', 'its primary opens what a standby made');
my $reader = $standby->background_psql('postgres', on_error_stop => 0);
like($reader->query(q{SELECT taskapi.cursor_encode('a', 1)}), qr/^AQI/, 'a session on the standby signs');
$primary->safe_psql('postgres', q{SELECT taskapi.rotate_secret('cursor')});
$primary->wait_for_catchup($standby);
like($reader->query(q{SELECT taskapi.cursor_encode('a', 1)}), qr/^AQM/, 'a rotation reaches a session on the standby');
$reader->quit;
$standby->stop;

# A dump carries the keys, and the key that CREATE EXTENSION makes in the new database stands in nobody's way.
for my $format ('plain', 'custom')
{
	my $file = $primary->basedir . "/dump.$format";
	my $database = "restored_$format";
	$primary->safe_psql('postgres', "CREATE DATABASE $database");
	$primary->run_log([ 'pg_dump', '--format', $format, '--file', $file, $primary->connstr('postgres') ]);
	$primary->command_ok(
		$format eq 'plain'
		? [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $file, $primary->connstr($database) ]
		: [ 'pg_restore', '--exit-on-error', '-d', $primary->connstr($database), $file ],
		"a $format dump is restored");
	is($primary->safe_psql($database, sprintf($next_page, $token)), '199 198 197', 'an old token opens there');
	is($primary->safe_psql($database, sprintf($next_mixed, $mixed)), '19999 19996 19993', 'one with a type of the database too, whose OID differs');
	is($primary->safe_psql($database, q{SELECT string_agg(purpose || ' ' || key_id || CASE WHEN retired_at IS NULL THEN '' ELSE ' retired' END, ', ' ORDER BY purpose, key_id) FROM taskapi.secret}),
		'cursor 1 retired, cursor 2, cursor 3, jwt 1', 'the keys are those of the dump');
}
is($primary->safe_psql('postgres', q{SELECT count(*) FROM taskapi.secret}), '4', 'the source is as it was');

# Parallel workers construct, compare, seal and open.
$primary->safe_psql('postgres', q{CREATE TABLE token AS SELECT id, taskapi.cursor_encode('m, id', m, id) AS t FROM post; ANALYZE token});
my $parallel = q{SET debug_parallel_query = on; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;};
$parallel =~ s/debug_parallel_query/force_parallel_mode/ if $primary->pg_version < 16;
my $count = q{SELECT count(*) FROM token WHERE t::taskapi.cursor > taskapi.cursor('m, id', 'ok'::mood, 5000) AND (t::taskapi.cursor)::text IS NOT NULL};
like($primary->safe_psql('postgres', "$parallel EXPLAIN $count"), qr/Gather/, 'the plan is parallel');
is($primary->safe_psql('postgres', "$parallel $count"), $primary->safe_psql('postgres', "SET max_parallel_workers_per_gather = 0; $count"), 'and counts the same');

# The database's own collation is linguistic: text has no encoding there, and orders as the collation does.
$primary->safe_psql('postgres', q{CREATE DATABASE linguistic TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C' ENCODING 'UTF8'});
$primary->safe_psql('linguistic', q{
	CREATE EXTENSION taskapi;
	CREATE TABLE word (w text NOT NULL, c text COLLATE "C" NOT NULL, id int NOT NULL);
	INSERT INTO word SELECT w, w, row_number() OVER () FROM unnest('{a,A,b,B,á,Z,z,ab,"a b",""}'::text[]) w;
	CREATE INDEX ON word (taskapi.cursor('w, id', w, id));
	CREATE INDEX ON word (w, id);
});
my $by = sub { return $primary->safe_psql('linguistic', "SELECT string_agg(quote_literal(w), ' ' ORDER BY $_[0]) FROM word") };
is($by->(q{taskapi.cursor('w, id', w, id)}), $by->('w, id'), 'ascending');
is($by->(q{taskapi.cursor('w DESC, id', w, id)}), $by->('w DESC, id'), 'descending');
is($by->(q{taskapi.cursor('c, id', c, id)}), $by->('c, id'), 'byte order where the column says so');
isnt($by->('w, id'), $by->('c, id'), 'which is another order');
is($primary->safe_psql('linguistic', q{SET enable_seqscan = off; SELECT string_agg(w, ' ' ORDER BY w, id) FROM word WHERE taskapi.cursor('w, id', w, id) > taskapi.cursor('w, id', 'A', 2)}),
	$primary->safe_psql('linguistic', q{SELECT string_agg(w, ' ' ORDER BY w, id) FROM word WHERE (w, id) > ('A', 2)}), 'a bounded scan agrees with plain SQL');
is($primary->safe_psql('linguistic', q{SELECT count(*) FROM word WHERE taskapi.cursor('w, id', w, id) <> taskapi.cursor('w, id', w, id)::text::taskapi.cursor}), '0', 'tokens keep their collation');

$primary->stop;
done_testing();
