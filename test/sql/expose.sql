-- expose() makes any table a resource, may be repeated, and refuses with a reason.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA expose_data;
CREATE ROLE regress_expose_owner;
CREATE ROLE regress_expose_other;
GRANT USAGE, CREATE ON SCHEMA expose_data TO regress_expose_owner;
GRANT USAGE ON SCHEMA expose_data TO regress_expose_other;
RESET client_min_messages;

-- What an owner without any other right gets.
SELECT format('GRANT CREATE ON DATABASE %I TO regress_expose_owner', current_database()) \gexec
SET ROLE regress_expose_owner;
CREATE TABLE expose_data.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer text NOT NULL UNIQUE,
    total numeric DEFAULT 0,
    secret text,
    created_at timestamptz NOT NULL DEFAULT now());
COMMENT ON TABLE expose_data.orders IS 'What was ordered';
COMMENT ON COLUMN expose_data.orders.total IS 'In euros';
COMMENT ON COLUMN expose_data.orders.secret IS '@private nobody''s business';
CREATE INDEX ON expose_data.orders (created_at, id);
INSERT INTO expose_data.orders (customer) VALUES ('before');
SELECT pg_relation_filenode('expose_data.orders') AS filenode \gset
SELECT taskapi.expose('expose_data.orders', 'expose_api');
SELECT pg_relation_filenode('expose_data.orders') = :filenode AS not_rewritten;
SELECT column_name, data_type, column_default FROM information_schema.columns
WHERE table_schema = 'expose_api' AND table_name = 'orders' ORDER BY ordinal_position;
SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM information_schema.columns
WHERE table_schema = 'expose_api' AND table_name = 'deleted_orders';
SELECT obj_description('expose_api.orders'::regclass), col_description('expose_api.orders'::regclass, 3);
SELECT col_description('expose_api.orders'::regclass, attnum) FROM pg_attribute WHERE attrelid = 'expose_api.orders'::regclass AND attname = 'cursor';
SELECT reloptions FROM pg_class WHERE oid IN ('expose_api.orders'::regclass, 'expose_api.deleted_orders'::regclass);
INSERT INTO expose_api.orders (customer) VALUES ('after') RETURNING id, customer, total, version, created_at = now() AS now;

-- Repeated: brings it up to date with its table, and takes nothing away.
GRANT SELECT ON expose_api.orders TO regress_expose_other;
ALTER TABLE expose_data.orders ADD COLUMN note text DEFAULT 'none', ALTER COLUMN total SET DEFAULT 1;
ALTER TABLE expose_data.orders RENAME COLUMN customer TO buyer;
SET client_min_messages = warning;
SELECT taskapi.expose('expose_data.orders', 'expose_api');
INSERT INTO expose_api.orders (buyer) VALUES ('later') RETURNING id, buyer, total, note, version;
SELECT has_table_privilege('regress_expose_other', 'expose_api.orders', 'SELECT');
RESET ROLE;
SELECT resource, source, deleted_resource, order_by, soft_delete, versioned, idempotent FROM taskapi.resource;
SET ROLE regress_expose_owner;

-- Another order; the key makes it total.
SELECT taskapi.expose('expose_data.orders', 'expose_api', order_by => 'total DESC NULLS LAST');
SELECT pg_get_viewdef('expose_api.orders') ~ 'cursor\(''total DESC NULLS LAST, id DESC''' AS ordered;
SELECT taskapi.expose('expose_data.orders', 'expose_api', order_by => 'secret');
SELECT taskapi.expose('expose_data.orders', 'expose_api', order_by => 'nothing');
SELECT taskapi.expose('expose_data.orders', 'expose_api', order_by => 'total downwards');
SELECT col_description('expose_api.orders'::regclass, attnum) FROM pg_attribute WHERE attrelid = 'expose_api.orders'::regclass AND attname = 'cursor';
-- The same order again, unless told otherwise, and a page of it.
SELECT taskapi.expose('expose_data.orders', 'expose_api');
SELECT r ->> 'buyer' AS buyer FROM json_array_elements((expose_api.orders_page(page_size => 2)).items) r;

