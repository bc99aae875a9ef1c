-- Makes a task API a cell: psql -v cell=a -v cells=a,b -f cells.sql, in each of them, as a superuser. Run again it changes nothing.
--
-- A project lives in one cell. cells.map says in which: each cell writes the partition of its own name and publishes it, the others
-- subscribe. A project that moves is in two of them for a moment, so that a reader of all cells misses nothing, and takes no writes then.
\set ON_ERROR_STOP on
BEGIN;
SELECT set_config('cells.cell', :'cell', true), set_config('cells.cells', :'cells', true);
CREATE SCHEMA IF NOT EXISTS cells;
REVOKE ALL ON SCHEMA cells FROM PUBLIC;

CREATE TABLE IF NOT EXISTS cells.map (
    cell       text NOT NULL,
    project_id uuid NOT NULL,
    state      text NOT NULL DEFAULT 'here' CHECK (state IN ('here', 'leaving', 'arriving')),
    PRIMARY KEY (cell, project_id)
) PARTITION BY LIST (cell);
CREATE INDEX IF NOT EXISTS map_project_id_idx ON cells.map (project_id);
COMMENT ON TABLE cells.map IS 'Which cell a project is in. leaving and arriving: it moves, and takes no writes';

-- How often a project has come or gone. Who reads it before and after he has asked all cells knows that none did meanwhile.
CREATE TABLE IF NOT EXISTS cells.epoch (n bigint NOT NULL);
INSERT INTO cells.epoch SELECT 0 WHERE NOT EXISTS (SELECT FROM cells.epoch);

-- Locks the project's entry against a move until the end of the transaction. Under REPEATABLE READ an entry that has changed since is
-- a serialization failure.
CREATE OR REPLACE FUNCTION cells.check_here() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    project uuid := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END) ->> TG_ARGV[1];
    state text;
BEGIN
    SELECT m.state INTO state FROM cells.map m WHERE m.cell = TG_ARGV[0] AND m.project_id = project FOR SHARE;
    IF state <> 'here' THEN
        PERFORM taskapi.raise_problem('try_again', 'The project is moving to another cell.', 'Send the request again.');
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END
$$;
CREATE OR REPLACE FUNCTION cells.enter() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO cells.map (cell, project_id) VALUES (TG_ARGV[0], NEW.id);
    ELSE
        DELETE FROM cells.map m WHERE m.cell = TG_ARGV[0] AND m.project_id = OLD.id;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION cells.check_here(), cells.enter() FROM PUBLIC;

-- What belongs to a project: itself, and each table with a project_id.
CREATE OR REPLACE VIEW cells.project_table AS
    SELECT c.oid::regclass AS relation, a.attname AS project_column,
           (SELECT string_agg(quote_ident(x.attname), ', ' ORDER BY x.attnum) FROM pg_attribute x
            WHERE x.attrelid = c.oid AND x.attnum > 0 AND NOT x.attisdropped AND x.attgenerated = '') AS columns
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
    WHERE c.relnamespace = 'tasks'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND a.attname = CASE WHEN c.relname = 'project' THEN 'id' ELSE 'project_id' END;

DO $$
DECLARE
    own text := current_setting('cells.cell');
    one text;
    t record;
BEGIN
    FOREACH one IN ARRAY string_to_array(current_setting('cells.cells'), ',') LOOP
        EXECUTE format('CREATE TABLE IF NOT EXISTS cells.%I PARTITION OF cells.map FOR VALUES IN (%L)', 'map_' || one, one);
    END LOOP;
    FOR t IN SELECT * FROM cells.project_table LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER cells_check_here BEFORE INSERT OR UPDATE OR DELETE ON %s'
                       ' FOR EACH ROW EXECUTE FUNCTION cells.check_here(%L, %L)', t.relation, own, t.project_column);
    END LOOP;
    EXECUTE format('CREATE OR REPLACE TRIGGER cells_enter AFTER INSERT OR DELETE ON tasks.project'
                   ' FOR EACH ROW EXECUTE FUNCTION cells.enter(%L)', own);
    EXECUTE format('INSERT INTO cells.map (cell, project_id) SELECT %L, id FROM tasks.project ON CONFLICT DO NOTHING', own);
    IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = 'cells_map') THEN
        EXECUTE format('CREATE PUBLICATION cells_map FOR TABLE cells.%I', 'map_' || own);
    END IF;
    -- the first cell of the list is the home of accounts, credentials and keys
    IF own = split_part(current_setting('cells.cells'), ',', 1) AND NOT EXISTS (SELECT FROM pg_publication WHERE pubname = 'cells_home') THEN
        CREATE PUBLICATION cells_home FOR TABLE tasks.account, taskapi.session, taskapi.api_key, taskapi.blocked_subject, taskapi.secret;
    END IF;
END
$$;
COMMIT;
