-- What the operations beside this file work on: 200 projects with 100 items each, exposed with soft delete and versions.
SET client_min_messages = warning;
CREATE EXTENSION taskapi;
CREATE FUNCTION public.zero() RETURNS void LANGUAGE c AS :'module', 'callgrind_zero';
CREATE FUNCTION public.dump(name text) RETURNS void LANGUAGE c AS :'module', 'callgrind_dump';
CREATE ROLE counted_anonymous;
CREATE ROLE counted_user;
SELECT taskapi.set_api_roles('counted_anonymous', 'counted_user');
UPDATE taskapi.rate_limit_policy SET rate = 1000000, per = '1 second', burst = 1000000;
CREATE SCHEMA data;
CREATE SCHEMA api;
GRANT USAGE ON SCHEMA api, data TO counted_anonymous, counted_user;
CREATE TABLE data.project (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE data.item (
    id uuid PRIMARY KEY DEFAULT taskapi.uuidv7(),
    project_id int NOT NULL REFERENCES data.project ON DELETE CASCADE,
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 500),
    priority int NOT NULL DEFAULT 50,
    due date,
    created_at timestamptz NOT NULL DEFAULT now())
    WITH (fillfactor = 50);         -- so that no run is the one that fills a page
CREATE INDEX ON data.item (project_id);
CREATE INDEX ON data.item (created_at, id);
SELECT taskapi.expose('data.project', 'api'), taskapi.expose('data.item', 'api', order_by => 'created_at DESC, id DESC');
SELECT taskapi.grant_resource('api.project', 'counted_user'), taskapi.grant_resource('api.item', 'counted_user');
INSERT INTO data.project SELECT p, 'project ' || p FROM generate_series(1, 200) p;
INSERT INTO data.item (id, project_id, title, created_at)
SELECT md5(n::text)::uuid, 1 + n % 200, 'item ' || n, '2026-01-01 00:00+00'::timestamptz + n * interval '1 minute' FROM generate_series(1, 20000) n;
CREATE TABLE public.credential AS SELECT taskapi.create_api_key('counted') AS key;
-- The nth row that an operation may change, and what a layer tells of a request.
CREATE FUNCTION public.item(n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5((10000 + n)::text)::uuid $$;
CREATE FUNCTION public.request(method text, path text, headers json) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('request.method', method, true), set_config('request.path', path, true), set_config('request.headers', headers::text, true),
           set_config('request.jwt.claims', '{"sub": "counted", "role": "counted_user"}', true), set_config('role', 'counted_user', true)
$$;
-- Many rows at once, beside the same statements on a plain table.
CREATE TABLE data.note (id uuid PRIMARY KEY DEFAULT taskapi.uuidv7(), batch int NOT NULL, title text NOT NULL CHECK (length(title) <= 500),
    priority int NOT NULL DEFAULT 0, created_at timestamptz NOT NULL DEFAULT now()) WITH (fillfactor = 30);
CREATE INDEX ON data.note (batch);
SELECT taskapi.expose('data.note', 'api');
SELECT taskapi.grant_resource('api.note', 'counted_user', '{read,read_deleted,create,update,delete,restore,purge}');
CREATE TABLE data.plain (LIKE data.note INCLUDING ALL);
GRANT ALL ON data.plain TO counted_user;
INSERT INTO data.note (batch, title) SELECT b, 'note ' || i FROM generate_series(1, 2) b, generate_series(1, 500) i;
UPDATE data.note SET deleted_at = now(), deletion_id = taskapi.uuidv7() WHERE batch = 2;
INSERT INTO data.plain SELECT * FROM data.note;
-- The same with a key that refers to it, and no row that does.
CREATE TABLE data.kept (LIKE data.plain INCLUDING ALL);
CREATE TABLE data.keeps (id int PRIMARY KEY, kept_id uuid REFERENCES data.kept);
CREATE INDEX ON data.keeps (kept_id);
SELECT taskapi.expose('data.kept', 'api');
SELECT taskapi.grant_resource('api.kept', 'counted_user', '{read,read_deleted,purge}');
CREATE TABLE data.kept_plain (LIKE data.plain INCLUDING ALL);
CREATE TABLE data.keeps_plain (id int PRIMARY KEY, kept_id uuid REFERENCES data.kept_plain);
CREATE INDEX ON data.keeps_plain (kept_id);
GRANT ALL ON data.kept_plain TO counted_user;
INSERT INTO data.kept SELECT * FROM data.plain;
INSERT INTO data.kept_plain SELECT * FROM data.plain;
VACUUM (FREEZE, ANALYZE);
CHECKPOINT;
SELECT taskapi.create_outbox();
CREATE TABLE data.message (seq bigint GENERATED ALWAYS AS IDENTITY, slot smallint NOT NULL, topic text NOT NULL, key text NOT NULL, payload jsonb NOT NULL, headers jsonb, created_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE INDEX ON data.message (slot, seq);
-- The task API: an account that belongs to 50 projects of 1000, with 20 tasks in each of its own.
SELECT taskapi.create_task_api('tasks', 'task_api', 'counted_anonymous', 'counted_user');
INSERT INTO tasks.account (id, email, display_name) SELECT md5('a' || n)::uuid, n || '@example.com', 'a' FROM generate_series(1, 20) n;
INSERT INTO tasks.project (id, name, creator_id) SELECT md5('p' || n)::uuid, 'p' || n, md5('a' || 1 + n % 20)::uuid FROM generate_series(0, 999) n;
INSERT INTO tasks.task (project_id, title, labels, created_at)
SELECT md5('p' || p)::uuid, 'task ' || n, ARRAY['l' || n], '2026-01-01 00:00+00'::timestamptz + n * interval '1 minute'
FROM generate_series(0, 999, 20) p, generate_series(1, 20) n;
CREATE FUNCTION public.task_request(method text, path text) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('request.method', method, true), set_config('request.path', path, true),
           set_config('request.jwt.claims', json_build_object('sub', md5('a1')::uuid, 'role', 'counted_user')::text, true), set_config('role', 'counted_user', true)
$$;
-- The goals: an account that belongs to five projects, the first of 1,200 tasks, and the same API by hand.
INSERT INTO tasks.account (id, email, display_name) VALUES (md5('b1')::uuid, 'b1@example.com', 'b');
INSERT INTO tasks.project (id, name, creator_id) SELECT md5('q' || n)::uuid, 'q' || n, md5('b1')::uuid FROM generate_series(0, 4) n;
INSERT INTO tasks.task (id, project_id, title, creator_id, created_at)
SELECT md5('goal task ' || n)::uuid, md5('q0')::uuid, 'goal task ' || n, md5('b1')::uuid, '2026-01-01 00:00+00'::timestamptz + n * interval '1 minute' FROM generate_series(1, 1200) n;
SELECT taskapi.set_secret('jwt', repeat('7', 32));
ALTER ROLE postgres SET app.jwt_secret = '77777777777777777777777777777777';
CREATE TABLE public.caller AS SELECT taskapi.jwt_sign(json_build_object('sub', md5('b1')::uuid, 'role', 'counted_user', 'exp', 4000000000, 'iat', 1700000000, 'email', 'b1@example.com')::jsonb) AS token;
-- A layer that does not verify tokens itself leaves that to the database.
ALTER ROLE postgres SET taskapi.verify_bearer = on;
GRANT USAGE ON SCHEMA taskapi TO counted_anonymous, counted_user;
\set anonymous counted_anonymous
\set authenticated counted_user
\set tables '{task,lean}'
\ir ../byhand.sql
-- As data.item, and its changes are told: there are 5,000 that a client has not heard of who was here before.
CREATE TABLE data.fed (LIKE data.item INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES) WITH (fillfactor = 50);
ALTER TABLE data.fed ADD FOREIGN KEY (project_id) REFERENCES data.project ON DELETE CASCADE;
SELECT taskapi.expose('data.fed', 'api', order_by => 'created_at DESC, id DESC', changes => true);
CREATE INDEX ON data.fed (changed, id);
SELECT taskapi.grant_resource('api.fed', 'counted_user');
INSERT INTO data.fed SELECT * FROM data.item;
CREATE TABLE public.client AS SELECT next_page_token AS token FROM taskapi.changes('api.fed', 'latest');
UPDATE data.fed SET title = title || '.' WHERE project_id BETWEEN 1 AND 50;
VACUUM (FREEZE, ANALYZE);
