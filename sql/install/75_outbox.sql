-- The outbox: messages that are published in the transaction of their effect, and received by workers in order.
-- C: src/outbox/, whose README.md is the map. docs/outbox.md is for users.

CREATE TABLE taskapi.outbox (message regclass NOT NULL, partition_size bigint NOT NULL);
REVOKE ALL ON TABLE taskapi.outbox FROM PUBLIC;
CREATE UNIQUE INDEX outbox_is_one ON taskapi.outbox ((true));
COMMENT ON TABLE taskapi.outbox IS 'Internal: where this database''s outbox is: one row, made by create_outbox()';
COMMENT ON COLUMN taskapi.outbox.message IS 'The table of its messages, beside which the others are';
COMMENT ON COLUMN taskapi.outbox.partition_size IS 'How many numbers a partition of it holds';
SELECT pg_catalog.pg_extension_config_dump('taskapi.outbox', 'WHERE message IN (SELECT oid FROM pg_catalog.pg_class)');
CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.outbox
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.outbox ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.outbox IS 'Every backend reads the table again';

CREATE FUNCTION taskapi.register_outbox(message regclass, partition_size bigint) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        DELETE FROM taskapi.outbox o WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = o.message);
        INSERT INTO taskapi.outbox VALUES ($1, $2);
    END;
REVOKE ALL ON FUNCTION taskapi.register_outbox(regclass, bigint) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.register_outbox(regclass, bigint) IS 'Internal: says where the outbox is; part of create_outbox()';

-- The tables are the caller's: they are dumped whole, and stay if the extension goes.
CREATE FUNCTION taskapi.create_outbox(schema name DEFAULT 'outbox') RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
AS $create_outbox$
DECLARE
    partition_size CONSTANT bigint := 1000000;
    outbox  text := $outbox$
CREATE SEQUENCE @schema@.message_seq;
CREATE SEQUENCE @schema@.fencing_token;
COMMENT ON SEQUENCE @schema@.message_seq IS 'The numbers of messages. Gaps are ordinary: a rollback leaves one';
COMMENT ON SEQUENCE @schema@.fencing_token IS 'Fencing tokens: every lease of a slot gets a greater one than all before';

CREATE TABLE @schema@.message (
    seq         bigint NOT NULL,
    slot        smallint NOT NULL,
    topic       text NOT NULL,
    key         text NOT NULL,
    payload     jsonb NOT NULL,
    headers     jsonb,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
) PARTITION BY RANGE (seq);
CREATE INDEX message_by_slot ON @schema@.message (slot, seq);
COMMENT ON TABLE @schema@.message IS
    'Published messages, in order. Only publish() writes it, and taskapi.maintain() drops partitions that all groups have read';
COMMENT ON COLUMN @schema@.message.seq IS 'Its place in the order; the messages of one key are received in this order';
COMMENT ON COLUMN @schema@.message.slot IS 'One of 64, by the key: workers share out the slots';

CREATE VIEW @schema@.debezium AS
    SELECT m.seq AS id, m.topic AS aggregatetype, m.key AS aggregateid, m.payload ->> 'event' AS type, m.payload,
           m.created_at AS "timestamp"
    FROM @schema@.message m;
COMMENT ON VIEW @schema@.debezium IS 'The messages under the names of Debezium''s outbox event router';

CREATE TABLE @schema@.consumer_group (
    name         text PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 63),
    topics       text[],
    max_attempts int NOT NULL CHECK (max_attempts > 0),
    hold_key     boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE @schema@.consumer_group IS 'Who receives messages: each group gets every one of its topics';
COMMENT ON COLUMN @schema@.consumer_group.topics IS 'The topics that it receives; NULL for all';
COMMENT ON COLUMN @schema@.consumer_group.max_attempts IS 'How often a message may fail before it is a dead letter';
COMMENT ON COLUMN @schema@.consumer_group.hold_key IS 'Whether the messages of a key wait behind a dead letter of it';

