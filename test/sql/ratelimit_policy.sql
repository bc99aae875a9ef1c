-- Policies: several at once, shadow, headers, and changes that reach every session.
SET taskapi.test_clock = 1769904000;

INSERT INTO taskapi.rate_limit_policy (name, rate, per, burst, shadow) VALUES
    ('per_user', 10, '1 minute', NULL, false),
    ('per_address', 3, '1 second', 4, false),
    ('dark', 1, '1 hour', 1, true),
    ('odd "\ name', 7, '2 seconds', NULL, false);

-- All are charged together.
SELECT * FROM taskapi.check_rate_limits('{"per_user": "42", "per_address": "203.0.113.7"}');
-- A denial by one charges none, and the others say what they have.
SELECT * FROM taskapi.check_rate_limits('{"per_user": "42", "per_address": "203.0.113.7"}', 4);
SELECT policy, remaining FROM taskapi.rate_limit_status('{"per_user": "42", "per_address": "203.0.113.7"}');
SELECT policy, allowed, remaining, retry_after FROM taskapi.check_rate_limits('{"per_user": "42", "per_address": "203.0.113.7"}', 5);
-- Another subject is another key; a number is what it is written as; a policy's key is not that of rate_limit().
SELECT policy, remaining FROM taskapi.check_rate_limits('{"per_user": 43}', 2);
SELECT policy, remaining FROM taskapi.rate_limit_status('{"per_user": "43"}');
SELECT remaining FROM taskapi.rate_limit_peek('per_user', 10, '1 minute');
-- Cost 0 looks.
SELECT policy, allowed, remaining FROM taskapi.check_rate_limits('{"per_user": 43}', 0);
SELECT policy, allowed, remaining FROM taskapi.check_rate_limits('{}');

-- A shadow policy never denies; beyond its limit it is not charged, and counts.
CREATE TEMP TABLE before AS SELECT * FROM taskapi.rate_limit_stats;
SELECT policy, allowed, remaining, retry_after, reset_after FROM taskapi.check_rate_limits('{"dark": "x", "per_user": "44"}');
SELECT policy, allowed, remaining, retry_after, reset_after FROM taskapi.check_rate_limits('{"dark": "x", "per_user": "44"}');
SELECT s.allowed - b.allowed AS allowed, s.denied - b.denied AS denied, s.shadow_denied - b.shadow_denied AS shadow_denied
FROM taskapi.rate_limit_stats s, before b;
DROP TABLE before;
-- A denial by another leaves the shadow policy uncharged, too.
SELECT policy, allowed, remaining FROM taskapi.check_rate_limits('{"dark": "y", "per_user": "44"}', 11);
SELECT policy, remaining FROM taskapi.rate_limit_status('{"dark": "y"}');
SELECT policy, subject, denied FROM taskapi.rate_limit_denials WHERE subject IN ('x', 'y', '44') ORDER BY policy, subject;

-- Headers: outside a request, inside one, and on a denial. Shadow policies are not the client's business.
SELECT taskapi.rate_limit_headers(array_agg(v)) FROM taskapi.rate_limit_status('{"per_user": "42", "per_address": "203.0.113.7", "dark": "x", "odd \"\\ name": "s"}') v;
SELECT taskapi.rate_limit_headers(ARRAY[taskapi.rate_limit('plain', 5)]);
SELECT taskapi.rate_limit_headers(ARRAY[ROW(false, 'per_user', 10, 0, 1.2, 6.5)::taskapi.rate_limit_verdict,
                                        ROW(false, 'gone', 10, 0, 2.0, 9)::taskapi.rate_limit_verdict, NULL]);
SELECT taskapi.rate_limit_headers('{}');
BEGIN;
SET LOCAL request.method = 'GET';
SELECT taskapi.enforce_rate_limits('{"per_address": "198.51.100.1", "dark": "z"}');
SELECT current_setting('response.headers');
SELECT taskapi.enforce_rate_limits('{"per_address": "198.51.100.1"}', 3);
SELECT current_setting('response.headers');
SELECT taskapi.enforce_rate_limits('{"per_address": "198.51.100.1"}', 2);
ROLLBACK;
SELECT taskapi.enforce_rate_limits('{"per_address": "198.51.100.1"}', 2);
SELECT taskapi.enforce_rate_limits('{"per_address": "198.51.100.1", "per_user": "47"}', 5);
SELECT taskapi.enforce_rate_limits('{"dark": "only"}');
-- Each of these was a denial of everything that it named.
SELECT policy, remaining FROM taskapi.rate_limit_status('{"per_user": "47"}');

-- READ ONLY transactions may check and enforce.
BEGIN READ ONLY;
SELECT count(*) FROM taskapi.check_rate_limits('{"per_user": "45"}');
SELECT taskapi.enforce_rate_limits('{"per_user": "45"}');
SELECT pg_current_xact_id_if_assigned();
COMMIT;
SELECT remaining FROM taskapi.rate_limit_status('{"per_user": "45"}');
SELECT taskapi.reset_rate_limits('{"per_user": "45"}');
SELECT remaining FROM taskapi.rate_limit_status('{"per_user": "45"}');

-- A change takes effect when it commits, and with it in this session, too.
UPDATE taskapi.rate_limit_policy SET rate = 20 WHERE name = 'per_user';
SELECT "limit", remaining FROM taskapi.rate_limit_status('{"per_user": "45"}');
BEGIN;
DELETE FROM taskapi.rate_limit_policy WHERE name = 'per_user';
ROLLBACK;
SELECT "limit" FROM taskapi.rate_limit_status('{"per_user": "45"}');
DELETE FROM taskapi.rate_limit_policy WHERE name = 'odd "\ name';
SELECT * FROM taskapi.rate_limit_status('{"odd \"\\ name": "s"}');

