-- A hostile schema stands before pg_catalog in the search_path of the extension's owner, and holds a function, an operator and a
-- relation for each of pg_catalog's, types of the same names, and casts: nothing of it runs, whatever of the library and of the task API is called.
SET client_min_messages = warning;
\set VERBOSITY terse
\set SHOW_CONTEXT never

CREATE ROLE regress_mallory;
CREATE ROLE regress_anonymous;
CREATE ROLE regress_user;
CREATE SCHEMA regress_hostile AUTHORIZATION regress_mallory;
GRANT USAGE ON SCHEMA regress_hostile TO PUBLIC;

-- What runs counts itself where no rollback takes it back.
SET ROLE regress_mallory;
CREATE SEQUENCE regress_hostile.hits;
GRANT ALL ON SEQUENCE regress_hostile.hits TO PUBLIC;
CREATE FUNCTION regress_hostile.hijack(what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.nextval('regress_hostile.hits');
    RAISE EXCEPTION 'hijacked by %', what;
END $$;
DO $do$
DECLARE
    body constant text := 'BEGIN PERFORM regress_hostile.hijack(%L); END';
    f record;
BEGIN
    FOR f IN
        SELECT DISTINCT ON (p.proname, p.proargtypes) p.proname, p.oid::regprocedure::text AS signature,
            p.proargtypes, a.args, p.prokind, p.proretset, CASE WHEN p.prokind = 'f' THEN p.prorettype::regtype::text ELSE 'text' END AS result
        FROM pg_proc p,
            LATERAL (SELECT coalesce(string_agg(format_type(t.o, NULL), ', ' ORDER BY t.n), '') AS args,
                            count(*) FILTER (WHERE y.typtype = 'p' AND y.typcategory <> 'P') AS odd
                     FROM unnest(p.proargtypes) WITH ORDINALITY t(o, n) JOIN pg_type y ON y.oid = t.o) a
        WHERE p.pronamespace = 'pg_catalog'::regnamespace
          AND NOT EXISTS (SELECT FROM unnest(p.proargtypes) t(o)
                          WHERE t.o IN ('internal'::regtype, 'cstring'::regtype, '"any"'::regtype))
          AND p.prorettype NOT IN ('internal'::regtype, 'cstring'::regtype, '"any"'::regtype, 'trigger'::regtype, 'event_trigger'::regtype)
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION regress_hostile.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L',
                           f.proname, f.args, f.result, format(body, f.signature));
        EXCEPTION WHEN OTHERS THEN
            NULL;   -- a polymorphic result, or a type that functions in PL/pgSQL do not take
        END;
    END LOOP;
    -- what takes "any" there, for the types that occur
    FOR f IN
        SELECT n.name AS proname, a.args
        FROM unnest(ARRAY['format', 'concat', 'concat_ws', 'count', 'jsonb_build_object', 'json_build_object', 'jsonb_build_array', 'to_jsonb',
                          'row_to_json', 'num_nulls', 'num_nonnulls', 'pg_typeof', 'quote_literal', 'quote_nullable', 'array_agg', 'string_agg',
                          'unnest', 'array_length', 'cardinality', 'array_append', 'array_cat', 'array_position', 'coalesce', 'greatest']) n(name),
             unnest(ARRAY['text', 'name', 'int4', 'int8', 'bool', 'uuid', 'regclass', 'regrole', 'oid', 'timestamptz', 'text[]', 'name[]', 'uuid[]', 'text, text', 'text, name',
                          'text, text, text', 'text, name, name', 'text, text, text, text', 'text, int4', 'text, int8', 'text, regclass', 'text, uuid', 'text[], int4', 'uuid[], int4']) a(args)
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION regress_hostile.%I(%s) RETURNS text LANGUAGE plpgsql AS %L', f.proname, f.args, format(body, f.proname));
        EXCEPTION WHEN duplicate_function THEN
            NULL;
        END;
    END LOOP;
    FOR f IN
        SELECT o.oprname, CASE WHEN o.oprleft <> 0 THEN format('LEFTARG = %s, ', format_type(o.oprleft, NULL)) ELSE '' END AS l, format_type(o.oprright, NULL) AS r,
            o.oprleft, o.oprright, o.oid::regoperator::text AS signature, o.oprresult::regtype AS result, row_number() OVER () AS n
        FROM pg_operator o
        WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprright <> 0 AND o.oprcode <> 0
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION regress_hostile.op_%s(%s) RETURNS %s LANGUAGE plpgsql AS %L', f.n,
                concat_ws(', ', CASE WHEN f.oprleft <> 0 THEN format_type(f.oprleft, NULL) END, f.r), f.result, format(body, f.signature));
            EXECUTE format('CREATE OPERATOR regress_hostile.%s (%sRIGHTARG = %s, FUNCTION = regress_hostile.op_%s)', f.oprname, f.l, f.r, f.n);
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
    FOR f IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v')
    LOOP
        BEGIN
            EXECUTE format('CREATE VIEW regress_hostile.%I AS SELECT v.*, regress_hostile.hijack(%L) AS hijacked FROM pg_catalog.%I v WHERE regress_hostile.hijack(%L)',
                           f.relname, f.relname, f.relname, f.relname);
            EXECUTE format('GRANT SELECT ON regress_hostile.%I TO PUBLIC', f.relname);
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
    FOR f IN SELECT unnest(ARRAY['text', 'name', 'int4', 'int8', 'bool', 'interval', 'timestamptz', 'jsonb', 'json', 'uuid', 'bytea', 'oid', 'regclass', 'regrole', 'regnamespace']) AS typname
    LOOP
        EXECUTE format('CREATE DOMAIN regress_hostile.%I AS pg_catalog.%I CHECK (regress_hostile.hijack(%L))', f.typname, f.typname, f.typname);
    END LOOP;
