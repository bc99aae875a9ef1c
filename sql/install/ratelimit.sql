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

CREATE FUNCTION taskapi.rate_limit(key text, rate int, per interval DEFAULT '1 second', burst int DEFAULT NULL, cost int DEFAULT 1)
    RETURNS taskapi.rate_limit_verdict
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit';
COMMENT ON FUNCTION taskapi.rate_limit(text, int, interval, int, int) IS
    'Charges a request of that cost to a key, or denies it: rate per interval sustained, burst (default rate) at once';

CREATE FUNCTION taskapi.rate_limit_peek(key text, rate int, per interval DEFAULT '1 second', burst int DEFAULT NULL)
    RETURNS taskapi.rate_limit_verdict
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit_peek';
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

-- Figures. Shared memory belongs to the server, and so do the counters; denials are shown of this database only.

CREATE FUNCTION taskapi.counters(OUT name text, OUT value bigint)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL SAFE ROWS 12 AS 'MODULE_PATHNAME', 'taskapi_counters';
REVOKE ALL ON FUNCTION taskapi.counters() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION taskapi.counters() TO pg_monitor;
COMMENT ON FUNCTION taskapi.counters() IS 'Everything counted since the server started, over all its databases';

CREATE FUNCTION taskapi.rate_limit_table(OUT keys bigint, OUT capacity bigint, OUT bytes bigint)
    RETURNS record
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit_table';
REVOKE ALL ON FUNCTION taskapi.rate_limit_table() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION taskapi.rate_limit_table() TO pg_monitor;
COMMENT ON FUNCTION taskapi.rate_limit_table() IS
    'The shared table: keys that are not at rest, entries that it has, bytes that it takes';

CREATE FUNCTION taskapi.rate_limit_denied(OUT policy text, OUT subject text, OUT denied bigint, OUT error bigint,
                                          OUT last_denied_at timestamptz)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL SAFE ROWS 100 AS 'MODULE_PATHNAME', 'taskapi_rate_limit_denied';
REVOKE ALL ON FUNCTION taskapi.rate_limit_denied() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION taskapi.rate_limit_denied() TO pg_monitor;
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
GRANT SELECT ON taskapi.rate_limit_stats TO pg_monitor;
COMMENT ON VIEW taskapi.rate_limit_stats IS
    'The limiter, over all databases since the server started; limits are exact while evicted is 0';

CREATE VIEW taskapi.rate_limit_denials AS
    SELECT policy, subject, denied, last_denied_at, error
    FROM taskapi.rate_limit_denied()
    ORDER BY denied DESC, last_denied_at DESC;
REVOKE ALL ON taskapi.rate_limit_denials FROM PUBLIC;
GRANT SELECT ON taskapi.rate_limit_denials TO pg_monitor;
COMMENT ON VIEW taskapi.rate_limit_denials IS
    'Who is denied most in this database (bounded; a count is at most error too high); policy NULL is a key of rate_limit()';
