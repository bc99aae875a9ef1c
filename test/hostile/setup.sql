-- Four resources of an owner who is no superuser, filled with values that can be told from anything else; and a victim's.
SET client_min_messages = warning;
CREATE EXTENSION taskapi;
CREATE SCHEMA victim AUTHORIZATION hostile_victim;
CREATE TABLE victim.secret (id int8 PRIMARY KEY, body text);
ALTER TABLE victim.secret OWNER TO hostile_victim;
INSERT INTO victim.secret SELECT 666000000 + n, 'SECRETSECRET-' || n FROM generate_series(1, 50) n;

-- What an HTTP layer tells of a request. Nobody else may change it.
CREATE SCHEMA layer;
GRANT USAGE ON SCHEMA layer TO PUBLIC;
CREATE FUNCTION layer.request(method text, headers text) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('request.method', method, true), set_config('request.headers', headers, true), set_config('request.path', '/thing', true),
           set_config('request.jwt.claims', '{"sub": "hostile"}', true), set_config('response.headers', '', true)
$$;
CREATE TABLE layer.token (name text, token text);
GRANT SELECT ON layer.token TO PUBLIC;

-- Entries of the registry that are not true, as after the restore of a dump that the owner changed. He cannot write it himself.
CREATE FUNCTION layer.register_resource(regclass, regclass, regclass, name, text, boolean, boolean, boolean) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    DELETE FROM taskapi.resource WHERE resource = $1;
    INSERT INTO taskapi.resource VALUES ($1, $2, $3, $4, $5, $6, $7, $8);
$$;

CREATE SCHEMA data AUTHORIZATION hostile_owner;
CREATE SCHEMA api AUTHORIZATION hostile_owner;
CREATE SCHEMA elsewhere AUTHORIZATION hostile_owner;
GRANT USAGE ON SCHEMA data, api, elsewhere TO hostile_client;
SET SESSION AUTHORIZATION hostile_owner;
-- As whom code of the owner's ran: never as a superuser. It writes through no trigger, so it can stand in one.
CREATE TABLE data.ran (who name, what text);
GRANT INSERT ON data.ran TO PUBLIC;
CREATE FUNCTION data.note(what text) RETURNS bool LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RAISE LOG 'HOSTILE: code of the owner ran as a superuser: %', what;
    END IF;
    RETURN true;
END $$;

CREATE TYPE data.mood AS ENUM ('mood-low', 'mood-high');
CREATE DOMAIN data.word AS text CHECK (VALUE <> '');
CREATE TYPE data.pair AS (x int4, y text);
CREATE FUNCTION data.filled() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT CASE WHEN data.note('default') THEN 'filled-by-default' END $$;
CREATE TABLE data.parent (id int8 PRIMARY KEY, name text NOT NULL);
CREATE TABLE data.thing (
    id int8 PRIMARY KEY,
    parent_id int8 REFERENCES data.parent ON DELETE CASCADE,
    num int4, amount numeric(12, 2), title text, mood data.mood, word data.word DEFAULT data.filled(), pair data.pair, labels text[], doc jsonb,
    flag bool, day date, at timestamptz, raw bytea, ref uuid, span int4range, ratio float8, short "char", bits varbit,
    created_at timestamptz NOT NULL DEFAULT '2020-01-02 03:04:05+00',
    twice int4 GENERATED ALWAYS AS (num * 2) STORED);