END $do$;
-- A type of its own with casts to everything that is around, and from it.
CREATE TYPE regress_hostile.lure AS (a int);
DO $do$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['text', 'name', 'int4', 'int8', 'bool', 'interval', 'timestamptz', 'jsonb', 'uuid', 'bytea', 'oid', 'regclass', 'regrole', 'text[]', 'uuid[]', 'name[]']
    LOOP
        EXECUTE format('CREATE FUNCTION regress_hostile.cast_to(regress_hostile.lure, pg_catalog.%s) RETURNS pg_catalog.%s LANGUAGE plpgsql AS $$BEGIN PERFORM regress_hostile.hijack(%L); END$$', t, t, 'a cast to ' || t);
        EXECUTE format('CREATE FUNCTION regress_hostile.cast_from_%s(pg_catalog.%s) RETURNS regress_hostile.lure LANGUAGE plpgsql AS $$BEGIN PERFORM regress_hostile.hijack(%L); END$$', replace(t, '[]', 's'), t, 'a cast from ' || t);
        EXECUTE format('CREATE CAST (pg_catalog.%s AS regress_hostile.lure) WITH FUNCTION regress_hostile.cast_from_%s AS IMPLICIT', t, replace(t, '[]', 's'));
    END LOOP;
END $do$;
RESET ROLE;
SELECT count(*) > 2000 AS functions, (SELECT count(*) > 600 FROM pg_operator WHERE oprnamespace = 'regress_hostile'::regnamespace) AS operators
FROM pg_proc WHERE pronamespace = 'regress_hostile'::regnamespace;

