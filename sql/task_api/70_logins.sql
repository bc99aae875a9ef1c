-- Logging in and out, and API keys. Yours once created; see 10_tables.sql. Both resources are views over what taskapi keeps
-- of the caller, and nothing else.

-- POST {"email", "password"} logs in and answers with the session cookie. DELETE logs out: it ends the session that
-- the request came with; with a filter that leaves that one out (id=eq.ID, current=is.false) the ones that are left.
CREATE VIEW @api@.sessions AS
SELECT s.id, s.created_at, s.expires_at, s.user_agent, s.address, s.current, NULL::text AS email, NULL::text AS password
FROM taskapi.my_sessions() s
ORDER BY s.current DESC, s.id;
COMMENT ON VIEW @api@.sessions IS
    'The sessions of the caller. POST {"email", "password"} logs in, DELETE logs out';
COMMENT ON COLUMN @api@.sessions.current IS 'Is it the session that the request came with?';
COMMENT ON COLUMN @api@.sessions.email IS 'For POST; NULL otherwise';
COMMENT ON COLUMN @api@.sessions.password IS 'For POST; NULL otherwise';

-- Runs as its owner, who alone may read password hashes. What it answers, and how long that takes, does not tell an
-- unknown address from a wrong password.
CREATE FUNCTION @data@.log_in() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    lasts CONSTANT interval := '12 hours';
    me     uuid;
    hash   text;
    locked text;
BEGIN
    PERFORM taskapi.charge_login(NEW.email);
    SELECT a.id, a.password_hash INTO me, hash
    FROM @data@.account a
    WHERE lower(a.email) = lower(NEW.email) AND a.deleted_at IS NULL;
    IF NOT taskapi.verify_password(NEW.password, hash) THEN
        PERFORM taskapi.raise_problem('unauthenticated', 'The e-mail address or the password is wrong.');
    END IF;
    -- Whoever sets another password meanwhile ends all sessions that are committed. So either it waits for this one, or it
    -- is seen here. The lock is only for who knew the password: it tells nobody which accounts there are. The hash is no
    -- parameter of a query, since auto_explain would log it.
    SELECT a.password_hash INTO locked FROM @data@.account a WHERE a.id = me AND a.deleted_at IS NULL FOR SHARE;
    IF locked IS DISTINCT FROM hash THEN
        PERFORM taskapi.raise_problem('unauthenticated', 'The e-mail address or the password is wrong.');
    END IF;
    PERFORM taskapi.create_session(me::text, lasts);
    NEW.password := NULL;
    NEW.created_at := now();
    NEW.expires_at := now() + lasts;
    NEW.current := true;
    RETURN NEW;
EXCEPTION WHEN serialization_failure THEN
    PERFORM taskapi.raise_problem('try_again', 'The account changed at the same time.', 'Send the request again.');
END
$body$;
COMMENT ON FUNCTION @data@.log_in() IS 'POST /sessions';
CREATE TRIGGER log_in INSTEAD OF INSERT ON @api@.sessions FOR EACH ROW EXECUTE FUNCTION @data@.log_in();

-- The current session comes first, and if it is asked to end the others are left as they are: else a plain
-- DELETE /sessions would log out everywhere. task_api.logged_out says so to the rows that follow, until the statement
-- ends. It is a setting of the transaction, since that is all that the calls of a trigger share, and its prefix is not
-- taskapi because the extension reserves that one for its own settings. Who sets it by hand spares their own sessions.
CREATE FUNCTION @data@.log_out() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF TG_LEVEL = 'STATEMENT' THEN
        PERFORM set_config('task_api.logged_out', '', true);
        RETURN NULL;
    END IF;
    IF current_setting('task_api.logged_out') <> '' OR NOT taskapi.end_my_session(OLD.id) THEN
        RETURN NULL;
    END IF;
    IF OLD.current THEN
        PERFORM set_config('task_api.logged_out', 'yes', true);
    END IF;
    RETURN OLD;
END
$body$;
COMMENT ON FUNCTION @data@.log_out() IS 'DELETE /sessions';
CREATE TRIGGER begin_log_out BEFORE DELETE ON @api@.sessions FOR EACH STATEMENT EXECUTE FUNCTION @data@.log_out();
CREATE TRIGGER log_out INSTEAD OF DELETE ON @api@.sessions FOR EACH ROW EXECUTE FUNCTION @data@.log_out();

