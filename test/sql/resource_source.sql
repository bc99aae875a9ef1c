-- A write through a resource is refused, or undone, if the table's own triggers or rules do not let it be what the answer says.
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE SCHEMA src;
CREATE SCHEMA src_api;
CREATE FUNCTION src.expose(VARIADIC tables regclass[]) RETURNS void LANGUAGE sql AS $$ SELECT taskapi.expose(t, 'src_api') FROM unnest(tables) t $$;
CREATE FUNCTION src.outcome(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE n bigint; state text; message text; detail text;
BEGIN
    EXECUTE command;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n || ' rows';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' ', state, message, CASE WHEN detail LIKE '{%' THEN detail::jsonb ->> 'details' END);
END $$;

-- The trigger that makes versions is disabled or dropped: no write that would leave the version as it was.
CREATE TABLE src.p (id int PRIMARY KEY);
CREATE TABLE src.t (id int PRIMARY KEY, p int REFERENCES src.p ON DELETE CASCADE, v text);
SELECT src.expose('src.p', 'src.t');
INSERT INTO src_api.p VALUES (1), (2);
INSERT INTO src_api.t VALUES (1, 1, 'a'), (2, 1, 'x');
DELETE FROM src_api.t WHERE id = 2;
UPDATE src_api.t SET v = 'b', version = 1 WHERE id = 1 RETURNING version;
ALTER TABLE src.t DISABLE TRIGGER zz_taskapi_touch;
SELECT src.outcome($$UPDATE src_api.t SET v = 'c' WHERE id = 1$$);
SELECT src.outcome($$UPDATE src_api.t SET v = 'b' WHERE id = 1$$) AS changes_nothing;
SELECT src.outcome($$DELETE FROM src_api.t WHERE id = 1$$);
SELECT src.outcome($$UPDATE src_api.deleted_t SET deleted_at = NULL$$);
DROP TRIGGER zz_taskapi_touch ON src.t;
SELECT src.outcome($$UPDATE src_api.t SET v = 'c' WHERE id = 1$$);
SELECT src.expose('src.t');
UPDATE src_api.t SET v = 'c', version = 2 WHERE id = 1 RETURNING version;
-- The one that keeps references to deleted rows out counts if there are such references.
ALTER TABLE src.t DISABLE TRIGGER zz_taskapi_reference;
ALTER TABLE src.p DISABLE TRIGGER zz_taskapi_reference;
SELECT src.outcome($$UPDATE src_api.t SET p = 2 WHERE id = 1$$);
SELECT src.outcome($$INSERT INTO src_api.t VALUES (3, 1, 'c')$$);
SELECT src.outcome($$INSERT INTO src_api.p VALUES (3)$$);
-- expose() enables all of them as they were made, and leaves one that always fires as it is.
ALTER TABLE src.t DISABLE TRIGGER USER;
ALTER TABLE src.t ENABLE REPLICA TRIGGER zz_taskapi_touch;
SELECT src.outcome($$UPDATE src_api.t SET v = 'd' WHERE id = 1$$);
SELECT src.expose('src.t');
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'src.t'::regclass AND NOT tgisinternal ORDER BY 1;
ALTER TABLE src.t ENABLE ALWAYS TRIGGER zz_taskapi_touch;
SELECT src.expose('src.t');
SELECT src.outcome($$UPDATE src_api.t SET v = 'd' WHERE id = 1$$), (SELECT tgenabled FROM pg_trigger WHERE tgrelid = 'src.t'::regclass AND tgname = 'zz_taskapi_touch');
-- In one partition.
CREATE TABLE src.parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE src.part1 PARTITION OF src.parted FOR VALUES FROM (0) TO (10);
CREATE TABLE src.part2 PARTITION OF src.parted FOR VALUES FROM (10) TO (20);
SELECT src.expose('src.parted');
INSERT INTO src_api.parted VALUES (1, 'a'), (11, 'a');
SELECT src.outcome($$UPDATE src_api.parted SET v = 'b' WHERE id = 11$$);
ALTER TABLE src.part2 DISABLE TRIGGER zz_taskapi_touch;
SELECT src.outcome($$UPDATE src_api.parted SET v = 'c' WHERE id = 11$$);
SELECT src.expose('src.parted');
SELECT src.outcome($$UPDATE src_api.parted SET v = 'c' WHERE id = 11$$);
SELECT id, v, version FROM src_api.parted ORDER BY id;

