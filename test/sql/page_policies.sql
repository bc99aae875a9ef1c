-- Under row-level security a plan is kept only if policies look at nothing but what the filter holds constant, and it shows each caller
-- that caller's rows, whoever it was made for.
CREATE SCHEMA regress_policed;
CREATE TABLE regress_policed.doc (id int PRIMARY KEY, tenant int NOT NULL, owner int NOT NULL, kind numeric NOT NULL DEFAULT 1, at int NOT NULL);
INSERT INTO regress_policed.doc SELECT n, n % 4, n % 7, 1, -n FROM generate_series(1, 400) n;
CREATE INDEX ON regress_policed.doc (tenant, at, id);
CREATE INDEX ON regress_policed.doc (kind, at, id);
VACUUM ANALYZE regress_policed.doc;
CREATE VIEW regress_policed.docs WITH (security_invoker) AS SELECT * FROM regress_policed.doc;
CREATE ROLE regress_policed_a;
CREATE ROLE regress_policed_b;
GRANT USAGE ON SCHEMA regress_policed TO regress_policed_a, regress_policed_b;
GRANT SELECT ON regress_policed.doc, regress_policed.docs TO regress_policed_a, regress_policed_b;
-- The planner asks it for the estimate of a range, so that its calls tell whether there was planning.
CREATE FUNCTION regress_policed.mine() RETURNS int STABLE LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('regress.calls', (current_setting('regress.calls')::int + 1)::text, false);
    RETURN current_setting('regress.tenant')::int;
END
$$;
CREATE FUNCTION regress_policed.ids(filter jsonb, source regclass DEFAULT 'regress_policed.doc', order_by text DEFAULT 'at, id', token text DEFAULT NULL)
    RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(i ->> 'id', ' '), 'none') FROM taskapi.page(source, order_by, 3, token, filter), json_array_elements(items) i $$;
-- whether the eighth page in a row was planned as the first one was, which no other page may have been planned for
CREATE FUNCTION regress_policed.planned_again(filter jsonb, order_by text DEFAULT 'at, id') RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
    calls int[];
BEGIN
    FOR i IN 1 .. 8 LOOP
        PERFORM set_config('regress.calls', '0', false), regress_policed.ids(filter, order_by => order_by);
        calls[i] := current_setting('regress.calls')::int;
    END LOOP;
    RETURN calls[8] >= calls[1];
END
$$;
ALTER TABLE regress_policed.doc ENABLE ROW LEVEL SECURITY;
CREATE POLICY a ON regress_policed.doc TO regress_policed_a USING (tenant BETWEEN regress_policed.mine() AND regress_policed.mine());
SET regress.tenant = 1;
SET regress.calls = 0;

-- one plan for all callers of a role; whose it is decides what is seen
SET ROLE regress_policed_a;
SELECT regress_policed.planned_again('{"tenant": 1}');
SELECT regress_policed.ids('{"tenant": 1}') AS own, regress_policed.ids('{"tenant": 2}') AS other;
SET regress.tenant = 2;
SELECT regress_policed.ids('{"tenant": 1}') AS other, regress_policed.ids('{"tenant": 2}') AS own;
SELECT regress_policed.ids('{"tenant": 2}', 'regress_policed.docs') AS own, regress_policed.ids('{"tenant": 1}', 'regress_policed.docs') AS other;
SELECT next_page_token AS token FROM taskapi.page('regress_policed.doc', 'at, id', 3, NULL, '{"tenant": 2}') \gset
SELECT regress_policed.ids('{"tenant": 2}', token => :'token') AS behind;
SET regress.tenant = 1;
SELECT regress_policed.ids('{"tenant": 2}', token => :'token') AS behind_other;
RESET ROLE;
SELECT regress_policed.ids('{"tenant": 2}') AS owner, regress_policed.ids('{"tenant": 1}', 'regress_policed.docs') AS owner_by_view;

