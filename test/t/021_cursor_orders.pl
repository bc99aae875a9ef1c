# Random orders over a random table: sorting by the cursor is sorting by its keys, for every type, direction and placement of
# NULLs; a walk over pages of any size, turning round in the middle while rows come and go, sees every row that stays once.
# ORDERS=N tries more (100), SEED=N repeats a run.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $orders = $ENV{ORDERS} || 100;
my $seed = $ENV{SEED} || int(rand(1_000_000));
note("SEED=$seed");

my $node = PostgreSQL::Test::Cluster->new('orders');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	CREATE TABLE r (id int PRIMARY KEY, i2 int2, i8 int8, f float8, n numeric, t text COLLATE "C", tl text COLLATE "en-x-icu", d date, ts timestamptz,
		iv interval, b bytea, u uuid, bo bool, tz timetz, net inet);
	-- a random order_by of one to four terms, the keys for it, and a table's worth of random rows
	CREATE FUNCTION random_order(OUT order_by text, OUT keys text) LANGUAGE sql AS $$
		SELECT string_agg(c || ' ' || (ARRAY['', 'ASC NULLS LAST', 'ASC NULLS FIRST', 'DESC NULLS FIRST', 'DESC NULLS LAST', 'DESC'])[1 + floor(random() * 6)], ', ' ORDER BY place),
			string_agg(c, ', ' ORDER BY place)
		FROM (SELECT c, random() AS place FROM unnest('{i2,i8,f,n,t,tl,d,ts,iv,b,u,bo,tz,net}'::text[]) c ORDER BY random() LIMIT 1 + floor(random() * 4)) s $$;
	CREATE FUNCTION random_rows(first int, last int) RETURNS SETOF r LANGUAGE sql AS $$
		SELECT i, CASE WHEN random() > .1 THEN (random() * 6 - 3)::int2 END,
			CASE WHEN random() > .1 THEN ((random() - .5) * power(2, random() * 62))::int8 END,
			CASE WHEN random() < .1 THEN NULL WHEN random() < .1 THEN 'NaN' WHEN random() < .1 THEN '-0' WHEN random() < .1 THEN 0 ELSE round((random() - .5)::numeric * 10, 1)::float8 END,
			CASE WHEN random() < .1 THEN NULL WHEN random() < .1 THEN 'NaN' WHEN random() < .1 THEN 'Infinity' WHEN random() < .1 THEN '-Infinity'
				ELSE round(((random() - .5) * power(10, (random() * 8)::int))::numeric, (random() * 4)::int) END,
			CASE WHEN random() > .1 THEN substr(md5(random()::text), 1, (random() * 2)::int) END,
			CASE WHEN random() > .1 THEN translate(substr(md5(random()::text), 1, (random() * 2)::int), '0123456789', 'aAbBéeEcC ') END,
			CASE WHEN random() > .1 THEN '2026-01-01'::date + (random() * 5)::int END,
			CASE WHEN random() < .1 THEN NULL WHEN random() < .1 THEN 'infinity' ELSE '2026-01-01'::timestamptz + (random() * 5)::int * interval '1 us' END,
			CASE WHEN random() > .1 THEN make_interval(months => (random() * 2)::int, days => (random() * 60)::int) END,
			CASE WHEN random() > .1 THEN decode(substr('00ff0001ff00', 1, 2 * (random() * 6)::int), 'hex') END,
			CASE WHEN random() > .1 THEN md5((random() * 5)::int::text)::uuid END, CASE WHEN random() > .2 THEN random() < .5 END,
			CASE WHEN random() > .1 THEN ('12:00:00+0' || (random() * 3)::int)::timetz END, CASE WHEN random() > .1 THEN ('10.' || (random() * 2)::int || '.0.0/' || 15 + (random() * 2)::int)::inet END
		FROM generate_series(first, last) i $$;

	CREATE PROCEDURE check_orders(orders int) LANGUAGE plpgsql AS $$
	DECLARE
		o record;
		wrong int;
	BEGIN
		FOR round IN 1 .. orders LOOP
			SELECT * INTO o FROM random_order();
			EXECUTE format('SELECT count(*) FROM (
					SELECT dense_rank() OVER (ORDER BY %1$s) AS a, dense_rank() OVER (ORDER BY c) AS b, dense_rank() OVER (ORDER BY c::text::taskapi.cursor) AS opened,
						dense_rank() OVER (ORDER BY %1$s, id) AS d, dense_rank() OVER (ORDER BY with_id) AS e
					FROM (SELECT *, taskapi.cursor(%2$L, %3$s) AS c, taskapi.cursor(%4$L, %3$s, id) AS with_id FROM r) s) t
				WHERE a <> b OR a <> opened OR d <> e', o.order_by, o.order_by, o.keys, o.order_by || ', id') INTO wrong;
			IF wrong > 0 THEN
				RAISE EXCEPTION 'order by %: % rows out of order', o.order_by, wrong;
			END IF;
		END LOOP;
	END $$;

	-- Ids seen while walking to the end in pages of "size", turning back for a page now and then, with rows 1000 and above
	-- inserted and deleted under way, the row that the token is of among them.
	CREATE FUNCTION walk(order_by text, keys text, size int) RETURNS int[] LANGUAGE plpgsql AS $$
	DECLARE
		call text := format('taskapi.cursor(%L, %s, id)', order_by || ', id', keys);
		seen int[] := '{}';
		page int[];
		back int[];
		tokens text[];
		token text;
		next_id int := 1000;
	BEGIN
		LOOP
			EXECUTE format('SELECT array_agg(id ORDER BY c), array_agg(c::text ORDER BY c) FROM (SELECT id, %1$s AS c FROM r WHERE $1 IS NULL OR %1$s > $1::taskapi.cursor ORDER BY c LIMIT $2) s', call)
				INTO page, tokens USING token, size;
			EXIT WHEN page IS NULL;
			seen := seen || page;
			IF token IS NOT NULL AND random() < .3 THEN
				-- back from the first row of this page: the rows before it, nearest last
				EXECUTE format('SELECT array_agg(id ORDER BY c) FROM (SELECT id, %1$s AS c FROM r WHERE %1$s < $1::taskapi.cursor ORDER BY c DESC LIMIT $2) s', call)
					INTO back USING tokens[1], size;
				IF NOT (SELECT array_agg(b ORDER BY n) FILTER (WHERE b < 1000) IS NOT DISTINCT FROM
						(SELECT array_agg(s ORDER BY m) FILTER (WHERE s < 1000) FROM (SELECT s, m FROM unnest(seen[: cardinality(seen) - cardinality(page)]) WITH ORDINALITY u (s, m)
							WHERE s < 1000 ORDER BY m DESC LIMIT (SELECT count(*) FROM unnest(back) b WHERE b < 1000)) x)
						FROM unnest(back) WITH ORDINALITY v (b, n)) THEN
					RAISE EXCEPTION 'order by %: back from % came %, after %', order_by, page[1], back, seen;
				END IF;
			END IF;
			token := tokens[cardinality(tokens)];
			DELETE FROM r WHERE id >= 1000 AND (id = page[cardinality(page)] OR random() < .5);
			INSERT INTO r SELECT * FROM random_rows(next_id, next_id + 1);
			next_id := next_id + 2;
			EXIT WHEN next_id > 1800;		-- each page may meet rows that came after it
		END LOOP;
		DELETE FROM r WHERE id >= 1000;
		RETURN seen;
	END $$;

	CREATE PROCEDURE check_walks(orders int) LANGUAGE plpgsql AS $$
	DECLARE
		o record;
		expected int[];
		seen int[];
		size int;
	BEGIN
		FOR round IN 1 .. orders LOOP
			SELECT * INTO o FROM random_order();
			EXECUTE format('SELECT array_agg(id ORDER BY %s, id) FROM r', o.order_by) INTO expected;
			size := 1 + floor(random() * (cardinality(expected) + 1));
			IF random() < .5 THEN
				size := 1 + size % 7;
			END IF;
			seen := walk(o.order_by, o.keys, size);
			IF (SELECT array_agg(s ORDER BY n) FROM unnest(seen) WITH ORDINALITY u (s, n) WHERE s < 1000) IS DISTINCT FROM expected THEN
				RAISE EXCEPTION 'order by %, pages of %: % instead of %', o.order_by, size, seen, expected;
			END IF;
		END LOOP;
	END $$;
});

my $random = "SELECT setseed($seed / 1000000.0);";
my ($result, $stdout, $stderr) = $node->psql('postgres', "$random INSERT INTO r SELECT * FROM random_rows(1, 300); CALL check_orders($orders)");
is($result, 0, "$orders random orders of 300 rows (SEED=$seed)") or diag($stderr);
($result, $stdout, $stderr) = $node->psql('postgres', "$random DELETE FROM r WHERE id > 60; CALL check_walks($orders)");
is($result, 0, "$orders walks over 60 rows (SEED=$seed)") or diag($stderr);

$node->stop;
done_testing();