-- A trigger's veto, or one that takes the mark back: the row stays as it was, and so does all that went along.
CREATE TABLE src.r (id int PRIMARY KEY);
CREATE TABLE src.c (id int PRIMARY KEY, r int REFERENCES src.r ON DELETE CASCADE, s int REFERENCES src.p ON DELETE CASCADE);
CREATE TABLE src.g (id int PRIMARY KEY, c int REFERENCES src.c ON DELETE CASCADE);
SELECT src.expose('src.r', 'src.c', 'src.g');
CREATE FUNCTION src.act() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE TG_ARGV[0]
        WHEN 'veto' THEN RETURN NULL;
        WHEN 'live' THEN NEW.deleted_at := NULL; NEW.deletion_id := NULL;
        WHEN 'deleted' THEN NEW.deleted_at := OLD.deleted_at; NEW.deletion_id := OLD.deletion_id;
        WHEN 'other' THEN NEW.deletion_id := NULL;
    END CASE;
    RETURN NEW;
END
$$;
CREATE FUNCTION src.try(kind text, at regclass, command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
    EXECUTE format('CREATE TRIGGER act BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION src.act(%L)', at, kind);
    result := src.outcome(command);
    EXECUTE format('DROP TRIGGER act ON %s', at);
    RETURN concat_ws(', live: ', result, (SELECT concat_ws(' ', (SELECT count(*) FROM src_api.r), (SELECT count(*) FROM src_api.c), (SELECT count(*) FROM src_api.g))));
END
$$;
INSERT INTO src_api.r VALUES (1);
INSERT INTO src_api.c VALUES (1, 1, 2);
INSERT INTO src_api.g VALUES (1, 1);
SELECT kind, at, src.try(kind, at::regclass, 'DELETE FROM src_api.r') FROM unnest('{veto,live,other}'::text[]) kind, unnest('{src.r,src.c,src.g}'::text[]) at WHERE kind <> 'other' OR at = 'src.r';
DELETE FROM src_api.r;
SELECT kind, at, src.try(kind, at::regclass, 'UPDATE src_api.deleted_r SET deleted_at = NULL') FROM unnest('{veto,deleted}'::text[]) kind, unnest('{src.r,src.c,src.g}'::text[]) at;
-- Where the restore would hand them over to the deletion of another parent.
DELETE FROM src_api.p WHERE id = 2;
SELECT kind, at, src.try(kind, at::regclass, 'UPDATE src_api.deleted_r SET deleted_at = NULL') FROM unnest('{veto,deleted,other}'::text[]) kind, unnest('{src.c,src.g}'::text[]) at;
SELECT src.outcome('UPDATE src_api.deleted_r SET deleted_at = NULL'), src.outcome('UPDATE src_api.deleted_p SET deleted_at = NULL WHERE id = 2');
SELECT (SELECT count(*) FROM src_api.r) AS r, (SELECT count(*) FROM src_api.c) AS c, (SELECT count(*) FROM src_api.g) AS g;

-- A table with rules is no resource.
CREATE TABLE src.rules (id int PRIMARY KEY, v text);
CREATE RULE quiet AS ON UPDATE TO src.rules DO INSTEAD NOTHING;
SELECT src.outcome($$SELECT taskapi.expose('src.rules', 'src_api')$$);
DROP RULE quiet ON src.rules;
SELECT src.expose('src.rules');
INSERT INTO src_api.rules VALUES (1, 'a');
CREATE RULE quiet AS ON UPDATE TO src.rules DO INSTEAD NOTHING;
SELECT src.outcome('DELETE FROM src_api.rules'), src.outcome($$UPDATE src_api.rules SET v = 'b'$$), src.outcome('INSERT INTO src_api.rules VALUES (2)');
SELECT src.outcome($$SELECT taskapi.expose('src.rules', 'src_api')$$);
DROP RULE quiet ON src.rules;
SELECT src.outcome('DELETE FROM src_api.rules');

DROP SCHEMA src, src_api CASCADE;