CREATE VIEW @api@.api_keys AS
SELECT k.id, k.name, k.prefix, k.scopes, k.created_at, k.expires_at, k.last_used_at, NULL::text AS secret
FROM taskapi.my_api_keys() k
WHERE k.revoked_at IS NULL;
ALTER VIEW @api@.api_keys ALTER COLUMN scopes SET DEFAULT '{read,write}';
COMMENT ON VIEW @api@.api_keys IS
    'Keys for programs that act for the caller (X-API-Key). POST {"name", "scopes", "expires_at"} makes one, DELETE ends it';
COMMENT ON COLUMN @api@.api_keys.prefix IS 'How the secret begins, to recognize it by';
COMMENT ON COLUMN @api@.api_keys.scopes IS 'read: GET and HEAD; write: all other methods';
COMMENT ON COLUMN @api@.api_keys.secret IS 'Shown once, in the answer to POST; NULL ever after';

-- A repetition with the same Idempotency-Key is answered with the same key, whose secret stays in the ledger for that, for its
-- owner's eyes. A client repeats within minutes; after ten it makes another key, and the secret is purged like all that expires.
CREATE FUNCTION @data@.create_api_key() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET taskapi.idempotent = on SET taskapi.idempotency_ttl = '10min'
AS $body$
BEGIN
    IF NOT taskapi.statement_returns(TG_RELID::regclass, 'secret') THEN
        PERFORM taskapi.raise_problem('invalid_value', 'The request does not ask for the secret, which is shown only once.',
            'Send Prefer: return=representation, and select the secret.');
    END IF;
    SELECT k.id, k.prefix, k.created_at, k.secret INTO NEW.id, NEW.prefix, NEW.created_at, NEW.secret
    FROM taskapi.create_my_api_key(NEW.name, NEW.scopes, NEW.expires_at) k;
    RETURN NEW;
END
$body$;
COMMENT ON FUNCTION @data@.create_api_key() IS 'POST /api_keys';
CREATE TRIGGER create_api_key INSTEAD OF INSERT ON @api@.api_keys FOR EACH ROW EXECUTE FUNCTION @data@.create_api_key();

-- A stored answer is given before create_api_key() runs, and an API key may not have that either: it would get the secret of one
-- that outlives it.
CREATE FUNCTION @data@.require_login() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF taskapi.jwt_claims() ? 'api_key_id' THEN
        PERFORM taskapi.raise_problem('forbidden', 'An API key cannot create another one.');
    END IF;
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION @data@.require_login() IS 'What no API key may do';
CREATE TRIGGER require_login BEFORE INSERT ON @api@.api_keys FOR EACH STATEMENT EXECUTE FUNCTION @data@.require_login();

CREATE FUNCTION @data@.revoke_api_key() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    RETURN CASE WHEN taskapi.revoke_my_api_key(OLD.id) THEN OLD END;
END
$body$;
COMMENT ON FUNCTION @data@.revoke_api_key() IS 'DELETE /api_keys';
CREATE TRIGGER revoke_api_key INSTEAD OF DELETE ON @api@.api_keys FOR EACH ROW EXECUTE FUNCTION @data@.revoke_api_key();

-- Neither can be changed, nor can an invitation. Without a trigger that would be an error of the server's, not of the client's.
CREATE FUNCTION @data@.refuse_update() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM taskapi.raise_problem('forbidden', format('%s cannot be changed.', TG_TABLE_NAME),
        CASE WHEN TG_TABLE_NAME = 'me' THEN 'PATCH /users?id=eq.ID changes the account.'
             ELSE 'Delete it and create another.' END);
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION @data@.refuse_update() IS 'PATCH of what cannot be changed';
CREATE TRIGGER refuse_update INSTEAD OF INSERT OR UPDATE OR DELETE ON @api@.me FOR EACH ROW
    EXECUTE FUNCTION @data@.refuse_update();
CREATE TRIGGER refuse_update INSTEAD OF UPDATE ON @api@.sessions FOR EACH ROW EXECUTE FUNCTION @data@.refuse_update();
CREATE TRIGGER refuse_update INSTEAD OF UPDATE ON @api@.api_keys FOR EACH ROW EXECUTE FUNCTION @data@.refuse_update();
