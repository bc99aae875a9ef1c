-- Upkeep, and everything counted. C: src/auth/key_usage.c, src/base/counters.c

CREATE FUNCTION taskapi.api_key_usage() RETURNS TABLE (id uuid, used_at timestamptz)
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_api_key_usage';
REVOKE ALL ON FUNCTION taskapi.api_key_usage() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.api_key_usage() IS 'When API keys of this database were last used, as shared memory has it';

CREATE FUNCTION taskapi.flush_api_key_usage() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    written bigint;
BEGIN
    UPDATE taskapi.api_key k SET last_used_at = u.used_at
        FROM taskapi.api_key_usage() u
        WHERE k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at < u.used_at);
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END
$$;
REVOKE ALL ON FUNCTION taskapi.flush_api_key_usage() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.flush_api_key_usage() IS 'Records when API keys were last used; returns how many changed';

CREATE FUNCTION taskapi.purge_sessions(batch int DEFAULT 10000) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    purged bigint;
BEGIN
    DELETE FROM taskapi.session s
        WHERE s.id IN (SELECT e.id FROM taskapi.session e WHERE e.expires_at <= now()
                       ORDER BY e.expires_at LIMIT batch FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS purged = ROW_COUNT;
    RETURN purged;
END
$$;
REVOKE ALL ON FUNCTION taskapi.purge_sessions(int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.purge_sessions(int) IS 'Deletes at most that many expired sessions; returns how many';

-- When maintain() came to its end last, and with it every purge: without it nobody notices a scheduler that has stopped.
CREATE TABLE taskapi.maintenance (
    finished_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX maintenance_once ON taskapi.maintenance ((true));
REVOKE ALL ON TABLE taskapi.maintenance FROM PUBLIC;
COMMENT ON TABLE taskapi.maintenance IS 'One row, once maintain() has run in this database';
COMMENT ON COLUMN taskapi.maintenance.finished_at IS 'When it last completed';

CREATE FUNCTION taskapi.note_maintenance() RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
    SELECT setval('taskapi.purge_turn', 0);
    INSERT INTO taskapi.maintenance AS m VALUES (clock_timestamp())
        ON CONFLICT ((true)) DO UPDATE SET finished_at = greatest(m.finished_at, excluded.finished_at)
$$;
REVOKE ALL ON FUNCTION taskapi.note_maintenance() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.note_maintenance() IS 'Internal: records that maintain() completed';

-- Every statement names its schemas: a procedure that commits cannot pin its search_path.
CREATE PROCEDURE taskapi.maintain(batch int DEFAULT 10000)
    LANGUAGE plpgsql
AS $$
DECLARE
    retention pg_catalog.interval;
    done      pg_catalog.int8;
    step      pg_catalog.text;
    table_    pg_catalog.regclass;
    steps     CONSTANT pg_catalog.text[] := (
        SELECT pg_catalog.array_agg(s ORDER BY pg_catalog.random())
        FROM pg_catalog.unnest('{outbox,taskapi.deleted_retention,taskapi.change_retention}'::pg_catalog.text[]) s);
    -- A run purges what was there when it began, so that no trigger which leaves a deleted row for each one keeps it going.
    horizon   CONSTANT pg_catalog.xid8 := pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot());
BEGIN
    IF batch IS NULL OR batch OPERATOR(pg_catalog.<) 1 THEN
        RAISE EXCEPTION 'batch must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    LOOP
        done := taskapi.purge_idempotency_keys(batch);
        COMMIT;
        EXIT WHEN done OPERATOR(pg_catalog.<) batch;
    END LOOP;

    LOOP
        done := taskapi.purge_sessions(batch);
        COMMIT;
        EXIT WHEN done OPERATOR(pg_catalog.<) batch;
    END LOOP;

    PERFORM taskapi.flush_api_key_usage();
    PERFORM taskapi.save_rate_limits();
    COMMIT;

    -- From here on others' code runs, which may take until the run is cancelled: in another order each time, so that it keeps
    -- nothing else from its turn for good.
    FOREACH step IN ARRAY steps LOOP
        IF step OPERATOR(pg_catalog.=) 'outbox' THEN
            BEGIN
                PERFORM taskapi.extend_outbox();
            EXCEPTION WHEN OTHERS THEN                  -- what its owner made of it must not keep the rest from being done
                RAISE WARNING 'could not extend the outbox: %', SQLERRM USING ERRCODE = SQLSTATE;
            END;
            COMMIT;
            FOR try IN 1 .. 100 LOOP
                done := 1;
                BEGIN
                    done := taskapi.prune_outbox();
                EXCEPTION
                    WHEN lock_not_available THEN        -- readers go first
                        PERFORM pg_catalog.pg_sleep(pg_catalog.random() OPERATOR(pg_catalog./) 10);
                    WHEN OTHERS THEN
                        RAISE WARNING 'could not prune the outbox: %', SQLERRM USING ERRCODE = SQLSTATE;
                        done := 0;
                END;
                COMMIT;
                EXIT WHEN done OPERATOR(pg_catalog.=) 0;
            END LOOP;
            CONTINUE;
        END IF;

        CONTINUE WHEN pg_catalog.current_setting(step) OPERATOR(pg_catalog.=) '-1';
        retention := pg_catalog.current_setting(step)::pg_catalog.interval;
        -- each table in transactions of its own: a run that is cancelled at one keeps what it has done at the others
        FOREACH table_ IN ARRAY CASE WHEN step OPERATOR(pg_catalog.=) 'taskapi.deleted_retention' THEN taskapi.purge_tables()
                                     ELSE '{NULL}' END LOOP
            LOOP
                done := CASE WHEN step OPERATOR(pg_catalog.=) 'taskapi.deleted_retention'
                             THEN taskapi.purge_table(table_, retention, batch, horizon)
                             ELSE taskapi.prune_changes(retention, batch, horizon) END;
                COMMIT;
                EXIT WHEN done OPERATOR(pg_catalog.<) batch;
            END LOOP;
        END LOOP;
    END LOOP;

    PERFORM taskapi.note_maintenance();
    COMMIT;
END
$$;
REVOKE ALL ON PROCEDURE taskapi.maintain(int) FROM PUBLIC;
COMMENT ON PROCEDURE taskapi.maintain(int) IS
    'Purges expired idempotency keys and sessions, committing batch by batch; records when API keys were used, and saves the'
    ' limiter; makes and drops partitions of the outbox; purges rows deleted longer than taskapi.deleted_retention, and'
    ' forgets departures older than taskapi.change_retention. For a scheduler';

-- grant_maintain(grantee): lets a role that is nothing else call maintain(), and the functions that it calls.
CREATE FUNCTION taskapi.grant_maintain(grantee regrole) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    routine regprocedure;
BEGIN
    IF grantee IS NULL OR NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = grantee) THEN
        RAISE EXCEPTION 'role % does not exist', coalesce(grantee::text, 'null') USING ERRCODE = 'undefined_object';
    END IF;
    FOREACH routine IN ARRAY '{taskapi.maintain(int),taskapi.purge_idempotency_keys(int),taskapi.purge_sessions(int),'
        'taskapi.purge_tables(),"taskapi.purge_table(regclass,interval,int,xid8)",'
        '"taskapi.purge_deleted(interval,int,xid8)","taskapi.prune_changes(interval,int,xid8)",'
        'taskapi.extend_outbox(int),taskapi.prune_outbox(),'
        'taskapi.flush_api_key_usage(),taskapi.save_rate_limits(),taskapi.note_maintenance()}'::regprocedure[]
    LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', routine, grantee);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION taskapi.grant_maintain(regrole) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.grant_maintain(regrole) IS
    'Lets a role call maintain() and the functions that it calls, and nothing else';

CREATE VIEW taskapi.stats AS
    SELECT c.name, c.value FROM taskapi.counters() c
    UNION ALL
    SELECT 'idempotency_unfinished', count(*) FROM taskapi.idempotency_key k WHERE k.status IS NULL
    UNION ALL
    SELECT o.name, o.value FROM taskapi.outbox_stats() o
    UNION ALL
    SELECT v.name, v.value
    FROM taskapi.rate_limit_table() t,
         LATERAL (VALUES ('rate_limit_keys', t.keys), ('rate_limit_capacity', t.capacity),
                         ('rate_limit_bytes', t.bytes)) v(name, value);
REVOKE ALL ON taskapi.stats FROM PUBLIC;
COMMENT ON VIEW taskapi.stats IS
    'Everything counted, over all databases since the server started: cursors made, opened, refused; idempotent begins,'
    ' replays, reuse, waits; the limiter; and what there is now of this database''s outbox and sagas';
COMMENT ON COLUMN taskapi.stats.name IS 'What was counted';
COMMENT ON COLUMN taskapi.stats.value IS
    'How often, or how much there is now (rate_limit_keys, _capacity, _bytes, all of outbox_ and saga_)';