CREATE TABLE @schema@.consumer (
    "group"          text NOT NULL REFERENCES @schema@.consumer_group ON DELETE CASCADE,
    slot             smallint NOT NULL CHECK (slot BETWEEN 0 AND 63),
    generation       bigint NOT NULL DEFAULT 0,
    position         bigint NOT NULL,
    delivered        bigint NOT NULL,
    missed           bigint,
    parks            boolean NOT NULL DEFAULT false,
    owner            text,
    fencing_token    bigint NOT NULL DEFAULT 0,
    lease_expires_at timestamptz,
    received_at      timestamptz,
    PRIMARY KEY ("group", slot, generation)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
COMMENT ON TABLE @schema@.consumer IS 'How far each group has come in each slot, and which worker has the slot';
COMMENT ON COLUMN @schema@.consumer.generation IS
    'Grows as the row goes to other pages: the newest version is found from the end, however many an old snapshot keeps';
COMMENT ON COLUMN @schema@.consumer.position IS 'All up to this number is done, parked or dead';
COMMENT ON COLUMN @schema@.consumer.delivered IS 'All up to this number has been handed to the owner';
COMMENT ON COLUMN @schema@.consumer.missed IS 'Up to this number messages were dropped that the group had not received';
COMMENT ON COLUMN @schema@.consumer.parks IS 'Whether messages of the slot may be in "parked"';

CREATE TABLE @schema@.parked (
    "group"       text NOT NULL REFERENCES @schema@.consumer_group ON DELETE CASCADE,
    seq           bigint NOT NULL,
    slot          smallint NOT NULL,
    topic         text NOT NULL,
    key           text NOT NULL,
    payload       jsonb NOT NULL,
    headers       jsonb,
    created_at    timestamptz NOT NULL,
    attempts      int NOT NULL DEFAULT 0,
    due_at        timestamptz,
    error         text,
    fencing_token bigint,
    PRIMARY KEY ("group", seq)
);
CREATE INDEX parked_by_key ON @schema@.parked ("group", slot, key, seq);
COMMENT ON TABLE @schema@.parked IS
    'Messages that failed, and those of the same key behind them, which wait here so that the slot goes on';
COMMENT ON COLUMN @schema@.parked.due_at IS
    'When it may be tried again; NULL if it waits behind another of its key; infinity is a dead letter that holds its key';

CREATE TABLE @schema@.dead_letter (
    "group"    text NOT NULL REFERENCES @schema@.consumer_group ON DELETE CASCADE,
    seq        bigint NOT NULL,
    slot       smallint NOT NULL,
    topic      text NOT NULL,
    key        text NOT NULL,
    payload    jsonb NOT NULL,
    headers    jsonb,
    created_at timestamptz NOT NULL,
    attempts   int NOT NULL,
    error      text,
    died_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY ("group", seq)
);
COMMENT ON TABLE @schema@.dead_letter IS 'Messages that failed too often; taskapi.redrive() tries one again';
COMMENT ON COLUMN @schema@.dead_letter.error IS 'What settle() was told last';

CREATE TABLE @schema@.saga (
    id         text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 100),
    name       text NOT NULL,
    input      jsonb NOT NULL,
    steps      jsonb NOT NULL,
    state      text NOT NULL CHECK (state IN ('running', 'compensating', 'completed', 'compensated', 'stuck')),
    position   int NOT NULL,
    command    bigint,
    slot       smallint NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((command IS NULL) = (state IN ('completed', 'compensated')))
);
CREATE INDEX saga_open ON @schema@.saga (state, started_at) WHERE command IS NOT NULL;
COMMENT ON TABLE @schema@.saga IS 'Work of several steps, each of which is compensated if a later one fails';
COMMENT ON COLUMN @schema@.saga.name IS 'What kind of saga it is: the topic of its commands';
COMMENT ON COLUMN @schema@.saga.steps IS 'Its steps, as start_saga() was given them: what is deployed later does not change them';
COMMENT ON COLUMN @schema@.saga.state IS 'stuck: a compensation failed too often, and needs an administrator';
COMMENT ON COLUMN @schema@.saga.position IS 'The step, from 1 on, that is being done or compensated';
COMMENT ON COLUMN @schema@.saga.command IS 'The message that tells a worker so; NULL at the end';
COMMENT ON COLUMN @schema@.saga.slot IS 'Of the messages of its key';
COMMENT ON COLUMN @schema@.saga.settled_at IS 'When it last completed a step';

