-- expose() fits the table that is there: it takes columns over under any name, follows what was renamed, moved, given away, dropped
-- or restored without its entry, and refuses the rest before anything is changed.
\set SHOW_CONTEXT never
\pset format unaligned
SET client_min_messages = error;
CREATE ROLE regress_existing_owner;
CREATE ROLE regress_existing_user;
CREATE SCHEMA ex;
CREATE SCHEMA ex_api;
CREATE SCHEMA ex_two;

-- Rails, Laravel, JPA: a deletion column of another name, updated_at without time zone and with a precision, version without default.
CREATE TABLE ex.post (id bigserial PRIMARY KEY, title text NOT NULL, version smallint NOT NULL, updated_at timestamp(0), "Removed at" timestamptz(0));
CREATE TABLE ex.comment (id bigserial PRIMARY KEY, post_id bigint REFERENCES ex.post ON DELETE CASCADE, gone timestamptz);
CREATE TABLE ex.review (id bigserial PRIMARY KEY, post_id bigint REFERENCES ex.post, hidden timestamptz);
INSERT INTO ex.post (title, version, "Removed at") VALUES ('old', 7, '2020-01-01');
SELECT taskapi.expose('ex.post', 'ex_api', deleted_at_column => 'Removed at');
SELECT taskapi.expose('ex.comment', 'ex_api', deleted_at_column => 'gone');
SELECT taskapi.expose('ex.review', 'ex_api', deleted_at_column => 'hidden');
SELECT column_name, data_type, datetime_precision, is_nullable, column_default FROM information_schema.columns WHERE table_schema = 'ex' AND table_name = 'post' ORDER BY ordinal_position;
SELECT table_name, string_agg(column_name, ' ' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = 'ex_api' GROUP BY 1 ORDER BY 1;
INSERT INTO ex_api.post (title) VALUES ('new') RETURNING id, title, version;
INSERT INTO ex_api.comment (post_id) VALUES (2) RETURNING id, version;
SET timezone = 'Asia/Tokyo';
UPDATE ex_api.post SET title = 'newer' WHERE id = 2 RETURNING version, abs(extract(epoch FROM updated_at - (now() AT TIME ZONE 'UTC'))) <= 0.5 AS utc, updated_at = date_trunc('second', updated_at) AS whole;
RESET timezone;
UPDATE ex.post SET version = 32767 WHERE id = 2;
ALTER TABLE ex.post DISABLE TRIGGER zz_taskapi_touch;
UPDATE ex.post SET version = 32767 WHERE id = 2;
ALTER TABLE ex.post ENABLE TRIGGER zz_taskapi_touch;
UPDATE ex_api.post SET title = 'after the last version', version = 32767 WHERE id = 2 RETURNING version;
-- deleted, with what goes along; restored by either name and by nothing else; referred to; purged
DELETE FROM ex_api.post WHERE id = 2 RETURNING id;
SELECT p.id, "Removed at" IS NOT NULL AS removed, c.gone IS NOT NULL AS gone, p.deletion_id = c.deletion_id AS along FROM ex.post p LEFT JOIN ex.comment c ON c.post_id = p.id ORDER BY 1;
SELECT id, "Removed at" = deleted_at AS same FROM ex_api.deleted_post ORDER BY id;
UPDATE ex_api.deleted_post SET deleted_at = NULL, "Removed at" = '2021-01-01' WHERE id = 2;
UPDATE ex_api.deleted_post SET title = 't' WHERE id = 2;
UPDATE ex_api.deleted_post SET deleted_at = NULL WHERE id = 2 RETURNING id, deleted_at, "Removed at";
DELETE FROM ex_api.post WHERE id = 2;
UPDATE ex_api.deleted_post SET "Removed at" = NULL WHERE id = 2 RETURNING id;
SELECT count(*) FROM ex.comment WHERE gone IS NULL;
INSERT INTO ex_api.comment (post_id) VALUES (1);
UPDATE ex.comment SET post_id = 1;
INSERT INTO ex_api.review (post_id) VALUES (2);
DELETE FROM ex_api.post WHERE id = 2;
DELETE FROM ex_api.review;
DELETE FROM ex_api.post WHERE id = 2 RETURNING id;
SELECT (ex_api.post_page()).items;
UPDATE ex.post SET "Removed at" = '2020-01-01'; UPDATE ex.comment SET gone = '2020-01-01'; UPDATE ex.review SET hidden = '2020-01-01';
SELECT taskapi.purge_deleted('1 year');
SELECT count(*) FROM ex.post;
-- grants name the column
SELECT taskapi.grant_resource('ex_api.post', 'regress_existing_user', '{read,create,delete,restore,purge}');
SELECT a.attname, attacl::text FROM pg_attribute a WHERE attrelid IN ('ex.post'::regclass, 'ex_api.deleted_post'::regclass) AND attname ~ 'Rem|deleted' ORDER BY 1, 2;
SET ROLE regress_existing_user;
INSERT INTO ex_api.post (title) VALUES ('mine') RETURNING id;
DELETE FROM ex_api.post RETURNING title;
UPDATE ex_api.deleted_post SET deleted_at = NULL RETURNING title;
RESET ROLE;

-- Renamed: the trash tells which column it was. Another resource over the table has the same one.
ALTER TABLE ex.post RENAME "Removed at" TO removed_at;
DELETE FROM ex_api.post;
SELECT taskapi.expose('ex.post');
DELETE FROM ex_api.post RETURNING id;
SELECT taskapi.expose('ex.post', resource => 'second', deleted_at_column => 'other');
SELECT taskapi.expose('ex.post', 'ex_api', 'second');
SELECT resource, deleted_resource, deleted_at_column FROM taskapi.resources_of('ex.post');
SELECT count(*) FROM ex_api.deleted_second;
SELECT taskapi.unexpose('ex_api.second');
SELECT taskapi.expose('ex.post', deleted_at_column => 'other');
-- one of another type is first made to fit: the hint can be run as it stands
CREATE FUNCTION ex.hint(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hint text;
BEGIN
    EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN hint;
END $$;
BEGIN;
ALTER TABLE ex.post ADD flag boolean NOT NULL DEFAULT false, ADD word text;
SELECT name, ex.hint(format('SELECT taskapi.expose(%L, deleted_at_column => %L)', 'ex.post', name)) AS hint
FROM unnest('{flag,word,absent}'::name[]) name;
SELECT split_part(ex.hint(format('SELECT taskapi.expose(%L, deleted_at_column => %L)', 'ex.post', name)), '; call', 1)
FROM unnest('{flag,word,absent}'::name[]) name \gexec
SELECT format_type(atttypid, NULL), attnotnull FROM pg_attribute WHERE attrelid = 'ex.post'::regclass AND attname IN ('flag', 'word', 'absent');
ROLLBACK;
SELECT taskapi.expose('ex.post', deleted_at_column => v) FROM unnest('{xmin,version,"",deletion_id,cursor}'::name[]) v;
SELECT taskapi.expose('ex.post', deleted_at_column => v) FROM unnest('{version}'::name[]) v;
SELECT taskapi.expose('ex.post', deleted_at_column => '');
ALTER TABLE ex.post RENAME removed_at TO deleted_at;
SELECT taskapi.expose('ex.post');
SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'ex_api.deleted_post'::regclass AND attnum > 0;
SELECT has_column_privilege('regress_existing_user', 'ex_api.deleted_post', 'deleted_at', 'UPDATE');
ALTER TABLE ex.post RENAME deleted_at TO removed_at;
ALTER TABLE ex.post ADD COLUMN deleted_at text DEFAULT 'mine';
SELECT taskapi.expose('ex.post');
SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'ex_api.deleted_post'::regclass AND attnum > 0;
UPDATE ex_api.deleted_post SET removed_at = NULL RETURNING id, deleted_at;
-- what begins again if it is made again is not
ALTER TABLE ex.post RENAME version TO rev;
ALTER TABLE ex.post RENAME deletion_id TO did;
SELECT taskapi.expose('ex.post');
ALTER TABLE ex.post RENAME rev TO version;
ALTER TABLE ex.post RENAME did TO deletion_id;

-- An order that nobody gave follows its columns; so does one that somebody gave.
CREATE TABLE ex.users (id bigserial PRIMARY KEY, name text, created_at timestamptz NOT NULL DEFAULT now());
SELECT taskapi.expose('ex.users', 'ex_api');
ALTER TABLE ex.users RENAME created_at TO inserted_at;
ALTER TABLE ex.users RENAME id TO uid;
SELECT taskapi.expose('ex.users');
SELECT order_by FROM taskapi.resources_of('ex.users');
SELECT taskapi.expose('ex.users', order_by => '"name" DESC NULLS LAST, uid');
ALTER TABLE ex.users RENAME name TO "Full, name";
SELECT taskapi.expose('ex.users');
SELECT order_by FROM taskapi.resources_of('ex.users');
COMMENT ON COLUMN ex.users."Full, name" IS '@private';
SELECT taskapi.expose('ex.users');
-- by a type that no cursor can hold
CREATE TABLE ex.boxes (id box, k int PRIMARY KEY);
SELECT taskapi.expose('ex.boxes', 'ex_api', order_by => 'id');
SELECT attname FROM pg_attribute WHERE attrelid = 'ex.boxes'::regclass AND attnum > 2;

-- The resource is renamed or moved: what belongs to it follows, with its privileges.
ALTER VIEW ex_api.post RENAME TO thing;
SELECT taskapi.expose('ex.post');
ALTER VIEW ex_api.thing SET SCHEMA ex_two;
SELECT taskapi.expose('ex.post');
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'ex_two'::regnamespace UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'ex_two'::regnamespace ORDER BY 1;
SELECT count(*) FROM pg_class WHERE relnamespace = 'ex_api'::regnamespace AND relname ~ 'post|thing';
SELECT has_column_privilege('regress_existing_user', 'ex_two.deleted_thing', 'removed_at', 'UPDATE'), has_function_privilege('regress_existing_user', 'ex_two.thing_page(text,int,text,jsonb,text,text[],boolean)', 'EXECUTE');
ALTER VIEW ex_two.thing RENAME TO post;
SELECT taskapi.expose('ex.post');

-- Given away: an administrator's expose() hands the resource over, and its new owner is told the step.
GRANT USAGE ON SCHEMA ex TO regress_existing_owner;
ALTER TABLE ex.post OWNER TO regress_existing_owner;
SET ROLE regress_existing_owner;
SELECT taskapi.expose('ex.post');
RESET ROLE;
GRANT CREATE, USAGE ON SCHEMA ex_two TO regress_existing_owner;
SET ROLE regress_existing_owner;
-- the message names the role that the views belong to
\set VERBOSITY sqlstate
SELECT taskapi.expose('ex.post');
\set VERBOSITY default
RESET ROLE;
SELECT taskapi.expose('ex.post');
SELECT relname, relowner::regrole, has_table_privilege('regress_existing_user', oid, 'SELECT') FROM pg_class WHERE relnamespace = 'ex_two'::regnamespace ORDER BY 1;
SELECT proowner::regrole, has_function_privilege('regress_existing_user', oid, 'EXECUTE') FROM pg_proc WHERE pronamespace = 'ex_two'::regnamespace;
SET ROLE regress_existing_owner;
SELECT taskapi.expose('ex.post');
INSERT INTO ex_two.post (title) VALUES ('of the new owner') RETURNING title;
RESET ROLE;

-- Restored by a role that cannot write the registry: adopted as it was made, with its privileges.
CREATE TEMPORARY TABLE saved AS SELECT * FROM taskapi.resource WHERE source::text LIKE 'ex.%';
DELETE FROM taskapi.resource WHERE source::text LIKE 'ex.%';
INSERT INTO ex_two.post (title) VALUES ('x');
SELECT p FROM taskapi.expose_plan('ex.users', 'ex_api', order_by => 'uid') p WHERE p !~ '^(--|CREATE OR REPLACE)';
SELECT taskapi.expose('ex.post', 'ex_two');
SELECT taskapi.expose('ex.comment', 'ex_api');
SELECT taskapi.expose('ex.review', 'ex_api', versioned => false);
SELECT n.resource, s.deleted_resource = n.deleted_resource AS trash, s.page_function = n.page_function AS page, s.order_by = n.order_by AS ordered,
    n.soft_delete, n.versioned, n.idempotent, s.deleted_at_column = n.deleted_at_column AS marked
FROM taskapi.resource n JOIN saved s USING (resource) ORDER BY 1;
INSERT INTO ex_two.post (title) VALUES ('x') RETURNING version;
-- but not what only looks so
CREATE VIEW ex_api.looks AS SELECT * FROM ex.users;
SELECT taskapi.expose('ex.users', 'ex_api', 'looks', order_by => 'uid');
DROP VIEW ex_api.looks;

-- Dropped by hand: unexpose() cleans up, and says what stays.
SET client_min_messages = notice;
SELECT taskapi.unexpose('ex.post');
DROP VIEW ex_two.post CASCADE;
SELECT taskapi.unexpose(resource) FROM taskapi.resource r WHERE source = 'ex.post'::regclass;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'ex.post'::regclass AND NOT tgisinternal;
SELECT count(*) FROM taskapi.resource r WHERE source = 'ex.post'::regclass;
SET client_min_messages = error;
SELECT taskapi.expose('ex.comment', 'ex_api');
DROP SCHEMA ex_api CASCADE;
SELECT taskapi.forget_dropped_resources();
SELECT count(*) FROM taskapi.resource WHERE source::text LIKE 'ex.%' OR NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = resource);
SELECT tgname FROM pg_trigger WHERE tgrelid = 'ex.comment'::regclass AND NOT tgisinternal ORDER BY 1;
SELECT taskapi.unexpose('ex.comment');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'ex.comment'::regclass AND NOT tgisinternal;
SELECT taskapi.unexpose('ex.comment');
-- a trash that is gone is no number in a dump, and comes back
REVOKE CREATE ON SCHEMA ex_two FROM regress_existing_owner;
SELECT taskapi.expose('ex.comment', 'ex_two');
DROP VIEW ex_two.deleted_comment;
SELECT count(*) AS dumped FROM taskapi.resource WHERE source::text LIKE 'ex.%' AND resource IN (SELECT oid FROM pg_class) AND source IN (SELECT oid FROM pg_class) AND (deleted_resource IS NULL OR deleted_resource IN (SELECT oid FROM pg_class));
SELECT taskapi.forget_dropped_resources();
SELECT resource, deleted_resource, soft_delete FROM taskapi.resource WHERE source::text LIKE 'ex.%';
SELECT taskapi.expose('ex.comment');
SELECT resource, deleted_resource, soft_delete FROM taskapi.resource WHERE source::text LIKE 'ex.%';
DROP TABLE ex.comment CASCADE;
SELECT taskapi.unexpose(resource) FROM taskapi.resource WHERE source::text LIKE 'ex.%' OR NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = resource);
SELECT count(*) FROM taskapi.resource WHERE source::text LIKE 'ex.%' OR NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = resource);

DROP SCHEMA ex, ex_two CASCADE;
DROP ROLE regress_existing_owner;
DROP ROLE regress_existing_user;
