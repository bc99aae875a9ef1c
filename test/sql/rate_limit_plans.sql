-- Plans, windows, routes and prices are rows: what docs/rate-limits.md shows holds for every caller, credential, method and spelling of a path.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_anon;
CREATE ROLE regress_user;
SELECT taskapi.set_api_roles('regress_anon', 'regress_user');
SET taskapi.trusted_proxy_hops = 1;
UPDATE taskapi.rate_limit_policy SET shadow = true;
-- One request; the answer is the remaining quota of each policy that says what it counts, or the problem.
CREATE FUNCTION pg_temp.request(subject text, path text, method text DEFAULT 'GET', headers jsonb DEFAULT '{}', claims jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message json; detail json; told text;
BEGIN
    PERFORM set_config('request.method', method, true), set_config('request.path', path, true), set_config('request.headers', headers::text, true), set_config('request.cookies', '{}', true),
            set_config('request.jwt.claims', (claims || CASE WHEN subject IS NULL THEN '{}' ELSE jsonb_build_object('sub', subject) END)::text, true), set_config('response.headers', '', true);
    BEGIN
        PERFORM taskapi.pre_request();
        told := (SELECT h ->> 'RateLimit' FROM json_array_elements(nullif(current_setting('response.headers'), '')::json) h WHERE h ->> 'RateLimit' IS NOT NULL);
        RAISE EXCEPTION USING ERRCODE = 'UNDO0';
    EXCEPTION
        WHEN SQLSTATE 'UNDO0' THEN RETURN regexp_replace(told, '("per_\w+";r=\d+;t=\d+(, )?)|;t=\d+', '', 'g');
        WHEN SQLSTATE 'PGRST' THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
            RETURN concat_ws(' ', detail ->> 'status', message ->> 'code', regexp_replace(message ->> 'details', '[0-9]+ second', 'N second'), 'wait=' || (((detail -> 'headers') ->> 'Retry-After')::int > 60));
    END;
END $$;
SELECT pg_temp.request('plan-none', '/tasks') AS nothing_yet;

-- Free, pro, enterprise
BEGIN;
INSERT INTO taskapi.rate_limit_policy (name, rate, per, burst, counts, plan) VALUES
    ('free-minute',       60, '1 minute',   20, 'subject', 'free'),
    ('free-day',        1000, '1 day',    1000, 'subject', 'free'),
    ('pro-minute',       600, '1 minute',  200, 'subject', 'pro'),
    ('pro-day',        50000, '1 day',   50000, 'subject', 'pro'),
    ('enterprise-minute', 6000, '1 minute', 2000, 'subject', 'enterprise');
UPDATE taskapi.rate_limit_policy SET per = '1000 hours' WHERE counts IS NOT NULL;      -- none refills while this runs
INSERT INTO taskapi.rate_limit_subject (subject, plan) VALUES ('ann', 'pro'), ('big', 'enterprise');
COMMIT;
SET taskapi.default_plan = 'free';
SELECT s AS caller, pg_temp.request(s, '/tasks') FROM unnest('{ann,big,cid}'::text[]) s;
SELECT pg_temp.request('dee', '/tasks', claims => '{"plan": "pro"}') AS by_claim, pg_temp.request('ann', '/tasks', claims => '{"plan": "enterprise"}') AS the_row_first,
       pg_temp.request('eve', '/tasks', claims => '{"plan": ["pro"]}') AS no_text, pg_temp.request('fay', '/tasks', claims => '{"plan": "gold"}') AS unknown, pg_temp.request(NULL, '/tasks') AS anonymous;
-- both windows or none: the day stays as it was when the minute denies
SELECT pg_temp.request('cid', '/tasks') FROM generate_series(1, 20) OFFSET 18;
SELECT policy, remaining FROM taskapi.rate_limit_status('{"free-day": "cid", "free-minute": "cid"}') ORDER BY 1;
-- the same subject by an API key
SELECT jsonb_build_object('x-api-key', taskapi.create_api_key('big')) AS by_key \gset
SELECT pg_temp.request(NULL, '/tasks', headers => :'by_key');
-- a change counts at once, and a plan that changes too
UPDATE taskapi.rate_limit_subject SET plan = 'pro' WHERE subject = 'big';
UPDATE taskapi.rate_limit_policy SET burst = 300 WHERE name = 'pro-minute';
SELECT pg_temp.request('big', '/tasks');
UPDATE taskapi.rate_limit_subject SET plan = 'enterprise' WHERE subject = 'big';

-- A contract of its own
INSERT INTO taskapi.rate_limit_override (subject, policy, rate, per, burst) VALUES ('big', 'enterprise-minute', 20000, '1 minute', 5000);
UPDATE taskapi.rate_limit_override SET per = '1000 hours';
SELECT pg_temp.request('big', '/tasks');
INSERT INTO taskapi.rate_limit_override (subject, policy, rate) VALUES ('BIG', 'nothing', 0);
INSERT INTO taskapi.rate_limit_subject VALUES ('018FDB5C-6B3A-7CC1-9F3B-7D1F2A3B4C5D', 'pro');
INSERT INTO taskapi.rate_limit_subject VALUES ('018fdb5c-6b3a-7cc1-9f3b-7d1f2a3b4c5d', 'pro');
SELECT pg_temp.request('018FDB5C-6B3A-7CC1-9F3B-7D1F2A3B4C5D', '/tasks') AS any_spelling;

-- Prices by route
INSERT INTO taskapi.rate_limit_route (path, method, cost) VALUES ('/rpc/export', '*', 10), ('/reports*', 'POST', 5), ('/health', '*', 0), ('/reports/big*', '*', 7), ('/reports/big/one', '*', 1), ('/reports/big/one', 'GET', 2);
SELECT path, method, pg_temp.request('gus', path, method) FROM (VALUES (1, '/tasks', 'GET'), (2, '/rpc/export', 'GET'), (3, '/health', 'GET'), (4, '/reports', 'GET'), (5, '/reports/x', 'POST'), (6, '/reports/big', 'POST')) v (n, path, method) ORDER BY n;
SELECT path, method, pg_temp.request('hal', path, method) FROM (VALUES (1, '/reports/big/one', 'POST'), (2, '/reports/big/one', 'HEAD'), (3, '/rpc/%65xport/', 'POST'), (4, '/health2', 'GET')) v (n, path, method) ORDER BY n;
INSERT INTO taskapi.rate_limit_route (path, cost) VALUES ('/dear', 21);
SELECT pg_temp.request('ida', '/dear');

-- A limit on a route
INSERT INTO taskapi.rate_limit_policy (name, rate, per, burst, counts, method, path) VALUES
    ('search-each', 1, '1000 hours', 3, 'subject', 'GET', '/rpc/search'), ('sign-up-address', 1, '1000 hours', 2, 'address', 'POST', '/rpc/sign_up'), ('key', 1, '1000 hours', 5, 'api_key', NULL, '/rpc/*');
SELECT path, method, pg_temp.request('kim', path, method) FROM (VALUES (1, '/rpc/search', 'GET'), (2, '/rpc/search', 'POST'), (3, '/rpc/s%65arch', 'HEAD'), (4, '/rpc/%73%65%61%72%63%68//', 'GET'), (5, '/rpc/search', 'GET'), (6, '/rpc/searched', 'GET')) v (n, path, method) ORDER BY n;
SELECT pg_temp.request(NULL, '/rpc/sign_up', 'POST', headers => jsonb_build_object('x-forwarded-for', a)) FROM unnest('{203.0.113.1,203.0.113.1,203.0.113.2,203.0.113.1}'::text[]) a;
SELECT pg_temp.request(NULL, '/rpc/x', headers => :'by_key'), pg_temp.request('big', '/rpc/x');
-- one to try
UPDATE taskapi.rate_limit_policy SET shadow = true WHERE name = 'search-each';
SELECT pg_temp.request('kim', '/rpc/search');

-- What is no rule is refused.
INSERT INTO taskapi.rate_limit_policy (name, rate, plan) VALUES ('x', 1, 'free');
INSERT INTO taskapi.rate_limit_policy (name, rate, counts) VALUES ('x', 1, 'user');
INSERT INTO taskapi.rate_limit_policy (name, rate, counts, plan) VALUES ('x', 1, 'address', 'free');
INSERT INTO taskapi.rate_limit_policy (name, rate, counts, method) VALUES ('x', 1, 'subject', 'get');
INSERT INTO taskapi.rate_limit_policy (name, rate, counts, path) VALUES ('x', 1, 'subject', 'tasks');
INSERT INTO taskapi.rate_limit_route VALUES ('/x', 'get', 1);
INSERT INTO taskapi.rate_limit_route VALUES ('/x', 'GET', -1);
-- no caller sets its plan, and reads none of it
SET ROLE regress_user;
SET taskapi.default_plan = 'enterprise';
SELECT count(*) FROM taskapi.rate_limit_subject;
RESET ROLE;

RESET taskapi.default_plan;
DELETE FROM taskapi.rate_limit_override;
DELETE FROM taskapi.rate_limit_subject;
DELETE FROM taskapi.rate_limit_route;
UPDATE taskapi.rate_limit_policy SET shadow = false;
DELETE FROM taskapi.rate_limit_policy p WHERE name NOT IN (SELECT name FROM taskapi.shipped_rate_limit_policies());
DELETE FROM taskapi.api_key;
DELETE FROM taskapi.api_role;
DROP OWNED BY regress_user;
DROP ROLE regress_anon, regress_user;
