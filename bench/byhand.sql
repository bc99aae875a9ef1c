-- The same API as tutorials write it, in SQL and PL/pgSQL: bearer tokens verified by functions on pgcrypto's hmac(), a rate limit by
-- upsert into an UNLOGGED table, row-level security by a sub-query, idempotency by insert-then-update; pages by OFFSET or by the
-- textbook OR are the request's own. It shares accounts, projects and members with the task API, through a view that runs as its owner,
-- and has a copy of the tasks, with an index for every order that the task API has one for.
CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public;
CREATE SCHEMA byhand;
GRANT USAGE ON SCHEMA byhand TO api_anonymous, api_user;

CREATE UNLOGGED TABLE byhand.rate_limit (key text PRIMARY KEY, window_start timestamptz NOT NULL, n int NOT NULL) WITH (fillfactor = 50);
CREATE TABLE byhand.idempotency (account_id uuid, key text, response jsonb, created_at timestamptz DEFAULT now(), PRIMARY KEY (account_id, key));
GRANT SELECT, INSERT, UPDATE ON byhand.rate_limit, byhand.idempotency TO api_anonymous, api_user;

CREATE TABLE byhand.task (LIKE tasks.task INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
INSERT INTO byhand.task SELECT * FROM tasks.task;
SET maintenance_work_mem = '1GB';
ALTER TABLE byhand.task ADD PRIMARY KEY (id);
CREATE INDEX ON byhand.task (project_id, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX ON byhand.task (project_id, due_date, id) WHERE deleted_at IS NULL;
CREATE INDEX ON byhand.task (project_id, priority DESC, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX ON byhand.task (project_id, updated_at DESC, id) WHERE deleted_at IS NULL;
CREATE INDEX ON byhand.task (project_id);
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
