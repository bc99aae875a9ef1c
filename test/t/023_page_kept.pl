# What a session keeps of pages is bounded by what is distinct, and a foreign server's rows, which no constraint binds, are neither lost nor
# taken for values of another type.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('kept');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\njit = off\nautovacuum = off\nmax_locks_per_transaction = 512\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	CREATE TABLE parts (d int NOT NULL, id int NOT NULL, a int NOT NULL, b int NOT NULL, PRIMARY KEY (d, id)) PARTITION BY RANGE (d);
	DO $$ BEGIN FOR i IN 0 .. 149 LOOP EXECUTE format('CREATE TABLE parts_%1$s PARTITION OF parts FOR VALUES FROM (%1$s) TO (%1$s + 1)', i); END LOOP; END $$;
	CREATE INDEX ON parts (a, d, id);
	CREATE INDEX ON parts (b, d, id);
	INSERT INTO parts SELECT i % 150, i, i % 7, i % 11 FROM generate_series(1, 3000) i;
	ANALYZE parts;
	CREATE FUNCTION walk(order_by text, size int) RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
		p taskapi.page_result := taskapi.page('parts', order_by, size);
	BEGIN
		p := taskapi.page('parts', order_by, size, p.next_page_token);
		p := taskapi.page('parts', order_by, size, p.previous_page_token);
		RETURN json_array_length(p.items);
	END $$;
	CREATE FUNCTION kept_mb() RETURNS int LANGUAGE sql AS $$
		SELECT sum(total_bytes) / 1024 / 1024 FROM pg_backend_memory_contexts WHERE name ~ '^(CachedPlan|taskapi page)' $$;});

# A client chooses how an order is spelt, and how often: spaces, capitals, directions that are the default, the tie-breaker in full.
my ($once, $spelt, $more) = split ' ', $node->safe_psql('postgres', q{
	SELECT walk('a', 50) \g /dev/null
	SELECT kept_mb();
	SELECT walk(format('a%s', repeat(' ', i)), 50), walk(format('A%s ASC, d, "id"', repeat(' ', i)), 50), walk(format('a.asc,%sD.asc.nullslast', repeat(' ', i)), 50)
		FROM generate_series(1, 60) i \g /dev/null
	SELECT kept_mb();
	SELECT walk(o || e, s) FROM unnest('{a,b,d,"a, b","b, a","d, a","d, b","id, d"}'::text[]) o, unnest('{""," DESC"}'::text[]) e, unnest('{50,100,5000}'::int[]) s \g /dev/null
	SELECT kept_mb();});
cmp_ok($once, '>=', 2, "the plans of one order take $once MB");
cmp_ok($spelt, '<=', $once + 1, "180 spellings of it take no more ($spelt MB)");
cmp_ok($more, '<=', 40, "any number of orders takes a bounded amount ($more MB)");

# So does any number of filters, however long, whether their values can be read or not.
my $filters = $node->safe_psql('postgres', q{
	CREATE FUNCTION pg_temp.filtered(n int, value text) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM taskapi.page('wide', 'id', 5, filter => (SELECT jsonb_object_agg('c' || i, jsonb_build_object('in', jsonb_build_array(value), 'gt', value, 'lt', value,
			'gte', value, 'lte', value, 'neq', value)) FROM generate_series(n, 800) i));
		RETURN true;
	EXCEPTION WHEN invalid_parameter_value THEN
		RETURN false;
	END $$;
	DO $$ BEGIN EXECUTE 'CREATE TABLE wide (id int PRIMARY KEY, ' || (SELECT string_agg('c' || i || ' int', ', ') FROM generate_series(1, 800) i) || ')'; END $$;
	SELECT pg_temp.filtered(n, v) FROM generate_series(1, 40) n, unnest('{1,x}'::text[]) v \g /dev/null
	SELECT kept_mb();});
cmp_ok($filters, '<=', 40, "nor do long filters take more ($filters MB)");

# Nor do patterns of NULLs, of which one order has more than plans are kept of it.
my ($second, $tenth) = split ' ', $node->safe_psql('postgres', q{
	CREATE TABLE sparse (id int PRIMARY KEY, a int, b int, c int, d int, e int, f int, g int);
	INSERT INTO sparse SELECT i, NULLIF(i & 1, 0), NULLIF(i & 2, 0), NULLIF(i & 4, 0), NULLIF(i & 8, 0), NULLIF(i & 16, 0), NULLIF(i & 32, 0), NULLIF(i & 64, 0)
		FROM generate_series(0, 127) i;
	CREATE FUNCTION through() RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
		p taskapi.page_result := taskapi.page('sparse', 'a, b, c, d, e, f, g', 2);
		n int := json_array_length(p.items);
	BEGIN
		WHILE p.has_next LOOP
			p := taskapi.page('sparse', 'a, b, c, d, e, f, g', 2, p.next_page_token);
			n := n + json_array_length(p.items);
		END LOOP;
		RETURN n;
	END $$;
	CREATE FUNCTION kept_bytes() RETURNS int LANGUAGE sql AS $$ SELECT sum(used_bytes) FROM pg_backend_memory_contexts WHERE name ~ '^taskapi page' $$;
	SELECT through() FROM generate_series(1, 2) \g /dev/null
	SELECT kept_bytes();
	SELECT through() FROM generate_series(1, 8) \g /dev/null
	SELECT kept_bytes();});
