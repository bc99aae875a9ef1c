-- Webhooks: endpoints, deliveries and circuits, what clients may do with them, and what the worker calls. Once, as a
-- superuser, in a database whose API stands in schema api, with the roles of set_api_roles(). README.md says how it fits together.
SELECT taskapi.create_outbox() WHERE NOT EXISTS (SELECT FROM taskapi.outbox_location());
SELECT taskapi.create_consumer_group('webhooks', NULL, max_attempts => 20);
CREATE SCHEMA webhooks;
REVOKE ALL ON SCHEMA webhooks FROM PUBLIC;

-- How long one waits. One row; a change counts at once.
CREATE TABLE webhooks.policy (
    one               boolean PRIMARY KEY DEFAULT true CHECK (one),
    attempts          int NOT NULL DEFAULT 12 CHECK (attempts > 0),                   -- of a delivery
    first_retry       interval NOT NULL DEFAULT '5 seconds',                          -- doubles
    longest_retry     interval NOT NULL DEFAULT '6 hours',
    failures_to_open  int NOT NULL DEFAULT 5 CHECK (failures_to_open > 0),            -- of an endpoint, one after the other
    first_pause       interval NOT NULL DEFAULT '30 seconds',                         -- of an open circuit; doubles
    longest_pause     interval NOT NULL DEFAULT '1 hour',
    longest_retry_after interval NOT NULL DEFAULT '1 day',                            -- that is believed
    lease             interval NOT NULL DEFAULT '60 seconds',
                                -- of a worker on an endpoint; longer than a batch takes
    both_secrets      interval NOT NULL DEFAULT '24 hours'                            -- after one is made, the one before it signs too
);
INSERT INTO webhooks.policy DEFAULT VALUES;