-- The victims: two task APIs, and a call of every function in SQL or PL/pgSQL with arguments that are not NULL.
CREATE TABLE public.regress_call (n int GENERATED ALWAYS AS IDENTITY, statement text);
CREATE FUNCTION public.regress_try(statement pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLERRM;
END $$;
CREATE TABLE public.regress_source (id int PRIMARY KEY, body text);
SELECT * FROM taskapi.create_api_key('ann') \g /dev/null

-- The trap works: all of these are caught.
SET search_path = regress_hostile, pg_catalog;
SELECT lower('X'::pg_catalog.text);
SELECT 'a'::pg_catalog.text = 'b'::pg_catalog.text;
SELECT 'a'::pg_catalog.text || 'b'::pg_catalog.text;
SELECT 'a'::text;
SELECT 1 FROM pg_namespace;
SELECT format('%s'::pg_catalog.text, 'x'::pg_catalog.text);
RESET search_path;
SELECT last_value > 4 AS caught FROM regress_hostile.hits;
SELECT setval('regress_hostile.hits', 1, false) \g /dev/null

-- Making everything under that path: the task API twice, a resource, and what they do.
SET search_path = regress_hostile, pg_catalog;
SELECT taskapi.create_task_api('regress_tasks', 'regress_api', 'regress_anonymous', 'regress_user') \g /dev/null
SELECT taskapi.create_task_api('regress "tasks" 2', 'regress "api" 2') \g /dev/null
SELECT taskapi.expose('public.regress_source', 'public', 'regress_sources') \g /dev/null
SELECT taskapi.expose('public.regress_source', 'public', 'regress_sources') \g /dev/null
SELECT taskapi.grant_resource('public.regress_sources', 'regress_user') \g /dev/null
SELECT regress_tasks.create_account('ann@example.org') AS ann \gset
SELECT regress_tasks.create_account('bob@example.org') AS bob \gset
SELECT pg_catalog.set_config('request.method'::pg_catalog.text, 'POST'::pg_catalog.text, false) \g /dev/null
SELECT pg_catalog.set_config('request.jwt.claims'::pg_catalog.text, pg_catalog.replace('{"sub": "@"}'::pg_catalog.text, '@'::pg_catalog.text, :'ann'::pg_catalog.text), false) \g /dev/null
SET ROLE regress_user;
INSERT INTO regress_api.projects (name) VALUES ('P') RETURNING id AS project \gset
INSERT INTO regress_api.tasks (project_id, title, priority, due_date) VALUES (:'project', 'T', 1, '2026-01-01') RETURNING id AS task \gset
INSERT INTO regress_api.members (project_id, account_id, role) VALUES (:'project', :'bob', 'editor');
INSERT INTO regress_api.invitations (project_id, account_id, role) VALUES (:'project', :'bob', 'editor') RETURNING id AS invitation \gset
INSERT INTO regress_api.invitations (project_id, email) VALUES (:'project', 'bob@example.org') RETURNING token AS token \gset
SELECT pg_catalog.set_config('request.jwt.claims'::pg_catalog.text, pg_catalog.replace('{"sub": "@"}'::pg_catalog.text, '@'::pg_catalog.text, :'bob'::pg_catalog.text), false) \g /dev/null
SELECT regress_api.accept_invitation(token => :'token') \g /dev/null
DELETE FROM regress_api.members WHERE account_id OPERATOR(pg_catalog.=) :'bob';
SELECT regress_api.accept_invitation(invitation_id => :'invitation') \g /dev/null
UPDATE regress_api.users SET email = 'robert@example.org' WHERE id OPERATOR(pg_catalog.=) :'bob';
SELECT email, pending_email FROM regress_api.me;
RESET ROLE;
SELECT regress_tasks.create_email_token(:'bob', 'robert@example.org') AS token \gset
SET ROLE regress_user;
SELECT email FROM regress_api.confirm_email(:'token');
SELECT pg_catalog.set_config('request.jwt.claims'::pg_catalog.text, pg_catalog.replace('{"sub": "@"}'::pg_catalog.text, '@'::pg_catalog.text, :'ann'::pg_catalog.text), false) \g /dev/null
SELECT pg_catalog.set_config('request.method'::pg_catalog.text, 'PATCH'::pg_catalog.text, false) \g /dev/null
UPDATE regress_api.tasks SET title = 'U', status = 'done' WHERE id OPERATOR(pg_catalog.=) :'task';
UPDATE regress_api.projects SET name = 'Q' WHERE id OPERATOR(pg_catalog.=) :'project';
SELECT taskapi.page('regress_api.tasks', 'title, id', 1) \g /dev/null
SELECT regress_api.tasks_page('due_date, id', 1) \g /dev/null
SELECT regress_api.my_tasks(1) \g /dev/null
SELECT t.cursor, regress_api.cursor_by_due_date(t), regress_api.cursor_by_priority(t), regress_api.cursor_by_updated_at(t) FROM regress_api.tasks t \g /dev/null
SELECT taskapi.create_my_api_key('k') \g /dev/null
SELECT pg_catalog.set_config('request.method'::pg_catalog.text, 'DELETE'::pg_catalog.text, false) \g /dev/null
DELETE FROM regress_api.members WHERE account_id OPERATOR(pg_catalog.=) :'bob';
DELETE FROM regress_api.tasks WHERE id OPERATOR(pg_catalog.=) :'task';
DELETE FROM regress_api.projects WHERE id OPERATOR(pg_catalog.=) :'project';
SELECT pg_catalog.set_config('request.method'::pg_catalog.text, 'PATCH'::pg_catalog.text, false) \g /dev/null
UPDATE regress_api.deleted_projects SET deleted_at = NULL WHERE id OPERATOR(pg_catalog.=) :'project';
DELETE FROM regress_api.api_keys;
DELETE FROM regress_api.sessions;
RESET ROLE;
UPDATE regress_tasks.account SET deleted_at = '2026-01-01' WHERE email OPERATOR(pg_catalog.=) 'robert@example.org';
CALL taskapi.maintain();

-- Every function, whatever its language, with a value of each argument's type.
RESET search_path;
INSERT INTO public.regress_call (statement)
SELECT format('SELECT %s(%s)', p.oid::regproc, args)
FROM pg_proc p,
    LATERAL (SELECT coalesce(string_agg(CASE format_type(t.o, NULL)
                WHEN 'text' THEN '''a''' WHEN 'name' THEN '''regress_sources''' WHEN 'integer' THEN '1' WHEN 'bigint' THEN '1' WHEN 'boolean' THEN 'true'
                WHEN 'interval' THEN '''1 hour''' WHEN 'jsonb' THEN '''{}''' WHEN 'json' THEN '''{}''' WHEN 'bytea' THEN '''\x00''' WHEN 'uuid' THEN quote_literal('018f0000-0000-7000-8000-000000000001')
                WHEN 'regclass' THEN '''public.regress_source''' WHEN 'regrole' THEN '''regress_user''' WHEN 'timestamp with time zone' THEN '''2099-01-01''' WHEN 'text[]' THEN '''{read}'''
                WHEN 'name[]' THEN '''{id}''' WHEN '"any"' THEN '1' ELSE 'NULL' END, ', ' ORDER BY t.n), '') AS args
             FROM unnest(p.proargtypes) WITH ORDINALITY t(o, n)) a
WHERE p.pronamespace IN ('taskapi'::regnamespace, 'regress_tasks'::regnamespace, 'regress_api'::regnamespace)
    AND p.prokind = 'f' AND p.prorettype NOT IN ('trigger'::regtype, 'internal'::regtype, 'event_trigger'::regtype)
    AND NOT 'internal'::regtype = ANY (p.proargtypes) AND NOT 'cstring'::regtype = ANY (p.proargtypes)
    AND p.provariadic = 0
    AND p.proname NOT IN ('create_task_api')
ORDER BY p.proname = 'unexpose', p.oid::regprocedure::text;
SELECT count(*) > 80 AS many FROM public.regress_call;
CREATE TABLE public.regress_answer (statement pg_catalog.text, answer pg_catalog.text);
SET search_path = regress_hostile, pg_catalog;
INSERT INTO public.regress_answer SELECT c.statement, public.regress_try(c.statement) FROM public.regress_call c;
RESET search_path;
SELECT * FROM public.regress_answer WHERE answer LIKE 'hijacked%' ORDER BY 1;
SELECT count(*) FILTER (WHERE answer = 'done') > 30 AS many_succeed FROM public.regress_answer;
SELECT is_called AS something_ran FROM regress_hostile.hits;

-- Every SECURITY DEFINER function pins its search_path, in the library and in both task APIs. Others do so too, or are
-- bound when they are made (a body in standard SQL), or name every schema: here they are.
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.prosecdef AND p.pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('taskapi', 'regress_tasks', 'regress_api', 'regress "tasks" 2', 'regress "api" 2'))
    AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false);
SELECT count(*) > 30 AS definers FROM pg_proc p
WHERE p.prosecdef AND p.pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('taskapi', 'regress_tasks', 'regress_api', 'regress "tasks" 2', 'regress "api" 2'));
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE l.lanname IN ('sql', 'plpgsql') AND p.prosqlbody IS NULL AND p.pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('taskapi', 'regress_tasks', 'regress_api'))
    AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)
ORDER BY p.oid::regprocedure::text COLLATE "C";

RESET request.method;
RESET request.jwt.claims;
DROP TABLE public.regress_call, public.regress_answer;
DROP FUNCTION public.regress_try;
DROP TABLE public.regress_source CASCADE;
DROP SCHEMA regress_api, regress_tasks, "regress ""api"" 2", "regress ""tasks"" 2", outbox CASCADE;
DROP SCHEMA regress_hostile CASCADE;
DROP OWNED BY regress_anonymous, regress_user, regress_mallory;
DROP ROLE regress_anonymous, regress_user, regress_mallory;
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