-- Bad input charges nothing.
SELECT * FROM taskapi.check_rate_limits('{"per_user": "46", "unknown": "1"}');
SELECT * FROM taskapi.check_rate_limits('{"per_user": "46", "per_address": ""}');
SELECT * FROM taskapi.check_rate_limits('{"per_user": "46", "per_address": null}');
SELECT * FROM taskapi.check_rate_limits('{"per_user": "46", "per_address": ["a"]}');
SELECT * FROM taskapi.check_rate_limits('{"per_user": "46", "per_address": {"a": "b"}}');
SELECT * FROM taskapi.check_rate_limits('{"per_user": "46", "per_address": true}');
SELECT * FROM taskapi.check_rate_limits('["per_user"]');
SELECT * FROM taskapi.check_rate_limits('"per_user"');
SELECT * FROM taskapi.check_rate_limits('{"per_user": "46"}', -1);
SELECT taskapi.enforce_rate_limits('{"per_user": "46"}', -1);
SELECT taskapi.enforce_rate_limits(NULL);
SELECT taskapi.enforce_rate_limits('{"per_user": "46"}', NULL);
SELECT * FROM taskapi.check_rate_limits(NULL);
SELECT * FROM taskapi.rate_limit_status(NULL);
SELECT taskapi.rate_limit_headers(NULL);
SELECT * FROM taskapi.check_rate_limits(jsonb_build_object('per_user', repeat('x', 1025)));
SELECT * FROM taskapi.check_rate_limits(jsonb_build_object(repeat('x', 1000), '1')) WHERE false;
SELECT remaining FROM taskapi.rate_limit_status('{"per_user": "46"}');
INSERT INTO taskapi.rate_limit_policy (name, rate) SELECT 'p' || i, 5 FROM generate_series(1, 100) i;
SELECT count(*) FROM taskapi.check_rate_limits((SELECT jsonb_object_agg('p' || i, 's') FROM generate_series(1, 100) i));
SELECT count(*), min(remaining), max(remaining)
FROM taskapi.check_rate_limits((SELECT jsonb_object_agg('p' || i, 's') FROM generate_series(1, 32) i));

INSERT INTO taskapi.rate_limit_policy (name, rate) VALUES ('', 1);
INSERT INTO taskapi.rate_limit_policy (name, rate) VALUES (repeat('x', 64), 1);
INSERT INTO taskapi.rate_limit_policy (name, rate) VALUES (E'new\nline', 1);
INSERT INTO taskapi.rate_limit_policy (name, rate) VALUES ('é', 1);
INSERT INTO taskapi.rate_limit_policy (name, rate) VALUES ('zero', 0);
INSERT INTO taskapi.rate_limit_policy (name, rate, per) VALUES ('month', 1, '1 month');
INSERT INTO taskapi.rate_limit_policy (name, rate, burst) VALUES ('burst', 1, 0);

-- Policies are the owner's to make, and checks are granted by name.
CREATE ROLE regress_ratelimit_policy;
SET ROLE regress_ratelimit_policy;
SELECT count(*) FROM taskapi.rate_limit_policy;
INSERT INTO taskapi.rate_limit_policy (name, rate) VALUES ('mine', 1000);
SELECT taskapi.check_rate_limits('{"per_user": "48"}');
SELECT taskapi.enforce_rate_limits('{"per_user": "48"}');
SELECT taskapi.rate_limit_status('{"per_user": "48"}');
RESET ROLE;
-- Whoever may check charges what is the caller's: subject, key, session, address. Nothing of a check with a stranger's is charged.
GRANT EXECUTE ON FUNCTION taskapi.check_rate_limits, taskapi.enforce_rate_limits, taskapi.rate_limit_status TO regress_ratelimit_policy;
SET ROLE regress_ratelimit_policy;
BEGIN;
SELECT taskapi.check_rate_limits('{"per_user": "victim"}');
ROLLBACK;
BEGIN;
SET LOCAL request.jwt.claims = '{"sub": "48", "api_key_id": "k48", "session_id": "s48"}';
SELECT policy, remaining FROM taskapi.check_rate_limits('{"per_user": "48"}');
SELECT count(*) FROM taskapi.rate_limit_status('{"per_user": "k48"}'), taskapi.check_rate_limits('{"per_user": "s48"}');
SAVEPOINT s;
SELECT taskapi.check_rate_limits('{"per_user": "48", "per_key": "victim"}');
ROLLBACK TO s;
SELECT taskapi.enforce_rate_limits('{"per_user": "victim"}');
ROLLBACK TO s;
SELECT taskapi.rate_limit_status('{"per_user": "victim"}');
ROLLBACK TO s;
SELECT policy, remaining FROM taskapi.rate_limit_status('{"per_user": "48"}');
ROLLBACK;
RESET ROLE;
SELECT policy, remaining = "limit" AS whole FROM taskapi.rate_limit_status('{"per_user": "victim"}');
-- and a role that may charge any key, checks any subject
GRANT EXECUTE ON FUNCTION taskapi.rate_limit TO regress_ratelimit_policy;
SET ROLE regress_ratelimit_policy;
SELECT count(*) FROM taskapi.check_rate_limits('{"per_user": "somebody else"}');
SELECT taskapi.reset_rate_limits('{"per_user": "48"}');
RESET ROLE;
DROP OWNED BY regress_ratelimit_policy;
DROP ROLE regress_ratelimit_policy;

DROP EXTENSION taskapi;
-- The cache does not outlive the table.
CREATE EXTENSION taskapi;
SELECT * FROM taskapi.rate_limit_status('{"dark": "45"}');
RESET taskapi.test_clock;