CREATE TABLE @schema@.saga_step (
    saga          text NOT NULL REFERENCES @schema@.saga ON DELETE CASCADE,
    n             int NOT NULL,
    step          text NOT NULL,
    compensates   text,
    outcome       text NOT NULL CHECK (outcome IN ('done', 'failed', 'unknown')),
    output        jsonb,
    fencing_token bigint NOT NULL,
    settled_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (saga, n)
);
COMMENT ON TABLE @schema@.saga_step IS 'What became of each attempt of a step, in order. Nothing is changed here';
COMMENT ON COLUMN @schema@.saga_step.step IS 'The step, or the compensation';
COMMENT ON COLUMN @schema@.saga_step.compensates IS 'The step that it compensates; NULL for a step';
COMMENT ON COLUMN @schema@.saga_step.fencing_token IS 'Under which lease it was done';
$outbox$;
    made record;
BEGIN
    IF schema IS NULL THEN
        RAISE EXCEPTION 'schema must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF schema ~ '^$|[@$]' OR schema = 'taskapi' OR schema ~ '^pg_' OR schema = 'information_schema' THEN
        RAISE EXCEPTION 'schema "%" cannot hold the outbox', schema USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF EXISTS (SELECT FROM taskapi.outbox_location()) THEN
        RAISE EXCEPTION 'there is already an outbox: %', (SELECT l.message FROM taskapi.outbox_location() l)
            USING ERRCODE = 'duplicate_table', DETAIL = 'A database has one outbox.',
                  HINT = 'Use it: taskapi.publish() finds it in any schema. ALTER SCHEMA ... RENAME renames its schema.';
    END IF;
    IF to_regnamespace(quote_ident(schema)) IS NULL THEN
        EXECUTE format('CREATE SCHEMA %I', schema);
        PERFORM taskapi.revoke_from_others('pg_namespace', to_regnamespace(quote_ident(schema)));
    END IF;
    PERFORM taskapi.check_task_api_schema(schema);
    EXECUTE replace(outbox, '@schema@', quote_ident(schema));
    FOR made IN SELECT o.class, o.object FROM taskapi.objects_in(schema) o LOOP
        PERFORM taskapi.revoke_from_others(made.class, made.object);
    END LOOP;
    PERFORM taskapi.register_outbox(format('%I.message', schema)::regclass, partition_size);
    PERFORM taskapi.extend_outbox();
END
$create_outbox$;
REVOKE ALL ON FUNCTION taskapi.create_outbox(name) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.create_outbox(name) IS
    'Creates this database''s outbox in a schema, as the caller: the tables are the caller''s';

