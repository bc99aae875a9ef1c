-- expose() never widens: repeated, it gives back nothing that was revoked, and hides what is @private since; and each action of
-- grant_resource() grants what it is called, the trash only by name.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_grants_user;
CREATE ROLE regress_grants_reader;
CREATE SCHEMA grants_data;
CREATE TABLE grants_data.item (id int PRIMARY KEY, note text, price int DEFAULT 10, secret text, created_at timestamptz NOT NULL DEFAULT now());
SELECT taskapi.expose('grants_data.item', 'grants_api');
CREATE VIEW grants_held AS
SELECT r.rolname, c.oid::regclass::text AS relation, a.privilege_type AS privilege, string_agg(t.attname, ' ' ORDER BY t.attnum) AS columns
FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, LATERAL aclexplode(t.attacl) a JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace::regnamespace::text LIKE 'grants\_%' AND r.oid <> c.relowner GROUP BY 1, 2, 3
UNION ALL
SELECT r.rolname, c.oid::regclass::text, a.privilege_type, NULL
FROM pg_class c, LATERAL aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace::regnamespace::text LIKE 'grants\_%' AND r.oid <> c.relowner
UNION ALL
SELECT r.rolname, NULL, a.privilege_type || ' ' || p.proname, NULL
FROM pg_proc p, LATERAL aclexplode(p.proacl) a JOIN pg_roles r ON r.oid = a.grantee
WHERE p.pronamespace::regnamespace::text LIKE 'grants\_%' AND r.oid <> p.proowner;

-- read is of the live rows.
SELECT taskapi.grant_resource('grants_api.item', 'regress_grants_reader', '{read}');
INSERT INTO grants_api.item (id, note, secret) VALUES (1, 'gone', 's'), (2, 'here', 's');
DELETE FROM grants_api.item WHERE id = 1;
SET ROLE regress_grants_reader;
SELECT id, note FROM grants_api.item;
SELECT (grants_api.item_page()).items -> 0 ->> 'note' AS page;
SELECT id FROM grants_api.deleted_item;
RESET ROLE;
SELECT taskapi.grant_resource('grants_api.item', 'regress_grants_reader', '{read_deleted}');
SET ROLE regress_grants_reader;
SELECT id, note FROM grants_api.deleted_item;
UPDATE grants_api.deleted_item SET deleted_at = NULL;
DELETE FROM grants_api.deleted_item;
RESET ROLE;
-- without that, a writer writes
SELECT taskapi.grant_resource('grants_api.item', 'regress_grants_user');
SET ROLE regress_grants_user;
INSERT INTO grants_api.item (id, note) VALUES (3, 'n') RETURNING id, version;
UPDATE grants_api.item SET note = 'm' WHERE id = 3 RETURNING version;
DELETE FROM grants_api.item WHERE id = 3 RETURNING id;
SELECT id FROM grants_api.deleted_item;
RESET ROLE;

-- What was revoked stays revoked; a column that comes with the call is granted to those who hold a like privilege.
REVOKE UPDATE (price), INSERT (price) ON grants_data.item FROM regress_grants_user;
REVOKE SELECT (note) ON grants_data.item FROM regress_grants_reader;
REVOKE SELECT ON grants_api.deleted_item FROM regress_grants_reader;
REVOKE EXECUTE ON FUNCTION grants_api.item_page FROM regress_grants_reader;
CREATE TABLE grants_before AS SELECT * FROM grants_held;
SELECT taskapi.expose('grants_data.item', 'grants_api');
(TABLE grants_before EXCEPT TABLE grants_held) UNION ALL (TABLE grants_held EXCEPT TABLE grants_before);
ALTER TABLE grants_data.item ADD COLUMN later text;
SELECT taskapi.expose('grants_data.item');
SELECT g.* FROM grants_held g WHERE columns ~ 'later' ORDER BY rolname, privilege;
SET ROLE regress_grants_user;
UPDATE grants_api.item SET price = 1 WHERE id = 2;
UPDATE grants_api.item SET later = 'l' WHERE id = 2 RETURNING later;
RESET ROLE;

