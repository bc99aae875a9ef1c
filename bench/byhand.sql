-- The same API as tutorials write it, in SQL and PL/pgSQL: bearer tokens verified by functions on pgcrypto's hmac(), a rate limit by
-- upsert into an UNLOGGED table, row-level security by a sub-query, idempotency by insert-then-update, an audit trigger; pages by OFFSET
-- or by the textbook OR are the request's own. It shares accounts, projects and members with the task API, through a view that runs as
-- its owner, and has a copy of the tasks, with an index for every order and filter that the task API has one for.
--
-- byhand.lean is the same without what the task API has beyond tasks in four orders: no audit trigger, no search, no index on labels, no
-- order by hand, no subtasks.  Variables: anonymous and authenticated, the two
-- roles, and tables, which of the two are filled.
CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public;
CREATE SCHEMA byhand;
GRANT USAGE ON SCHEMA byhand TO :anonymous, :authenticated;

CREATE UNLOGGED TABLE byhand.rate_limit (key text PRIMARY KEY, window_start timestamptz NOT NULL, n int NOT NULL) WITH (fillfactor = 50);
CREATE TABLE byhand.idempotency (account_id uuid, key text, response jsonb, created_at timestamptz DEFAULT now(), PRIMARY KEY (account_id, key));
GRANT SELECT, INSERT, UPDATE ON byhand.rate_limit, byhand.idempotency TO :anonymous, :authenticated;
CREATE VIEW byhand.membership AS SELECT project_id, account_id, role FROM tasks.membership WHERE deleted_at IS NULL;
GRANT SELECT ON byhand.membership TO :authenticated;

