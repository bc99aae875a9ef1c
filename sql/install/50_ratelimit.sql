-- Rate limits.

CREATE TYPE taskapi.rate_limit_verdict AS (
    allowed     boolean,
    policy      text,
    "limit"     bigint,
    remaining   bigint,
    retry_after double precision,
    reset_after double precision
);
COMMENT ON TYPE taskapi.rate_limit_verdict IS
    'What a rate limit says of a request; times in seconds, retry_after 0 when allowed and NULL when the cost can never fit';
COMMENT ON COLUMN taskapi.rate_limit_verdict.allowed IS 'May the request proceed?';
COMMENT ON COLUMN taskapi.rate_limit_verdict.policy IS 'The policy that was asked; NULL for a limit that was given with the call';
COMMENT ON COLUMN taskapi.rate_limit_verdict."limit" IS 'The burst: how much a key that has rested may cost at once';
COMMENT ON COLUMN taskapi.rate_limit_verdict.remaining IS 'How much may still be charged right now';
COMMENT ON COLUMN taskapi.rate_limit_verdict.retry_after IS 'Seconds until this request would be allowed';
COMMENT ON COLUMN taskapi.rate_limit_verdict.reset_after IS 'Seconds until the whole burst is there again';

CREATE FUNCTION taskapi.rate_limit(key text, rate int, per interval DEFAULT '1 second', burst int DEFAULT NULL,
                                   cost int DEFAULT 1)
    RETURNS taskapi.rate_limit_verdict
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit';
REVOKE ALL ON FUNCTION taskapi.rate_limit(text, int, interval, int, int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rate_limit(text, int, interval, int, int) IS
    'Charges a request of that cost to a key, or denies it: rate per interval sustained, burst (default rate) at once. A role'
    ' that may execute it may also check the subjects of others by policy';

CREATE FUNCTION taskapi.rate_limit_allowed(key text, rate int, per interval DEFAULT '1 second', burst int DEFAULT NULL,
                                           cost int DEFAULT 1)
    RETURNS bool
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit_allowed';
REVOKE ALL ON FUNCTION taskapi.rate_limit_allowed(text, int, interval, int, int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rate_limit_allowed(text, int, interval, int, int) IS
    'The column allowed of rate_limit() with these arguments: charges, or denies';

CREATE FUNCTION taskapi.rate_limit_peek(key text, rate int, per interval DEFAULT '1 second', burst int DEFAULT NULL)
    RETURNS taskapi.rate_limit_verdict
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit_peek';
REVOKE ALL ON FUNCTION taskapi.rate_limit_peek(text, int, interval, int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rate_limit_peek(text, int, interval, int) IS
    'What a request of cost 1 would be told; charges nothing';

CREATE FUNCTION taskapi.rate_limit_refund(key text, rate int, per interval DEFAULT '1 second', cost int DEFAULT 1)
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit_refund';
REVOKE ALL ON FUNCTION taskapi.rate_limit_refund(text, int, interval, int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rate_limit_refund(text, int, interval, int) IS
    'Gives back what a request had cost, up to the whole burst';

CREATE FUNCTION taskapi.rate_limit_reset(key text)
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit_reset';
REVOKE ALL ON FUNCTION taskapi.rate_limit_reset(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rate_limit_reset(text) IS 'Forgets a key, which has its whole burst then';

CREATE FUNCTION taskapi.save_rate_limits()
    RETURNS bigint
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_save_rate_limits';
REVOKE ALL ON FUNCTION taskapi.save_rate_limits() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.save_rate_limits() IS
    'Saves the shared table to a file that is loaded at the next start; returns how many keys it holds';

-- Policies: limits with a name.

CREATE FUNCTION taskapi.check_rate_limit_policy(rate int, per interval, burst int)
    RETURNS boolean
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_check_rate_limit_policy';
COMMENT ON FUNCTION taskapi.check_rate_limit_policy(int, interval, int) IS
    'True if these make a rate limit, else the error that says why not';

CREATE TABLE taskapi.rate_limit_policy (
    name        text PRIMARY KEY,
    rate        int NOT NULL,
    per         interval NOT NULL DEFAULT '1 second',
    burst       int,
    shadow      boolean NOT NULL DEFAULT false,
    description text,
    counts      text,
    plan        text,
    method      text,
    path        text,
    CONSTRAINT rate_limit_policy_counts_check
        CHECK (CASE WHEN counts IS NULL THEN plan IS NULL AND method IS NULL AND path IS NULL
                    ELSE counts OPERATOR(pg_catalog.=) ANY ('{subject,api_key,address}')
                         AND (plan IS NULL OR counts OPERATOR(pg_catalog.<>) 'address') END),
    CONSTRAINT rate_limit_policy_route_check
        CHECK ((method IS NULL OR method COLLATE "C" OPERATOR(pg_catalog.~) '^[A-Z]+$')
               AND (path IS NULL OR path COLLATE "C" OPERATOR(pg_catalog.~) '^/')),
    CONSTRAINT rate_limit_policy_name_check
        CHECK (pg_catalog.octet_length(name) >= 1 AND pg_catalog.octet_length(name) <= 63
               AND name COLLATE "C" OPERATOR(pg_catalog.!~) '[^ -~]'),
    CONSTRAINT rate_limit_policy_limit_check CHECK (taskapi.check_rate_limit_policy(rate, per, burst))
);
REVOKE ALL ON taskapi.rate_limit_policy FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('taskapi.rate_limit_policy', '');
COMMENT ON TABLE taskapi.rate_limit_policy IS 'Rate limits by name; a change takes effect in every session when it commits';
COMMENT ON COLUMN taskapi.rate_limit_policy.name IS
    'What checks and the RateLimit headers call it: printable ASCII, at most 63 characters';
COMMENT ON COLUMN taskapi.rate_limit_policy.rate IS 'How much it admits per interval, sustained';
COMMENT ON COLUMN taskapi.rate_limit_policy.per IS 'The interval';
COMMENT ON COLUMN taskapi.rate_limit_policy.burst IS 'How much it admits at once; NULL is as much as the rate';
COMMENT ON COLUMN taskapi.rate_limit_policy.shadow IS 'Count and report, but never deny';
COMMENT ON COLUMN taskapi.rate_limit_policy.description IS 'Free text';
COMMENT ON COLUMN taskapi.rate_limit_policy.counts IS
    'pre_request() applies it to each subject, api_key or address; NULL: it is applied only by its name';
COMMENT ON COLUMN taskapi.rate_limit_policy.plan IS 'Only to callers of this plan; NULL: to all';
COMMENT ON COLUMN taskapi.rate_limit_policy.method IS 'Only to this method, GET to HEAD too; NULL: to all';
COMMENT ON COLUMN taskapi.rate_limit_policy.path IS
    'Only to this path, or with a * at its end, to those that begin so; NULL: to all';

CREATE TRIGGER invalidate_cache
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.rate_limit_policy
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.rate_limit_policy ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.rate_limit_policy IS 'A changed policy counts in every backend at once';

-- What pre_request() applies by itself: policies that say what they count. C: src/ratelimit/ratelimit_plan.c

CREATE TABLE taskapi.rate_limit_route (
    path   text COLLATE "C",
    method text COLLATE "C" DEFAULT '*',
    cost   int NOT NULL,
    PRIMARY KEY (path, method),
    CONSTRAINT rate_limit_route_check
        CHECK (path OPERATOR(pg_catalog.~) '^/' AND method OPERATOR(pg_catalog.~) '^([A-Z]+|[*])$'
               AND cost OPERATOR(pg_catalog.>=) 0)
);
REVOKE ALL ON taskapi.rate_limit_route FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('taskapi.rate_limit_route', '');
COMMENT ON TABLE taskapi.rate_limit_route IS
    'What a request costs the policies that say what they count; 1 if no route fits. The closest one that fits says it';
COMMENT ON COLUMN taskapi.rate_limit_route.path IS 'Its path, or with a * at its end, how that begins';
COMMENT ON COLUMN taskapi.rate_limit_route.method IS 'Its method, GET for HEAD too; * is any';
COMMENT ON COLUMN taskapi.rate_limit_route.cost IS 'How much it is charged; 0 is nothing';

CREATE TABLE taskapi.rate_limit_subject (
    subject text COLLATE "C" PRIMARY KEY CHECK (subject OPERATOR(pg_catalog.=) taskapi.canonical_subject(subject)),
    plan    text NOT NULL
);
REVOKE ALL ON taskapi.rate_limit_subject FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('taskapi.rate_limit_subject', '');
COMMENT ON TABLE taskapi.rate_limit_subject IS
    'The plan of a subject. Of one that is not here it is the claim plan of its token, else taskapi.default_plan';
COMMENT ON COLUMN taskapi.rate_limit_subject.subject IS 'As current_subject() has it';
COMMENT ON COLUMN taskapi.rate_limit_subject.plan IS 'As policies have it';

CREATE TABLE taskapi.rate_limit_override (
    subject text COLLATE "C" CHECK (subject OPERATOR(pg_catalog.=) taskapi.canonical_subject(subject)),
    policy  text COLLATE "C",
    rate    int NOT NULL,
    per     interval NOT NULL DEFAULT '1 second',
    burst   int,
    PRIMARY KEY (subject, policy),
    CONSTRAINT rate_limit_override_limit_check CHECK (taskapi.check_rate_limit_policy(rate, per, burst))
);
REVOKE ALL ON taskapi.rate_limit_override FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('taskapi.rate_limit_override', '');
COMMENT ON TABLE taskapi.rate_limit_override IS 'Another rate for one subject, of a policy that says what it counts';
COMMENT ON COLUMN taskapi.rate_limit_override.subject IS 'As current_subject() has it';
COMMENT ON COLUMN taskapi.rate_limit_override.policy IS 'The policy whose rate this is for the subject';
COMMENT ON COLUMN taskapi.rate_limit_override.rate IS 'How much it admits per interval, sustained';
COMMENT ON COLUMN taskapi.rate_limit_override.per IS 'The interval';
COMMENT ON COLUMN taskapi.rate_limit_override.burst IS 'How much it admits at once; NULL is as much as the rate';

CREATE TRIGGER invalidate_cache
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.rate_limit_route
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.rate_limit_route ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.rate_limit_route IS 'A changed cost counts in every backend at once';

-- Checks by policy. The caller's own subjects are current_subject(), its API key and session (claims api_key_id, session_id) and
-- client_address(); for any other subject the current user needs EXECUTE on taskapi.rate_limit(), else the check is forbidden.

CREATE FUNCTION taskapi.check_rate_limits(subjects jsonb, cost int DEFAULT 1)
    RETURNS SETOF taskapi.rate_limit_verdict
    LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 3 AS 'MODULE_PATHNAME', 'taskapi_check_rate_limits';
REVOKE ALL ON FUNCTION taskapi.check_rate_limits(jsonb, int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.check_rate_limits(jsonb, int) IS
    'Charges {"policy": "subject", ...} all at once, or nothing if any of them denies';

CREATE FUNCTION taskapi.enforce_rate_limits(subjects jsonb, cost int DEFAULT 1)
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_enforce_rate_limits_sql';
REVOKE ALL ON FUNCTION taskapi.enforce_rate_limits(jsonb, int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.enforce_rate_limits(jsonb, int) IS
    'check_rate_limits() that sets the RateLimit headers of the answer, or raises rate_limited (429)';

CREATE FUNCTION taskapi.rate_limit_status(subjects jsonb)
    RETURNS SETOF taskapi.rate_limit_verdict
    LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 3 AS 'MODULE_PATHNAME', 'taskapi_rate_limit_status';
REVOKE ALL ON FUNCTION taskapi.rate_limit_status(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rate_limit_status(jsonb) IS
    'What a request of cost 1 would be told by each policy; charges nothing';

CREATE FUNCTION taskapi.rate_limit_headers(verdicts taskapi.rate_limit_verdict[])
    RETURNS jsonb
    LANGUAGE C STABLE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit_headers';
COMMENT ON FUNCTION taskapi.rate_limit_headers(taskapi.rate_limit_verdict[]) IS
    'RateLimit-Policy, RateLimit and, after a denial, Retry-After as draft-ietf-httpapi-ratelimit-headers has them';

CREATE FUNCTION taskapi.reset_rate_limits(subjects jsonb)
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_reset_rate_limits';
REVOKE ALL ON FUNCTION taskapi.reset_rate_limits(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.reset_rate_limits(jsonb) IS
    'Forgets what {"policy": "subject", ...} were charged';

-- Figures. Shared memory belongs to the server, and so do the counters; denials are shown of this database only.

CREATE FUNCTION taskapi.counters(OUT name text, OUT value bigint)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL SAFE ROWS 12 AS 'MODULE_PATHNAME', 'taskapi_counters';
REVOKE ALL ON FUNCTION taskapi.counters() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.counters() IS 'Everything counted since the server started, over all its databases';

CREATE FUNCTION taskapi.rate_limit_table(OUT keys bigint, OUT capacity bigint, OUT bytes bigint)
    RETURNS record
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit_table';
REVOKE ALL ON FUNCTION taskapi.rate_limit_table() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rate_limit_table() IS
    'The shared table: keys that are not at rest, entries that it has, bytes that it takes';

CREATE FUNCTION taskapi.rate_limit_denied(OUT policy text, OUT subject text, OUT denied bigint, OUT error bigint,
                                          OUT last_denied_at timestamptz)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL SAFE ROWS 100 AS 'MODULE_PATHNAME', 'taskapi_rate_limit_denied';
REVOKE ALL ON FUNCTION taskapi.rate_limit_denied() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rate_limit_denied() IS 'The rows of view rate_limit_denials, in no order';

CREATE VIEW taskapi.rate_limit_stats AS
    SELECT t.keys, t.capacity, c.allowed, c.denied, c.evicted, c.shadow_denied, c.reclaimed, t.bytes
    FROM taskapi.rate_limit_table() t,
         (SELECT pg_catalog.max(value) FILTER (WHERE name = 'rate_limit_allowed') AS allowed,
                 pg_catalog.max(value) FILTER (WHERE name = 'rate_limit_denied') AS denied,
                 pg_catalog.max(value) FILTER (WHERE name = 'rate_limit_evicted') AS evicted,
                 pg_catalog.max(value) FILTER (WHERE name = 'rate_limit_shadow_denied') AS shadow_denied,
                 pg_catalog.max(value) FILTER (WHERE name = 'rate_limit_reclaimed') AS reclaimed
          FROM taskapi.counters()) c;
REVOKE ALL ON taskapi.rate_limit_stats FROM PUBLIC;
COMMENT ON VIEW taskapi.rate_limit_stats IS
    'The limiter, over all databases since the server started; limits are exact while evicted is 0';

CREATE VIEW taskapi.rate_limit_denials AS
    SELECT policy, subject, denied, last_denied_at, error
    FROM taskapi.rate_limit_denied()
    ORDER BY denied DESC, last_denied_at DESC;
REVOKE ALL ON taskapi.rate_limit_denials FROM PUBLIC;
COMMENT ON VIEW taskapi.rate_limit_denials IS
    'Who is denied most in this database (bounded; a count is at most error too high); policy NULL is a key of rate_limit()';