-- A column that is private now leaves the views, with the privileges on it; all other grants stay.
CREATE TABLE grants_with AS SELECT * FROM grants_held;
GRANT SELECT (secret) ON grants_api.item TO regress_grants_reader;
SET client_min_messages = notice;
COMMENT ON COLUMN grants_data.item.secret IS '@private';
SELECT taskapi.expose('grants_data.item');
SET client_min_messages = warning;
SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'grants_api.item'::regclass AND attnum > 0;
SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'grants_api.deleted_item'::regclass AND attnum > 0;
(SELECT rolname, relation, privilege, replace(columns, ' secret', '') FROM grants_with EXCEPT SELECT rolname, relation, privilege, columns FROM grants_held)
UNION ALL (SELECT rolname, relation, privilege, columns FROM grants_held EXCEPT SELECT rolname, relation, privilege, replace(columns, ' secret', '') FROM grants_with);
SELECT has_column_privilege('regress_grants_user', 'grants_data.item', 'secret', 'SELECT') AS reads, resource FROM taskapi.resources_of('grants_data.item');
SET ROLE regress_grants_user;
SELECT * FROM grants_api.item WHERE false;
UPDATE grants_api.item SET later = 'm' WHERE id = 2 RETURNING later;
RESET ROLE;
-- What depends on the view refuses that, and nothing is changed.
CREATE VIEW grants_dependent AS SELECT note FROM grants_api.item;
COMMENT ON COLUMN grants_data.item.note IS '@private';
SELECT taskapi.expose('grants_data.item');
DROP VIEW grants_dependent;
-- Public again, it is a new column.
COMMENT ON COLUMN grants_data.item.note IS NULL;
COMMENT ON COLUMN grants_data.item.secret IS NULL;
SELECT taskapi.expose('grants_data.item');
SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'grants_api.item'::regclass AND attnum > 0;

-- Columns that swapped their names.
ALTER TABLE grants_data.item RENAME note TO x;
ALTER TABLE grants_data.item RENAME later TO note;
ALTER TABLE grants_data.item RENAME x TO later;
SELECT taskapi.expose('grants_data.item');
SELECT id, note, later FROM grants_api.item WHERE id = 2;

-- Whatever the order of a join, and however names are quoted, a resource that is up to date stays as it is.
SET enable_nestloop = off;
SET enable_hashjoin = off;
SET quote_all_identifiers = on;
BEGIN;
SELECT taskapi.expose('grants_data.item');
SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('grants_data.item'::regclass, 'grants_api.item'::regclass) AND xmin = pg_current_xact_id()::xid;
SELECT string_agg(DISTINCT mode, ' ') FROM pg_locks WHERE relation = 'grants_data.item'::regclass AND pid = pg_backend_pid();
COMMIT;
RESET enable_nestloop;
RESET enable_hashjoin;
RESET quote_all_identifiers;

-- NULL keeps what was chosen; another resource over the table is asked for by name.
SELECT taskapi.expose('grants_data.item', 'grants_api', 'plain', 'price DESC', soft_delete => false, versioned => false, idempotent => false);
SELECT taskapi.expose('grants_data.item', resource => 'plain');
SELECT resource, order_by, soft_delete, versioned, idempotent FROM taskapi.resources_of('grants_data.item');
SELECT taskapi.expose('grants_data.item');
SELECT taskapi.unexpose('grants_api.plain');
SELECT taskapi.expose('grants_data.item', 'grants_other');
SELECT taskapi.expose('grants_data.item', 'grants_other', 'item');
SELECT taskapi.unexpose('grants_other.item');

