-- Every SQLSTATE that PostgreSQL knows, raised in a write to a resource, is the problem that docs/errors.md says, with its author's text; or it passes unchanged.
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE SCHEMA contract_data;
CREATE DOMAIN contract_data.percent AS int CONSTRAINT percent_check CHECK (value BETWEEN 0 AND 100);
CREATE DOMAIN contract_data.filled AS text NOT NULL;
CREATE TABLE contract_data.parent (id int PRIMARY KEY);
CREATE TABLE contract_data.t (id int PRIMARY KEY, raised text, parent int REFERENCES contract_data.parent, must text NOT NULL DEFAULT 'x', email text UNIQUE,
    share contract_data.percent, name contract_data.filled DEFAULT 'x', amount numeric(4,1) CONSTRAINT positive CHECK (amount > 0), short varchar(3), during int4range,
    always int GENERATED ALWAYS AS IDENTITY, twice int GENERATED ALWAYS AS (id * 2) STORED, late int CONSTRAINT late REFERENCES contract_data.parent DEFERRABLE INITIALLY DEFERRED,
    EXCLUDE USING gist (during WITH &&));
CREATE FUNCTION contract_data.raise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.raised IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = NEW.raised, MESSAGE = 'message of ' || NEW.raised, DETAIL = 'detail of ' || NEW.raised,
            HINT = 'hint of ' || NEW.raised, CONSTRAINT = 'constraint of ' || NEW.raised;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER raise BEFORE INSERT OR UPDATE ON contract_data.t FOR EACH ROW EXECUTE FUNCTION contract_data.raise();
SELECT taskapi.expose('contract_data.parent', 'contract_api'), taskapi.expose('contract_data.t', 'contract_api') \g /dev/null
INSERT INTO contract_data.parent VALUES (1);
INSERT INTO contract_data.t (id, email, during) VALUES (1, 'a@b', '[1,5)');

