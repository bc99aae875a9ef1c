# Every type of pg_type that has an order, and domains, arrays, ranges and composites over it: walks through page(), page_rows() and the cursor
# operators see each row once, in the order of ORDER BY, with ties and NULLs, both ways, in pages of any size, while rows come and go.
# WALKS=N tries more (2000), SEED=N repeats a run.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $walks = $ENV{WALKS} || 2000;
my $seed = $ENV{SEED} || int(rand(1_000_000));
note("SEED=$seed");

# Values of each type, as literals; what cannot be written is an expression in parentheses.
my %values = (
	bool => [qw(t f)],
	'"char"' => [ qw(a b Z), '', '\\377' ],
	int2 => [qw(-32768 32767 0 1 -1 255 256)],
	int4 => [qw(-2147483648 2147483647 0 1 -1 65536 -257)],
	int8 => [qw(-9223372036854775808 9223372036854775807 0 1 -1 1099511627776)],
	float4 => [qw(NaN Infinity -Infinity 0 -0 1.5 -1.5 1e-40)],
	float8 => [qw(NaN Infinity -Infinity 0 -0 1.5 1e-310 1e308)],
	numeric => [qw(NaN Infinity -Infinity 0 0.00 1.10 1.1 -1.10 1e-20 1e50 12345678901234567890.123)],
	money => [qw(1.00 -1.00 0 92233720368547758.07)],
	text => [ '', qw(a A b B), 'a ', 'ab', "\303\244", "\001", '%d', "'\\" ],
	varchar => [ '', qw(a A b), 'a ' ],
	bpchar => [ '', 'a', 'a ', 'a  ', 'b', 'A' ],
	name => [ '', 'a', 'b', 'x' x 63 ],
	bytea => [ '\\x', '\\x00', '\\x0000', '\\x00ff', '\\xff', '\\xff00' ],
	date => [qw(infinity -infinity 2020-01-01 1999-12-31 5874897-12-31)],
	time => [qw(00:00 24:00 12:00:00.000001 12:00)],
	timetz => [qw(00:00+00 01:00+01 24:00-15 12:00+05:30 06:30+00)],
	timestamp => [ qw(infinity -infinity 2020-01-01), '2020-01-01 00:00:00.000001' ],
	timestamptz => [ qw(infinity -infinity), '2020-01-01 00:00+00', '2020-01-01 01:00+01', '2020-01-01 00:00:00.000001+00' ],
	interval => [ '1 mon', '30 days', '720 hours', '-1 mon', '0', '1 day', '24 hours', '178000000 years', '-1 us' ],
	uuid => [qw(00000000-0000-0000-0000-000000000000 ffffffff-ffff-ffff-ffff-ffffffffffff 00000000-0000-0000-0000-000000000001)],
	inet => [qw(10.0.0.1 10.0.0.0/8 10.0.0.1/8 ::1 0.0.0.0/0)],
	cidr => [qw(10.0.0.0/8 10.0.0.1/32 ::1/128 0.0.0.0/0)],
	macaddr => [qw(08:00:2b:01:02:03 00:00:00:00:00:00 ff:ff:ff:ff:ff:ff)],
	macaddr8 => [qw(08:00:2b:01:02:03:04:05 00:00:00:00:00:00:00:00 ff:ff:ff:ff:ff:ff:ff:ff)],
	bit => [qw(0 1)],
	varbit => [ '', qw(0 00 1 10 101) ],
	oid => [qw(0 1 4294967295 2147483648)],
	xid8 => [qw(0 1 18446744073709551615 9223372036854775808)],
	tid => ['(0,1)', '(0,2)', '(1,1)', '(4294967295,65535)'],
	pg_lsn => [qw(0/0 FFFFFFFF/FFFFFFFF 80000000/0 0/1)],
	jsonb => [ '1', '1.0', '"a"', '[]', '{}', '{"a": 1}', '[1, 2]', 'null', 'true' ],
	tsvector => [ '', "'a'", "'b'", "'a':1", "'a' 'b'" ],
	tsquery => [ "'a'", "'b'", "'a' & 'b'" ],
	(map { $_ => [qw(0 1 4294967295 1247)] } qw(regproc regprocedure regoper regoperator regclass regtype regrole regnamespace regconfig regdictionary regcollation)),
	pg_node_tree => [ map { "(SELECT adbin FROM pg_attrdef WHERE adrelid = 'trees'::regclass AND adnum = $_)" } 1 .. 4 ],
	pg_ndistinct => [ map { "(SELECT stxdndistinct FROM pg_statistic_ext_data d JOIN pg_statistic_ext s ON s.oid = d.stxoid WHERE stxname = 's$_')" } 1 .. 3 ],
	pg_dependencies => [ map { "(SELECT stxddependencies FROM pg_statistic_ext_data d JOIN pg_statistic_ext s ON s.oid = d.stxoid WHERE stxname = 's$_')" } 1 .. 3 ],
	pg_mcv_list => [ map { "(SELECT stxdmcv FROM pg_statistic_ext_data d JOIN pg_statistic_ext s ON s.oid = d.stxoid WHERE stxname = 's$_')" } 1 .. 3 ],
	int4range => [ 'empty', '[1,2)', '(,)', '[1,)', '(,5)' ],
	int8range => [ 'empty', '[1,2)', '(,)', '[1,)' ],
	numrange => [ 'empty', '[1,2)', '[1,2]', '(1,2]', '(,)' ],
	daterange => [ 'empty', '[2020-01-01,2020-01-02)', '(,)', '[infinity,)' ],
	tsrange => [ 'empty', '[2020-01-01,2020-01-02)', '(,)' ],
	tstzrange => [ 'empty', '[2020-01-01,2020-01-02)', '(,)' ],
	int4multirange => [ '{}', '{[1,2)}', '{[1,2),[5,6)}' ],
	int8multirange => [ '{}', '{[1,2)}', '{[1,2),[5,6)}' ],
	nummultirange => [ '{}', '{[1,2]}', '{[1,2),[5,6)}' ],
	datemultirange => [ '{}', '{[2020-01-01,2020-01-02)}' ],
	tsmultirange => [ '{}', '{[2020-01-01,2020-01-02)}' ],
	tstzmultirange => [ '{}', '{[2020-01-01,2020-01-02)}' ],
	mood => [qw(sad ok happy)],
	citext => [ '', qw(a A b B Aa) ],
	ltree => [ '', qw(a a.b b) ],
	hstore => [ '', 'a=>1', 'b=>2', 'a=>NULL' ],
	'text COLLATE "C"' => [ '', qw(a A b), "\303\244" ],
	'text COLLATE "en-x-icu"' => [ '', qw(a A b B ab -a), "\303\244" ],
	'text COLLATE folded' => [ qw(a A b B ab AB Ab), "\303\244", "\303\204" ],
	'bpchar COLLATE "en-x-icu"' => [ 'a', 'a ', 'A', 'b' ],
	'numeric(10,2)' => [qw(NaN 0 1.1 -1.1 99999999.99)],
	'varchar(3)' => [ '', qw(a ab abc) ],
	'bit(3)' => [qw(000 101 111)]);