-- Under another name, too, and without some of it.
SELECT taskapi.expose('expose_data.orders', 'expose_api', 'plain', soft_delete => false, versioned => false, idempotent => false);
SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM information_schema.columns
WHERE table_schema = 'expose_api' AND table_name = 'plain';
SELECT to_regclass('expose_api.deleted_plain');
SELECT taskapi.unexpose('expose_api.plain');
SELECT string_agg(tgname, ' ' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = 'expose_data.orders'::regclass AND NOT tgisinternal;

-- unexpose() keeps columns and rows.
DELETE FROM expose_api.orders WHERE buyer = 'before';
SELECT taskapi.unexpose('expose_api.orders');
SELECT to_regclass('expose_api.orders'), to_regclass('expose_api.deleted_orders'), to_regproc('expose_api.orders_page');
SELECT buyer, version, deleted_at IS NOT NULL AS deleted FROM expose_data.orders ORDER BY id;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'expose_data.orders'::regclass AND NOT tgisinternal;
SELECT taskapi.unexpose('expose_data.orders');
RESET ROLE;
SELECT count(*) FROM taskapi.resource;

-- Refusals, each with its reason, and nothing changed.
RESET client_min_messages;
CREATE TABLE expose_data.keyless (a int);
CREATE TABLE expose_data.has_cursor (id int PRIMARY KEY, cursor text);
CREATE TABLE expose_data.odd_version (id int PRIMARY KEY, version text);
CREATE TABLE expose_data.nullable_version (id int PRIMARY KEY, version int);
CREATE TABLE expose_data.fine (id int PRIMARY KEY);
CREATE TABLE expose_data.parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE expose_data.part PARTITION OF expose_data.parts FOR VALUES FROM (1) TO (10);
CREATE VIEW expose_data.a_view AS SELECT 1 AS id;
CREATE TEMPORARY TABLE temporary (id int PRIMARY KEY);
CREATE VIEW expose_api.taken AS SELECT 1 AS one;
CREATE VIEW expose_api.deleted_fine AS SELECT 1 AS one;
-- not in a schema of another role, or where another role may create
\set VERBOSITY terse
SELECT taskapi.expose('expose_data.fine', 'expose_api');
\set VERBOSITY default
ALTER SCHEMA expose_api OWNER TO CURRENT_USER;
GRANT CREATE ON SCHEMA expose_api TO PUBLIC;
SELECT taskapi.expose('expose_data.fine', 'expose_api');
REVOKE CREATE ON SCHEMA expose_api FROM PUBLIC;
SELECT taskapi.expose('expose_data.keyless', 'expose_api');
SELECT taskapi.expose('expose_data.has_cursor', 'expose_api');
SELECT taskapi.expose('expose_data.odd_version', 'expose_api');
SELECT taskapi.expose('expose_data.nullable_version', 'expose_api');
SELECT taskapi.expose('expose_data.part', 'expose_api');
SELECT taskapi.expose('expose_data.a_view', 'expose_api');
SELECT taskapi.expose('temporary', 'expose_api');
SELECT taskapi.expose('pg_catalog.pg_class', 'expose_api');
SELECT taskapi.expose('taskapi.secret', 'expose_api');
SELECT taskapi.expose('expose_data.fine', 'expose_api', 'taken');
SELECT taskapi.expose('expose_data.fine', 'expose_api');
SELECT taskapi.expose('expose_data.fine', 'taskapi');
SELECT taskapi.expose('expose_data.fine', 'expose_api', repeat('x', 56));
SELECT taskapi.expose(NULL);
SET ROLE regress_expose_other;
SELECT taskapi.expose('expose_data.fine', 'expose_api');
RESET ROLE;
SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = ANY ('{expose_data.fine,expose_data.odd_version,expose_data.has_cursor}'::regclass[]) AND attnum > 0;

SET ROLE regress_expose_other;
SELECT taskapi.grant_resource('expose_data.fine', 'regress_expose_other');
RESET ROLE;

-- Grants: what each action needs, and no more.
SET client_min_messages = warning;
DROP VIEW expose_api.deleted_fine;
SELECT taskapi.expose('expose_data.fine', 'expose_api');
SELECT taskapi.grant_resource('expose_api.fine', 'regress_expose_other', '{read,fly}');
SELECT taskapi.grant_resource('expose_api.fine', 0::oid::regrole);
SELECT taskapi.grant_resource('expose_api.fine', 'regress_expose_other', '{read,create}');
SET ROLE regress_expose_other;
INSERT INTO expose_api.fine VALUES (1), (2) RETURNING id, version;
UPDATE expose_api.fine SET id = 3 WHERE id = 1;
DELETE FROM expose_api.fine;
RESET ROLE;
SELECT taskapi.grant_resource('expose_api.fine', 'regress_expose_other', '{delete,restore}');
SET ROLE regress_expose_other;
DELETE FROM expose_api.fine WHERE id = 1 RETURNING id;
UPDATE expose_api.deleted_fine SET deleted_at = NULL RETURNING id, version, deleted_at;
DELETE FROM expose_api.deleted_fine;
UPDATE expose_data.fine SET id = 9;
RESET ROLE;
-- What was granted once is enough for a column that comes later.
ALTER TABLE expose_data.fine ADD COLUMN later text;
SELECT taskapi.expose('expose_data.fine', 'expose_api');
SET ROLE regress_expose_other;
INSERT INTO expose_api.fine (id, later) VALUES (4, 'x') RETURNING id, later;
SELECT id, later FROM expose_api.fine ORDER BY id;
RESET ROLE;

-- A resource moves with its schema, and its page function with it; one that somebody dropped is not missed.
ALTER SCHEMA expose_api RENAME TO expose_moved;
SELECT taskapi.page_function_of('expose_moved.fine');
SELECT taskapi.grant_resource('expose_moved.fine', 'regress_expose_other', '{read}');
SELECT taskapi.unexpose('expose_moved.fine');
SELECT to_regproc('expose_moved.fine_page'), to_regclass('expose_moved.fine'), count(*) FROM expose_data.fine;
SELECT taskapi.expose('expose_data.fine', 'expose_moved');
DROP FUNCTION expose_moved.fine_page;
SELECT taskapi.grant_resource('expose_moved.fine', 'regress_expose_other', '{read}');
SELECT taskapi.unexpose('expose_moved.fine');

DROP SCHEMA expose_moved, expose_data CASCADE;
DROP TABLE temporary;
DROP OWNED BY regress_expose_owner, regress_expose_other;
DROP ROLE regress_expose_owner;
DROP ROLE regress_expose_other;