-- All misfits at once, and a default for what a client cannot send.
CREATE TABLE grants_data.odd (id int PRIMARY KEY, version text, updated_at timestamp, deleted_at timestamptz NOT NULL, deletion_id uuid GENERATED ALWAYS AS (NULL) STORED);
SELECT taskapi.expose('grants_data.odd', 'grants_api');
CREATE TABLE grants_data.django (id int PRIMARY KEY, version bigint NOT NULL, updated_at timestamptz NOT NULL);
SELECT taskapi.expose('grants_data.django', 'grants_api');
INSERT INTO grants_api.django (id) VALUES (1) RETURNING version, updated_at = now() AS now;

-- What was deleted before the table became a resource is told, since the purge counts it.
CREATE TABLE grants_data.paranoid (id int PRIMARY KEY, deleted_at timestamptz);
INSERT INTO grants_data.paranoid VALUES (1, '2020-01-01'), (2, NULL);
SELECT taskapi.expose('grants_data.paranoid', 'grants_api');
SELECT taskapi.expose('grants_data.paranoid', 'grants_api');

-- The statements of a hint can be run as they stand, whatever the table holds and whatever names are taken.
CREATE TABLE grants_data.rails (id int PRIMARY KEY, name text UNIQUE, version bigint, updated_at timestamp(6) NOT NULL);
INSERT INTO grants_data.rails VALUES (1, 'a', NULL, '2026-01-01 12:00');
SELECT taskapi.expose('grants_data.rails', 'grants_api');
UPDATE grants_data.rails SET version = 1 WHERE version IS NULL;
SET timezone = 'Asia/Tokyo';
ALTER TABLE grants_data.rails ALTER COLUMN version SET NOT NULL, ALTER COLUMN updated_at TYPE timestamptz USING updated_at AT TIME ZONE 'UTC';
SELECT updated_at AT TIME ZONE 'UTC' AS utc FROM grants_data.rails;
RESET timezone;
CREATE INDEX rails_name_key_live ON grants_data.rails (id);
SET client_min_messages = notice;
SELECT taskapi.expose('grants_data.rails', 'grants_api');
SET client_min_messages = warning;
CREATE UNIQUE INDEX rails_name_key_live1 ON grants_data.rails USING btree (name) WHERE (deleted_at IS NULL);
ALTER TABLE grants_data.rails DROP CONSTRAINT rails_name_key;

-- An empty name is refused before it is put into a statement.
SELECT taskapi.expose('grants_data.rails', '', 'rails');

-- A table that others inherit from is refused: their rows have no version.
CREATE TABLE grants_data.par (id int PRIMARY KEY);
CREATE TABLE grants_data.kid () INHERITS (grants_data.par);
SELECT taskapi.expose('grants_data.par', 'grants_api');

-- An administrator grants no sequence that the owner of the table has no say over, though a default of the table names it.
CREATE SEQUENCE grants_data.of_another;
CREATE ROLE regress_grants_owner;
CREATE SCHEMA grants_own AUTHORIZATION regress_grants_owner;
GRANT USAGE ON SCHEMA grants_data TO regress_grants_owner;
SET ROLE regress_grants_owner;
CREATE TABLE grants_own.item (id serial PRIMARY KEY, n bigint DEFAULT nextval('grants_data.of_another'));
SELECT taskapi.expose('grants_own.item', 'grants_own', 'items');
RESET ROLE;
SET client_min_messages = notice;
SELECT taskapi.grant_resource('grants_own.items', 'regress_grants_user', '{create}');
SET client_min_messages = warning;
SELECT has_sequence_privilege('regress_grants_user', 'grants_own.item_id_seq', 'USAGE') AS own,
       has_sequence_privilege('regress_grants_user', 'grants_data.of_another', 'USAGE') AS of_another;
DROP SCHEMA grants_own CASCADE;
DROP OWNED BY regress_grants_owner;
DROP ROLE regress_grants_owner;

DROP VIEW grants_held;
DROP TABLE grants_before, grants_with;
DROP SCHEMA grants_api, grants_other, grants_data CASCADE;
DROP OWNED BY regress_grants_user, regress_grants_reader;
DROP ROLE regress_grants_user, regress_grants_reader;