my $node = PostgreSQL::Test::Cluster->new('types');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "fsync = off\nlog_min_messages = fatal\nautovacuum = off\njit = off\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	CREATE EXTENSION citext;
	CREATE EXTENSION ltree;
	CREATE EXTENSION hstore;
	CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
	CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
	CREATE TABLE trees (a int DEFAULT 1, b int DEFAULT 1 + 1, c int DEFAULT 1 + 1 + 1, d text DEFAULT 'x');
	CREATE TABLE skewed AS SELECT i % 3 AS a, i % 9 AS b, i % 27 AS c FROM generate_series(1, 300) i;
	CREATE STATISTICS s1 ON a, b FROM skewed;
	CREATE STATISTICS s2 ON b, c FROM skewed;
	CREATE STATISTICS s3 ON a, b, c FROM skewed;
	ANALYZE skewed;

	CREATE TABLE kind (n int GENERATED ALWAYS AS IDENTITY, typ text PRIMARY KEY, base boolean, pool text);
	CREATE TABLE wrong (what text);
	CREATE TABLE done (n int);

	-- A type, and a table with values of it: those of the expressions that can be evaluated
	CREATE PROCEDURE add_kind(new_type text, expressions text[], base boolean DEFAULT false) LANGUAGE plpgsql AS $$
	DECLARE
		pool text := 'pool_' || (SELECT count(*) FROM kind);
		e text;
	BEGIN
		EXECUTE format('CREATE TABLE %I (n int GENERATED ALWAYS AS IDENTITY, x %s)', pool, new_type);
		FOREACH e IN ARRAY expressions LOOP
			BEGIN
				EXECUTE format('INSERT INTO %I (x) SELECT x FROM (SELECT %s AS x) s WHERE x IS DISTINCT FROM NULL', pool, e);
			EXCEPTION WHEN OTHERS THEN
				NULL;
			END;
		END LOOP;
		INSERT INTO kind (typ, base, pool) VALUES (new_type, base, pool);
	END $$;

	-- What can be made of a type with that pool
	CREATE PROCEDURE derive(of_type text, pool text, i text) LANGUAGE plpgsql AS $$
	DECLARE
		v text[];
		made text[];
	BEGIN
		EXECUTE format('SELECT array_agg(format(''(SELECT x FROM %I WHERE n = %%s)'', n)) FROM %I', pool, pool) INTO v;
		EXECUTE format('CREATE DOMAIN d_%s AS %s', i, of_type);
		CALL add_kind('d_' || i, v);
		IF of_type NOT IN ('pg_node_tree', 'pg_ndistinct', 'pg_dependencies', 'pg_mcv_list') THEN
			made := ARRAY(SELECT format('ARRAY[%s, %s]', a, b) FROM unnest(v) a, unnest(v) b ORDER BY random() LIMIT 6);
			made := made || ARRAY(SELECT format('ARRAY[%s]', a) FROM unnest(v) a) || format('ARRAY[NULL, %s]', v[1]);
			CALL add_kind(format('%s[]', of_type), made || format('%L::%s[]', '{}', of_type));
			EXECUTE format('CREATE DOMAIN da_%s AS %s[]', i, of_type);
			CALL add_kind('da_' || i, made);
			EXECUTE format('CREATE TYPE c_%s AS (x %s, y int)', i, of_type);
			made := ARRAY(SELECT format('ROW(%s, %s)::c_%s', a, y, i) FROM unnest(v || 'NULL'::text) a, unnest('{NULL,1}'::text[]) y);
			CALL add_kind('c_' || i, made);
			EXECUTE format('CREATE DOMAIN dc_%s AS c_%s', i, i);
			CALL add_kind('dc_' || i, made);
			made := ARRAY(SELECT format('ARRAY[%s]', s) FROM unnest(made) s);
			CALL add_kind(format('c_%s[]', i), made);
		END IF;
		IF EXISTS (SELECT FROM pg_opclass WHERE opcmethod = 403 AND opcdefault AND opcintype = of_type::regtype) THEN
			EXECUTE format('CREATE TYPE r_%1$s AS RANGE (subtype = %2$s, multirange_type_name = m_%1$s)', i, of_type);
			made := ARRAY(SELECT format('r_%s(%s, %s, %L)', i, a, b, bounds) FROM unnest(v || 'NULL'::text) a, unnest(v || 'NULL'::text) b,
				unnest('{[],(),[)}'::text[]) bounds ORDER BY random() LIMIT 20);
			CALL add_kind('r_' || i, made || format('%L::r_%s', 'empty', i));
			EXECUTE format('CREATE DOMAIN dr_%1$s AS r_%1$s', i);
			CALL add_kind('dr_' || i, made || format('%L::r_%s', 'empty', i));
			made := ARRAY(SELECT format('m_%s(%s)', i, s) FROM unnest(made) s);
			CALL add_kind('m_' || i, made);
		END IF;
	END $$;

	CREATE FUNCTION is_ordered(typ text) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE format('SELECT NULL::%s ORDER BY 1', typ);
		RETURN true;
	EXCEPTION WHEN OTHERS THEN
		RETURN false;
	END $$;

	CREATE FUNCTION has_cursor(order_by text, keys text) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE format('SELECT taskapi.cursor(%1$L, %2$s), taskapi.cursor_encode(%1$L, %2$s) FROM w', order_by, keys);
		RETURN true;
	EXCEPTION WHEN invalid_parameter_value THEN
		RETURN false;
	END $$;

	CREATE FUNCTION random_direction() RETURNS text LANGUAGE sql AS $$
		SELECT (ARRAY['', ' ASC NULLS FIRST', ' DESC', ' DESC NULLS LAST'])[1 + floor(random() * 4)] $$;

	CREATE FUNCTION list(query text) RETURNS int[] LANGUAGE plpgsql AS $$
	DECLARE
		result int[];
	BEGIN
		EXECUTE format('SELECT coalesce(array_agg(id), %L) FROM (%s) s', '{}', query) INTO result;
		RETURN result;
	END $$;

	-- Rows 1000 and above come and go; what the others make is what a walk must see of them
	CREATE PROCEDURE write_rows(pool text) LANGUAGE plpgsql AS $$
	BEGIN
		DELETE FROM w WHERE id >= 1000 AND random() < 0.5;
		EXECUTE format('INSERT INTO w SELECT i, (SELECT x FROM %1$I ORDER BY random() + i LIMIT 1), (SELECT x FROM %1$I ORDER BY random() + i LIMIT 1)
			FROM unnest(%2$L::int[]) i ON CONFLICT DO NOTHING', pool, ARRAY(SELECT 1000 + floor(random() * 50)::int FROM generate_series(1, floor(random() * 4)::int)));
	END $$;

	CREATE FUNCTION walk(order_by text, full_order text, size int, pool text, writing boolean) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		truth int[] := list(format('SELECT id FROM w WHERE id < 1000 ORDER BY %s', full_order));
		p taskapi.page_result;
		token text;
		seen int[] := '{}';
		back int[] := '{}';
		ids int[];
		rows int[];
		pages int := 0;
	BEGIN
		LOOP
			p := taskapi.page('w', order_by, size, token);
			ids := ARRAY(SELECT (o ->> 'id')::int FROM json_array_elements(p.items) o);
			IF pages % 4 = 1 THEN
				rows := list(format('SELECT id FROM taskapi.page_rows(NULL::w, %L, %s, %L)', order_by, size, token));
				IF rows <> ids THEN
					RETURN format('page_rows() has %s, page() %s', rows, ids);
				END IF;
			END IF;
			seen := seen || ids;
			IF writing THEN
				CALL write_rows(pool);
			END IF;
			EXIT WHEN p.next_page_token = '';
			token := p.next_page_token;
			pages := pages + 1;
			IF pages > 100 THEN
				RETURN format('endless: %s', seen);
			END IF;
		END LOOP;
		IF ARRAY(SELECT i FROM unnest(seen) i WHERE i < 1000) <> truth OR
			(SELECT count(*) <> count(DISTINCT i) FROM unnest(seen) i WHERE i < 1000 OR NOT writing) THEN
			RETURN format('forward %s, should be %s', seen, truth);
		END IF;
		seen := seen[cardinality(seen) - json_array_length(p.items) + 1 :];
		WHILE p.previous_page_token <> '' LOOP
			p := taskapi.page('w', order_by, size, p.previous_page_token);
			back := ARRAY(SELECT (o ->> 'id')::int FROM json_array_elements(p.items) o) || back;
			IF writing THEN
				CALL write_rows(pool);
			END IF;
			IF cardinality(back) > 200 THEN
				RETURN format('endless back: %s', back);
			END IF;
		END LOOP;
		back := back || seen;
		IF ARRAY(SELECT i FROM unnest(back) i WHERE i < 1000) <> truth THEN
			RETURN format('backward %s, should be %s', back, truth);
		END IF;
		RETURN NULL;
	END $$;

	-- The same rows by the operators, literal and prepared, and by page_rows() from a row's own cursor
	CREATE FUNCTION walk_by_cursor(full_order text, keys text, size int) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		truth int[] := list(format('SELECT id FROM w ORDER BY %s', full_order));
		k int := 1 + floor(random() * cardinality(truth));
		token text;
		op text;
		expected int[];
		found int[];
	BEGIN
		IF truth = '{}' THEN
			RETURN NULL;
		END IF;
		EXECUTE format('SELECT taskapi.cursor_encode(%L, %s) FROM w WHERE id = %s', full_order, keys, truth[k]) INTO token;
		FOREACH op IN ARRAY '{>,>=,<,<=,=}'::text[] LOOP
			expected := CASE op WHEN '>' THEN truth[k + 1 :] WHEN '>=' THEN truth[k :] WHEN '<' THEN truth[: k - 1] WHEN '<=' THEN truth[: k] ELSE truth[k : k] END;
			found := list(format('SELECT id FROM w WHERE taskapi.cursor(%L, %s) %s %L::taskapi.cursor ORDER BY %s', full_order, keys, op, token, full_order));
			IF found <> expected THEN
				RETURN format('operator %s at %s finds %s, should be %s', op, truth[k], found, expected);
			END IF;
		END LOOP;
		EXECUTE format('PREPARE beyond(taskapi.cursor) AS SELECT coalesce(array_agg(id), %L) FROM (SELECT id FROM w WHERE taskapi.cursor(%L, %s) > $1 ORDER BY %s) s',
			'{}', full_order, keys, full_order);
		EXECUTE format('EXECUTE beyond(%L)', token) INTO found;
		DEALLOCATE beyond;
		IF found <> truth[k + 1 :] THEN
			RETURN format('prepared operator at %s finds %s, should be %s', truth[k], found, truth[k + 1 :]);
		END IF;
		found := list(format('SELECT id FROM taskapi.page_rows(NULL::w, %L, %s, %L)', full_order, size, token));
		IF found <> truth[k + 1 : k + size] THEN
			RETURN format('page_rows() at the cursor of %s finds %s, should be %s', truth[k], found, truth[k + 1 : k + size]);
		END IF;
		RETURN NULL;
	END $$;

	CREATE PROCEDURE check_kind(k kind, walks int) LANGUAGE plpgsql AS $$
	DECLARE
		terms text[];
		order_by text;
		full_order text;
		keys text;
		size int;
		what text;
		index text;
		nrows int := (ARRAY[0, 1, 4, 6, 9])[1 + floor(random() * 5)];
	BEGIN
		PERFORM set_config('client_min_messages', 'warning', true);
		EXECUTE format('CREATE TABLE w (id int PRIMARY KEY, v %1$s, w %1$s NOT NULL)', k.typ);
		EXECUTE format('INSERT INTO w SELECT i, CASE WHEN random() < 0.7 THEN (SELECT x FROM %1$I ORDER BY random() + i LIMIT 1) END,
			(SELECT x FROM %1$I ORDER BY random() + i LIMIT 1) FROM generate_series(1, %2$s) i', k.pool, nrows);
		FOR i IN 1 .. walks LOOP
			terms := ARRAY(SELECT c || random_direction() FROM unnest('{v,w}'::text[]) c ORDER BY random() LIMIT 1 + floor(random() * 2));
			order_by := array_to_string(terms, ', ');
			full_order := order_by || CASE WHEN terms[cardinality(terms)] ~ 'DESC' THEN ', id DESC' ELSE ', id' END;
			keys := regexp_replace(full_order, ' (ASC|DESC)( NULLS (FIRST|LAST))?', '', 'g');
			index := (ARRAY['none', 'columns', 'cursor', 'other'])[1 + floor(random() * 4)];
			IF index = 'columns' OR index = 'other' THEN
				EXECUTE format('CREATE INDEX wi ON w (%s)', CASE index WHEN 'columns' THEN full_order ELSE keys END);
			ELSIF index = 'cursor' AND has_cursor(full_order, keys) THEN
				EXECUTE format('CREATE INDEX wi ON w (taskapi.cursor(%L, %s))', full_order, keys);
			END IF;
			size := 1 + floor(random() * random() * (nrows + 2));
			PERFORM set_config('plan_cache_mode', (ARRAY['auto', 'force_custom_plan', 'force_generic_plan'])[1 + floor(random() * 3)], true),
				set_config('enable_seqscan', (ARRAY['on', 'off'])[1 + floor(random() * 2)], true);
			BEGIN
				what := walk(order_by, full_order, size, k.pool, random() < 0.3);
				IF what IS NULL AND i % 4 = 1 AND has_cursor(full_order, keys) THEN
					what := walk_by_cursor(full_order, keys, size);
				END IF;
			EXCEPTION WHEN OTHERS THEN
				what := SQLSTATE || ' ' || SQLERRM;
				GET STACKED DIAGNOSTICS index = PG_EXCEPTION_DETAIL;
			END;
			IF what IS NOT NULL THEN
				INSERT INTO wrong VALUES (format('%s, order %s, size %s, index %s: %s', k.typ, order_by, size, index, what));
			END IF;
			DROP INDEX IF EXISTS wi;
			DELETE FROM w WHERE id >= 1000;
		END LOOP;
		DROP TABLE w;
		INSERT INTO done VALUES (walks);
	END $$;});