-- another role, with policies of its own or none, in the same session
SET ROLE regress_policed_b;
SELECT regress_policed.ids('{"tenant": 1}') AS no_policy;
RESET ROLE;
CREATE POLICY b ON regress_policed.doc TO regress_policed_b USING (tenant <> regress_policed.mine());
SET ROLE regress_policed_b;
SELECT regress_policed.ids('{"tenant": 1}') AS b1, regress_policed.ids('{"tenant": 2}') AS b2;
SET ROLE regress_policed_a;
SELECT regress_policed.ids('{"tenant": 1}') AS a1, regress_policed.ids('{"tenant": 2}') AS a2;
SET row_security = off;
SELECT regress_policed.ids('{"tenant": 1}');
RESET row_security;
RESET ROLE;

-- policies change, and the very next page is by the new ones
ALTER POLICY a ON regress_policed.doc USING (tenant BETWEEN regress_policed.mine() + 1 AND regress_policed.mine() + 1);
SET ROLE regress_policed_a;
SELECT regress_policed.ids('{"tenant": 1}') AS a1, regress_policed.ids('{"tenant": 2}') AS a2;
RESET ROLE;
CREATE POLICY not_all ON regress_policed.doc AS RESTRICTIVE FOR SELECT USING (owner < 3);
SET ROLE regress_policed_a;
-- which looks at a column that is not constant
SELECT regress_policed.planned_again('{"tenant": 2}');
SELECT regress_policed.ids('{"tenant": 2}') AS restricted;
RESET ROLE;
DROP POLICY not_all ON regress_policed.doc;
ALTER TABLE regress_policed.doc DISABLE ROW LEVEL SECURITY;
SET ROLE regress_policed_a;
SELECT regress_policed.ids('{"tenant": 0}') AS without;
RESET ROLE;
ALTER TABLE regress_policed.doc ENABLE ROW LEVEL SECURITY;

-- so do these: of any role, below a sub-select, by the whole row, by a system column; for another command it does not matter
CREATE POLICY other ON regress_policed.doc TO regress_policed_b USING (owner = 1);
SET ROLE regress_policed_a;
SELECT regress_policed.planned_again('{"tenant": 2}') AS other_role;
RESET ROLE;
ALTER POLICY other ON regress_policed.doc USING (EXISTS (SELECT FROM pg_class c WHERE EXISTS (SELECT WHERE c.relnatts > doc.owner)));
SET ROLE regress_policed_a;
SELECT regress_policed.planned_again('{"tenant": 2}') AS sub_select;
RESET ROLE;
ALTER POLICY other ON regress_policed.doc USING (doc::text <> '');
SET ROLE regress_policed_a;
SELECT regress_policed.planned_again('{"tenant": 2}') AS whole_row;
RESET ROLE;
ALTER POLICY other ON regress_policed.doc USING (tableoid > 0);
SET ROLE regress_policed_a;
SELECT regress_policed.planned_again('{"tenant": 2}') AS system_column;
RESET ROLE;
DROP POLICY other ON regress_policed.doc;
CREATE POLICY other ON regress_policed.doc FOR UPDATE TO regress_policed_a USING (owner = 1);
SET ROLE regress_policed_a;
SELECT regress_policed.planned_again('{"tenant": 2}') AS other_command;

-- and a filter that waits for the policies, since its comparison is not leakproof, or is about more than constants
SELECT regress_policed.planned_again('{"tenant": 2, "kind": 1}') AS not_leakproof, regress_policed.planned_again('{"tenant": 2, "owner": 1}') AS not_constant,
       regress_policed.planned_again('{"tenant": {"gte": 2}}', 'tenant, at, id') AS range;
RESET ROLE;
DROP POLICY a ON regress_policed.doc;
DROP POLICY b ON regress_policed.doc;
CREATE POLICY a ON regress_policed.doc USING (kind BETWEEN regress_policed.mine() AND regress_policed.mine());
SET regress.tenant = 1;
SET ROLE regress_policed_a;
SELECT regress_policed.planned_again('{"kind": 1}') AS not_leakproof, regress_policed.ids('{"kind": 1}') AS seen;
RESET ROLE;
DROP SCHEMA regress_policed CASCADE;
DROP ROLE regress_policed_a, regress_policed_b;