CREATE TABLE data.child (id int8 PRIMARY KEY, thing_id int8 REFERENCES data.thing ON DELETE CASCADE, note text);
CREATE TABLE data.part (id int8, region text, note text, size int4, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE data.part_a PARTITION OF data.part FOR VALUES IN ('region-a');
CREATE TABLE data.part_b (size int4, note text, dropped int8, region text NOT NULL, id int8 NOT NULL);
ALTER TABLE data.part_b DROP COLUMN dropped;
ALTER TABLE data.part ATTACH PARTITION data.part_b FOR VALUES IN ('region-b');
CREATE INDEX ON data.thing (created_at DESC, id DESC);
INSERT INTO data.parent SELECT 1000000 + n, 'parent-' || n FROM generate_series(1, 60) n;
INSERT INTO data.thing (id, parent_id, num, amount, title, mood, word, pair, labels, doc, flag, day, at, raw, ref, span, ratio, short, bits)
SELECT 2000000 + n, 1000000 + n, 3000000 + n, 4000.25 + n, 'title-' || n, 'mood-low', 'word-' || n, ROW(5000000 + n, 'pair-' || n)::data.pair, ARRAY['label-' || n], '{"doc": "doc-value"}',
       true, '2021-02-03', '2022-03-04 05:06:07+00', '\xdeadbeef', '018f0000-0000-7000-8000-000000000001', '[6000000,6000009)', 0.25, 'x', B'10101010'
FROM generate_series(1, 60) n;
INSERT INTO data.child SELECT 7000000 + n, 2000000 + (n + 1) / 2, 'child-' || n FROM generate_series(1, 120) n;
INSERT INTO data.part SELECT 8000000 + n, CASE WHEN n % 2 = 0 THEN 'region-a' ELSE 'region-b' END, 'part-' || n, 9000000 + n FROM generate_series(1, 60) n;
SELECT taskapi.expose('data.parent', 'api'), taskapi.expose('data.thing', 'api', order_by => 'created_at DESC, id DESC'), taskapi.expose('data.child', 'api'), taskapi.expose('data.part', 'api') \g /dev/null
SELECT taskapi.grant_resource(('api.' || r)::regclass, 'hostile_client', '{read,create,update,delete,restore,purge}') FROM unnest('{parent,thing,child,part}'::text[]) r \g /dev/null

-- What an owner needs to change a column below a view that uses it: both views stop to use the table, or come anew.
CREATE FUNCTION data.loosen() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    view text;
BEGIN
    FOREACH view IN ARRAY '{api.thing,api.deleted_thing}'::text[] LOOP
        EXECUTE format('CREATE OR REPLACE VIEW %s AS SELECT %s', view, (SELECT string_agg(format('NULL::%s AS %I', format_type(atttypid, atttypmod), attname), ', ' ORDER BY attnum)
            FROM pg_attribute WHERE attrelid = view::regclass AND attnum > 0));
    END LOOP;
END $$;
-- Every column that the table has goes back as it is where the type is the same, else by a cast.
CREATE FUNCTION data.tighten() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    view text;
BEGIN
    FOREACH view IN ARRAY '{api.thing,api.deleted_thing}'::text[] LOOP
        EXECUTE format('CREATE OR REPLACE VIEW %s WITH (security_invoker) AS SELECT %s FROM data.thing WHERE deleted_at IS %s', view, (SELECT string_agg(
                CASE WHEN t.attname IS NULL THEN format('NULL::%s', format_type(v.atttypid, v.atttypmod)) WHEN t.atttypid = v.atttypid THEN quote_ident(v.attname)
                     ELSE format('%I::text::%s', v.attname, format_type(v.atttypid, v.atttypmod)) END || ' AS ' || quote_ident(v.attname), ', ' ORDER BY v.attnum)
            FROM pg_attribute v LEFT JOIN pg_attribute t ON t.attrelid = 'data.thing'::regclass AND t.attname = v.attname AND NOT t.attisdropped
            WHERE v.attrelid = view::regclass AND v.attnum > 0), CASE WHEN view = 'api.thing' THEN 'NULL' ELSE 'NOT NULL' END);
    END LOOP;
END $$;
CREATE FUNCTION data.rebuild(action text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    made text[] := (SELECT array_agg(c ORDER BY n) FROM (
        SELECT 1 AS n, format('CREATE VIEW %s WITH (security_invoker) AS %s', v, pg_get_viewdef(v)) AS c FROM unnest('{api.thing,api.deleted_thing}'::regclass[]) v
        UNION ALL SELECT 2, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid IN ('api.thing'::regclass, 'api.deleted_thing'::regclass) AND NOT tgisinternal
        UNION ALL SELECT 3, format('GRANT ALL ON %s TO hostile_client', v) FROM unnest('{api.thing,api.deleted_thing}'::text[]) v) s);
    command text;
BEGIN
    DROP VIEW api.thing, api.deleted_thing CASCADE;
    EXECUTE action;
    FOREACH command IN ARRAY made LOOP
        BEGIN
            EXECUTE command;
        EXCEPTION WHEN OTHERS THEN
            RAISE NOTICE 'refused: %', SQLERRM;
        END;
    END LOOP;
END $$;
RESET SESSION AUTHORIZATION;
INSERT INTO layer.token SELECT 'page', next_page_token FROM taskapi.page('api.thing', 'created_at DESC, id DESC', 3)
    UNION ALL SELECT 'table', next_page_token FROM taskapi.page('data.thing', 'num NULLS FIRST, amount DESC', 3)
    UNION ALL SELECT 'cursor', (SELECT cursor::text FROM api.thing ORDER BY created_at DESC, id DESC OFFSET 3 LIMIT 1);