my $kinds = "SET client_min_messages = warning; SELECT setseed($seed / 1e6) \\g /dev/null\n";
foreach my $type (sort keys %values)
{
	my @expressions = map { my $v = $_; (my $plain = $type) =~ s/ COLLATE .*//; $v =~ s/'/''/g unless $v =~ /^\(SELECT/; $v =~ /^\(SELECT/ ? $v : "'$v'::$plain" } @{ $values{$type} };
	$kinds .= "CALL add_kind(\$t\$$type\$t\$, ARRAY[" . join(', ', map { "\$e\$$_\$e\$" } @expressions) . "], true);\n";
}
$node->safe_psql('postgres', $kinds);
is($node->safe_psql('postgres', q{
	SELECT string_agg(t.oid::regtype::text, ' ') FROM pg_type t
	WHERE typtype IN ('b', 'r', 'm', 'e') AND typcategory <> 'A' AND typrelid = 0 AND is_ordered(t.oid::regtype::text)
		AND t.oid NOT IN (SELECT k.typ::regtype FROM kind k WHERE k.typ !~ 'COLLATE') AND t.oid NOT IN ('oidvector'::regtype, 'int2vector'::regtype)
		AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = t.oid AND d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'taskapi'))}),
	'', 'every type that has an order is walked');

