-- The tour of docs/tour.md, to be run with: scripts/psql -a -q -f docs/tour.sql
\pset footer off
\set ON_ERROR_STOP off
\set SHOW_CONTEXT never
CREATE SCHEMA shop;
CREATE SCHEMA api;
CREATE TABLE shop."order" (
    id         uuid PRIMARY KEY DEFAULT taskapi.uuidv7(),
    customer   text NOT NULL,
    total      numeric(10, 2) NOT NULL CONSTRAINT total_is_not_negative CHECK (total >= 0),
    due        date,
    created_at timestamptz NOT NULL DEFAULT now()
);
-- Any table becomes a resource: views, triggers, a page function. Nothing is rewritten.
SELECT taskapi.expose('shop.order', 'api', 'orders');
INSERT INTO api.orders (customer, total, due, created_at)
    SELECT 'customer ' || n % 7, n, CASE WHEN n % 3 > 0 THEN '2026-01-01'::date + n % 10 END, '2026-01-01 12:00+00'::timestamptz + n % 10000 * interval '1 minute'
    FROM generate_series(1, 100000) n;

-- A page in an order that mixes directions and has NULLs. The token is all that a client keeps.
SELECT o ->> 'due' AS due, o ->> 'total' AS total, next_page_token <> '' AS more
FROM taskapi.page('api.orders', 'due DESC NULLS LAST, total', page_size => 3), json_array_elements(items) o;
SELECT next_page_token AS token FROM taskapi.page('api.orders', 'due DESC NULLS LAST, total', page_size => 3) \gset
SELECT due, total FROM taskapi.page_rows(NULL::api.orders, 'due DESC NULLS LAST, total', 3, :'token');
-- A token belongs to its query, and to us.
SELECT FROM taskapi.page('api.orders', 'total', 3, :'token');
SELECT FROM taskapi.page('api.orders', 'total', 3, 'garbage');

-- Every row has its own cursor, and an ordinary index bounds what comes after it.
SELECT taskapi.index_advice('api.orders', 'created_at DESC, id DESC');
CREATE INDEX ON shop."order" (created_at, id) WHERE deleted_at IS NULL;
ANALYZE shop."order";
SELECT cursor AS token FROM api.orders ORDER BY created_at DESC, id DESC OFFSET 50000 LIMIT 1 \gset
EXPLAIN (COSTS OFF) SELECT id, total FROM api.orders WHERE cursor > :'token' ORDER BY created_at DESC, id DESC LIMIT 50;

-- A version for everybody who writes, however they write. A stale one is refused.
SELECT id FROM api.orders WHERE total = 7 \gset
UPDATE api.orders SET due = '2026-12-24' WHERE id = :'id' RETURNING due, version;
BEGIN;
SET LOCAL request.method = 'PATCH';      -- as the layer does
SET LOCAL request.headers = '{"if-match": "\"1\""}';
UPDATE api.orders SET due = '2026-12-31' WHERE id = :'id';
ROLLBACK;

-- Deleted rows go to the trash, and come back exactly.
DELETE FROM api.orders WHERE total <= 3;
SELECT total, deleted_at IS NOT NULL AS deleted FROM api.deleted_orders ORDER BY total;
UPDATE api.deleted_orders SET deleted_at = NULL WHERE total = 2;
SELECT (SELECT count(*) FROM api.orders) AS live, (SELECT count(*) FROM api.deleted_orders) AS deleted;
INSERT INTO api.orders (customer, total) VALUES ('somebody', -1);

-- The same key, the same effect, the same answer.
BEGIN;
SELECT outcome FROM taskapi.idempotency_begin('a1', '{"amount": 10}', scope => 'customer 5 POST /payments');
SELECT taskapi.idempotency_complete('a1', 201, '{"payment": 17}', scope => 'customer 5 POST /payments');
COMMIT;
SELECT outcome, status, body FROM taskapi.idempotency_begin('a1', '{"amount": 1e1}', scope => 'customer 5 POST /payments');
SELECT outcome FROM taskapi.idempotency_begin('a1', '{"amount": 11}', scope => 'customer 5 POST /payments');

-- Three at once, then one a second; no table, no WAL, also in a READ ONLY transaction.
SELECT n, v.allowed, v.remaining, round(v.retry_after::numeric, 1) AS retry_after
FROM generate_series(1, 5) n, taskapi.rate_limit('user ' || 42 + n * 0, 1, '1 second', 3) v;

-- A complete task API is made of these parts. Requests run as one of two roles, for the account in the claims.
CREATE ROLE api_anonymous;
CREATE ROLE api_user;
SELECT taskapi.create_task_api('tasks', 'api', 'api_anonymous', 'api_user');
SELECT tasks.create_account('ann@example.org') AS ann, tasks.create_account('bob@example.org') AS bob \gset
SET ROLE api_user;
SELECT set_config('request.jwt.claims', json_build_object('sub', :'ann')::text, false) \g /dev/null
INSERT INTO api.projects (name) VALUES ('Garden') RETURNING id AS project \gset
-- Nobody becomes a member without consent: an owner invites, and the invited account accepts.
INSERT INTO api.members (project_id, account_id) VALUES (:'project', :'bob');
INSERT INTO api.invitations (project_id, email, role) VALUES (:'project', 'bob@example.org', 'editor') RETURNING token \gset
SELECT email, role, token FROM api.invitations;
SELECT set_config('request.jwt.claims', json_build_object('sub', :'bob')::text, false) \g /dev/null
SELECT email FROM api.users;
SELECT role FROM api.accept_invitation(:'token');
SELECT email FROM api.users;
-- Every member may leave.
DELETE FROM api.members WHERE account_id = :'bob' RETURNING role;
SELECT count(*) FROM api.projects;
RESET ROLE;
