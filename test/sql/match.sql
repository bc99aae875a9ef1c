-- contains(), overlaps(), matches(), is_like(): say what the server's operators say, raise nothing, and bound a scan of GIN under policies.
CREATE EXTENSION btree_gin;
CREATE EXTENSION pg_trgm;
CREATE SCHEMA regress_match;
SET search_path = regress_match, public;
CREATE FUNCTION random_word() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT (ARRAY['a', 'b', 'bug', '%', '_', '\', 'é', 'aé', '', 'ß%', '漢', 'B'])[1 + floor(random() * 12)::int] $$;
CREATE FUNCTION random_text(n int) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT coalesce(string_agg(random_word(), ''), '') FROM generate_series(1, floor(random() * n)::int) $$;
CREATE FUNCTION random_list(n int) RETURNS text[] LANGUAGE sql VOLATILE AS $$ SELECT coalesce(array_agg(CASE WHEN random() < 0.9 THEN random_word() END), '{}') FROM generate_series(1, floor(random() * n)::int) $$;
CREATE FUNCTION random_json(n int) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT CASE floor(random() * 5)::int WHEN 0 THEN to_jsonb(random_list(n)) WHEN 1 THEN jsonb_build_object(random_word(), random_list(n)) WHEN 2 THEN to_jsonb(floor(random() * 3))
		WHEN 3 THEN jsonb_build_object('a', jsonb_build_object(random_word(), random_word()), random_word(), NULL) ELSE jsonb_build_array(jsonb_build_object('a', random_word()), random_list(2)) END $$;
CREATE FUNCTION random_query(n int) RETURNS tsquery LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	RETURN CASE WHEN n = 0 OR random() < 0.2 THEN CASE WHEN random() < 0.3 THEN 'b:*'::tsquery WHEN random() < 0.3 THEN 'a:A'::tsquery ELSE (ARRAY['a', 'bug', 'é', 'no'])[1 + floor(random() * 4)::int]::tsquery END
		WHEN random() < 0.3 THEN random_query(n - 1) && random_query(n - 1) WHEN random() < 0.4 THEN random_query(n - 1) || random_query(n - 1)
		WHEN random() < 0.5 THEN !! random_query(n - 1) ELSE random_query(n - 1) <-> random_query(n - 1) END;
END $$;
CREATE FUNCTION nots(n int) RETURNS tsquery LANGUAGE plpgsql AS $$ DECLARE q tsquery := 'a'; BEGIN FOR i IN 1 .. n LOOP q := !! q; END LOOP; RETURN q; END $$;
SELECT setseed(0.7);
-- Pairs of random values, for which ours and the server's agree. A pattern's error is NULL.
CREATE FUNCTION like_or_null(value text, pattern text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN value LIKE pattern; EXCEPTION WHEN invalid_escape_sequence THEN RETURN NULL; END $$;
SELECT 'arrays' AS kind, count(*) FILTER (WHERE taskapi.contains(a, b) IS DISTINCT FROM a @> b) AS contains, count(*) FILTER (WHERE taskapi.overlaps(a, b) IS DISTINCT FROM (a && b)) AS overlaps,
	count(*) FILTER (WHERE a @> b) BETWEEN 100 AND 4900 AS both
FROM (SELECT random_list(6) AS a, random_list(3) AS b FROM generate_series(1, 5000)) s;
SELECT 'numbers' AS kind, count(*) FILTER (WHERE taskapi.contains(a, b) IS DISTINCT FROM a @> b OR taskapi.contains(a::bigint[], b::bigint[]) IS DISTINCT FROM a @> b) AS contains,
	count(*) FILTER (WHERE taskapi.overlaps(a, b) IS DISTINCT FROM (a && b) OR taskapi.overlaps(a::bigint[], b::bigint[]) IS DISTINCT FROM (a && b)) AS overlaps,
	count(*) FILTER (WHERE taskapi.contains(ua, ub) IS DISTINCT FROM a @> b OR taskapi.overlaps(ua, ub) IS DISTINCT FROM (a && b)) AS uuids
FROM (SELECT a, b, (SELECT coalesce(array_agg(CASE WHEN v IS NOT NULL THEN md5(v::text)::uuid END), '{}') FROM unnest(a) v) AS ua, (SELECT coalesce(array_agg(CASE WHEN v IS NOT NULL THEN md5(v::text)::uuid END), '{}') FROM unnest(b) v) AS ub
	FROM generate_series(1, 1000) i, LATERAL (SELECT coalesce(array_agg(CASE WHEN random() < 0.9 THEN floor(random() * 5)::int END), '{}') AS a FROM generate_series(1, i % 6)) x, LATERAL (SELECT coalesce(array_agg(CASE WHEN random() < 0.9 THEN floor(random() * 5)::int END), '{}') AS b FROM generate_series(1, i % 3)) y) s;
SELECT 'jsonb' AS kind, count(*) FILTER (WHERE taskapi.contains(a, b) IS DISTINCT FROM a @> b) AS contains, count(*) FILTER (WHERE a @> b) BETWEEN 50 AND 4900 AS both
FROM (SELECT random_json(4) AS a, random_json(2) AS b FROM generate_series(1, 5000)) s;
SELECT 'full text' AS kind, count(*) FILTER (WHERE taskapi.matches(a, b) IS DISTINCT FROM a @@ b) AS matches, count(*) FILTER (WHERE a @@ b) BETWEEN 100 AND 4900 AS both
FROM (SELECT setweight(to_tsvector('simple', random_text(9)), 'A') || to_tsvector('simple', replace(random_text(9), 'b', 'b a ')) AS a, random_query(3) AS b FROM generate_series(1, 5000)) s;
SELECT 'patterns' AS kind, count(*) FILTER (WHERE taskapi.is_like(a, b) IS TRUE <> like_or_null(a, b) IS TRUE) AS is_like, count(*) FILTER (WHERE taskapi.is_like(a, b)) BETWEEN 100 AND 4900 AS both, count(*) FILTER (WHERE taskapi.is_like(a, b) IS NULL) > 10 AS escapes
FROM (SELECT random_text(9) AS a, random_text(7) AS b FROM generate_series(1, 5000)) s;
-- what is out of bounds, and what arrays have besides elements
SELECT taskapi.contains('{{a,b},{c,NULL}}'::text[], '{c,a}'), taskapi.contains('{}'::text[], '{}'), taskapi.contains(NULL::text[], '{}'), taskapi.overlaps('[5:6]={a,b}'::text[], '{{b}}');
SELECT n, taskapi.contains(d, d), taskapi.match_value(d) IS NULL AS out_of_bounds FROM (SELECT n, (repeat('[', n) || repeat(']', n))::jsonb AS d FROM unnest(ARRAY[99, 100, 5000]) n) s;
SELECT n, taskapi.matches('a', q), taskapi.match_value(q) IS NULL AS out_of_bounds FROM (SELECT n, nots(n) AS q FROM unnest(ARRAY[98, 99, 100, 2000]) n) s;
SELECT taskapi.matches('a', string_agg('a' || n, '|')::tsquery || 'a') FROM generate_series(1, 50) n;
SELECT n, taskapi.is_like(repeat('a', 1100), repeat('a', n) || '%') FROM unnest(ARRAY[999, 1000]) n;
-- patterns on which a matcher that tries all ways would not end
SELECT taskapi.is_like(repeat('a', 10000), repeat('%a', 400) || 'b');

-- Under row-level security, as the owner, a member, one of many tenants, and a stranger, from the index and without it.
CREATE ROLE regress_match_user;
CREATE TABLE doc (id int PRIMARY KEY, tenant uuid NOT NULL, labels text[] NOT NULL, body jsonb NOT NULL, words tsvector NOT NULL, title text NOT NULL);
INSERT INTO doc SELECT n, md5((n % 40)::text)::uuid, CASE WHEN n % 400 = 7 THEN '{rare}' ELSE random_list(4) END, CASE WHEN n % 400 = 7 THEN '{"rare": {"x": 1}}' ELSE random_json(3) END,
	to_tsvector('simple', random_text(6) || CASE WHEN n % 400 = 7 THEN ' rare' ELSE '' END), random_text(6) || CASE WHEN n % 400 = 7 THEN ' rare' ELSE '' END
FROM generate_series(1, 20000) n;
CREATE INDEX doc_labels ON doc USING gin (tenant, labels);
CREATE INDEX doc_body ON doc USING gin (tenant, body);
CREATE INDEX doc_words ON doc USING gin (tenant, words);
CREATE INDEX doc_title ON doc USING gin (tenant, title gin_trgm_ops);
CREATE INDEX doc_tenant ON doc (tenant, id);
VACUUM ANALYZE doc;
ALTER TABLE doc ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON doc USING (taskapi.one_of(tenant, (SELECT current_setting('app.tenants')::uuid[])));
GRANT USAGE ON SCHEMA regress_match TO regress_match_user;
GRANT SELECT ON doc TO regress_match_user;
CREATE FUNCTION tenants(list int[]) RETURNS void LANGUAGE sql AS $$ SELECT set_config('app.tenants', ARRAY(SELECT md5(n::text)::uuid FROM unnest(list) n)::text, false) $$;
-- Two queries over random values find the same rows; returns how many it found, and how often not.
CREATE FUNCTION compare(ours text, servers text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	a int[]; b int[]; found bigint := 0; wrong int := 0; mode text;
BEGIN
	FOREACH mode IN ARRAY ARRAY['on', 'off'] LOOP
		PERFORM set_config('enable_bitmapscan', mode, true);
		EXECUTE format('SELECT coalesce(array_agg(id ORDER BY id), ''{}'') FROM regress_match.doc WHERE %s', ours) INTO a;
		EXECUTE format('SELECT coalesce(array_agg(id ORDER BY id), ''{}'') FROM regress_match.doc WHERE %s', servers) INTO b;
		found := found + cardinality(a);
		wrong := wrong + (a <> b)::int;
	END LOOP;
	RETURN format('%s %s', CASE WHEN found > 0 THEN 'found' ELSE 'none' END, wrong);
END $$;
CREATE TABLE tried (who text, tenants int[], role name);
INSERT INTO tried VALUES ('owner', '{}', current_user), ('member', '{7}', 'regress_match_user'), ('member of many', '{1,2,3,4,5,6,7,8,9,10}', 'regress_match_user'), ('stranger', '{}', 'regress_match_user'), ('of an unknown tenant', '{77}', 'regress_match_user');
CREATE FUNCTION as_each() RETURNS TABLE (who text, form text, result text) LANGUAGE plpgsql AS $$
DECLARE t regress_match.tried;
BEGIN
	FOR t IN SELECT * FROM regress_match.tried LOOP
		PERFORM regress_match.tenants(t.tenants);
		PERFORM set_config('role', t.role, true);
		FOR form, result IN
			SELECT v.f, regress_match.compare(v.o, v.s) FROM (VALUES
				('contains', $q$taskapi.contains(labels, '{rare}')$q$, $q$labels @> '{rare}'$q$), ('contains two', $q$taskapi.contains(labels, '{a,é}')$q$, $q$labels @> '{a,é}'$q$),
				('contains none', $q$taskapi.contains(labels, '{}')$q$, $q$labels @> '{}'$q$), ('contains null', $q$taskapi.contains(labels, '{a,NULL}')$q$, $q$labels @> '{a,NULL}'$q$),
				('overlaps', $q$taskapi.overlaps(labels, '{rare,漢,NULL}')$q$, $q$labels && '{rare,漢,NULL}'$q$), ('overlaps none', $q$taskapi.overlaps(labels, '{}')$q$, $q$labels && '{}'$q$),
				('jsonb', $q$taskapi.contains(body, '{"rare": {"x": 1}}')$q$, $q$body @> '{"rare": {"x": 1}}'$q$), ('jsonb all', $q$taskapi.contains(body, '{}')$q$, $q$body @> '{}'$q$),
				('full text', $q$taskapi.matches(words, 'rare')$q$, $q$words @@ 'rare'$q$), ('prefix', $q$taskapi.matches(words, 'b:* & !rare')$q$, $q$words @@ 'b:* & !rare'$q$), ('not', $q$taskapi.matches(words, '!rare')$q$, $q$words @@ '!rare'$q$),
				('is_like', $q$taskapi.is_like(title, '%rare%')$q$, $q$title LIKE '%rare%'$q$), ('is_like anything', $q$taskapi.is_like(title, '%\%%')$q$, $q$title LIKE '%\%%'$q$)) v (f, o, s) LOOP
			who := t.who;
			RETURN NEXT;
		END LOOP;
		RESET ROLE;
	END LOOP;
END $$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA regress_match TO regress_match_user;
GRANT SELECT ON tried TO regress_match_user;
SELECT form, string_agg(result, ', ' ORDER BY who) FROM as_each() GROUP BY form ORDER BY form;

-- Buffers: of the filter under the policy, of the server's operator under it, and of the server's operator without it.
CREATE FUNCTION buffers(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
	EXECUTE query;
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || query INTO plan;
	RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::int + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::int;
END $$;
-- The scans of a plan and their conditions; 17 and later have another name for what an InitPlan gives.
CREATE FUNCTION scans(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line ~ 'Scan|Cond' THEN RETURN NEXT regexp_replace(regexp_replace(line, '\(InitPlan \w+\)\.col\d+', '$0', 'g'), '\$\d+', 'value', 'g'); END IF;
	END LOOP;
END $$;
CREATE FUNCTION bounded() RETURNS TABLE (form text, as_the_owner bool, a_quarter bool, two_conditions bool) LANGUAGE plpgsql AS $$
DECLARE
	c record; ours int; servers int; owners int; plan text;
BEGIN
	FOR c IN SELECT * FROM (VALUES ('contains', $q$taskapi.contains(labels, '{rare}')$q$, $q$labels @> '{rare}'$q$), ('overlaps', $q$taskapi.overlaps(labels, '{rare}')$q$, $q$labels && '{rare}'$q$),
			('jsonb', $q$taskapi.contains(body, '{"rare": {"x": 1}}')$q$, $q$body @> '{"rare": {"x": 1}}'$q$), ('matches', $q$taskapi.matches(words, 'rare')$q$, $q$words @@ 'rare'$q$), ('is_like', $q$taskapi.is_like(title, '%rare%')$q$, $q$title LIKE '%rare%'$q$)) v (f, o, s) LOOP
		owners := buffers('SELECT id FROM regress_match.doc WHERE tenant = md5(''7'')::uuid AND ' || c.s);
		SET LOCAL ROLE regress_match_user;
		ours := regress_match.buffers('SELECT id FROM regress_match.doc WHERE ' || c.o);
		servers := regress_match.buffers('SELECT id FROM regress_match.doc WHERE ' || c.s);
		EXECUTE 'EXPLAIN (COSTS OFF, FORMAT JSON) SELECT id FROM regress_match.doc WHERE ' || c.o INTO plan;
		RESET ROLE;
		form := c.f; as_the_owner := ours <= owners + 3; a_quarter := ours * 4 <= servers; two_conditions := plan ~ '"Index Cond": "[^"\n]*tenant = ANY[^\n]*match_value';
		IF NOT as_the_owner OR NOT a_quarter THEN RAISE NOTICE '%: % buffers, % by the operator, % as the owner', form, ours, servers, owners; END IF;
		RETURN NEXT;
	END LOOP;
END $$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA regress_match TO regress_match_user;
SELECT tenants('{7}');
SELECT * FROM bounded();
-- of one project, for a member of many: one scan, not one for each
SELECT tenants(array_agg(n)) FROM generate_series(0, 39) n;
SET ROLE regress_match_user;
SELECT scans($q$SELECT id FROM doc WHERE tenant = md5('7')::uuid AND taskapi.contains(labels, '{rare}')$q$);
SELECT buffers('SELECT id FROM doc WHERE tenant = md5(''7'')::uuid AND taskapi.contains(labels, ''{rare}'')') < 70 AS one_scan;
-- a value of the statement, a parameter, a value of another row
PREPARE by_label (text[]) AS SELECT count(*) FROM doc WHERE taskapi.contains(labels, $1);
SET plan_cache_mode = force_generic_plan;
SELECT scans($q$EXECUTE by_label ('{rare}')$q$);
EXECUTE by_label ('{rare}');
SELECT scans($q$SELECT count(*) FROM (VALUES ('rare'::tsquery), ('none')) w (word), LATERAL (SELECT FROM doc WHERE taskapi.matches(words, word) OFFSET 0) d$q$);
RESET ROLE;
-- page()'s filter: the same rows as by cs, from the index; and what is refused
SELECT tenants('{7}');
SET search_path = regress_match, public;
SET ROLE regress_match_user;
SELECT f, (SELECT array_agg(i ->> 'id') FROM jsonb_array_elements(p.items::jsonb) i) = (SELECT array_agg(i ->> 'id') FROM jsonb_array_elements(q.items::jsonb) i) AS same, jsonb_array_length(p.items::jsonb) > 0 AS found
FROM (VALUES ('{"labels": {"contains": ["rare"]}}'::jsonb, '{"labels": {"cs": ["rare"]}}'::jsonb), ('{"labels": {"overlaps": ["rare", "none"]}}', '{"labels": {"ov": ["rare", "none"]}}'), ('{"body": {"contains": {"rare": {"x": 1}}}}', '{"body": {"cs": {"rare": {"x": 1}}}}'),
	('{"title": {"is_like": "%rare%"}}', '{"title": {"like": "%rare%"}}'), ('{"words": {"matches": "rare"}, "labels": {"contains": []}}', '{"labels": {"cs": ["rare"]}}')) v (f, g), taskapi.page('doc', 'id', 100, filter => f) p, taskapi.page('doc', 'id', 100, filter => g) q;
SELECT buffers('SELECT * FROM taskapi.page(''doc'', ''id DESC'', 10, filter => ''{"labels": {"contains": ["zzz"]}}'')') * 4 < buffers('SELECT * FROM taskapi.page(''doc'', ''id DESC'', 10, filter => ''{"labels": {"cs": ["zzz"]}}'')') AS bounded;
SELECT count(*) FROM taskapi.page('doc', 'id', 10, filter => '{"id": {"contains": [1]}}');
SELECT count(*) FROM taskapi.page('doc', 'id', 10, filter => '{"body": {"overlaps": {}}}');
SELECT count(*) FROM taskapi.page('doc', 'id', 10, filter => '{"labels": {"matches": "a"}}');
SELECT count(*) FROM taskapi.page('doc', 'id', 10, filter => '{"words": {"is_like": "a"}}');
SELECT count(*) FROM taskapi.page('doc', 'id', 10, filter => '{"words": {"matches": "a &"}}');
SELECT count(*) FROM taskapi.page('doc', 'id', 10, filter => '{"words": {"matches": ["a"]}}');
SELECT count(*) FROM taskapi.page('doc', 'id', 10, filter => '{"labels": {"contains": "a"}}');
SELECT count(*) FROM taskapi.page('doc', 'id', 10, filter => '{"title": {"is_like": "a\\"}}');
SELECT count(*) FROM taskapi.page('doc', 'id', 10, filter => '{"title": {"is_like": 1}}');
RESET ROLE;
-- Only GIN, and only by the server's operators: other indexes would ask a row again by them.
DROP INDEX doc_title, doc_tenant, doc_words;
CREATE INDEX doc_title_gist ON doc USING gist (title gist_trgm_ops);
CREATE INDEX doc_words_gist ON doc USING gist (words);
SET enable_seqscan = off;
SELECT scans($q$SELECT id FROM doc WHERE taskapi.is_like(title, '%rare%') AND taskapi.matches(words, 'rare')$q$);
RESET enable_seqscan;
-- as an operator, which is found ahead of the server's wherever its schema is in the path
CREATE SCHEMA regress_match_api;
CREATE OPERATOR regress_match_api.@> (LEFTARG = text[], RIGHTARG = text[], FUNCTION = taskapi.contains, RESTRICT = contsel, JOIN = contjoinsel);
GRANT USAGE ON SCHEMA regress_match_api TO regress_match_user;
SET search_path = regress_match_api, regress_match;
SET ROLE regress_match_user;
SELECT regress_match.scans($q$SELECT id FROM doc WHERE labels @> '{rare}'$q$);
SELECT count(*) FROM doc WHERE labels @> '{rare}';
RESET ROLE;
-- What is estimated does not depend on the value.
CREATE FUNCTION estimates(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; said text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN ' || query LOOP said := said || regexp_replace(line, '^ *(Index Cond|Filter|Recheck Cond).*', '') || E'\n'; END LOOP;
	RETURN said;
END $$;
SET plan_cache_mode = force_custom_plan;
SELECT count(DISTINCT estimates(format('SELECT id FROM doc WHERE taskapi.contains(labels, %L)', l))) AS contains, count(DISTINCT estimates(format('SELECT id FROM doc WHERE labels @> %L', l))) AS by_operator,
	count(DISTINCT estimates(format('SELECT id FROM doc WHERE taskapi.overlaps(labels, %L)', l))) AS overlaps, count(DISTINCT estimates(format('SELECT id FROM doc WHERE labels OPERATOR(pg_catalog.@>) %L', l))) > 1 AS by_the_servers
FROM unnest(ARRAY['{a}', '{rare}', '{none}']) l;
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA regress_match, regress_match_api CASCADE;
DROP EXTENSION btree_gin, pg_trgm;
DROP ROLE regress_match_user;