-- What a statement is answered with: the parts of a problem inside a request, of the error outside one.
CREATE FUNCTION contract_data.told(statement text, method text, OUT state text, OUT message text, OUT detail text, OUT hint text, OUT name text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('request.method', method, true), set_config('request.path', '/t', true);
    EXECUTE statement;
    RAISE SQLSTATE '00001';
EXCEPTION WHEN OTHERS OR query_canceled OR assert_failure THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, name = CONSTRAINT_NAME;
    PERFORM set_config('request.method', '', true);
END
$$;

-- Every error of the list that comes with the server, raised by a trigger of the table.
CREATE TABLE contract_data.walked AS
SELECT code, told.*, method
FROM (SELECT DISTINCT m[1] AS code FROM pg_config() c,
          regexp_matches(pg_read_file(c.setting || '/errcodes.txt'), '^(\S{5})\s+E\s', 'gn') m WHERE c.name = 'SHAREDIR'
      UNION SELECT unnest('{PT418,PT404,PGRST,MYAPP,45000}'::text[])) codes,
    (VALUES ('POST'), ('')) methods (method),
    contract_data.told(format('INSERT INTO contract_api.t (id, raised) VALUES (2, %L)', code), method) told;
SELECT count(DISTINCT code) > 200 AS all_of_them, count(*) FILTER (WHERE told.state = '00001') AS without_error FROM contract_data.walked told;
-- those that are problems in a request, and their status
SELECT message::json ->> 'code' AS problem, detail::json ->> 'status' AS status, string_agg(DISTINCT CASE WHEN code LIKE '22%' THEN '22xxx' ELSE code END, ' ') AS codes
FROM contract_data.walked WHERE method = 'POST' AND state = 'PGRST' AND code <> 'PGRST' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT code FROM contract_data.walked WHERE code LIKE '22%' AND method = 'POST' AND state <> 'PGRST';
-- no text of the author's is lost, in either form, but of try_again, which says what to do
SELECT method, code, message, detail, hint FROM contract_data.walked
WHERE code NOT IN ('40001', '40P01', '55P03')
  AND NOT (concat(message, detail) LIKE '%message of ' || code || '%' AND concat(message, detail) LIKE '%detail of ' || code || '%'
           AND concat(message, hint) LIKE '%hint of ' || code || '%' AND (name = 'constraint of ' || code OR state = 'PGRST' AND code <> 'PGRST'));
-- all others are as they were raised
SELECT count(*) > 100 AS others, bool_and(state = code AND message = 'message of ' || code) AS unchanged
FROM contract_data.walked w WHERE NOT EXISTS (SELECT FROM contract_data.walked p WHERE p.code = w.code AND p.method = 'POST' AND p.state = 'PGRST' AND p.code <> 'PGRST');
-- outside a request the SQLSTATE of a problem is its own, or for values that of the error
SELECT detail::json ->> 'code' AS problem, string_agg(DISTINCT CASE WHEN state = code THEN 'its own' ELSE state END, ' ') AS sqlstates
FROM contract_data.walked w WHERE method = '' AND detail LIKE '{"code":%' GROUP BY 1 ORDER BY 1;

-- What a client can do wrong itself, found by the trigger, or before it by the query that computes the row.
CREATE FUNCTION contract_data.wrong(OUT body text, OUT problem text, OUT details text, OUT hint text, OUT name text) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    answer  record;
    columns record;
BEGIN
    FOREACH body IN ARRAY ARRAY['{"id": 1}', '{"id": 2, "email": "a@b"}', '{"id": 2, "during": "[2,3)"}', '{"id": 2, "parent": 9}', '{"id": 2, "late": 9}', '{"id": 2, "must": null}',
        '{"id": null}', '{}', '{"id": 2, "amount": 0}', '{"id": 2, "amount": 1000}', '{"id": 2, "amount": "much"}', '{"id": 2, "short": "long"}', '{"id": 2, "share": 101}',
        '{"id": 2, "name": null}', '{"id": 2, "always": 1}', '{"id": 2, "twice": 1}', '{"id": "x"}', '{"id": 99999999999}', '{"id": 2, "during": "[5,1)"}', '{"id": 2, "email": "LONG"}'] LOOP
        -- as PostgREST does it
        SELECT coalesce(string_agg(attname, ', '), 'raised') AS names, coalesce(string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', '), 'raised text') AS types INTO columns
        FROM pg_attribute WHERE attrelid = 'contract_api.t'::regclass AND attname IN (SELECT json_object_keys(body::json));
        SELECT * INTO answer FROM contract_data.told(format(
            'INSERT INTO contract_api.t (%1$s) SELECT %1$s FROM json_to_record(replace(%2$L, ''LONG'', (SELECT string_agg(md5(i::text), '''') FROM generate_series(1, 500) i))::json) AS _ (%3$s)',
            columns.names, body, columns.types), 'POST');
        problem := concat_ws(' ', answer.state, CASE WHEN answer.state = 'PGRST' THEN answer.message::json ->> 'code' ELSE answer.message END);
        details := regexp_replace(CASE WHEN answer.state = 'PGRST' THEN answer.message::json ->> 'details' END, '\d{4,}', 'N', 'g');
        hint := CASE WHEN answer.state = 'PGRST' THEN answer.message::json ->> 'hint' ELSE answer.hint END;
        name := answer.name;
        RETURN NEXT;
    END LOOP;
END
$$;
\x on
SELECT * FROM contract_data.wrong();
\x off
-- drivers find the name of a constraint if it is not for a layer, too
SELECT state, message, detail, name FROM contract_data.told('INSERT INTO contract_api.t (id, amount) VALUES (2, 0)', '');

-- A deferred constraint: at the end of a request's statement, unless that is a function or the setting says COMMIT.
SELECT state, message FROM contract_data.told('INSERT INTO contract_api.t (id, late) VALUES (2, 9)', 'POST');
BEGIN;
SET LOCAL request.method = 'POST';
SET LOCAL request.path = '/rpc/f';
INSERT INTO contract_api.t (id, late) VALUES (2, 9);
INSERT INTO contract_api.parent VALUES (9);
COMMIT;
BEGIN;
SET LOCAL request.method = 'POST';
SET LOCAL taskapi.check_deferred_constraints = off;
INSERT INTO contract_api.t (id, late) VALUES (3, 10);
INSERT INTO contract_api.parent VALUES (10);
COMMIT;
BEGIN;
INSERT INTO contract_api.t (id, late) VALUES (4, 11);
INSERT INTO contract_api.parent VALUES (11);
COMMIT;
BEGIN;
SET LOCAL request.method = 'POST';
WITH a AS (INSERT INTO contract_api.t (id, late) VALUES (5, 12)) INSERT INTO contract_api.parent VALUES (12);
COMMIT;
SELECT id, late FROM contract_api.t ORDER BY id;

-- A trigger that runs with its owner's rights is its author's as well; a trigger of another owner's table is not.
CREATE ROLE regress_contract_caller;
CREATE ROLE regress_contract_other;
GRANT USAGE, CREATE ON SCHEMA contract_data, contract_api TO regress_contract_other;
GRANT USAGE ON SCHEMA contract_data TO regress_contract_caller;
ALTER FUNCTION contract_data.raise() SECURITY DEFINER;
SELECT taskapi.grant_resource('contract_api.t', 'regress_contract_caller'), taskapi.grant_resource('contract_api.parent', 'regress_contract_caller') \g /dev/null
GRANT REFERENCES ON contract_data.parent TO regress_contract_other;
SET ROLE regress_contract_caller;
INSERT INTO contract_api.t (id, raised) VALUES (6, 'P0001');
INSERT INTO contract_api.t (id, raised) VALUES (6, '23514');
RESET ROLE;
CREATE FUNCTION contract_data.problem() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM taskapi.raise_problem('forbidden', 'The secret is ' || OLD.id, 'h', '{"Set-Cookie": "a=b"}'); END $$;
SET ROLE regress_contract_other;
CREATE TABLE contract_data.others (id int PRIMARY KEY, parent int REFERENCES contract_data.parent ON DELETE CASCADE);
SELECT taskapi.expose('contract_data.others', 'contract_api') \g /dev/null
CREATE TRIGGER problem BEFORE UPDATE ON contract_data.others FOR EACH ROW EXECUTE FUNCTION contract_data.problem();
INSERT INTO contract_data.others VALUES (7, 1);
RESET ROLE;
SET ROLE regress_contract_caller;
DELETE FROM contract_api.parent WHERE id = 1;
RESET ROLE;
ALTER TABLE contract_data.others OWNER TO CURRENT_USER;
SET ROLE regress_contract_caller;
DELETE FROM contract_api.parent WHERE id = 1;
RESET ROLE;

DROP SCHEMA contract_data, contract_api CASCADE;
DROP ROLE regress_contract_caller, regress_contract_other;
