# Whatever a session keeps means what it meant, or is made again: after any DDL that can change the meaning of a name, an operator, a
# function, a type or a collation, a session that has used pages, cursors and resources answers as a session does that has not.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('meaning');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\njit = off\nplan_cache_mode = force_generic_plan\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	SET client_min_messages = warning;
	CREATE SCHEMA ops;
	CREATE SCHEMA ops_new;
	CREATE SCHEMA ext;
	CREATE SCHEMA data;
	CREATE SCHEMA evil;
	CREATE EXTENSION citext SCHEMA ext;
	CREATE EXTENSION hstore SCHEMA ext;
	-- a type with an order of its own, from the greatest x down
	CREATE TYPE ops.point AS (x int, y int);
	CREATE FUNCTION ops.cmp(a ops.point, b ops.point) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog AS 'BEGIN RETURN CASE WHEN (a.x, a.y) = (b.x, b.y) THEN 0 WHEN (a.x, a.y) > (b.x, b.y) THEN -1 ELSE 1 END; END';
	CREATE FUNCTION ops.lt(a ops.point, b ops.point) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog AS 'BEGIN RETURN (a.x, a.y) > (b.x, b.y); END';
	CREATE FUNCTION ops.le(a ops.point, b ops.point) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog AS 'BEGIN RETURN (a.x, a.y) >= (b.x, b.y); END';
	CREATE FUNCTION ops.eq(a ops.point, b ops.point) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog AS 'BEGIN RETURN (a.x, a.y) = (b.x, b.y); END';
	CREATE FUNCTION ops.ge(a ops.point, b ops.point) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog AS 'BEGIN RETURN (a.x, a.y) <= (b.x, b.y); END';
	CREATE FUNCTION ops.gt(a ops.point, b ops.point) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog AS 'BEGIN RETURN (a.x, a.y) < (b.x, b.y); END';
	CREATE OPERATOR ops.< (LEFTARG = ops.point, RIGHTARG = ops.point, FUNCTION = ops.lt, COMMUTATOR = OPERATOR(ops.>), NEGATOR = OPERATOR(ops.>=));
	CREATE OPERATOR ops.<= (LEFTARG = ops.point, RIGHTARG = ops.point, FUNCTION = ops.le, COMMUTATOR = OPERATOR(ops.>=), NEGATOR = OPERATOR(ops.>));
	CREATE OPERATOR ops.= (LEFTARG = ops.point, RIGHTARG = ops.point, FUNCTION = ops.eq, COMMUTATOR = OPERATOR(ops.=), MERGES);
	CREATE OPERATOR ops.>= (LEFTARG = ops.point, RIGHTARG = ops.point, FUNCTION = ops.ge, COMMUTATOR = OPERATOR(ops.<=), NEGATOR = OPERATOR(ops.<));
	CREATE OPERATOR ops.> (LEFTARG = ops.point, RIGHTARG = ops.point, FUNCTION = ops.gt, COMMUTATOR = OPERATOR(ops.<), NEGATOR = OPERATOR(ops.<=));
	CREATE OPERATOR CLASS ops.point_ops DEFAULT FOR TYPE ops.point USING btree AS OPERATOR 1 ops.<, OPERATOR 2 ops.<=, OPERATOR 3 ops.=, OPERATOR 4 ops.>=, OPERATOR 5 ops.>, FUNCTION 1 ops.cmp(ops.point, ops.point);
	CREATE TYPE ops.mood AS ENUM ('low', 'high');
	CREATE DOMAIN ops.word AS ext.citext CHECK (length(VALUE) < 100);
	CREATE DOMAIN ops.feeling AS ops.mood;
	CREATE COLLATION ops.plain (provider = libc, locale = 'C');
	CREATE FUNCTION ops.twice(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN 2 * $1;
	CREATE TABLE data.t (id int PRIMARY KEY, p ops.point NOT NULL, c ext.citext NOT NULL, w ops.word NOT NULL, m ops.mood NOT NULL, f ops.feeling, s text COLLATE ops.plain NOT NULL,
		h ext.hstore, made timestamptz NOT NULL DEFAULT '2026-01-01');
	CREATE INDEX ON data.t (c, id);
	CREATE INDEX ON data.t (s, id);
	INSERT INTO data.t SELECT i, ROW(i % 3, i)::ops.point, CASE i % 2 WHEN 0 THEN 'A' ELSE 'a' END || i % 4, 'w' || i % 5, (ARRAY['low', 'high'])[1 + i % 2]::ops.mood,
		(ARRAY['low', NULL, 'high'])[1 + i % 3]::ops.feeling, 's' || i % 3, 'k=>v' FROM generate_series(1, 12) i;
	CREATE TABLE data.plain (id int PRIMARY KEY, s text COLLATE ops.plain NOT NULL);
	INSERT INTO data.plain SELECT i, CASE i % 2 WHEN 0 THEN 'S' ELSE 's' END || i % 3 FROM generate_series(1, 12) i;
	CREATE TABLE data.calc (id int PRIMARY KEY, n int);
	CREATE VIEW data.seen AS SELECT id, p, c, w, ops.twice(id) AS twice FROM data.t;
	-- keys that are compared by an extension's operators
	CREATE TABLE data.parent (id int PRIMARY KEY, code ext.citext NOT NULL UNIQUE, n int NOT NULL DEFAULT 0);
	CREATE TABLE data.child (id int PRIMARY KEY, code ops.word REFERENCES data.parent (code) ON DELETE CASCADE, p ops.point);
	SELECT taskapi.expose('data.t', order_by => 's, id'), taskapi.expose('data.parent'), taskapi.expose('data.child');
	-- its owner has given it a column more
	SELECT taskapi.expose('data.calc');
	CREATE OR REPLACE VIEW api.calc WITH (security_invoker = true) AS SELECT t.id, t.n, t.version, t.updated_at, taskapi.cursor('id', t.id) AS cursor, ops.twice(t.n) AS twice
		FROM data.calc t WHERE t.deleted_at IS NULL;
	INSERT INTO api.parent (id, code) VALUES (1, 'A'), (2, 'b');
	INSERT INTO api.child (id, code, p) VALUES (1, 'a', ROW(1, 1)), (2, 'B', ROW(2, 2));
	DELETE FROM api.parent WHERE id = 2;

	CREATE TABLE public.oid_of AS SELECT relname, oid FROM pg_class WHERE relnamespace IN ('data'::regnamespace, 'api'::regnamespace) AND relkind IN ('r', 'v');
	-- What a statement answers, or its error; what it did is undone.
	CREATE FUNCTION public.probe(statement text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		answer text;
	BEGIN
		EXECUTE statement INTO answer;
		RAISE SQLSTATE 'ZZ001' USING MESSAGE = coalesce(answer, 'NULL');
	EXCEPTION
		WHEN SQLSTATE 'ZZ001' THEN RETURN SQLERRM;
		WHEN OTHERS THEN RETURN 'ERROR ' || SQLSTATE || ' ' || SQLERRM;
	END $$;
	CREATE FUNCTION public.walk(source oid, order_by text, filter jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		p taskapi.page_result := taskapi.page(source::regclass, order_by, 5, NULL, filter);
		r text := '';
	BEGIN
		FOR i IN 1 .. 5 LOOP
			r := r || (SELECT coalesce(string_agg(concat_ws(':', o ->> 'id', o ->> 'twice', o ->> 'm'), ' '), '') FROM json_array_elements(p.items) o) || ';';
			EXIT WHEN NOT p.has_next;
			p := taskapi.page(source::regclass, order_by, 5, p.next_page_token, filter);
		END LOOP;
		RETURN r;
	END $$;});

# What is kept, each by what uses it. Relations are named by OID, so that it is the same one whatever it is called.
my %oid = map { split /\|/ } split /\n/, $node->safe_psql('postgres', q{SELECT relname, oid FROM public.oid_of});
my $token = $node->safe_psql('postgres', "SELECT (taskapi.page($oid{t}::oid::regclass, 'c, id', 5)).next_page_token");
my $by_collation = $node->safe_psql('postgres', "SELECT (taskapi.page($oid{plain}::oid::regclass, 's, id', 5)).next_page_token");
my $cursor = $node->safe_psql('postgres', "SELECT taskapi.cursor('s, id', s, id) FROM data.t WHERE id = 6");
my %probe = (
	'a page by a type\'s own operators' => "SELECT walk($oid{t}, 'p, id')",
	'a page by an extension\'s operators' => "SELECT walk($oid{t}, 'c, id')",
	'a page backwards' => "SELECT walk($oid{t}, 'c DESC, id DESC')",
	'a page by a domain over an extension\'s type' => "SELECT walk($oid{t}, 'w, id')",
	'a page by an enum' => "SELECT walk($oid{t}, 'm DESC, id')",
	'a page by a nullable domain over an enum' => "SELECT walk($oid{t}, 'f NULLS FIRST, id')",
	'a page by a collation' => "SELECT walk($oid{t}, 's, id')",
	'a page by a collation, of another table' => "SELECT walk($oid{plain}, 's, id', '{\"s\": {\"gte\": \"S1\"}}')",
	'a page of a view with a function' => "SELECT walk($oid{seen}, 'c, id')",
	'a page of a resource' => "SELECT walk($oid{t}, 'id')",
	'a page under a filter of an extension\'s type' => qq{SELECT walk($oid{t}, 'id', '{"c": {"gte": "A1", "neq": "a2"}}')},
	'a page under a filter of a type of its own' => qq{SELECT walk($oid{t}, 'id', '{"p": {"gt": "(1,5)"}}')},
	'a page under a filter of an enum' => qq{SELECT walk($oid{t}, 'id', '{"m": {"in": ["low", "high"]}, "f": {"eq": "low"}}')},
	'a page token of before' => "SELECT string_agg(o ->> 'id', ' ') FROM taskapi.page($oid{t}::oid::regclass, 'c, id', 5, '$token') p, json_array_elements(p.items) o",
	'a page token of before, by a collation' => "SELECT string_agg(o ->> 'id', ' ') FROM taskapi.page($oid{plain}::oid::regclass, 's, id', 5, '$by_collation') p, json_array_elements(p.items) o",
	'a cursor of before, opened' => "SELECT taskapi.cursor_decode('$cursor')::text FROM (SELECT 1) s",
	'advice' => "SELECT taskapi.index_advice($oid{t}::oid::regclass, 'p, id')",
	'an INSERT' => 'INSERT INTO %api%.t (id, p, c, w, m, s, h) VALUES (100, ROW(1, 2), $$C$$, $$w$$, $$low$$, $$s$$, $$a=>1$$) RETURNING (id, p, c, m, h)::text',
	'a row with a column that is computed' => 'INSERT INTO %api%.calc (id, n) VALUES (1, 6) RETURNING twice',
	'an UPDATE' => 'UPDATE %api%.t SET c = $$D$$, p = ROW(7, 7), m = $$high$$ WHERE id = 3 RETURNING (id, p, c, w, f, s, version)::text',
	'an UPDATE of a key that others refer to' => 'UPDATE %api%.parent SET code = $$a$$ WHERE n = 0 RETURNING (code, n, version)::text',
	'a DELETE that cascades' => 'WITH d AS (DELETE FROM %api%.parent WHERE n = 0 RETURNING code) SELECT string_agg(code::text, $$ $$) FROM d',
	'a restore that cascades' => 'UPDATE %api%.deleted_parent SET deleted_at = NULL RETURNING code::text',
	'a purge' => 'DELETE FROM %api%.deleted_parent RETURNING code::text',
	'a reference to a deleted row' => 'INSERT INTO %api%.child (id, code) VALUES (9, $$b$$) RETURNING id',
	'a reference to a live row' => 'INSERT INTO %api%.child (id, code) VALUES (9, $$a$$) RETURNING id',
	'a comparison of cursors' => "SELECT string_agg(id::text, ' ' ORDER BY id) FROM %api%.t WHERE cursor > '$cursor'",
	'a bulk purge' => q{SELECT taskapi.purge_deleted('-1 day'::interval * 0)});
my $api = 'api';
my $paths = 0;
sub answers
{
	my ($session) = @_;
	my %answer;
	# another search_path each time: then the server parses the texts of its kept plans again
	$session->query_safe('SET search_path = public' . ($paths++ % 2 ? '' : ', ops_new'));
	foreach my $name (sort keys %probe)
	{
		(my $sql = $probe{$name}) =~ s/%api%/$api/;
		$answer{$name} = $session->query("SELECT public.probe(\$probe\$$sql\$probe\$)");
	}
	return \%answer;
}
sub session
{
	my $session = $node->background_psql('postgres');
	$session->query_safe('SET client_min_messages = error; SET search_path = public');
	return $session;
}

my @ddl = (
	'ALTER SCHEMA ops RENAME TO ops_moved' => 'ALTER SCHEMA ops_moved RENAME TO ops',
	'ALTER SCHEMA ext RENAME TO ext_moved' => 'ALTER SCHEMA ext_moved RENAME TO ext',
	'ALTER SCHEMA data RENAME TO data_moved' => 'ALTER SCHEMA data_moved RENAME TO data',
	'ALTER EXTENSION citext SET SCHEMA evil' => 'ALTER EXTENSION citext SET SCHEMA ext',
	'ALTER EXTENSION hstore SET SCHEMA evil' => 'ALTER EXTENSION hstore SET SCHEMA ext',
	'ALTER OPERATOR ops.<(ops.point, ops.point) SET SCHEMA ops_new; ALTER OPERATOR ops.=(ops.point, ops.point) SET SCHEMA ops_new' =>
		'ALTER OPERATOR ops_new.<(ops.point, ops.point) SET SCHEMA ops; ALTER OPERATOR ops_new.=(ops.point, ops.point) SET SCHEMA ops',
	# another operator takes the place
	'ALTER OPERATOR ops.>(ops.point, ops.point) SET SCHEMA ops_new; CREATE OPERATOR ops.> (LEFTARG = ops.point, RIGHTARG = ops.point, FUNCTION = ops.lt)' =>
		'DROP OPERATOR ops.>(ops.point, ops.point); ALTER OPERATOR ops_new.>(ops.point, ops.point) SET SCHEMA ops',
	'ALTER FUNCTION ops.lt RENAME TO less; ALTER FUNCTION ops.less SET SCHEMA ops_new' => 'ALTER FUNCTION ops_new.less SET SCHEMA ops; ALTER FUNCTION ops.less RENAME TO lt',
	'ALTER FUNCTION ops.twice RENAME TO other; CREATE FUNCTION ops.twice(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN 0' => 'DROP FUNCTION ops.twice; ALTER FUNCTION ops.other RENAME TO twice',
	'CREATE OR REPLACE FUNCTION ops.twice(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN 3 * $1' => 'CREATE OR REPLACE FUNCTION ops.twice(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN 2 * $1',
	# the order itself turns round
	q{CREATE OR REPLACE FUNCTION ops.cmp(a ops.point, b ops.point) RETURNS int LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog AS 'SELECT CASE WHEN (a.x, a.y) = (b.x, b.y) THEN 0 WHEN (a.x, a.y) < (b.x, b.y) THEN -1 ELSE 1 END';
	CREATE OR REPLACE FUNCTION ops.lt(a ops.point, b ops.point) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog AS 'SELECT (a.x, a.y) < (b.x, b.y)';
	CREATE OR REPLACE FUNCTION ops.gt(a ops.point, b ops.point) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog AS 'SELECT (a.x, a.y) > (b.x, b.y)'} =>
	q{CREATE OR REPLACE FUNCTION ops.cmp(a ops.point, b ops.point) RETURNS int LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog AS 'SELECT CASE WHEN (a.x, a.y) = (b.x, b.y) THEN 0 WHEN (a.x, a.y) > (b.x, b.y) THEN -1 ELSE 1 END';
	CREATE OR REPLACE FUNCTION ops.lt(a ops.point, b ops.point) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog AS 'SELECT (a.x, a.y) > (b.x, b.y)';
	CREATE OR REPLACE FUNCTION ops.gt(a ops.point, b ops.point) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog AS 'SELECT (a.x, a.y) < (b.x, b.y)'},
	'ALTER OPERATOR CLASS ops.point_ops USING btree RENAME TO other_ops; ALTER OPERATOR CLASS ops.other_ops USING btree SET SCHEMA ops_new' =>
		'ALTER OPERATOR CLASS ops_new.other_ops USING btree SET SCHEMA ops; ALTER OPERATOR CLASS ops.other_ops USING btree RENAME TO point_ops',
	# a type's own order is taken away: the one of all composites is left
	'DROP OPERATOR FAMILY ops.point_ops USING btree CASCADE' =>
		'CREATE OPERATOR CLASS ops.point_ops DEFAULT FOR TYPE ops.point USING btree AS OPERATOR 1 ops.<, OPERATOR 2 ops.<=, OPERATOR 3 ops.=, OPERATOR 4 ops.>=, OPERATOR 5 ops.>, FUNCTION 1 ops.cmp(ops.point, ops.point)',
	'ALTER OPERATOR FAMILY ops.point_ops USING btree RENAME TO p; ALTER OPERATOR FAMILY ops.p USING btree SET SCHEMA ops_new' => 'ALTER OPERATOR FAMILY ops_new.p USING btree SET SCHEMA ops; ALTER OPERATOR FAMILY ops.p USING btree RENAME TO point_ops',
	'ALTER TYPE ops.point RENAME TO spot; ALTER TYPE ops.spot SET SCHEMA ops_new' => 'ALTER TYPE ops_new.spot SET SCHEMA ops; ALTER TYPE ops.spot RENAME TO point',
	'ALTER TYPE ext.citext RENAME TO ci' => 'ALTER TYPE ext.ci RENAME TO citext',
	'ALTER TYPE ops.mood RENAME TO humour; CREATE TYPE ops.mood AS ENUM ($$other$$)' => 'DROP TYPE ops.mood; ALTER TYPE ops.humour RENAME TO mood',
	q{ALTER TYPE ops.mood ADD VALUE IF NOT EXISTS 'middle' BEFORE 'high'} => 'SELECT 1',
	q{ALTER TYPE ops.mood RENAME VALUE 'low' TO 'down'} => q{ALTER TYPE ops.mood RENAME VALUE 'down' TO 'low'},
	'ALTER DOMAIN ops.word RENAME TO term; ALTER DOMAIN ops.term SET SCHEMA ops_new' => 'ALTER DOMAIN ops_new.term SET SCHEMA ops; ALTER DOMAIN ops.term RENAME TO word',
	q{ALTER DOMAIN ops.word ADD CONSTRAINT none CHECK (VALUE <> 'none') NOT VALID} => 'ALTER DOMAIN ops.word DROP CONSTRAINT none',
	'ALTER DOMAIN ops.feeling RENAME TO sense' => 'ALTER DOMAIN ops.sense RENAME TO feeling',
	'ALTER COLLATION ops.plain RENAME TO simple; ALTER COLLATION ops.simple SET SCHEMA ops_new' => 'ALTER COLLATION ops_new.simple SET SCHEMA ops; ALTER COLLATION ops.simple RENAME TO plain',
	q{CREATE COLLATION ops.reverse (provider = icu, locale = 'en-u-co-search', deterministic = false); ALTER TABLE data.plain ALTER s TYPE text COLLATE ops.reverse} =>
		'ALTER TABLE data.plain ALTER s TYPE text COLLATE ops.plain; DROP COLLATION ops.reverse',
	# an operator that fits a domain better than the one that was found
	'CREATE FUNCTION ext.never(ops.word, ext.citext) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN false; CREATE OPERATOR ext.= (LEFTARG = ops.word, RIGHTARG = ext.citext, FUNCTION = ext.never)' =>
		'DROP FUNCTION ext.never CASCADE',
	'CREATE FUNCTION ops.to_text(ops.point) RETURNS text LANGUAGE sql IMMUTABLE RETURN $$x$$; CREATE CAST (ops.point AS text) WITH FUNCTION ops.to_text AS IMPLICIT' => 'DROP FUNCTION ops.to_text CASCADE',
	# names change hands in one transaction
	'BEGIN; ALTER SCHEMA data RENAME TO data_old; CREATE SCHEMA data; CREATE TABLE data.t (LIKE data_old.t INCLUDING ALL); CREATE TABLE data.parent (LIKE data_old.parent INCLUDING ALL); CREATE TABLE data.child (LIKE data_old.child INCLUDING ALL); COMMIT' =>
		'BEGIN; DROP SCHEMA data CASCADE; ALTER SCHEMA data_old RENAME TO data; COMMIT',
	'BEGIN; ALTER TABLE data.parent RENAME TO parent_old; CREATE TABLE data.parent (LIKE data.parent_old INCLUDING ALL); COMMIT' => 'BEGIN; DROP TABLE data.parent; ALTER TABLE data.parent_old RENAME TO parent; COMMIT',
	'BEGIN; ALTER TABLE data.t RENAME c TO x; ALTER TABLE data.t RENAME w TO c; ALTER TABLE data.t RENAME x TO w; COMMIT' => 'BEGIN; ALTER TABLE data.t RENAME c TO x; ALTER TABLE data.t RENAME w TO c; ALTER TABLE data.t RENAME x TO w; COMMIT');

my $kept = session();
my $before = answers($kept);
my @failing = grep { $before->{$_} =~ /^ERROR/ && $_ !~ /reference to a deleted/ } sort keys %$before;
is(join("\n", map { "$_: $before->{$_}" } @failing), '', 'all of it works');
is(scalar(grep { $_ eq '' || $_ eq 'NULL' } map { $before->{$_} } grep { $_ ne 'advice' } keys %$before), 0, 'and answers with rows');

# Another session changes things, then this one does.
my $changed = 0;
foreach my $who ('another session', 'the session itself')
{
	my $do = $who eq 'another session' ? sub { $node->safe_psql('postgres', 'SET client_min_messages = error; ' . shift) } : sub { $kept->query_safe(shift) };
	foreach my $ddl (@ddl)
	{
		$do->($ddl);
		my $fresh = session();
		my ($got, $expected) = (answers($kept), answers($fresh));
		$fresh->quit;
		is(join("\n", map { "$_: $got->{$_}, but: $expected->{$_}" } grep { $got->{$_} ne $expected->{$_} } sort keys %$expected), '', "$who: $ddl");
		$changed++ if grep { $before->{$_} ne $expected->{$_} } keys %$expected;
	}
}
cmp_ok($changed, '>', 10, "the answers changed $changed times");

# Names change hands while a statement is under way: a policy waits meanwhile, and what comes after it in the same row is text that the
# server parses again.
$node->safe_psql('postgres', q{
	CREATE ROLE meaning_client;
	GRANT USAGE ON SCHEMA data, api, ext, ops TO meaning_client;
	CREATE TABLE data.turn (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
	CREATE SCHEMA data_new;
	CREATE TABLE data_new.turn (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, version int NOT NULL DEFAULT 77, updated_at timestamptz NOT NULL DEFAULT now(), deleted_at timestamptz, deletion_id uuid);
	INSERT INTO data.turn VALUES (1);
	INSERT INTO data_new.turn VALUES (2);
	SELECT taskapi.expose('data.turn');
	SELECT taskapi.grant_resource('api.turn', 'meaning_client');
	GRANT SELECT, UPDATE ON data_new.turn TO meaning_client;
	GRANT USAGE ON SCHEMA data_new TO meaning_client;
	CREATE FUNCTION public.wait(id int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN IF current_setting($$test.wait$$, true) = $$on$$ THEN PERFORM pg_advisory_xact_lock_shared(4711); END IF; RETURN true; END';
	CREATE FUNCTION public.veto() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM public.wait(NEW.id); RETURN NULL; END';
	CREATE TRIGGER veto BEFORE UPDATE ON data.turn FOR EACH ROW EXECUTE FUNCTION public.veto();
	CREATE POLICY slow ON data.turn USING (current_setting('test.page', true) IS DISTINCT FROM 'on' OR public.wait(id)) WITH CHECK (true);
	ALTER TABLE data.turn ENABLE ROW LEVEL SECURITY;});
foreach my $what ([ 'a write that a trigger vetoes', 'UPDATE api.turn SET n = 5 WHERE id = 1 RETURNING n' ], [ 'a page', 'SELECT (taskapi.page(' . $node->safe_psql('postgres', q{SELECT 'data.turn'::regclass::oid}) . q{::oid::regclass, 'id', 5)).items} ])
{
	my ($name, $sql) = @$what;
	my $holder = $node->background_psql('postgres');
	$holder->query_safe('SELECT pg_advisory_lock(4711)');
	my $waiting = session();
	$waiting->query_safe('SET ROLE meaning_client');
	# so that the plan of what comes afterwards is there, too
	$waiting->query_safe('SET test.page = on') if $name eq 'a page';
	my $first = $waiting->query("SELECT public.probe(\$probe\$$sql\$probe\$)");
	unlike($first, qr/ERROR (?!PT)/, "$name: before");
	$waiting->query_safe('SET test.wait = on');
	$waiting->{stdout} = '';
	$waiting->{stdin} .= "SELECT public.probe(\$probe\$$sql\$probe\$);\n\\echo waited\n";
	$waiting->{run}->pump_nb;
	$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
	$node->safe_psql('postgres', 'BEGIN; ALTER SCHEMA data RENAME TO data_old; ALTER SCHEMA data_new RENAME TO data; COMMIT');
	$holder->query_safe('SELECT pg_advisory_unlock(4711)');
	$waiting->{run}->pump until $waiting->{stdout} =~ /waited/;
	my ($answer) = $waiting->{stdout} =~ /^(.*)\nwaited/s;
	like($answer, qr/^(?:\Q$first\E|.*could not complete because of concurrent requests)$/, "$name: it is about the table that it was about, or is refused");
	unlike($answer, qr/:77,/, "$name: and not about the one that has the name now");
	$waiting->quit;
	$holder->quit;
	$node->safe_psql('postgres', 'BEGIN; ALTER SCHEMA data RENAME TO data_new; ALTER SCHEMA data_old RENAME TO data; COMMIT');
}

# A search_path that puts others' operators, functions and types first, from the first use on and later.
$node->safe_psql('postgres', q{
	DO $$ DECLARE o text; t text; BEGIN
		FOREACH t IN ARRAY '{int4,int8,text,timestamptz,uuid,ext.citext,ops.mood,ops.point}'::text[] LOOP
			EXECUTE format('CREATE FUNCTION evil.f(%1$s, %1$s) RETURNS boolean LANGUAGE sql IMMUTABLE AS ''SELECT false''', t);
			FOREACH o IN ARRAY '{=,<,>,<=,>=}'::text[] LOOP
				EXECUTE format('CREATE OPERATOR evil.%2$s (LEFTARG = %1$s, RIGHTARG = %1$s, FUNCTION = evil.f)', t, o);
			END LOOP;
		END LOOP;
	END $$;
	CREATE FUNCTION evil.cursor(text, ext.citext, int) RETURNS taskapi.cursor LANGUAGE sql AS 'SELECT NULL::taskapi.cursor';
	CREATE TYPE evil.record AS (a int);
	CREATE DOMAIN evil.int8 AS text;
	CREATE TABLE evil.t (id int);
	CREATE TABLE evil.parent (code text);});
my $straight = answers($kept);
my $fresh = session();
delete $probe{'a bulk purge'};	# its caller's own statement
foreach my $session ([ 'a fresh session', $fresh ], [ 'one that has used all of it', $kept ])
{
	my ($name, $psql) = @$session;
	# the statements of a client mean what its search_path says: those by key are compared where they name nothing
	my @own = grep { $probe{$_} =~ /^SELECT walk|^INSERT|token|advice/ } sort keys %probe;
	foreach my $path ('evil, pg_catalog, public', 'public', 'taskapi, ops, ext, public', 'pg_catalog')
	{
		$psql->query_safe("SET search_path = $path");
		my @differ;
		foreach my $probe (@own)
		{
			(my $sql = $probe{$probe}) =~ s/%api%/$api/;
			$sql =~ s/\bwalk\(/public.walk(/;
			my $answer = $psql->query("SELECT public.probe(\$probe\$$sql\$probe\$)");
			push @differ, "$probe: $answer, but: $straight->{$probe}" if $answer ne $straight->{$probe};
		}
		is(join("\n", @differ), '', "$name, search_path = $path");
	}
	$psql->quit;
}

$node->stop;
done_testing();