CREATE TABLE byhand.lean (LIKE tasks.task INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
ALTER TABLE byhand.lean DROP COLUMN search, DROP COLUMN changed;
CREATE TABLE byhand.task (LIKE tasks.task INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED);
ALTER TABLE byhand.task DROP COLUMN changed;
SELECT format('INSERT INTO byhand.%I (%s) SELECT %2$s FROM tasks.task', c.relname, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum))
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'byhand'::regnamespace AND c.relname = ANY (:'tables'::text[]) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
GROUP BY c.oid, c.relname \gexec
SET maintenance_work_mem = '1GB';
SELECT format(statement, name)
FROM unnest(:'tables'::text[]) name, unnest(ARRAY[
    'ALTER TABLE byhand.%I ADD PRIMARY KEY (id)',
    'CREATE INDEX ON byhand.%I (project_id, created_at, id) WHERE deleted_at IS NULL',
    'CREATE INDEX ON byhand.%I (project_id, due_date, id) WHERE deleted_at IS NULL',
    'CREATE INDEX ON byhand.%I (project_id, priority DESC, created_at, id) WHERE deleted_at IS NULL',
    'CREATE INDEX ON byhand.%I (project_id, updated_at DESC, id) WHERE deleted_at IS NULL',
    'CREATE INDEX ON byhand.%I (project_id)', 'CREATE INDEX ON byhand.%I (assignee_id)', 'CREATE INDEX ON byhand.%I (creator_id)',
    'ALTER TABLE byhand.%I ADD FOREIGN KEY (project_id) REFERENCES tasks.project NOT VALID, ADD FOREIGN KEY (assignee_id) REFERENCES tasks.account NOT VALID,
     ADD FOREIGN KEY (creator_id) REFERENCES tasks.account NOT VALID']) statement \gexec
-- What sync, a board, subtasks, words and labels ask for.
ALTER TABLE byhand.task ADD FOREIGN KEY (parent_id) REFERENCES byhand.task;
CREATE INDEX ON byhand.task (project_id, updated_at, id);
CREATE INDEX ON byhand.task (project_id, status, position, id) WHERE deleted_at IS NULL;
CREATE INDEX ON byhand.task (parent_id, position, id) WHERE parent_id IS NOT NULL;
CREATE INDEX ON byhand.task USING gin (search) WITH (gin_pending_list_limit = 256) WHERE deleted_at IS NULL;
CREATE INDEX ON byhand.task USING gin (labels) WITH (gin_pending_list_limit = 256) WHERE deleted_at IS NULL;
CREATE TABLE byhand.activity (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, project_id uuid, task_id uuid, action text NOT NULL, old jsonb, new jsonb,
    actor_id uuid, created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON byhand.activity (project_id, id);
CREATE INDEX ON byhand.activity (task_id, id);
CREATE FUNCTION byhand.audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO byhand.activity (project_id, task_id, action, old, new, actor_id)
    VALUES (NEW.project_id, NEW.id, TG_OP, CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) END, to_jsonb(NEW),
            (current_setting('request.jwt.claims', true)::json ->> 'sub')::uuid);
    RETURN NULL;
END
$$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON byhand.task FOR EACH ROW EXECUTE FUNCTION byhand.audit();
GRANT SELECT, INSERT, UPDATE, DELETE ON byhand.task, byhand.lean TO :authenticated;
SELECT format(statement, name, 'EXISTS (SELECT FROM byhand.membership m WHERE m.project_id = ' || name
              || '.project_id AND m.account_id = (current_setting(''request.jwt.claims'', true)::json ->> ''sub'')::uuid)', :'authenticated')
FROM unnest(:'tables'::text[]) name, unnest(ARRAY[
    'ALTER TABLE byhand.%I ENABLE ROW LEVEL SECURITY',
    'CREATE POLICY members ON byhand.%I TO %3$I USING (%2$s) WITH CHECK (%2$s)']) statement \gexec

-- Tokens
CREATE FUNCTION byhand.url_decode(data text) RETURNS bytea LANGUAGE sql IMMUTABLE AS
    $$ SELECT decode(rpad(translate(data, '-_', '+/'), 4 * ((length(data) + 3) / 4), '='), 'base64') $$;
CREATE FUNCTION byhand.url_encode(data bytea) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT translate(encode(data, 'base64'), E'+/=\n', '-_') $$;
CREATE FUNCTION byhand.sign(signables text, secret text) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT byhand.url_encode(public.hmac(signables, secret, 'sha256')) $$;
CREATE FUNCTION byhand.verify(token text, secret text) RETURNS TABLE (header json, payload json, valid boolean) LANGUAGE sql STABLE AS $$
    SELECT t.header, t.payload,
           t.signed AND t.header ->> 'alg' = 'HS256' AND coalesce((t.payload ->> 'exp')::float8 > extract(epoch FROM now()), true)
    FROM (SELECT convert_from(byhand.url_decode(p[1]), 'UTF8')::json AS header, convert_from(byhand.url_decode(p[2]), 'UTF8')::json AS payload,
                 p[3] = byhand.sign(p[1] || '.' || p[2], secret) AS signed
          FROM regexp_split_to_array(token, '\.') p) t
$$;

-- limited: whether the request is counted. Guides for PostgREST count writes alone, since there GET runs READ ONLY, where an upsert fails.
CREATE FUNCTION byhand.pre_request(limited boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    opened record;
    used int;
BEGIN
    SELECT * INTO opened FROM byhand.verify(substr(current_setting('request.headers', true)::json ->> 'authorization', 8), current_setting('app.jwt_secret'));
    IF opened.valid IS NOT TRUE THEN
        RAISE EXCEPTION 'unauthenticated' USING ERRCODE = 'PT401';
    END IF;
    PERFORM set_config('request.jwt.claims', opened.payload::text, true), set_config('role', opened.payload ->> 'role', true);
    IF limited THEN
        INSERT INTO byhand.rate_limit AS r VALUES (opened.payload ->> 'sub', date_trunc('minute', now()), 1)
        ON CONFLICT (key) DO UPDATE SET n = CASE WHEN r.window_start = excluded.window_start THEN r.n + 1 ELSE 1 END, window_start = excluded.window_start
        RETURNING n INTO used;
        IF used > 1000000000 THEN
            RAISE EXCEPTION 'rate limited' USING ERRCODE = 'PT429';
        END IF;
    END IF;
END
$$;

-- create_task() and create_lean_task()
SELECT format($function$
CREATE FUNCTION byhand.%1$I(key text, body jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    me uuid := (current_setting('request.jwt.claims', true)::json ->> 'sub')::uuid;
    stored jsonb;
    created byhand.%2$I;
BEGIN
    INSERT INTO byhand.idempotency (account_id, key) VALUES (me, %1$I.key) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT response INTO stored FROM byhand.idempotency i WHERE i.account_id = me AND i.key = %1$I.key;
        RETURN stored;
    END IF;
    INSERT INTO byhand.%2$I (project_id, title, priority, creator_id)
    VALUES ((body ->> 'project_id')::uuid, body ->> 'title', (body ->> 'priority')::smallint, me)
    RETURNING * INTO created;
    UPDATE byhand.idempotency i SET response = to_jsonb(created) WHERE i.account_id = me AND i.key = %1$I.key;
    RETURN to_jsonb(created);
END
$$ $function$, name, of) FROM (VALUES ('create_task', 'task'), ('create_lean_task', 'lean')) v (name, of) \gexec
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA byhand TO :anonymous, :authenticated;
