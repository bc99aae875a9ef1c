-- taskapi.resources tells each role of the resources that it may use, of what it may do with them, and of no other.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_catalog_reader;
CREATE ROLE regress_catalog_clerk;
CREATE ROLE regress_catalog_stranger;
CREATE SCHEMA shop;
CREATE DOMAIN shop.label AS text NOT NULL DEFAULT 'plain';
CREATE TABLE shop.customer (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE shop.secret_plan (id int PRIMARY KEY, customer_id int REFERENCES shop.customer);
CREATE TABLE shop."order" (
    tenant int, id int GENERATED ALWAYS AS IDENTITY, customer_id int NOT NULL REFERENCES shop.customer,
    plan_id int REFERENCES shop.secret_plan, total numeric(8, 2) NOT NULL, half numeric GENERATED ALWAYS AS (total / 2) STORED,
    label shop.label, note text, internal text, created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (tenant, id));
COMMENT ON COLUMN shop."order".internal IS '@private';
COMMENT ON COLUMN shop."order".total IS 'In euros';
CREATE TABLE shop.line (tenant int, order_id int, n int, up int, PRIMARY KEY (tenant, order_id, n),
    FOREIGN KEY (tenant, order_id) REFERENCES shop."order", FOREIGN KEY (tenant, order_id, up) REFERENCES shop.line);
SELECT taskapi.expose('shop.customer', 'shop_api', 'customers', versioned => false);
SELECT taskapi.expose('shop.secret_plan', 'shop_api', 'plans');
SELECT taskapi.expose('shop."order"', 'shop_api', 'Orders', 'total DESC, created_at');
SELECT taskapi.expose('shop.line', 'shop_api', 'lines', soft_delete => false, idempotent => false);
SELECT taskapi.grant_resource('shop_api.customers', 'regress_catalog_reader', '{read}');
SELECT taskapi.grant_resource('shop_api."Orders"', 'regress_catalog_reader', '{read,restore}');
SELECT taskapi.grant_resource('shop_api.lines', 'regress_catalog_reader', '{read}');
SELECT taskapi.grant_resource('shop_api."Orders"', 'regress_catalog_clerk', '{create,update,delete}');
REVOKE INSERT (note, created_at), UPDATE (tenant, total, customer_id, plan_id, label, created_at) ON shop."order"
    FROM regress_catalog_clerk;

CREATE VIEW columns_of AS
SELECT r.resource, c.* FROM taskapi.resources r,
    jsonb_to_recordset(r.columns) c (name name, type text, readable bool, insertable bool, updatable bool, required bool,
                                     generated bool, nullable bool, description text);
ALTER VIEW columns_of SET (security_invoker = true);
GRANT SELECT ON columns_of TO PUBLIC;

-- Of several resources, with their parents; the secret plan is nobody's.
SET ROLE regress_catalog_reader;
\x on
SELECT api_schema, resource, description, actions, key_columns, order_by, cursor_column, page_function, deleted_resource,
       deleted_order_by, deleted_page_function, parents, versioned, soft_delete, idempotent
FROM taskapi.resources WHERE api_schema = 'shop_api' ORDER BY resource;
\x off
SELECT name, type, readable, insertable, updatable, required, generated, nullable, left(description, 12) AS description
FROM columns_of WHERE resource = 'Orders';

-- Of one who writes some columns and reads none.
SET ROLE regress_catalog_clerk;
SELECT resource, actions, page_function, deleted_resource, parents FROM taskapi.resources;
SELECT name, readable, insertable, updatable, required FROM columns_of;

-- Of a stranger: nothing, and nothing leaks into a function of its own.
SET ROLE regress_catalog_stranger;
CREATE FUNCTION pg_temp.tells(name) RETURNS bool LANGUAGE plpgsql COST 0.0001
    AS $$ BEGIN RAISE NOTICE 'there is %', $1; RETURN true; END $$;
SET client_min_messages = notice;
SELECT * FROM taskapi.resources WHERE pg_temp.tells(resource);
SET client_min_messages = warning;
RESET ROLE;

-- Privileges on the view without the table, on the table without the view, or out of the schemas' reach, are of no use.
GRANT SELECT ON shop_api.customers TO regress_catalog_stranger;
GRANT SELECT ON shop.line TO regress_catalog_stranger;
GRANT USAGE ON SCHEMA shop_api TO regress_catalog_stranger;
SET ROLE regress_catalog_stranger;
SELECT resource, actions FROM taskapi.resources;
RESET ROLE;
GRANT SELECT (id), INSERT ON shop.customer TO regress_catalog_stranger;
GRANT INSERT ON shop_api.customers TO regress_catalog_stranger;
SET ROLE regress_catalog_stranger;
SELECT resource, actions FROM taskapi.resources;
SELECT * FROM shop_api.customers;
INSERT INTO shop_api.customers (id, name) VALUES (1, 'x');
RESET ROLE;
GRANT SELECT (name, deleted_at) ON shop.customer TO regress_catalog_stranger;
SET ROLE regress_catalog_stranger;
SELECT resource, actions, deleted_resource FROM taskapi.resources;
SELECT name, readable, insertable FROM columns_of;
SELECT id FROM shop_api.customers;
RESET ROLE;
REVOKE USAGE ON SCHEMA shop_api FROM regress_catalog_stranger;
SET ROLE regress_catalog_stranger;
SELECT resource FROM taskapi.resources;
RESET ROLE;

-- The owner may do everything. A resource whose view is gone, or whose view shows something else now, harms no other.
SELECT resource, actions FROM taskapi.resources WHERE api_schema = 'shop_api' ORDER BY 1;
DROP VIEW shop_api.plans CASCADE;
ALTER TABLE shop.line DROP CONSTRAINT line_pkey CASCADE;
ALTER TABLE shop."order" RENAME COLUMN note TO remark;
CREATE OR REPLACE VIEW shop_api.customers AS
    SELECT 1 AS id, 'x' AS name, NULL::taskapi.cursor AS cursor, now() AS more;
ALTER TABLE shop.customer DROP COLUMN name CASCADE;
ALTER VIEW shop_api."deleted_Orders" RENAME COLUMN deleted_at TO gone_at;
SELECT resource, actions, key_columns FROM taskapi.resources WHERE api_schema = 'shop_api' ORDER BY 1;

-- It can be read where nothing can be written, and under any search_path.
BEGIN READ ONLY;
SET LOCAL search_path = shop;
SELECT c ->> 'type' FROM taskapi.resources, jsonb_array_elements(columns) c WHERE resource = 'Orders' AND c ->> 'name' = 'label';
COMMIT;

-- What no policy is about is refused whatever the row is, and so it is no action: for each set of policies, the actions are the
-- statements that are done.
CREATE TABLE shop.note (id int PRIMARY KEY, text text NOT NULL);
SELECT taskapi.expose('shop.note', 'shop_api', 'notes');
SELECT taskapi.grant_resource('shop_api.notes', 'regress_catalog_clerk', '{read,create,update,delete,restore,purge}');
ALTER TABLE shop.note ENABLE ROW LEVEL SECURITY;
CREATE ROLE regress_catalog_group;
GRANT regress_catalog_group TO regress_catalog_clerk;
CREATE POLICY seen ON shop.note FOR SELECT USING (true);
CREATE FUNCTION pg_temp.done(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RAISE EXCEPTION USING ERRCODE = 'ZZ000';
EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
    RETURN 'done';
WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
CREATE FUNCTION pg_temp.tried() RETURNS TABLE (actions text[], statements text[]) LANGUAGE plpgsql AS $$
BEGIN
    SELECT array_agg(a) INTO actions FROM taskapi.resources r, unnest(r.actions) a
    WHERE r.resource = 'notes' AND a NOT IN ('read', 'read_deleted');
    SELECT array_agg(t.action) INTO statements
    FROM (VALUES ('create', 'INSERT INTO shop_api.notes VALUES (3, $x$new$x$)'),
                 ('update', 'UPDATE shop_api.notes SET text = $x$other$x$'), ('delete', 'DELETE FROM shop_api.notes'),
                 ('restore', 'UPDATE shop_api.deleted_notes SET deleted_at = NULL'),
                 ('purge', 'DELETE FROM shop_api.deleted_notes')) t (action, statement)
    WHERE pg_temp.done(t.statement) = 'done';
    RETURN NEXT;
END $$;
INSERT INTO shop_api.notes VALUES (1, 'live'), (2, 'dead');
DELETE FROM shop_api.notes WHERE id = 2;
SET ROLE regress_catalog_clerk;
SELECT * FROM pg_temp.tried();
SELECT name FROM taskapi.resources r, jsonb_to_recordset(r.columns) c (name name, insertable bool, updatable bool)
WHERE r.resource = 'notes' AND (c.insertable OR c.updatable);
RESET ROLE;
CREATE POLICY made ON shop.note FOR INSERT TO regress_catalog_group WITH CHECK (true);
CREATE POLICY changed ON shop.note AS RESTRICTIVE FOR UPDATE USING (true);
CREATE POLICY removed ON shop.note FOR DELETE TO regress_catalog_reader USING (true);
SET ROLE regress_catalog_clerk;
SELECT * FROM pg_temp.tried();
SELECT name, insertable, updatable FROM taskapi.resources r, jsonb_to_recordset(r.columns) c (name name, insertable bool, updatable bool)
WHERE r.resource = 'notes' AND (c.insertable OR c.updatable);
RESET ROLE;
ALTER POLICY removed ON shop.note TO regress_catalog_reader, regress_catalog_clerk;
SET ROLE regress_catalog_clerk;
SELECT * FROM pg_temp.tried();
RESET ROLE;
DROP POLICY made ON shop.note;
CREATE POLICY lets_change ON shop.note FOR UPDATE USING (true);
SET ROLE regress_catalog_clerk;
SELECT * FROM pg_temp.tried();
RESET ROLE;
DROP POLICY removed ON shop.note;
DROP POLICY lets_change ON shop.note;
CREATE POLICY everything ON shop.note USING (true);
SET ROLE regress_catalog_clerk;
SELECT * FROM pg_temp.tried();
RESET ROLE;
ALTER TABLE shop.note DISABLE ROW LEVEL SECURITY;
DROP POLICY everything ON shop.note;
SET ROLE regress_catalog_clerk;
SELECT * FROM pg_temp.tried();
RESET ROLE;

DROP VIEW columns_of;
DROP FUNCTION pg_temp.tried, pg_temp.done;
DROP FUNCTION pg_temp.tells;
DROP SCHEMA shop_api CASCADE;
DROP SCHEMA shop CASCADE;
DROP ROLE regress_catalog_reader, regress_catalog_clerk, regress_catalog_stranger, regress_catalog_group;
