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
    'True where these make a rate limit, else the error that says why not';

CREATE TABLE taskapi.rate_limit_policy (
    name        text PRIMARY KEY,
    rate        int NOT NULL,
    per         interval NOT NULL DEFAULT '1 second',
    burst       int,
    shadow      boolean NOT NULL DEFAULT false,
    description text,
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
COMMENT ON COLUMN taskapi.rate_limit_policy.description IS 'For whoever reads this table';

CREATE TRIGGER invalidate_cache
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.rate_limit_policy
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.rate_limit_policy ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.rate_limit_policy IS 'A changed policy counts in every backend at once';

-- Checks by policy. The caller's own subjects are current_subject(), its API key and session (claims api_key_id, session_id) and
-- client_address(); for any other subject the current user needs EXECUTE on taskapi.rate_limit(), else the check is forbidden.

CREATE FUNCTION taskapi.check_rate_limits(subjects jsonb, cost int DEFAULT 1)
    RETURNS SETOF taskapi.rate_limit_verdict
    LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 3 AS 'MODULE_PATHNAME', 'taskapi_check_rate_limits';
REVOKE ALL ON FUNCTION taskapi.check_rate_limits(jsonb, int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.check_rate_limits(jsonb, int) IS
    'Charges {"policy": "subject", ...} all at once, or nothing where any of them denies';

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