cmp_ok($tenth, '<=', $second, "ten walks over 128 patterns of NULLs keep what two do ($second bytes, then $tenth)");

# A foreign table's NOT NULL, alone and as a partition
my ($host, $port) = ($node->host, $node->port);
$node->safe_psql('postgres', qq{
	CREATE EXTENSION postgres_fdw;
	CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres');
	CREATE USER MAPPING FOR CURRENT_USER SERVER loop;
	CREATE TABLE remote (id int, a text);
	INSERT INTO remote SELECT i, CASE WHEN i % 2 = 0 THEN 'a' || i END FROM generate_series(31, 40) i;
	CREATE FOREIGN TABLE alone (id int NOT NULL, a text NOT NULL) SERVER loop OPTIONS (table_name 'remote');
	CREATE TABLE mixed (id int NOT NULL, a text NOT NULL) PARTITION BY RANGE (id);
	CREATE TABLE mixed_1 PARTITION OF mixed FOR VALUES FROM (0) TO (30);
	CREATE TABLE mixed_2 PARTITION OF mixed FOR VALUES FROM (30) TO (1000) PARTITION BY RANGE (id);
	CREATE FOREIGN TABLE mixed_3 PARTITION OF mixed_2 FOR VALUES FROM (30) TO (1000) SERVER loop OPTIONS (table_name 'remote');
	INSERT INTO mixed_1 SELECT i, 'a' || i FROM generate_series(1, 5) i;
	CREATE FUNCTION walk(source regclass, order_by text, size int) RETURNS text LANGUAGE plpgsql AS \$\$
	DECLARE
		p taskapi.page_result;
		result text := '';
	BEGIN
		FOR i IN 1 .. 40 LOOP
			p := taskapi.page(source, order_by, size, p.next_page_token);
			result := result || coalesce((SELECT string_agg(o ->> 'id', ' ') FROM json_array_elements(p.items) o) || ' ', '');
			EXIT WHEN NOT p.has_next;
		END LOOP;
		RETURN rtrim(result);
	END \$\$;});
foreach my $table (qw(alone mixed))
{
	foreach my $order ('a, id', 'a DESC, id DESC', 'a NULLS FIRST, id')
	{
		is($node->safe_psql('postgres', "SELECT walk('$table', '$order', 2)"),
			$node->safe_psql('postgres', "SELECT string_agg(id::text, ' ' ORDER BY $order) FROM $table"), "$table, $order");
	}
}
is($node->safe_psql('postgres', q{
	SELECT walk('mixed', 'a, id', 2) \g /dev/null
	ALTER TABLE mixed_2 DETACH PARTITION mixed_3;
	SELECT walk('mixed', 'a, id', 2);
	ALTER TABLE mixed_2 ATTACH PARTITION mixed_3 FOR VALUES FROM (30) TO (1000);
	SELECT walk('mixed', 'a, id', 2) = (SELECT string_agg(id::text, ' ' ORDER BY a, id) FROM mixed)}),
	"1 2 3 4 5\nt", 'a foreign partition below a partition comes and goes');

# A column's type changes between the executor's start and the first row, without a rewrite: an int is no pointer
$node->safe_psql('postgres', q{
	CREATE TABLE numbers (id int, a int, b text);
	INSERT INTO numbers SELECT i, 1000003 * i, 'x' FROM generate_series(1, 10) i;
	CREATE FOREIGN TABLE far (id int, a int, b text) SERVER loop OPTIONS (table_name 'numbers');});
my ($rc, $out, $err) = $node->psql('postgres', q{
	BEGIN;
	ALTER FOREIGN TABLE far ALTER COLUMN a TYPE text;
	DECLARE c CURSOR FOR SELECT * FROM taskapi.page_rows(NULL::far, 'id');
	ALTER FOREIGN TABLE far ALTER COLUMN a TYPE int;
	\set VERBOSITY sqlstate
	FETCH 3 FROM c;});
like($err, qr/42804/, 'a row type that has changed is refused');
is($node->safe_psql('postgres', q{SELECT count(*) FROM taskapi.page_rows(NULL::far, 'id')}), '10', 'and the server is still there');

$node->stop;
done_testing();
