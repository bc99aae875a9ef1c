-- Requests, counted and timed. C: src/metrics/

CREATE FUNCTION taskapi.request_series(OUT method text, OUT route text, OUT status text, OUT requests bigint,
                                       OUT microseconds bigint, OUT buckets bigint[])
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL SAFE ROWS 100 AS 'MODULE_PATHNAME', 'taskapi_request_series';
REVOKE ALL ON FUNCTION taskapi.request_series() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.request_series() IS 'The rows of view request_metrics, in no order';

CREATE FUNCTION taskapi.request_buckets() RETURNS double precision[]
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_request_buckets';
REVOKE ALL ON FUNCTION taskapi.request_buckets() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.request_buckets() IS
    'The upper bounds of the buckets of request_metrics, in seconds: powers of two from 64 microseconds, and infinity';

CREATE FUNCTION taskapi.requests_under_way(OUT pid int, OUT method text, OUT route text, OUT started_at timestamptz)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL SAFE ROWS 20 AS 'MODULE_PATHNAME', 'taskapi_requests_under_way';
REVOKE ALL ON FUNCTION taskapi.requests_under_way() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.requests_under_way() IS
    'Requests of this database whose transaction has not ended: who serves them, and since when';

CREATE VIEW taskapi.request_metrics AS
    SELECT s.method, s.route, s.status, s.requests, s.microseconds / 1e6::double precision AS seconds, s.buckets
    FROM taskapi.request_series() s;
REVOKE ALL ON taskapi.request_metrics FROM PUBLIC;
COMMENT ON VIEW taskapi.request_metrics IS
    'Requests of this database since the server started, from pre_request() to the end of the transaction, by COMMIT or'
    ' otherwise';
COMMENT ON COLUMN taskapi.request_metrics.method IS 'The method, or other';
COMMENT ON COLUMN taskapi.request_metrics.route IS
    '/NAME, /NAME/{key} or /rpc/NAME of something that there is, else other: no client can make a row';
COMMENT ON COLUMN taskapi.request_metrics.status IS
    '2xx to 5xx; rolled back: by the layer, without an error, so that the database does not know why';
COMMENT ON COLUMN taskapi.request_metrics.requests IS 'How many';
COMMENT ON COLUMN taskapi.request_metrics.seconds IS 'How long all of them together took';
COMMENT ON COLUMN taskapi.request_metrics.buckets IS
    'How many took at most as long as the bounds of request_buckets(), each counting those before it too';

CREATE VIEW taskapi.request_duration_buckets AS
    SELECT s.method, s.route, s.status, CASE b.le WHEN 'infinity' THEN '+Inf' ELSE b.le::text END AS le,
           s.buckets[b.n] AS requests
    FROM taskapi.request_series() s, ROWS FROM (unnest(taskapi.request_buckets())) WITH ORDINALITY b(le, n);
REVOKE ALL ON taskapi.request_duration_buckets FROM PUBLIC;
COMMENT ON VIEW taskapi.request_duration_buckets IS
    'request_metrics as Prometheus wants a histogram: a row a bucket, cumulative, with its upper bound in seconds as text';
COMMENT ON COLUMN taskapi.request_duration_buckets.method IS 'As in request_metrics';
COMMENT ON COLUMN taskapi.request_duration_buckets.route IS 'As in request_metrics';
COMMENT ON COLUMN taskapi.request_duration_buckets.status IS 'As in request_metrics';
COMMENT ON COLUMN taskapi.request_duration_buckets.le IS 'The upper bound in seconds; +Inf is the last';
COMMENT ON COLUMN taskapi.request_duration_buckets.requests IS 'How many took at most as long';

CREATE VIEW taskapi.request_gauge AS
    SELECT u.method, u.route, count(*) AS requests, min(u.started_at) AS oldest_started_at
    FROM taskapi.requests_under_way() u
    GROUP BY u.method, u.route;
REVOKE ALL ON taskapi.request_gauge FROM PUBLIC;
COMMENT ON VIEW taskapi.request_gauge IS 'Requests of this database that are under way';
COMMENT ON COLUMN taskapi.request_gauge.method IS 'As in request_metrics';
COMMENT ON COLUMN taskapi.request_gauge.route IS 'As in request_metrics';
COMMENT ON COLUMN taskapi.request_gauge.requests IS 'How many';
COMMENT ON COLUMN taskapi.request_gauge.oldest_started_at IS 'When the oldest of them called pre_request()';

-- Pages that no index bounds. C: src/page/page_unbounded.c

CREATE FUNCTION taskapi.unbounded_page_counts(OUT source regclass, OUT order_by text, OUT pages bigint, OUT error bigint,
                                              OUT last_at timestamptz)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL SAFE ROWS 20 AS 'MODULE_PATHNAME', 'taskapi_unbounded_page_counts';
REVOKE ALL ON FUNCTION taskapi.unbounded_page_counts() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.unbounded_page_counts() IS 'The rows of view unbounded_pages, in no order';

-- As the reader, and without an error or a long wait, since it stands in a view of many lines. An order that fills its place
-- may have been cut.
CREATE FUNCTION taskapi.unbounded_page_advice(source regclass, order_by text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms'
AS $$
BEGIN
    RETURN CASE WHEN octet_length(order_by) < 197 THEN taskapi.index_advice(source, order_by) END;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION taskapi.unbounded_page_advice(regclass, text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.unbounded_page_advice(regclass, text) IS
    'Internal: column advice of view unbounded_pages';

CREATE VIEW taskapi.unbounded_pages AS
    SELECT c.source, c.order_by, c.pages, c.last_at, c.error, taskapi.unbounded_page_advice(c.source, c.order_by) AS advice
    FROM taskapi.unbounded_page_counts() c
    ORDER BY c.pages DESC, c.last_at DESC;
REVOKE ALL ON taskapi.unbounded_pages FROM PUBLIC;
COMMENT ON VIEW taskapi.unbounded_pages IS
    'Pages of this database that no index bounded, since the server started, by what was paged and in which order (bounded)';
COMMENT ON COLUMN taskapi.unbounded_pages.source IS 'The relation that was paged';
COMMENT ON COLUMN taskapi.unbounded_pages.order_by IS 'The order, with its tie-breaker';
COMMENT ON COLUMN taskapi.unbounded_pages.pages IS 'How many';
COMMENT ON COLUMN taskapi.unbounded_pages.last_at IS 'When the last one was';
COMMENT ON COLUMN taskapi.unbounded_pages.error IS 'The most by which pages may be too high';
COMMENT ON COLUMN taskapi.unbounded_pages.advice IS
    'What index_advice(source, order_by) says to the reader: the CREATE INDEX that is missing. NULL if an index bounds the'
    ' order by now, if none can, or if the reader may not read the source';