CREATE FUNCTION taskapi.outbox_location() RETURNS TABLE (message regclass, schema name, owner regrole, partition_size bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT o.message, n.nspname, c.relowner::regrole, o.partition_size
        FROM taskapi.outbox o JOIN pg_class c ON c.oid = o.message JOIN pg_namespace n ON n.oid = c.relnamespace;
    END;
REVOKE ALL ON FUNCTION taskapi.outbox_location() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.outbox_location() IS 'Internal: where the outbox is; no row if there is none';

-- Makes the partitions of the next numbers. ATTACH takes a lock on the table of messages that stops neither publishers nor
-- readers.
CREATE FUNCTION taskapi.extend_outbox(partitions int DEFAULT 3) RETURNS void
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'taskapi_extend_outbox';
REVOKE ALL ON FUNCTION taskapi.extend_outbox(int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.extend_outbox(int) IS
    'Internal: makes the partitions of the outbox that the next messages need; part of maintain()';

CREATE TYPE taskapi.message AS (
    seq           bigint,
    slot          int,
    topic         text,
    key           text,
    payload       jsonb,
    headers       jsonb,
    created_at    timestamptz,
    attempts      int,
    fencing_token bigint
);
COMMENT ON TYPE taskapi.message IS 'A message as receive() returns it';
COMMENT ON COLUMN taskapi.message.seq IS 'Its number, by which settle() names it; stable over retries';
COMMENT ON COLUMN taskapi.message.slot IS 'The slot, which settle() wants; one receive() takes one slot';
COMMENT ON COLUMN taskapi.message.attempts IS 'How often it has failed before';
COMMENT ON COLUMN taskapi.message.fencing_token IS 'Token of the lease on the slot, for settle() and extend_lease()';

CREATE FUNCTION taskapi.publish(topic text, key text, payload jsonb, headers jsonb DEFAULT NULL) RETURNS bigint
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_publish';
REVOKE ALL ON FUNCTION taskapi.publish(text, text, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.publish(text, text, jsonb, jsonb) IS
    'Publishes a message to the outbox in this transaction, and returns its number. Messages of one key are received in the order'
    ' of their numbers. Pattern: transactional outbox';

CREATE FUNCTION taskapi.outbox_slot(key text) RETURNS smallint
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_outbox_slot';
REVOKE ALL ON FUNCTION taskapi.outbox_slot(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.outbox_slot(text) IS 'Internal: the slot of the messages of a key';

CREATE FUNCTION taskapi.create_consumer_group("group" text, topics text[] DEFAULT NULL, from_seq bigint DEFAULT NULL,
                                              max_attempts int DEFAULT 10, hold_key boolean DEFAULT false)
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off
    AS 'MODULE_PATHNAME', 'taskapi_create_consumer_group';
REVOKE ALL ON FUNCTION taskapi.create_consumer_group(text, text[], bigint, int, boolean) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.create_consumer_group(text, text[], bigint, int, boolean) IS
    'Creates a group that receives the messages of these topics (NULL: of all) behind number from_seq: NULL from now, 0 from the'
    ' oldest that is kept. With hold_key the messages of a key wait behind a dead letter of it. Called again it sets all of that,'
    ' and with from_seq where all its slots go on';

CREATE FUNCTION taskapi.drop_consumer_group("group" text) RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'taskapi_drop_consumer_group';
REVOKE ALL ON FUNCTION taskapi.drop_consumer_group(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.drop_consumer_group(text) IS 'Removes a group with its positions, parked messages and dead letters';

CREATE FUNCTION taskapi.receive("group" text, worker text, batch int DEFAULT 100, lease interval DEFAULT '30 seconds')
    RETURNS SETOF taskapi.message
    LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100 SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan
    AS 'MODULE_PATHNAME', 'taskapi_receive';
REVOKE ALL ON FUNCTION taskapi.receive(text, text, int, interval) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.receive(text, text, int, interval) IS
    'Takes a lease on one slot of a group and returns its next messages, in order; no row if there is nothing to do. Commit, do'
    ' the work, settle(). A worker that dies loses its lease to the next one. READ COMMITTED only';

CREATE FUNCTION taskapi.extend_lease("group" text, slot int, fencing_token bigint, lease interval DEFAULT '30 seconds')
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off
    AS 'MODULE_PATHNAME', 'taskapi_extend_lease';
REVOKE ALL ON FUNCTION taskapi.extend_lease(text, int, bigint, interval) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.extend_lease(text, int, bigint, interval) IS
    'Extends a lease to end that long from now; lease_lost if another worker has the slot';

CREATE FUNCTION taskapi.settle("group" text, slot int, fencing_token bigint, upto bigint, failed bigint[] DEFAULT '{}',
                               error text DEFAULT NULL)
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan
    AS 'MODULE_PATHNAME', 'taskapi_settle';
REVOKE ALL ON FUNCTION taskapi.settle(text, int, bigint, bigint, bigint[], text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.settle(text, int, bigint, bigint, bigint[], text) IS
    'Says that all messages of the lease up to number upto are done but those that failed, and ends the lease. A failed message'
    ' is tried again later, those of its key behind it wait; after max_attempts it is a dead letter. lease_lost if another'
    ' worker has the slot: nothing of this counts then';

CREATE FUNCTION taskapi.redrive("group" text, seq bigint) RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off
    AS 'MODULE_PATHNAME', 'taskapi_redrive';
REVOKE ALL ON FUNCTION taskapi.redrive(text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.redrive(text, bigint) IS 'Tries a dead letter of a group again, at once and with all its attempts';

CREATE FUNCTION taskapi.discard("group" text, seq bigint) RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off
    AS 'MODULE_PATHNAME', 'taskapi_discard';
REVOKE ALL ON FUNCTION taskapi.discard(text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.discard(text, bigint) IS
    'Removes a dead letter of a group; the messages of its key that wait behind it go on';

CREATE FUNCTION taskapi.outbox_lag_rows()
    RETURNS TABLE ("group" text, slot int, "position" bigint, behind bigint, oldest timestamptz, owner text,
                   lease_expires_at timestamptz, parked bigint, dead bigint)
    LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off
    AS 'MODULE_PATHNAME', 'taskapi_outbox_lag_rows';
REVOKE ALL ON FUNCTION taskapi.outbox_lag_rows() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.outbox_lag_rows() IS 'Internal: what outbox_lag shows';

CREATE VIEW taskapi.outbox_lag AS SELECT * FROM taskapi.outbox_lag_rows();
REVOKE ALL ON taskapi.outbox_lag FROM PUBLIC;
COMMENT ON VIEW taskapi.outbox_lag IS 'How far each group is behind, slot by slot';
COMMENT ON COLUMN taskapi.outbox_lag.behind IS 'Messages of its topics behind its position, at most 10000 are counted';
COMMENT ON COLUMN taskapi.outbox_lag.oldest IS 'When the oldest of them was published, or of the parked ones';
COMMENT ON COLUMN taskapi.outbox_lag.owner IS 'The worker that has the slot';
COMMENT ON COLUMN taskapi.outbox_lag.lease_expires_at IS 'When its lease ends';
COMMENT ON COLUMN taskapi.outbox_lag.parked IS 'Messages that wait for another attempt, or behind one that does';
COMMENT ON COLUMN taskapi.outbox_lag.dead IS 'Messages that failed too often';

CREATE FUNCTION taskapi.outbox_stats() RETURNS TABLE (name text, value bigint)
    LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off
    AS 'MODULE_PATHNAME', 'taskapi_outbox_stats';
REVOKE ALL ON FUNCTION taskapi.outbox_stats() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.outbox_stats() IS 'Internal: what stats shows of the outbox';

-- Drops a partition that all groups have read, or that is older than taskapi.outbox_retention. While it waits for the lock on the
-- table of messages, new publishers and readers wait behind it. So it waits for a short time, and maintain() tries again.
CREATE FUNCTION taskapi.prune_outbox() RETURNS int
    LANGUAGE C VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET lock_timeout = '20 ms'
    SET enable_seqscan = off SET enable_bitmapscan = off
    AS 'MODULE_PATHNAME', 'taskapi_prune_outbox';
REVOKE ALL ON FUNCTION taskapi.prune_outbox() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.prune_outbox() IS
    'Internal: drops the oldest partition of the outbox if it may go; returns how many it dropped. Part of maintain()';
