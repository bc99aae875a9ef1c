-- page() and page_rows(): sizes, tokens, orders, sources, keys, privileges, what a changed relation does, cost at depth.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA shop;
CREATE ROLE regress_page_clerk;
CREATE ROLE regress_page_guest;
GRANT USAGE ON SCHEMA shop TO regress_page_clerk, regress_page_guest;
SET search_path = shop, public;

-- What a statement raises, in a word: the problem, or the SQLSTATE of any other error
CREATE FUNCTION problem(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    details text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS details = PG_EXCEPTION_DETAIL;
    RETURN coalesce(CASE WHEN details LIKE '{"code"%' THEN (details::json ->> 'code') || ' (' || SQLSTATE || '): ' || (details::json ->> 'details') END,
                    SQLSTATE || ': ' || SQLERRM);
END $$;
CREATE FUNCTION ids(items json) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(i ->> 'id', ' ' ORDER BY n) FROM json_array_elements(items) WITH ORDINALITY x(i, n) $$;

CREATE TABLE orders (id int PRIMARY KEY, customer text NOT NULL, total numeric(10,2), placed timestamptz NOT NULL, note json, "Odd ""name" int);
INSERT INTO orders SELECT i, 'c' || i % 3, nullif(i % 5, 0), '2026-01-01 00:00+00'::timestamptz + i * interval '1 hour', NULL, -i FROM generate_series(1, 120) i;
ANALYZE orders;

-- sizes
SELECT json_array_length(items), has_next, has_previous, next_page_token <> '' AS next, previous_page_token FROM taskapi.page('orders');
SELECT json_array_length(items) FROM taskapi.page('orders', page_size => 0);
SELECT json_array_length(items), has_next FROM taskapi.page('orders', page_size => 2147483647);
SET taskapi.max_page_size = 7;
SELECT json_array_length(items), has_next FROM taskapi.page('orders', page_size => 100);
SELECT json_array_length(items), has_next FROM taskapi.page('orders');
RESET taskapi.max_page_size;
SET taskapi.default_page_size = 3;
SELECT items FROM taskapi.page('orders', 'total DESC NULLS LAST, placed');
RESET taskapi.default_page_size;
SELECT problem($$SELECT taskapi.page('shop.orders', page_size => -1)$$);
SELECT problem($$SELECT taskapi.page_rows(NULL::shop.orders, page_size => -2147483648)$$);

-- the key in the direction of the last term; NULL is the key; both spellings
SELECT ids(items) FROM taskapi.page('orders', NULL, 4);
SELECT ids(items) FROM taskapi.page('orders', 'customer', 4);
SELECT ids(items) FROM taskapi.page('orders', 'customer DESC', 4);
SELECT ids(items) FROM taskapi.page('orders', 'customer.desc, total.asc.nullsfirst', 4);
SELECT ids(items) FROM taskapi.page('orders', '"Odd ""name"', 4);

-- tokens: on and back with another size; '' is the first page
SELECT next_page_token AS t FROM taskapi.page('orders', 'customer, total', 10) \gset
SELECT ids(items), has_next, has_previous, previous_page_token AS p FROM taskapi.page('orders', 'customer, total', 3, :'t') \gset
\echo :ids :has_next :has_previous
SELECT ids(items), has_next, has_previous FROM taskapi.page('orders', 'customer, total', 4, :'p');
SELECT ids(items), has_next, has_previous FROM taskapi.page('orders', 'customer, total', 20, :'p');
SELECT ids(items), has_previous FROM taskapi.page('orders', 'customer, total', 3, '');
-- the same order, spelt otherwise and with the tie-breaker said
SELECT ids(items) FROM taskapi.page('orders', 'Customer ASC NULLS LAST,total.asc , id', 3, :'t');

-- of something else
CREATE TABLE orders2 (LIKE orders INCLUDING ALL);
SELECT problem(format($$SELECT taskapi.page('shop.orders', 'customer, total DESC', 3, %L)$$, :'t'));
SELECT problem(format($$SELECT taskapi.page('shop.orders', 'customer', 3, %L)$$, :'t'));
SELECT problem(format($$SELECT taskapi.page('shop.orders', 'customer, total NULLS FIRST', 3, %L)$$, :'t'));
SELECT problem(format($$SELECT taskapi.page('shop.orders2', 'customer, total', 3, %L)$$, :'t'));
SELECT problem(format($$SELECT taskapi.page('shop.orders', 'customer, total', 3, %L, '{"customer": "c1"}')$$, :'t'));
SELECT next_page_token AS f FROM taskapi.page('orders', 'customer, total', 10, NULL, '{"id": {"gt": 1, "lt": 100}, "customer": "c1"}') \gset
SELECT ids(items) FROM taskapi.page('orders', 'customer, total', 3, :'f', '{"customer": {"eq": "c1"}, "id": {"lt": 1e2, "gt": 1.0}}');
SELECT problem(format($$SELECT taskapi.page('shop.orders', 'customer, total', 3, %L, '{"id": {"gt": 1, "lt": 101}, "customer": "c1"}')$$, :'f'));
SELECT problem(format($$SELECT taskapi.page('shop.orders', 'customer, total', 3, %L)$$, :'f'));
-- of nobody
SELECT problem($$SELECT taskapi.page('shop.orders', page_token => 'x')$$);
SELECT problem($$SELECT taskapi.page_rows(NULL::shop.orders, page_token => 'x')$$);
SELECT problem(format($$SELECT taskapi.page('shop.orders', 'customer, total', 3, %L)$$, :'t' || 'A'));
SELECT problem(format($$SELECT taskapi.page('shop.orders', 'customer, total', 3, %L)$$, substr(:'t', 2)));
SELECT count(*) AS accepted FROM generate_series(1, length(:'t')) i
    WHERE problem(format($$SELECT taskapi.page('shop.orders', 'customer, total', 3, %L)$$,
                         overlay(:'t' PLACING CASE WHEN substr(:'t', i, 1) = 'A' THEN 'B' ELSE 'A' END FROM i))) NOT LIKE 'invalid_cursor%';
SELECT count(*) AS accepted FROM generate_series(1, length(:'t')) i
    WHERE problem(format($$SELECT taskapi.page_rows(NULL::shop.orders, 'customer, total', 3, %L)$$,
                         overlay(:'t' PLACING CASE WHEN substr(:'t', i, 1) = 'A' THEN 'B' ELSE 'A' END FROM i))) NOT LIKE 'invalid_cursor%';
-- neither kind of token is the other
SELECT problem(format($$SELECT taskapi.page('shop.orders', 'customer, total', 3, %L)$$, taskapi.cursor_encode('customer, total, id', 'c1'::text, 1::numeric, 1)));
SELECT problem(format($$SELECT %L::taskapi.cursor$$, :'t'));
-- of a retired key
SELECT taskapi.rotate_secret('cursor') > 0 AS rotated, ids(items) FROM taskapi.page('orders', 'customer, total', 3, :'t');
SELECT taskapi.retire_secret('cursor', 1);
SELECT problem(format($$SELECT taskapi.page('shop.orders', 'customer, total', 3, %L)$$, :'t'));

-- order_by that is none
SELECT problem($$SELECT taskapi.page('shop.orders', '')$$);
SELECT problem($$SELECT taskapi.page('shop.orders', 'nothing')$$);
SELECT problem($$SELECT taskapi.page('shop.orders', 'ctid')$$);
SELECT problem($$SELECT taskapi.page('shop.orders', 'id, total, id DESC')$$);
SELECT problem($$SELECT taskapi.page('shop.orders', 'note')$$);
SELECT problem($$SELECT taskapi.page('shop.orders', 'id; DROP TABLE shop.orders')$$);
SELECT problem(format($$SELECT taskapi.page('shop.orders', %L)$$, (SELECT string_agg('c' || i, ', ') FROM generate_series(1, 33) i)));
DO $$ BEGIN EXECUTE (SELECT 'CREATE TABLE wide (id int PRIMARY KEY, ' || string_agg('c' || i || ' int', ', ') || ')' FROM generate_series(1, 32) i); END $$;
SELECT problem(format($$SELECT taskapi.page('shop.wide', %L)$$, (SELECT string_agg('c' || i, ', ') FROM generate_series(1, 32) i)));
SELECT problem(format($$SELECT taskapi.page('shop.wide', %L)$$, (SELECT string_agg('c' || i, ', ') FROM generate_series(1, 31) i)));

-- sources that are none
SELECT problem($$SELECT taskapi.page(NULL)$$);
SELECT problem($$SELECT taskapi.page(0)$$);
CREATE SEQUENCE counter;
CREATE TYPE pair AS (a int, b int);
SELECT problem($$SELECT taskapi.page('shop.counter')$$);
SELECT problem($$SELECT taskapi.page('shop.orders_pkey')$$);
SELECT problem($$SELECT taskapi.page('shop.pair')$$);
SELECT problem($$SELECT taskapi.page_rows(NULL::shop.pair)$$);
SELECT problem($$SELECT taskapi.page_rows(1)$$);
CREATE TABLE nothing ();
SELECT problem($$SELECT taskapi.page('shop.nothing')$$);

-- keys: of several columns, a unique index, none
CREATE TABLE k (a int NOT NULL, b int NOT NULL, c int UNIQUE, d int NOT NULL, PRIMARY KEY (a, b), UNIQUE (d) DEFERRABLE);
INSERT INTO k SELECT i / 3, i % 3, i, i FROM generate_series(1, 9) i;
SELECT items FROM taskapi.page('k', 'b DESC', 3);
ALTER TABLE k DROP CONSTRAINT k_pkey;
SELECT problem($$SELECT taskapi.page('shop.k')$$);
SELECT problem($$SELECT taskapi.page('shop.k', 'b', 2)$$);
SELECT json_array_length(items), has_next FROM taskapi.page('k', 'b', 3);
SELECT problem($$SELECT taskapi.page('shop.k', 'b', 20)$$);
SELECT problem($$SELECT taskapi.page_rows(NULL::shop.k, 'b', 2)$$);
ALTER TABLE k ALTER c SET NOT NULL;
SELECT items FROM taskapi.page('k', 'b', 2);
-- two NULLs are equal too
CREATE TABLE nokey (n int);
INSERT INTO nokey VALUES (NULL), (NULL), (1), (2);
SELECT problem($$SELECT taskapi.page('shop.nokey', 'n NULLS FIRST', 1)$$);
SELECT items, has_next FROM taskapi.page('nokey', 'n NULLS FIRST', 2);
SELECT problem(format($$SELECT taskapi.page('shop.nokey', 'n', 1, %L)$$, next_page_token)) FROM taskapi.page('nokey', 'n', 2);

-- views: a simple one has its table's key, whatever its columns are called; others have none
CREATE VIEW v AS SELECT placed AS "when", id AS number, customer FROM orders WHERE total IS NOT NULL;
CREATE VIEW vv AS SELECT number, "when" FROM v WHERE number > 2;
CREATE VIEW hidden_key AS SELECT customer FROM orders;
CREATE VIEW joined AS SELECT o.id, k.c FROM orders o JOIN k ON k.c = o.id;
CREATE VIEW grouped AS SELECT customer, count(*) AS n FROM orders GROUP BY customer;
CREATE MATERIALIZED VIEW m AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;
SELECT items FROM taskapi.page('v', '"when" DESC', 2);
SELECT items FROM taskapi.page('vv', NULL, 2);
SELECT problem($$SELECT taskapi.page('shop.hidden_key', 'customer', 5)$$);
SELECT problem($$SELECT taskapi.page('shop.joined')$$);
SELECT items FROM taskapi.page('joined', 'c DESC', 2);
SELECT items, has_next FROM taskapi.page('grouped', 'n, customer', 2);
SELECT problem($$SELECT taskapi.page('shop.m')$$);
CREATE UNIQUE INDEX ON m (customer);
SELECT items FROM taskapi.page('m', NULL, 2);

-- partitions, and inheritance, where a child's rows may have the parent's key again
CREATE TABLE part (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE part2 PARTITION OF part FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO part SELECT i, '2026-01-01'::date + i * 3 FROM generate_series(0, 18) i;
SELECT items, next_page_token AS t FROM taskapi.page('part', 'at DESC', 7) \gset
\echo :items
SELECT items, has_next FROM taskapi.page('part', 'at DESC', 7, :'t');
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child () INHERITS (parent);
INSERT INTO parent VALUES (1), (2);
INSERT INTO child VALUES (1), (3);
SELECT problem($$SELECT taskapi.page('shop.parent')$$);
SELECT problem($$SELECT taskapi.page('shop.parent', 'id', 1)$$);
SELECT ids(items) FROM taskapi.page('parent', 'id', 2);

-- page_rows: as rows, the estimate, the cursor of a row as token, a dropped column
SELECT id, total FROM taskapi.page_rows(NULL::orders, 'total DESC, id', 3);
CREATE FUNCTION estimate(q text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE p json; BEGIN EXECUTE 'EXPLAIN (FORMAT JSON) ' || q INTO p; RETURN p -> 0 -> 'Plan' ->> 'Plan Rows'; END $$;
SELECT estimate('SELECT * FROM taskapi.page_rows(NULL::shop.orders)'), estimate('SELECT * FROM taskapi.page_rows(NULL::shop.orders, NULL, 7)'),
       estimate('SELECT * FROM taskapi.page_rows(NULL::shop.orders, NULL, 7000)');
SELECT taskapi.cursor_encode('customer, total NULLS FIRST, id', customer, total, id) AS c FROM orders WHERE id = 9 \gset
SELECT id FROM taskapi.page_rows(NULL::orders, 'customer, total NULLS FIRST', 3, :'c');
SELECT problem(format($$SELECT taskapi.page_rows(NULL::shop.orders, 'customer, total', 3, %L)$$, :'c'));
SELECT previous_page_token AS p FROM taskapi.page('orders', 'id', 3, (SELECT next_page_token FROM taskapi.page('orders', 'id', 5))) \gset
SELECT id FROM taskapi.page_rows(NULL::orders, 'id', 2, :'p');
ALTER TABLE orders DROP COLUMN note;
SELECT * FROM taskapi.page_rows(NULL::orders, 'id', 2, :'p');
SELECT (taskapi.page_rows(NULL::orders, 'id', 2, :'p')).id;

-- what was kept follows the relation
SELECT items FROM taskapi.page('k', 'c', 1);
ALTER TABLE k ADD COLUMN e text DEFAULT 'new';
SELECT items FROM taskapi.page('k', 'c', 1);
ALTER TABLE k ALTER COLUMN b TYPE numeric(4,1);
SELECT items FROM taskapi.page('k', 'c', 1);
ALTER TABLE k RENAME COLUMN c TO cc;
SELECT problem($$SELECT taskapi.page('shop.k', 'c', 1)$$);
SELECT items FROM taskapi.page('k', 'cc', 1);
ALTER TABLE k RENAME TO kk;
SELECT items FROM taskapi.page('kk', 'cc', 1);
ALTER SCHEMA shop RENAME TO store;
SELECT items FROM taskapi.page('store.kk', 'cc', 1);
ALTER SCHEMA store RENAME TO shop;
SELECT items FROM taskapi.page('kk', 'cc', 1);
-- a column that may have NULLs from now on gets its branch, through a view too
CREATE TABLE n (id int PRIMARY KEY, x int NOT NULL);
CREATE VIEW nv AS SELECT * FROM n;
INSERT INTO n SELECT i, i FROM generate_series(1, 4) i;
SELECT next_page_token AS t FROM taskapi.page('nv', 'x', 2) \gset
SELECT ids(items) FROM taskapi.page('nv', 'x', 9, :'t');
ALTER TABLE n ALTER x DROP NOT NULL;
INSERT INTO n VALUES (5, NULL), (6, NULL);
SELECT ids(items) FROM taskapi.page('nv', 'x', 9, :'t');
CREATE OR REPLACE VIEW nv AS SELECT * FROM n WHERE id <> 3;
SELECT ids(items) FROM taskapi.page('nv', 'x', 9);
-- and a key that goes
ALTER TABLE n DROP CONSTRAINT n_pkey;
SELECT problem($$SELECT taskapi.page('shop.nv')$$);

-- the caller's rights, also for what another role's call left in the cache
GRANT SELECT ON orders TO regress_page_clerk;
GRANT SELECT (id, customer) ON orders TO regress_page_guest;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON orders FOR SELECT TO regress_page_clerk USING (customer = current_setting('shop.customer', true));
CREATE POLICY q ON orders FOR SELECT TO regress_page_guest USING (id < 4);
GRANT EXECUTE ON FUNCTION problem(text), ids(json) TO PUBLIC;
SELECT ids(items) FROM taskapi.page('orders', 'id DESC', 3);
SET ROLE regress_page_clerk;
SET shop.customer = 'c1';
SELECT ids(items) FROM taskapi.page('orders', 'id DESC', 3);
SET shop.customer = 'c2';
SELECT ids(items) FROM taskapi.page('orders', 'id DESC', 3);
SELECT problem($$SELECT taskapi.page('shop.orders2')$$);
SET ROLE regress_page_guest;
SELECT items, next_page_token AS t FROM taskapi.page('shop.orders', 'id DESC', 2) \gset
\echo :items
SELECT items FROM taskapi.page('shop.orders', 'id DESC', 2, :'t', NULL);
SELECT problem($$SELECT taskapi.page('shop.orders', 'total')$$);
SELECT problem($$SELECT taskapi.page('shop.orders', 'id', NULL, NULL, '{"total": 1}')$$);
SELECT problem($$SELECT taskapi.page_rows(NULL::shop.orders)$$);
RESET ROLE;
SELECT ids(items) FROM taskapi.page('orders', 'id DESC', 3);

-- read-only transactions, prepared statements, another search_path
BEGIN READ ONLY;
SELECT ids(items) FROM taskapi.page('orders', 'customer', 3, NULL, '{"id": {"lt": 50}}');
COMMIT;
PREPARE pg(text) AS SELECT ids(items) FROM taskapi.page('orders', 'customer', 3, $1);
EXECUTE pg(NULL); EXECUTE pg(NULL); EXECUTE pg(NULL); EXECUTE pg(NULL); EXECUTE pg(NULL); EXECUTE pg(NULL);
BEGIN;
CREATE SCHEMA trap;
CREATE FUNCTION trap.gt(int, int) RETURNS bool LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR trap.> (LEFTARG = int, RIGHTARG = int, FUNCTION = trap.gt);
CREATE TABLE trap.orders (id int PRIMARY KEY);
SET LOCAL search_path = trap, pg_catalog, shop;
SELECT shop.ids(items) FROM taskapi.page('shop.orders', 'id', 3, (SELECT next_page_token FROM taskapi.page('shop.orders', 'id', 3, NULL, '{"id": {"gt": 4}}')), '{"id": {"gt": 4}}');
ROLLBACK;

-- HTTP: problems
BEGIN;
SELECT set_config('request.method', 'GET', true) AS method, set_config('request.path', '/rpc/orders_page', true) AS path;
SELECT taskapi.page('orders', page_size => -1);
ROLLBACK;

-- depth costs nothing: shared buffers of a page at three depths of 20,000 rows, which are some 300 pages
CREATE TABLE deep (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL, n int);
INSERT INTO deep SELECT i, i / 5000, i * 7919 % 20011, CASE WHEN i % 3 > 0 THEN i * 31 % 500 END FROM generate_series(1, 20000) i;
CREATE INDEX ON deep (b, id);
CREATE INDEX ON deep (a, b DESC, id);
CREATE INDEX ON deep (n, id);
VACUUM ANALYZE deep;
CREATE FUNCTION buffers(q text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    p json;
BEGIN
    FOR i IN 1 .. 2 LOOP EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || q INTO p; END LOOP;
    RETURN (p -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::int + (p -> 0 -> 'Plan' ->> 'Shared Read Blocks')::int;
END $$;
CREATE FUNCTION cost_at(order_by text, types text, depth int, filter text DEFAULT 'NULL') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    token text;
BEGIN
    EXECUTE format('SELECT taskapi.cursor_encode(%L, %s) FROM deep ORDER BY %s OFFSET %s LIMIT 1', order_by, types, order_by, depth) INTO token;
    RETURN CASE WHEN buffers(format('SELECT count(*) FROM taskapi.page_rows(NULL::deep, %L, 10, %L, %s)', order_by, token, filter)) <= 60 THEN 'cheap' ELSE 'dear' END;
END $$;
SELECT d, cost_at('b, id', 'b, id', d) AS uniform, cost_at('b DESC, id DESC', 'b, id', d) AS down, cost_at('a, b DESC, id', 'a, b, id', d) AS mixed,
       cost_at('n, id', 'n, id', d) AS nullable, cost_at('n DESC, id DESC', 'n, id', d) AS nullable_down
    FROM unnest('{0,9000,19980}'::int[]) d;
-- "a = A AND id > I" tempts the planner to take the smaller primary key and to filter by a, where no such row is left
CREATE TABLE tempting (id int PRIMARY KEY, a text NOT NULL, b int NOT NULL);
INSERT INTO tempting SELECT i, CASE WHEN i < 10000 THEN 'z' ELSE 'a' END || repeat('-', 40), i % 2 FROM generate_series(0, 19999) i;
CREATE INDEX ON tempting (a DESC, id);
VACUUM ANALYZE tempting;
SELECT taskapi.cursor_encode('a DESC, id', a, id) AS t FROM tempting WHERE id = 9990 \gset
SELECT buffers(format($$SELECT count(*) FROM taskapi.page_rows(NULL::tempting, 'a DESC, id', 10, %L)$$, :'t')) <= 20 AS cheap,
       buffers(format($$SELECT count(*) FROM taskapi.page_rows(NULL::tempting, 'a DESC, id', 10, %L, '{"b": {"gte": 0}}')$$, :'t')) <= 20 AS cheap_filtered,
       buffers(format($$SELECT count(*) FROM taskapi.page_rows(NULL::tempting, 'id', 10, %L, %L)$$, taskapi.cursor_encode('id', 9990),
                      jsonb_build_object('a', 'z' || repeat('-', 40)))) <= 20 AS cheap_by_prefix;

-- an index on the cursor bounds an order as well: mixed, nullable, up and down, and where the caller reads under a policy, whatever the types
CREATE TABLE by_cursor (id int PRIMARY KEY, a int NOT NULL, b numeric NOT NULL, n int, gone bool);
INSERT INTO by_cursor SELECT i, i % 4, i * 7919 % 20011, CASE WHEN i % 3 > 0 THEN i * 31 % 500 END, CASE WHEN i % 10 = 0 THEN true END FROM generate_series(1, 20000) i;
CREATE INDEX ON by_cursor (a, taskapi.cursor('n NULLS LAST, id', n, id)) WHERE gone IS NULL;
CREATE INDEX ON by_cursor (a, taskapi.cursor('b DESC, id', b, id) DESC) WHERE gone IS NULL;
CREATE INDEX ON by_cursor (b, id) WHERE gone IS NULL;
CREATE INDEX ON by_cursor (taskapi.cursor('b, id', b, id)) WHERE gone IS NULL;
CREATE VIEW by_cursor_live WITH (security_invoker = true) AS SELECT id, a AS tenant, b AS amount, n AS x FROM by_cursor WHERE gone IS NULL;
VACUUM ANALYZE by_cursor;
GRANT SELECT ON by_cursor, by_cursor_live TO regress_page_clerk;
GRANT EXECUTE ON FUNCTION buffers(text) TO regress_page_clerk;
-- how many kinds of answer there are at three depths
CREATE FUNCTION cursor_cost(order_by text, filter text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    SELECT string_agg(DISTINCT CASE WHEN buffers(format('SELECT count(*) FROM taskapi.page_rows(NULL::shop.by_cursor_live, %L, 10, %L, %L)', order_by, t, filter)) <= 60 THEN 'cheap' ELSE 'dear' END, ', ')
    INTO answer FROM unnest(ARRAY[NULL, (taskapi.page('shop.by_cursor_live', order_by, 1000, NULL, filter::jsonb)).next_page_token,
                                  (SELECT p.next_page_token FROM taskapi.page('shop.by_cursor_live', order_by, 1000, NULL, filter::jsonb) f,
                                          taskapi.page('shop.by_cursor_live', order_by, 1000, f.next_page_token, filter::jsonb) g,
                                          taskapi.page('shop.by_cursor_live', order_by, 1000, g.next_page_token, filter::jsonb) p)]) t;
    RETURN answer;
END $$;
SELECT o, f, cursor_cost(o, f) FROM (VALUES ('x', '{"tenant": 1}'), ('x DESC', '{"tenant": 1}'), ('amount DESC, id', '{"tenant": 1}'), ('amount, id DESC', '{"tenant": 1}'),
    ('amount', NULL), ('amount DESC', NULL), ('x NULLS FIRST', '{"tenant": 1}'), ('x', NULL)) v(o, f);
ALTER TABLE by_cursor ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON by_cursor TO regress_page_clerk USING (a = ANY (current_setting('shop.tenants')::int[]));
SET ROLE regress_page_clerk;
SET shop.tenants = '{1,2}';
SELECT o, f, cursor_cost(o, f) FROM (VALUES ('x', '{"tenant": 1}'), ('x DESC', '{"tenant": 1}'), ('amount DESC, id', '{"tenant": 1}'), ('amount, id DESC', '{"tenant": 1}'),
    ('amount', NULL), ('amount DESC', NULL)) v(o, f);
RESET ROLE;
DROP TABLE by_cursor CASCADE;
-- "a = A AND cursor > $1" tempts the planner to take the smaller index without a, and to filter by it, where no such row is left
CREATE TABLE tempting_cursor (id int PRIMARY KEY, a text NOT NULL);
INSERT INTO tempting_cursor SELECT i, 'z' || repeat('-', 40) FROM generate_series(0, 19999) i;
CREATE INDEX ON tempting_cursor (a, taskapi.cursor('id DESC', id));
CREATE INDEX ON tempting_cursor (taskapi.cursor('id DESC', id));
ANALYZE tempting_cursor;
UPDATE tempting_cursor SET a = 'a' WHERE id < 10000;
VACUUM tempting_cursor;
SELECT buffers(format($$SELECT count(*) FROM taskapi.page_rows(NULL::tempting_cursor, 'id DESC', 10, %L, '{"a": "z----------------------------------------", "id": {"neq": 5}}')$$,
                      taskapi.cursor_encode('id DESC', 10005))) <= 60 AS cheap;

-- the index that an order needs
SELECT taskapi.index_advice('deep', 'b'), taskapi.index_advice('deep', 'b DESC'), taskapi.index_advice('deep', 'a DESC, b, id DESC'), taskapi.index_advice('deep', NULL),
       taskapi.index_advice('deep', 'id, n, a DESC');
SELECT taskapi.index_advice('deep', 'b, a DESC');
SELECT taskapi.index_advice('deep', 'a, b');
SELECT taskapi.index_advice('deep', 'n NULLS FIRST');
SELECT taskapi.index_advice('deep', 'n DESC NULLS LAST, a DESC NULLS LAST');
SELECT taskapi.index_advice('deep', 'n DESC, a DESC');
SELECT taskapi.index_advice('orders2', '"Odd ""name" DESC, customer');
SELECT taskapi.index_advice('part', 'at');
CREATE VIEW living AS SELECT id AS number, n AS x FROM deep WHERE n IS NOT NULL AND a IS NULL;
SELECT taskapi.index_advice('living', 'x DESC') IS NULL AS served;
SELECT taskapi.index_advice('living', 'x DESC, number');
DO $$ BEGIN EXECUTE replace(taskapi.index_advice('living', 'x DESC, number'), 'CONCURRENTLY', ''); END $$;
SELECT taskapi.index_advice('living', 'x DESC, number') IS NULL AS served, taskapi.index_advice('deep', 'n DESC, id') IS NULL AS served_for_all;
SELECT problem($$SELECT taskapi.index_advice('shop.joined', 'id')$$);
SELECT problem($$SELECT taskapi.index_advice('shop.deep', 'x')$$);
SELECT problem($$SELECT taskapi.index_advice(NULL, 'x')$$);

RESET search_path;
DROP SCHEMA shop CASCADE;
DROP ROLE regress_page_clerk, regress_page_guest;