CREATE TABLE webhooks.endpoint (
    id          uuid PRIMARY KEY DEFAULT taskapi.uuidv7(),
    owner       text NOT NULL DEFAULT taskapi.current_subject(),
    url         text NOT NULL CONSTRAINT url_is_http CHECK (url ~ '^https?://[^/]' AND length(url) <= 2000),
    topics      text[] CONSTRAINT topics_are_few CHECK (cardinality(topics) BETWEEN 1 AND 50),
    enabled     boolean NOT NULL DEFAULT true,
    description text CONSTRAINT description_is_short CHECK (length(description) <= 500),
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX endpoint_of_owner ON webhooks.endpoint (owner, created_at, id);
COMMENT ON TABLE webhooks.endpoint IS 'Where messages are sent to';
COMMENT ON COLUMN webhooks.endpoint.topics IS 'Of which topics; null for all';
COMMENT ON COLUMN webhooks.endpoint.enabled IS 'The server sets it to false after the receiver has answered 410 (Gone)';

CREATE TABLE webhooks.secret (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint   uuid NOT NULL REFERENCES webhooks.endpoint ON DELETE CASCADE,
    secret     bytea NOT NULL,
    expires_at timestamptz
);
CREATE INDEX secret_of_endpoint ON webhooks.secret (endpoint, id);

-- The circuit breaker. closed: all is sent. open: nothing, until paused_until. half_open: one delivery, which decides.
CREATE TABLE webhooks.circuit (
    endpoint     uuid PRIMARY KEY REFERENCES webhooks.endpoint ON DELETE CASCADE,
    owner        text NOT NULL,
    state        text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open', 'half_open')),
    failures     int NOT NULL DEFAULT 0,
    pauses       int NOT NULL DEFAULT 0,
    paused_until timestamptz,
    changed_at   timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz NOT NULL DEFAULT '-infinity',
    token        bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON TABLE webhooks.circuit IS
    'Whether an endpoint is sent to: closed (yes), open (not before paused_until), half_open (one delivery tries)';
COMMENT ON COLUMN webhooks.circuit.failures IS 'One after the other, since the last success';
COMMENT ON COLUMN webhooks.circuit.pauses IS 'How often it was opened since the last success';
COMMENT ON COLUMN webhooks.circuit.leased_until IS '@private';
COMMENT ON COLUMN webhooks.circuit.token IS '@private';

CREATE TABLE webhooks.delivery (
    id           uuid PRIMARY KEY DEFAULT taskapi.uuidv7(),
    endpoint     uuid NOT NULL REFERENCES webhooks.endpoint ON DELETE CASCADE,
    owner        text NOT NULL,
    message      bigint NOT NULL,
    topic        text NOT NULL,
    payload      jsonb NOT NULL,
    status       text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed', 'cancelled')),
    attempts     int NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL DEFAULT now(),
    answer       int,
    error        text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    attempted_at timestamptz,
    CONSTRAINT once_an_endpoint UNIQUE (endpoint, message)
) WITH (fillfactor = 80);
CREATE INDEX delivery_due ON webhooks.delivery (endpoint, due_at, message) WHERE status = 'pending';
CREATE INDEX delivery_of_owner ON webhooks.delivery (owner, created_at DESC, id DESC);
CREATE INDEX delivery_by_age ON webhooks.delivery (created_at) WHERE status <> 'pending';
COMMENT ON TABLE webhooks.delivery IS 'What was sent to an endpoint, or will be';
COMMENT ON COLUMN webhooks.delivery.message IS 'The number of the message: webhook-id, the same in every attempt';
COMMENT ON COLUMN webhooks.delivery.answer IS 'The status that the receiver answered with last';
COMMENT ON COLUMN webhooks.delivery.error IS 'What went wrong last';

ALTER TABLE webhooks.endpoint ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhooks.circuit ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhooks.delivery ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON webhooks.endpoint USING (owner = (SELECT taskapi.current_subject()));
CREATE POLICY own ON webhooks.circuit USING (owner = (SELECT taskapi.current_subject()));
CREATE POLICY own ON webhooks.delivery USING (owner = (SELECT taskapi.current_subject()));

SELECT taskapi.expose('webhooks.endpoint', 'api', 'webhook_endpoints'),
       taskapi.expose('webhooks.circuit', 'api', 'webhook_circuits', soft_delete => false, versioned => false),
       taskapi.expose('webhooks.delivery', 'api', 'webhook_deliveries', soft_delete => false, versioned => false);
DO $$
DECLARE
    authenticated CONSTANT regrole := (SELECT r.role FROM taskapi.api_role r WHERE r.name = 'authenticated');
BEGIN
    PERFORM taskapi.grant_resource('api.webhook_endpoints', authenticated, '{read,create,update,delete,restore,purge}'),
            taskapi.grant_resource('api.webhook_circuits', authenticated, '{read}'),
            taskapi.grant_resource('api.webhook_deliveries', authenticated, '{read}');
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'webhook_worker') THEN
        CREATE ROLE webhook_worker LOGIN NOINHERIT;
    END IF;
    EXECUTE format('GRANT %s TO webhook_worker', authenticated);
END
$$;

CREATE FUNCTION webhooks.add_secret(endpoint uuid) RETURNS text
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE webhooks.secret s SET expires_at = now() + p.both_secrets FROM webhooks.policy p WHERE s.endpoint = $1
        AND s.expires_at IS NULL;
    DELETE FROM webhooks.secret s WHERE s.endpoint = $1 AND s.expires_at < now();
    INSERT INTO webhooks.secret (endpoint, secret) VALUES ($1, taskapi.random_secret(32))
        RETURNING 'whsec_' || encode(secret, 'base64');
$$;
REVOKE ALL ON FUNCTION webhooks.add_secret(uuid) FROM PUBLIC;

-- An endpoint has a circuit and a secret from the start. One that is enabled again, or moved, is tried at once.
CREATE FUNCTION webhooks.endpoint_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO webhooks.circuit (endpoint, owner) VALUES (NEW.id, NEW.owner);
        PERFORM webhooks.add_secret(NEW.id);
    ELSIF NEW.enabled AND NOT OLD.enabled OR NEW.url <> OLD.url THEN
        UPDATE webhooks.circuit SET state = 'closed', failures = 0, pauses = 0, paused_until = NULL, changed_at = now()
            WHERE endpoint = NEW.id;
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION webhooks.endpoint_changed() FROM PUBLIC;
CREATE TRIGGER endpoint_changed AFTER INSERT OR UPDATE OF enabled, url ON webhooks.endpoint FOR EACH ROW
    EXECUTE FUNCTION webhooks.endpoint_changed();

-- The owner is who made it, and nobody else later.
CREATE FUNCTION webhooks.keep_owner() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$ BEGIN NEW.owner := coalesce(OLD.owner, NEW.owner); RETURN NEW; END $$;
REVOKE ALL ON FUNCTION webhooks.keep_owner() FROM PUBLIC;
CREATE TRIGGER keep_owner BEFORE UPDATE OF owner ON webhooks.endpoint FOR EACH ROW EXECUTE FUNCTION webhooks.keep_owner();

-- POST /rpc/rotate_webhook_secret {"endpoint_id"}: a new secret, shown this once. The one before it signs beside it for a day.
CREATE FUNCTION api.rotate_webhook_secret(endpoint_id uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM webhooks.endpoint e WHERE e.id = endpoint_id AND e.owner = taskapi.current_subject() AND e.deleted_at IS NULL
        FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM taskapi.raise_problem('not_found', 'There is no such endpoint of yours.');
    END IF;
    RETURN webhooks.add_secret(endpoint_id);
END
$$;
REVOKE ALL ON FUNCTION api.rotate_webhook_secret(uuid) FROM PUBLIC;
COMMENT ON FUNCTION api.rotate_webhook_secret(uuid) IS
    'Makes a secret for an endpoint and returns it; the one before it signs beside it for a day';

-- POST /rpc/redeliver_webhook {"delivery_id"}: tries a delivery again, at once and with all its attempts.
CREATE FUNCTION api.redeliver_webhook(delivery_id uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE webhooks.delivery d SET status = 'pending', attempts = 0, due_at = now()
    WHERE d.id = delivery_id AND d.owner = taskapi.current_subject() AND d.status <> 'pending';
    IF NOT FOUND THEN
        PERFORM taskapi.raise_problem('not_found', 'There is no such delivery of yours that is over.');
    END IF;
END
$$;
REVOKE ALL ON FUNCTION api.redeliver_webhook(uuid) FROM PUBLIC;
COMMENT ON FUNCTION api.redeliver_webhook(uuid) IS 'Sends again what was delivered, failed or was cancelled';

-- ---- the worker's part

-- May the caller hear of this? The worker asks as the owner of each endpoint, so that nobody hears of what they may not read:
-- of what a resource published, the row itself, live or deleted. What it cannot tell is not sent; extend it for messages of your own.
CREATE FUNCTION webhooks.may_hear(payload jsonb) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    resource CONSTANT name := CASE WHEN payload ->> 'event' IN ('deleted', 'purged') THEN 'deleted_' ELSE '' END
        || (payload ->> 'resource');
    readable boolean;
BEGIN
    IF to_regclass(format('api.%I', resource)) IS NULL OR NOT has_table_privilege(format('api.%I', resource), 'SELECT')
       OR jsonb_typeof(payload -> 'id') IS DISTINCT FROM 'object' OR payload -> 'id' = '{}' THEN
        RETURN false;
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM api.%1$I r, jsonb_populate_record(NULL::api.%1$I, $1) k WHERE %2$s)', resource,
                   (SELECT string_agg(format('r.%1$I = k.%1$I', c), ' AND ') FROM jsonb_object_keys(payload -> 'id') c))
        INTO readable USING payload -> 'id';
    RETURN readable;
END
$$;
REVOKE ALL ON FUNCTION webhooks.may_hear(jsonb) FROM PUBLIC;

-- Who wants to hear of a topic.
CREATE FUNCTION webhooks.endpoints_of(topic text) RETURNS TABLE (endpoint uuid, owner text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.id, e.owner FROM webhooks.endpoint e
    WHERE e.enabled AND e.deleted_at IS NULL AND (e.topics IS NULL OR $1 = ANY (e.topics));
$$;

CREATE FUNCTION webhooks.enqueue(endpoint uuid, message bigint, topic text, payload jsonb) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO webhooks.delivery (endpoint, owner, message, topic, payload)
    SELECT e.id, e.owner, $2, $3, $4 FROM webhooks.endpoint e WHERE e.id = $1
    ON CONFLICT ON CONSTRAINT once_an_endpoint DO NOTHING;
$$;

-- An endpoint that has something due and whose circuit lets it through, with a lease on it. An open circuit whose pause is
-- over is half open now, and gives one delivery.
CREATE FUNCTION webhooks.claim(batch int DEFAULT 20) RETURNS TABLE (delivery uuid, token bigint, endpoint uuid, url text,
    message bigint, payload jsonb, secrets bytea[])
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c webhooks.circuit;
BEGIN
    SELECT x.* INTO c
    FROM webhooks.circuit x JOIN webhooks.endpoint e ON e.id = x.endpoint
    WHERE e.enabled AND e.deleted_at IS NULL AND x.leased_until < clock_timestamp()
      AND (x.paused_until IS NULL OR x.paused_until <= clock_timestamp())
      AND EXISTS (SELECT FROM webhooks.delivery d WHERE d.endpoint = x.endpoint AND d.status = 'pending'
          AND d.due_at <= clock_timestamp())
    ORDER BY x.leased_until LIMIT 1
    FOR NO KEY UPDATE OF x SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE webhooks.circuit x SET leased_until = clock_timestamp() + p.lease, token = x.token + 1,
        state = CASE WHEN x.state = 'closed' THEN 'closed' ELSE 'half_open' END,
        changed_at = CASE WHEN x.state = 'open' THEN now() ELSE x.changed_at END
    FROM webhooks.policy p WHERE x.endpoint = c.endpoint RETURNING x.* INTO c;
    RETURN QUERY
        SELECT d.id, c.token, e.id, e.url, d.message, d.payload, (SELECT array_agg(s.secret ORDER BY s.id DESC)
            FROM webhooks.secret s
            WHERE s.endpoint = e.id AND (s.expires_at IS NULL OR s.expires_at > now()))
        FROM webhooks.delivery d JOIN webhooks.endpoint e ON e.id = d.endpoint
        WHERE d.endpoint = c.endpoint AND d.status = 'pending' AND d.due_at <= clock_timestamp()
        ORDER BY d.due_at, d.message LIMIT CASE c.state WHEN 'closed' THEN batch ELSE 1 END;
END
$$;

-- What became of an attempt. Returns whether to go on with the rest of the batch: the lease is still the caller's, and the
-- circuit closed.
-- answer: the status, NULL if there was none; retry_after: seconds, if the receiver named any. The lease goes on from here.
CREATE FUNCTION webhooks.report(delivery uuid, token bigint, answer int, error text, retry_after double precision) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    p webhooks.policy;
    c webhooks.circuit;
    d webhooks.delivery;
    pause interval;
BEGIN
    SELECT * INTO p FROM webhooks.policy;
    SELECT x.* INTO c FROM webhooks.circuit x JOIN webhooks.delivery y ON y.endpoint = x.endpoint
    WHERE y.id = report.delivery FOR NO KEY UPDATE OF x;
    IF NOT FOUND OR c.token <> report.token THEN
        RETURN false;                       -- another worker has the endpoint by now, and its reports count
    END IF;
    UPDATE webhooks.delivery x SET attempts = x.attempts + 1, attempted_at = clock_timestamp(), answer = report.answer,
        error = left(report.error, 500)
    WHERE x.id = report.delivery AND x.status = 'pending' RETURNING x.* INTO d;
    IF NOT FOUND THEN
        RETURN c.state = 'closed';
    END IF;

    IF answer BETWEEN 200 AND 299 THEN
        UPDATE webhooks.delivery x SET status = 'delivered' WHERE x.id = d.id;
        UPDATE webhooks.circuit x SET state = 'closed', failures = 0, pauses = 0, paused_until = NULL,
            leased_until = clock_timestamp() + p.lease,
            changed_at = CASE WHEN x.state = 'closed' THEN x.changed_at ELSE now() END WHERE x.endpoint = c.endpoint;
        RETURN true;
    ELSIF answer = 410 THEN
        UPDATE webhooks.delivery x SET status = 'cancelled' WHERE x.endpoint = c.endpoint AND x.status = 'pending';
        UPDATE webhooks.endpoint x SET enabled = false WHERE x.id = c.endpoint;
        RETURN false;
    END IF;

    UPDATE webhooks.delivery x SET status = CASE WHEN x.attempts >= p.attempts THEN 'failed' ELSE 'pending' END,
        due_at = clock_timestamp() + least(p.longest_retry, p.first_retry * 2 ^ least(x.attempts - 1, 30)) * (0.75 + random() / 2)
    WHERE x.id = d.id;
    c.failures := c.failures + 1;
    IF retry_after IS NOT NULL AND answer IN (429, 503) THEN
        pause := least(p.longest_retry_after, make_interval(secs => greatest(retry_after, 0)));
    ELSIF c.state <> 'closed' OR c.failures >= p.failures_to_open THEN
        pause := least(p.longest_pause, p.first_pause * 2 ^ least(c.pauses, 30)) * (0.75 + random() / 2);
        c.pauses := c.pauses + 1;
    END IF;
    UPDATE webhooks.circuit x SET failures = c.failures, pauses = c.pauses, leased_until = clock_timestamp() + p.lease,
        paused_until = coalesce(clock_timestamp() + pause, x.paused_until),
        state = CASE WHEN pause IS NULL THEN x.state ELSE 'open' END,
        changed_at = CASE WHEN pause IS NULL THEN x.changed_at ELSE now() END WHERE x.endpoint = c.endpoint;
    RETURN pause IS NULL;
END
$$;

-- The end of a batch: the endpoint is free for the next.
CREATE FUNCTION webhooks.release(endpoint uuid, token bigint) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE webhooks.circuit x SET leased_until = clock_timestamp() WHERE x.endpoint = $1 AND x.token = $2;
$$;

-- Deliveries that are over, after a while.
CREATE FUNCTION webhooks.prune(older_than interval DEFAULT '30 days') RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    WITH gone AS (DELETE FROM webhooks.delivery d WHERE d.status <> 'pending' AND d.created_at < now() - $1
        RETURNING 1) SELECT count(*) FROM gone;
$$;

REVOKE ALL ON FUNCTION webhooks.endpoints_of(text), webhooks.enqueue(uuid, bigint, text, jsonb), webhooks.claim(int),
    webhooks.report(uuid, bigint, int, text, double precision), webhooks.release(uuid, bigint), webhooks.prune(interval)
        FROM PUBLIC;
GRANT USAGE ON SCHEMA webhooks, taskapi TO webhook_worker;
GRANT EXECUTE ON FUNCTION webhooks.endpoints_of(text), webhooks.enqueue(uuid, bigint, text, jsonb), webhooks.claim(int),
    webhooks.report(uuid, bigint, int, text, double precision), webhooks.release(uuid, bigint), webhooks.prune(interval),
    taskapi.receive(text, text, int, interval), taskapi.settle(text, int, bigint, bigint, bigint[], text) TO webhook_worker;
DO $$
DECLARE
    authenticated CONSTANT regrole := (SELECT r.role FROM taskapi.api_role r WHERE r.name = 'authenticated');
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA webhooks TO %s', authenticated);
    EXECUTE format('GRANT EXECUTE ON FUNCTION webhooks.may_hear(jsonb), api.rotate_webhook_secret(uuid), api.redeliver_webhook(uuid) TO %s', authenticated);
END
$$;
NOTIFY pgrst, 'reload schema';
