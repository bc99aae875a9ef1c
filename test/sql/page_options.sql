-- What a page can be asked beside its rows: a total, some columns, the last page, deleted rows among the others; and Link, which only the page function of a resource sends, for a request of its own.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA opt;
CREATE TABLE opt.item (id int PRIMARY KEY, kind text NOT NULL, n int, wide text, created_at timestamptz NOT NULL, hidden int);
CREATE INDEX ON opt.item (created_at, id);
INSERT INTO opt.item SELECT i, 'k' || i % 3, nullif(i % 7, 0), repeat('x', 3), '2026-01-01'::timestamptz + (i / 4) * interval '1 day', 0 FROM generate_series(1, 30) i;
CREATE TABLE opt.nokey (a int, b text);
INSERT INTO opt.nokey SELECT i, 'b' || i FROM generate_series(1, 5) i;
CREATE TABLE opt.none (id int PRIMARY KEY);
ANALYZE opt.item, opt.nokey, opt.none;
CREATE FUNCTION opt.ids(items json) RETURNS text LANGUAGE sql AS $$ SELECT coalesce(string_agg(e ->> 'id', ' '), '') FROM json_array_elements(items) e $$;

-- A total: all rows, those of a filter, on any page; none unless it is asked for.
SELECT count, total_size, json_array_length(items) AS items
FROM (VALUES (1, NULL), (2, ''), (3, 'exact'), (4, 'estimated')) v (n, count), taskapi.page('opt.item', 'id', 5, count => v.count) ORDER BY n;
SELECT (taskapi.page('opt.item', 'n NULLS FIRST, kind', 2, p.next_page_token, '{"kind": "k1", "n": {"is": "not_null"}}', 'exact')).total_size,
       (taskapi.page('opt.item', 'n NULLS FIRST, kind', 2, p.next_page_token, '{"kind": "k1", "n": {"is": "not_null"}}', 'estimated')).total_size AS few_are_counted
FROM taskapi.page('opt.item', 'n NULLS FIRST, kind', 2, NULL, '{"kind": "k1", "n": {"is": "not_null"}}') p;
SELECT total_size FROM taskapi.page('opt.item', 'id', 5, NULL, '{"id": {"gt": 100}}', 'exact');
SELECT total_size FROM taskapi.page('opt.item', 'id', 50, NULL, '{"id": {"gt": 7}}', 'exact');
SELECT total_size FROM taskapi.page('opt.none', 'id', 50, 'last', NULL, 'exact');
-- beyond max_page_size the planner estimates, and never less than what was seen
SET taskapi.max_page_size = 10;
SELECT total_size FROM taskapi.page('opt.item', 'id', 5, count => 'estimated');
SELECT total_size FROM taskapi.page('opt.item', 'id', 5, NULL, '{"n": {"gte": 3}, "id": {"gt": 0}, "kind": {"neq": "k9"}, "wide": "xxx"}', 'estimated') WHERE total_size >= 11;
RESET taskapi.max_page_size;
SELECT taskapi.page('opt.item', count => 'EXACT');
SELECT taskapi.page('opt.item', count => 'planned');
-- of what the caller may see
CREATE ROLE regress_options;
GRANT USAGE ON SCHEMA opt TO regress_options;
GRANT SELECT (id, kind, created_at) ON opt.item TO regress_options;
ALTER TABLE opt.item ENABLE ROW LEVEL SECURITY;
CREATE POLICY some_rows ON opt.item USING (id > 20);
SET ROLE regress_options;
SELECT total_size, opt.ids(items) FROM taskapi.page('opt.item', 'id', 3, 'last', NULL, 'exact');
SELECT total_size FROM taskapi.page('opt.item', 'id', 3, NULL, '{"kind": "k1"}', 'estimated');
-- Columns: in the order of the argument; what tokens hold is the position all the same.
SELECT items, next_page_token = (SELECT next_page_token FROM taskapi.page('opt.item', 'kind DESC, created_at', 2)) AS same_token
FROM taskapi.page('opt.item', 'kind DESC, created_at', 2, columns => '{created_at,id}');
SELECT items FROM taskapi.page('opt.item', 'kind DESC, created_at', 2, (SELECT next_page_token FROM taskapi.page('opt.item', 'kind DESC, created_at', 2, columns => '{id}')), columns => '{kind}');
SELECT taskapi.page('opt.item', columns => '{id,n}');
RESET ROLE;
SELECT items FROM taskapi.page('opt.item', 'id', 1, columns => '{}');
SELECT taskapi.page('opt.item', columns => '{id,nothing}');
SELECT taskapi.page('opt.item', columns => (SELECT array_agg('c' || i) FROM generate_series(1, 1601) i));
SELECT taskapi.page('opt.item', columns => '{id,kind,id}');
SELECT taskapi.page('opt.item', columns => '{id,NULL}');
SELECT taskapi.page('opt.item', columns => '{ctid}');

