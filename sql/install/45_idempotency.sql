-- The idempotency-key ledger.

-- Replays are counted for the whole server (taskapi.stats), and not in the row: that would be an update for each.
-- Rows are written once and purged in order of expiry, so pages are filled, and vacuumed early: at 5 % of dead rows the table
-- stays at its size, at the usual 20 % it grows by a fifth (bench/idempotency_table.sh). A BRIN index instead of the btree
-- on expires_at costs more at each insert, and ranges that were refilled after a purge hide nothing from it.
CREATE TABLE taskapi.idempotency_key (
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    fencing_token bigint NOT NULL,
    status int,
    completed_at timestamptz,
    lease_expires_at timestamptz,
    lease interval,
    ttl interval,
    scope text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint bytea,
    recovery_point text,
    state jsonb,
    headers jsonb,
    body json,
    PRIMARY KEY (scope, key)
) WITH (autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_scale_factor = 0.05);
REVOKE ALL ON taskapi.idempotency_key FROM PUBLIC;
CREATE INDEX idempotency_key_expires_at_idx ON taskapi.idempotency_key (expires_at);
-- Leases whose work is not finished. Not by lease_expires_at, which each checkpoint changes: its update stays a heap-only one.
CREATE INDEX idempotency_key_unfinished_idx ON taskapi.idempotency_key (scope) WHERE status IS NULL;
SELECT pg_catalog.pg_extension_config_dump('taskapi.idempotency_key', '');

COMMENT ON TABLE taskapi.idempotency_key IS
    'Idempotency keys with the stored response of each; written only by the functions, in the transaction of the effect';
COMMENT ON COLUMN taskapi.idempotency_key.created_at IS 'When the key was begun or acquired';
COMMENT ON COLUMN taskapi.idempotency_key.expires_at IS 'From then on the key counts as new, purged or not';
COMMENT ON COLUMN taskapi.idempotency_key.fencing_token IS 'Token of the lease''s last owner; 0 if there was no lease';
COMMENT ON COLUMN taskapi.idempotency_key.status IS
    'HTTP status of the stored response; NULL while a lease''s work is in progress';
COMMENT ON COLUMN taskapi.idempotency_key.completed_at IS 'When the response was stored';
COMMENT ON COLUMN taskapi.idempotency_key.lease_expires_at IS 'From then on the next acquire takes the lease over';
COMMENT ON COLUMN taskapi.idempotency_key.lease IS 'Length of the lease, by which a checkpoint extends it';
COMMENT ON COLUMN taskapi.idempotency_key.ttl IS 'How long the response of a lease''s work is kept';
COMMENT ON COLUMN taskapi.idempotency_key.scope IS 'Whose key: a key counts only within its scope';
COMMENT ON COLUMN taskapi.idempotency_key.key IS 'The key, without the quotes of a Structured Field String';
COMMENT ON COLUMN taskapi.idempotency_key.fingerprint IS 'Digest of the request; another one is refused';
COMMENT ON COLUMN taskapi.idempotency_key.recovery_point IS 'How far the work under the lease got';
COMMENT ON COLUMN taskapi.idempotency_key.state IS 'What the work needs to go on from the recovery point';
COMMENT ON COLUMN taskapi.idempotency_key.headers IS 'Headers of the stored response';
COMMENT ON COLUMN taskapi.idempotency_key.body IS 'Body of the stored response, byte for byte';

CREATE TYPE taskapi.idempotency_entry AS (outcome text, status int, headers jsonb, body json);
COMMENT ON TYPE taskapi.idempotency_entry IS
    'Outcome of idempotency_begin: ''new'', or ''replay'' with the stored response';

CREATE FUNCTION taskapi.idempotency_begin(key text, request jsonb DEFAULT NULL, scope text DEFAULT NULL,
                                          ttl interval DEFAULT NULL)
    RETURNS taskapi.idempotency_entry
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_idempotency_begin';
REVOKE ALL ON FUNCTION taskapi.idempotency_begin(text, jsonb, text, interval) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.idempotency_begin(text, jsonb, text, interval) IS
    'Takes an idempotency key for this transaction (''new'': do the work, then idempotency_complete), or finds the stored'
    ' response (''replay'')';