# The server's own vectors send an empty one so that they do not take it again.
foreach my $type (qw(oidvector int2vector))
{
	my ($rc, $out, $err) = $node->psql('postgres', "CREATE TABLE v_$type (id int PRIMARY KEY, v $type);
		SELECT taskapi.page('v_$type', 'v')");
	like($err, qr/invalid_order_by.*whose values have no binary form/s, "$type is refused at once");
}

my $count = $node->safe_psql('postgres', q{
	DO $$
	DECLARE
		k kind;
	BEGIN
		FOR k IN SELECT * FROM kind WHERE base AND typ !~ 'COLLATE|\(' ORDER BY n LOOP
			CALL derive(k.typ, k.pool, regexp_replace(k.typ, '\W', '', 'g') || '_' || k.n);
		END LOOP;
	END $$;
	SELECT count(*) FROM kind});
my $each = int($walks / $count) + 1;
$node->safe_psql('postgres', "SELECT setseed($seed / 1e6);
	SELECT format('CALL check_kind(k, $each) FROM kind k WHERE n = %s', n) FROM kind LIMIT 0;
	SELECT format('DO \$\$ DECLARE k kind; BEGIN SELECT * INTO k FROM kind WHERE n = %s; CALL check_kind(k, $each); END \$\$', n) FROM kind ORDER BY n \\gexec",
	timeout => 3600);
my $done = $node->safe_psql('postgres', 'SELECT sum(n) FROM done');
cmp_ok($done, '>=', $walks, "$done walks over $count types");
is($node->safe_psql('postgres', 'SELECT string_agg(what, chr(10)) FROM (SELECT what FROM wrong LIMIT 20) s'), '', 'each saw every row once, in order');

$node->stop;
done_testing();