-- The last page: full, and backwards from there every row once.
SELECT opt.ids(items), next_page_token, has_next, has_previous FROM taskapi.page('opt.item', 'kind, n DESC', 4, 'last');
CREATE FUNCTION opt.backwards(order_by text, filter jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    p taskapi.page_result := taskapi.page('opt.item', order_by, 7, 'last', filter);
    walked text := opt.ids(p.items);
BEGIN
    WHILE p.has_previous LOOP
        p := taskapi.page('opt.item', order_by, 7, p.previous_page_token, filter);
        walked := concat_ws(' ', nullif(opt.ids(p.items), ''), walked);
    END LOOP;
    RETURN walked;
END $$;
SELECT order_by, filter, opt.backwards(order_by, filter) = (SELECT opt.ids(items) FROM taskapi.page('opt.item', order_by, 1000, NULL, filter)) AS same
FROM (VALUES ('id'), ('n NULLS FIRST, kind DESC'), ('created_at DESC'), ('n DESC, created_at')) o (order_by), (VALUES (NULL::jsonb), ('{"kind": "k2"}'), ('{"id": {"gt": 40}}')) f (filter);
SELECT * FROM taskapi.page('opt.none', NULL, 3, 'last');
SELECT opt.ids(items) FROM taskapi.page('opt.item', 'id', 1000, 'last');
SELECT items, has_previous FROM taskapi.page('opt.nokey', 'a', 2, 'last');
SELECT array_agg(id) FROM taskapi.page_rows(NULL::opt.item, 'id', 3, 'last');
SELECT taskapi.page('opt.item', NULL, 3, 'LAST');

-- Deleted rows among the others: one order, each row once, forwards and backwards, and a token of its own.
ALTER TABLE opt.item DISABLE ROW LEVEL SECURITY;
SELECT taskapi.expose('opt.item', 'opt_api', 'things', 'created_at DESC, id DESC');
DELETE FROM opt_api.things WHERE id % 3 = 0;
CREATE FUNCTION opt.both(order_by text, size int, token text, filter jsonb DEFAULT NULL, count text DEFAULT NULL, columns text[] DEFAULT NULL, show_deleted bool DEFAULT true)
    RETURNS taskapi.page_result LANGUAGE sql AS $$ SELECT taskapi.resource_page('opt_api.things', true, 'created_at DESC, id DESC', order_by, size, token, filter, count, columns, show_deleted) $$;
SELECT items FROM opt.both('id', 3, NULL, columns => '{id,deletion_id,n}', filter => '{"id": {"in": [1, 2]}}');
SELECT opt.ids(items), total_size FROM opt.both(NULL, 6, NULL, NULL, 'exact');
SELECT e ->> 'id' AS id, e::jsonb ? 'deleted_at' AS deleted FROM opt.both('id', 4, NULL) p, json_array_elements(p.items) e;
CREATE FUNCTION opt.walk(order_by text, size int, filter jsonb, back bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    p taskapi.page_result := opt.both(order_by, size, CASE WHEN back THEN 'last' END, filter);
    walked text := opt.ids(p.items);
BEGIN
    WHILE CASE WHEN back THEN p.has_previous ELSE p.has_next END LOOP
        p := opt.both(order_by, size, CASE WHEN back THEN p.previous_page_token ELSE p.next_page_token END, filter);
        walked := CASE WHEN back THEN concat_ws(' ', nullif(opt.ids(p.items), ''), walked) ELSE concat_ws(' ', walked, nullif(opt.ids(p.items), '')) END;
    END LOOP;
    RETURN walked;
END $$;
SELECT order_by, size, filter, back, opt.walk(order_by, size, filter, back) = (SELECT opt.ids(items) FROM taskapi.page('opt.item', coalesce(order_by, 'created_at DESC, id DESC'), 1000, NULL, filter)) AS same
FROM (VALUES (NULL), ('id'), ('n DESC, kind'), ('n NULLS FIRST')) o (order_by), (VALUES (1), (4), (7)) s (size), (VALUES (NULL::jsonb), ('{"kind": "k0"}')) f (filter), (VALUES (true), (false)) b (back)
ORDER BY 1, 2, 3, 4;
SELECT next_page_token AS token FROM opt.both('id', 3, NULL) \gset
SELECT opt.both('id', 3, :'token', show_deleted => false);
SELECT opt.both('id', 3, :'token', '{"n": 1}');
SELECT opt.both('id', 3, NULL, '{"deleted_at": {"is": "null"}}');
SELECT opt.both('id', 3, NULL, columns => '{secret}');
SELECT taskapi.resource_page('opt_api.things', false, NULL, 'id', 3, NULL, NULL, NULL, NULL, true);
-- the trash is for those who may read it
SELECT taskapi.grant_resource('opt_api.things', 'regress_options', '{read}');
SET ROLE regress_options;
SELECT opt.ids(items) FROM opt.both('id', 3, NULL, show_deleted => false);
SELECT opt.ids(items) FROM opt.both('id', 3, NULL);
RESET ROLE;
SELECT taskapi.grant_resource('opt_api.things', 'regress_options', '{read_deleted}');
SET ROLE regress_options;
SELECT opt.ids(items) FROM opt.both('id', 3, NULL);
RESET ROLE;

-- The page functions of a resource: with its deleted rows if asked, and of those alone.
SELECT opt.ids(items) FROM opt_api.things_page(page_size => 5, show_deleted => true);
SELECT opt.ids(items), total_size FROM opt_api.things_page('id', 5, NULL, NULL, 'exact', '{id}');
SELECT items, total_size FROM opt_api.deleted_things_page('id', 2, 'last', NULL, 'exact', '{id,n}', false);
SELECT opt.ids(items) FROM opt_api.deleted_things_page(NULL, 3);
SELECT count(*) FROM opt_api.deleted_things WHERE id IN (SELECT id FROM opt_api.deleted_things ORDER BY id LIMIT 2) AND cursor IS NOT NULL;
UPDATE opt_api.deleted_things SET deleted_at = NULL WHERE id = 30 RETURNING id;
DELETE FROM opt_api.deleted_things WHERE id = 27 RETURNING id;
-- a key that hides where it comes from bounds the same index, is of the same type, and tells who follows foreign keys nothing
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT 1 FROM opt_api.deleted_things WHERE id = 3;
RESET enable_seqscan;
SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE a.attrelid = 'opt_api.deleted_things'::regclass AND a.attnum > 0 AND a.attname IN ('id', 'kind');
SELECT (SELECT count(*) FROM regexp_matches(ev_action, ':resname id [^}]*:resorigtbl 0 ', 'g')) AS hidden, (SELECT count(*) FROM regexp_matches(ev_action, ':resname kind [^}]*:resorigtbl 0 ', 'g')) AS other
FROM pg_rewrite WHERE ev_class = 'opt_api.deleted_things'::regclass;
-- without soft deletion both are gone; a name that would be too long is left out
SELECT taskapi.expose('opt.item', soft_delete => false);
SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'opt_api'::regnamespace ORDER BY 1;
SELECT opt_api.things_page(show_deleted => true);
SELECT taskapi.expose('opt.item', soft_delete => true);
SELECT taskapi.expose('opt.none', 'opt_api', repeat('n', 51));
SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'opt_api'::regnamespace ORDER BY 1;
SELECT taskapi.unexpose(format('opt_api.%I', repeat('n', 51))::regclass);
-- a function of one's own under that name is not taken over
CREATE FUNCTION opt_api.deleted_none_page(text, int, text, jsonb, text, text[], boolean) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT taskapi.expose('opt.none', 'opt_api');

-- Link: relative to the URL, with the arguments as they were given, each token once.
\t on
CREATE FUNCTION opt.link(path text, statement text, search_path text DEFAULT '"$user", public') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    result record;
BEGIN
    PERFORM set_config('request.method', 'GET', true), set_config('request.path', path, true), set_config('response.headers', '', true), set_config('search_path', search_path, true);
    EXECUTE statement INTO result;
    RETURN QUERY SELECT regexp_replace(h ->> 'Link', 'page_token=[A-Za-z0-9_-]+', 'page_token=TOKEN', 'g')
        FROM json_array_elements(nullif(current_setting('response.headers'), '')::json) h WHERE h ->> 'Link' IS NOT NULL;
END $$;
SELECT next_page_token AS token FROM opt_api.things_page(page_size => 2) \gset
SELECT opt.link('/rpc/things_page', 'SELECT opt_api.things_page()');
SELECT opt.link('/rpc/things_page', 'SELECT opt_api.things_page(page_size => 2)');
SELECT opt.link('/rpc/things_page', format('SELECT opt_api.things_page(''created_at.desc, id.desc'', 2, %L)', :'token'));
SELECT opt.link('/rest/v1/rpc/things%5Fpage', $$SELECT opt_api.things_page('kind, id', 2, filter => '{"n": {"gt": 1}, "wide": {"neq": "x&y=é"}}')$$);
SELECT opt.link('/rest/v1/rpc/%74hings_page', $$SELECT opt_api.things_page('kind, id', 2, 'last')$$);
-- no other function sends it, whatever it calls: not page(), not one of the user's, not a request of the table
SELECT opt.link('/rpc/things_page', 'SELECT taskapi.page(''opt_api.things'', page_size => 2)');
CREATE FUNCTION opt_api.mine(OUT p taskapi.page_result) LANGUAGE sql AS $$ SELECT opt_api.things_page(page_size => 2, filter => '{"hidden": 0}') $$;
SELECT opt.link(path, 'SELECT opt_api.mine()') FROM unnest('{/rpc/mine,/things,/,things_page,/rpc/things_page/x,/rpc/things_page%,/rpc/things_page2,/rpc/hings_page}'::text[]) path;
SELECT opt.link('', 'SELECT opt_api.things_page(page_size => 2)');
-- nor one of the same name that a layer finds first, or that shares its schema
CREATE SCHEMA other;
CREATE FUNCTION other.things_page() RETURNS taskapi.page_result LANGUAGE sql AS $$ SELECT opt_api.things_page(page_size => 2, filter => '{"hidden": 0}') $$;
SELECT opt.link('/rpc/things_page', 'SELECT other.things_page()', 'other, public');
SELECT opt.link('/rpc/things_page', 'SELECT opt_api.things_page(page_size => 2)', 'opt_api, other');
CREATE FUNCTION opt_api.things_page(tenant int) RETURNS taskapi.page_result LANGUAGE sql AS $$ SELECT opt_api.things_page(page_size => 2, filter => '{"hidden": 0}') $$;
SELECT opt.link('/rpc/things_page', 'SELECT opt_api.things_page(1)', 'opt_api, public');
DROP FUNCTION opt_api.things_page(int);
-- nor a page that is asked for while another is made
CREATE VIEW opt_api.nested WITH (security_invoker = true) AS SELECT id, (opt_api.things_page(page_size => 2, filter => '{"hidden": 0}')).items FROM opt.none;
INSERT INTO opt.none VALUES (1);
CREATE FUNCTION opt_api.nested_page() RETURNS taskapi.page_result LANGUAGE sql AS $$ SELECT taskapi.resource_page('opt_api.nested', false, NULL, 'id', 2, NULL, NULL, NULL, NULL, NULL) $$;
SELECT opt.link('/rpc/things_page', 'SELECT opt_api.nested_page()');
-- and never more than 2 kB, which proxies refuse
SELECT n, (SELECT count(*) FROM regexp_matches(l, 'rel="', 'g')) AS links, length(l) <= 2048 AS fits
FROM generate_series(1, 90, 10) n, LATERAL (SELECT json_build_object('id', json_build_object('lt', 1000), 'wide', json_build_object('in', array_fill('xxx'::text || repeat('y', 0), ARRAY[1]) || array_fill(repeat('z', 40), ARRAY[n])))::text AS f) x,
     opt.link('/rpc/things_page', format('SELECT opt_api.things_page(''id'', 2, (opt_api.things_page(''id'', 2, filter => %1$L)).next_page_token, %1$L)', f)) l;
\t off
DROP SCHEMA opt, opt_api, other CASCADE;
DROP ROLE regress_options;