CREATE FUNCTION taskapi.idempotency_complete(key text, status int, body json, headers jsonb DEFAULT NULL, scope text DEFAULT NULL)
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_idempotency_complete';
REVOKE ALL ON FUNCTION taskapi.idempotency_complete(text, int, json, jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.idempotency_complete(text, int, json, jsonb, text) IS
    'Stores the response of a key that idempotency_begin took; it commits together with the effect';

-- One sequence for all keys: a token never goes back, even when the key's row was purged in between.
CREATE SEQUENCE taskapi.idempotency_fencing_token;
REVOKE ALL ON SEQUENCE taskapi.idempotency_fencing_token FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('taskapi.idempotency_fencing_token', '');
COMMENT ON SEQUENCE taskapi.idempotency_fencing_token IS
    'Fencing tokens: every owner of a lease gets a greater one than all before';

CREATE TYPE taskapi.idempotency_lease AS
    (outcome text, fencing_token bigint, recovery_point text, state jsonb, status int, headers jsonb, body json);
COMMENT ON TYPE taskapi.idempotency_lease IS
    'Outcome of idempotency_acquire: ''acquired'' with the token and how far an earlier owner got, or ''replay'' with the'
    ' stored response';

CREATE FUNCTION taskapi.idempotency_acquire(key text, request jsonb DEFAULT NULL, lease interval DEFAULT '1 minute',
        scope text DEFAULT NULL, ttl interval DEFAULT NULL)
    RETURNS taskapi.idempotency_lease
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_idempotency_acquire';
REVOKE ALL ON FUNCTION taskapi.idempotency_acquire(text, jsonb, interval, text, interval) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.idempotency_acquire(text, jsonb, interval, text, interval) IS
    'Takes a lease on an idempotency key for work that spans transactions; commit before the work begins';

CREATE FUNCTION taskapi.idempotency_checkpoint(key text, fencing_token bigint, recovery_point text, state jsonb DEFAULT NULL,
        scope text DEFAULT NULL, lease interval DEFAULT NULL)
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_idempotency_checkpoint';
REVOKE ALL ON FUNCTION taskapi.idempotency_checkpoint(text, bigint, text, jsonb, text, interval) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.idempotency_checkpoint(text, bigint, text, jsonb, text, interval) IS
    'Records how far the work under a lease got (NULL leaves the recovery point or the state as it is), and extends the lease';

CREATE FUNCTION taskapi.idempotency_finish(key text, fencing_token bigint, status int, body json, headers jsonb DEFAULT NULL,
        scope text DEFAULT NULL)
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_idempotency_finish';
REVOKE ALL ON FUNCTION taskapi.idempotency_finish(text, bigint, int, json, jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.idempotency_finish(text, bigint, int, json, jsonb, text) IS
    'Stores the response of the work under a lease, and ends the lease';

CREATE FUNCTION taskapi.idempotency_release(key text, fencing_token bigint, scope text DEFAULT NULL)
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_idempotency_release';
REVOKE ALL ON FUNCTION taskapi.idempotency_release(text, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.idempotency_release(text, bigint, text) IS
    'Gives a lease up: the next acquire goes on from the recovery point, or starts over if there is none';

-- Work whose owner died, or gave its lease up. To go on, acquire the key again; to give up, finish it with the token that stands
-- here. scope NULL is all scopes.
CREATE FUNCTION taskapi.idempotency_abandoned(INOUT scope text DEFAULT NULL, "limit" int DEFAULT 100, OUT key text,
        OUT fencing_token bigint, OUT recovery_point text, OUT state jsonb, OUT created_at timestamptz,
        OUT lease_expires_at timestamptz)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp ROWS 100 AS $$
BEGIN
    IF "limit" IS NULL OR "limit" < 1 THEN
        RAISE EXCEPTION 'limit must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
        SELECT k.scope, k.key, k.fencing_token, k.recovery_point, k.state, k.created_at, k.lease_expires_at
        FROM taskapi.idempotency_key k
        WHERE k.status IS NULL AND k.lease_expires_at <= statement_timestamp()
          AND (idempotency_abandoned.scope IS NULL OR k.scope = taskapi.canonical_subject(idempotency_abandoned.scope))
        ORDER BY k.created_at
        LIMIT "limit";
END
$$;
REVOKE ALL ON FUNCTION taskapi.idempotency_abandoned(text, int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.idempotency_abandoned(text, int) IS
    'Work under leases that ran out or were released before it was finished, the oldest first; -infinity in lease_expires_at'
    ' is one that was released';

-- Deletes what counts as absent already, so it may overlook a row but never takes a live one. A row that a request is
-- replacing at this moment is locked, and skipped.
CREATE FUNCTION taskapi.purge_idempotency_keys(batch int DEFAULT 10000) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    purged bigint;
BEGIN
    IF batch IS NULL OR batch < 1 THEN
        RAISE EXCEPTION 'batch must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    DELETE FROM taskapi.idempotency_key
    WHERE ctid = ANY (ARRAY(
        SELECT k.ctid FROM taskapi.idempotency_key k
        WHERE k.expires_at <= statement_timestamp()
          AND (k.status IS NOT NULL
               OR (k.lease_expires_at <= statement_timestamp() AND k.recovery_point IS NULL AND k.state IS NULL))
        ORDER BY k.expires_at
        LIMIT batch
        FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS purged = ROW_COUNT;
    RETURN purged;
END
$$;
REVOKE ALL ON FUNCTION taskapi.purge_idempotency_keys(int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.purge_idempotency_keys(int) IS
    'Deletes at most batch expired keys, skipping locked ones, and returns how many. Repeat it, each time in a'
    ' transaction of its own, while it returns the full batch';
