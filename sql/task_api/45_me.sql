-- Who the caller is, and what one proves by reading mail: that an address is one's own, and that one may set another password.
-- Yours once created; see 10_tables.sql.
--
--   PATCH /users {"email": ...}                        asks for another address
--   POST  /rpc/request_email_verification              asks for the mail again, or for one to the present address
--   POST  /rpc/confirm_email {"token"}                 the same account, with the token of the mail: the address is its own
--   POST  /rpc/request_password_reset {"email"}        anybody, for any address
--   POST  /rpc/reset_password {"token", "password"}    whoever has the token: sets the password, and ends all sessions and keys
--
-- A request for mail publishes a message of topic "mail" to the outbox, {"kind", "email", "account_id"}, and does nothing
-- else that depends on the address: no account is looked up, so neither the answer nor its time tells whether there is one.
-- Your mailer receives it (docs/task-api.md), and calls create_email_token() or create_password_token(). Only then is the
-- token made; it is in the mail, and nowhere else. A message that is received twice voids the first token.
--
-- Whoever asks for mail is charged like an attempt to log in, by client address and by the address that is mailed. Redeeming
-- locks the token, then the account: of two requests with one token, one finds it.

CREATE FUNCTION @data@.send_mail(kind text, email text, account_id uuid DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM taskapi.charge_login(email);
    PERFORM taskapi.publish('mail', lower(email),
                            jsonb_strip_nulls(jsonb_build_object('kind', kind, 'email', email, 'account_id', account_id)));
END
$body$;
COMMENT ON FUNCTION @data@.send_mail(text, text, uuid) IS
    'Has the mailer send a mail of that kind: publishes a message of topic "mail" in this transaction';

CREATE FUNCTION @data@.set_pending_email() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF row_security_active(TG_RELID) THEN
        NEW.pending_email := NEW.email;
        NEW.email := OLD.email;
    ELSE
        NEW.email_verified_at := nullif(NEW.email_verified_at, OLD.email_verified_at);      -- of the new address, if of any
    END IF;
    RETURN NEW;
END
$body$;
COMMENT ON FUNCTION @data@.set_pending_email() IS 'An address that an API caller sets has to be confirmed';
-- In another case it is the same address, and the same mailbox.
CREATE TRIGGER account_sets_pending_email BEFORE UPDATE OF email ON @data@.account FOR EACH ROW
    WHEN (lower(NEW.email) IS DISTINCT FROM lower(OLD.email)) EXECUTE FUNCTION @data@.set_pending_email();

CREATE FUNCTION @data@.mail_pending_email() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM @data@.send_mail('confirm_email', NEW.pending_email, NEW.id);
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION @data@.mail_pending_email() IS 'Mails a token to an address that an account asks for';
CREATE TRIGGER account_mails_pending_email AFTER UPDATE ON @data@.account FOR EACH ROW
    WHEN (NEW.pending_email IS DISTINCT FROM OLD.pending_email AND NEW.pending_email IS NOT NULL)
    EXECUTE FUNCTION @data@.mail_pending_email();

-- For the two functions after it. The token is in no query, which a log might show; its hash may be.
CREATE FUNCTION @data@.create_one_time_token(purpose text, account_id uuid, email text, lasts interval) RETURNS text
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    token CONSTANT text  := CASE purpose WHEN 'confirm_email' THEN 'tae_' ELSE 'tap_' END
                            || replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
    hash  CONSTANT bytea := sha256(convert_to(token, 'UTF8'));
BEGIN
    INSERT INTO @data@.one_time_token AS t (token_hash, purpose, account_id, email, expires_at)
    VALUES (hash, purpose, account_id, email, now() + lasts)
    ON CONFLICT ON CONSTRAINT one_time_token_is_the_only_one
    DO UPDATE SET token_hash = excluded.token_hash, email = excluded.email, expires_at = excluded.expires_at;
    RETURN token;
END
$body$;
COMMENT ON FUNCTION @data@.create_one_time_token(text, uuid, text, interval) IS
    'Makes a token that proves once that its bearer reads the mail of an address, shown only once; an earlier one ends';

-- Both run as their owner, so that a mailer that is nothing else may be granted them.
CREATE FUNCTION @data@.create_email_token(account_id uuid, address text, lasts interval DEFAULT '1 day') RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM FROM @data@.account a
    WHERE a.id = create_email_token.account_id AND a.pending_email = create_email_token.address AND a.deleted_at IS NULL;
    RETURN CASE WHEN FOUND THEN @data@.create_one_time_token('confirm_email', account_id, address, lasts) END;
END
$body$;
COMMENT ON FUNCTION @data@.create_email_token(uuid, text, interval) IS
    'For the mailer: the token that confirms the pending e-mail address of an account, shown only once; NULL if it no'
    ' longer asks for that address: send nothing';

CREATE FUNCTION @data@.create_password_token(address text, lasts interval DEFAULT '1 hour') RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    account_id uuid;
    email      text;
BEGIN
    SELECT a.id, a.email INTO account_id, email FROM @data@.account a
    WHERE lower(a.email) = lower(address) AND a.deleted_at IS NULL;
    RETURN CASE WHEN FOUND THEN @data@.create_one_time_token('reset_password', account_id, email, lasts) END;
END
$body$;
COMMENT ON FUNCTION @data@.create_password_token(text, interval) IS
    'For the mailer: the token that sets another password of the account with an address, shown only once; NULL if there is '
    'none: send nothing, or a mail that says so';

-- Runs as its owner, so that it shows pending_email, which no other view does; hence the barrier.
CREATE VIEW @api@.me WITH (security_barrier) AS
SELECT a.id, a.email, a.email_verified_at, a.pending_email, a.display_name, a.version, a.created_at, a.updated_at,
       CASE WHEN c.claims ? 'api_key_id' THEN 'api_key' WHEN c.claims ? 'session_id' THEN 'session' ELSE 'token' END
           AS credential,
       string_to_array(c.claims ->> 'scope', ' ') AS scopes
FROM @data@.account a, (SELECT taskapi.jwt_claims() AS claims) c
WHERE a.id = (SELECT taskapi.current_subject_id()) AND a.deleted_at IS NULL;
COMMENT ON VIEW @api@.me IS 'The caller''s own account, in one row. Change it by PATCH /users?id=eq.ID';
COMMENT ON COLUMN @api@.me.email_verified_at IS
    'When the address was confirmed by a token that was mailed to it; NULL: it was not';
COMMENT ON COLUMN @api@.me.pending_email IS 'The address that waits for POST /rpc/confirm_email; NULL: none does';
COMMENT ON COLUMN @api@.me.credential IS 'The credential of the request: token, api_key or session';
COMMENT ON COLUMN @api@.me.scopes IS 'What that may be used for; NULL: for everything';

CREATE FUNCTION @api@.request_email_verification() RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    me      CONSTANT uuid := taskapi.current_subject_id();
    address text;
BEGIN
    SELECT a.pending_email INTO address FROM @data@.account a WHERE a.id = me AND a.deleted_at IS NULL;
    IF address IS NOT NULL THEN
        PERFORM @data@.send_mail('confirm_email', address, me);
    ELSE        -- the trigger mails
        UPDATE @data@.account a SET pending_email = a.email
        WHERE a.id = me AND a.deleted_at IS NULL AND a.email_verified_at IS NULL;
    END IF;
    PERFORM taskapi.set_response_status(202);
END
$body$;
COMMENT ON FUNCTION @api@.request_email_verification() IS
    'POST: mails a token to the pending address of the caller, or to the present one if it is not confirmed';

CREATE FUNCTION @api@.confirm_email(token text) RETURNS SETOF @api@.me
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    me      CONSTANT uuid  := taskapi.current_subject_id();
    hash    CONSTANT bytea := sha256(convert_to(token, 'UTF8'));
    address text;
BEGIN
    DELETE FROM @data@.one_time_token t
    WHERE t.token_hash = hash AND t.purpose = 'confirm_email' AND t.account_id = me AND t.expires_at > now()
    RETURNING t.email INTO address;
    UPDATE @data@.account a
    SET email = a.pending_email, pending_email = NULL, email_verified_at = now()
    WHERE a.id = me AND a.deleted_at IS NULL AND a.pending_email = address;
    IF NOT FOUND THEN
        PERFORM taskapi.raise_problem('not_found', 'The token is not valid, or no longer valid.', 'Ask for the change again.');
    END IF;
    RETURN QUERY SELECT * FROM @api@.me;
EXCEPTION
    WHEN unique_violation THEN
        PERFORM taskapi.raise_problem('already_exists', 'Another account has this e-mail address.');
    WHEN serialization_failure OR deadlock_detected THEN
        PERFORM taskapi.raise_problem('try_again', 'Another request changed the same rows at the same time.',
            'Send the request again.');
END
$body$;
COMMENT ON FUNCTION @api@.confirm_email(text) IS
    'POST {"token"}: the pending e-mail address of the caller becomes the address of the account; for who got the token '
    'by mail to it';

CREATE FUNCTION @api@.request_password_reset(email text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF (email ~ '^[^@[:space:]]+@[^@[:space:]]+$' AND length(email) <= 254) IS NOT TRUE THEN
        PERFORM taskapi.raise_problem('invalid_value', 'This is not an e-mail address.');
    END IF;
    PERFORM @data@.send_mail('reset_password', email);
    PERFORM taskapi.set_response_status(202);
END
$body$;
COMMENT ON FUNCTION @api@.request_password_reset(text) IS
    'POST {"email"}: mails a token that sets another password, if there is such an account; the answer does not tell';

CREATE FUNCTION @api@.reset_password(token text, password text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    hash    CONSTANT bytea := sha256(convert_to(token, 'UTF8'));
    account uuid;
BEGIN
    PERFORM taskapi.charge_login(NULL);         -- by client address: nobody guesses 244 bits, but nobody need try fast either
    DELETE FROM @data@.one_time_token t
    USING @data@.account a
    WHERE t.token_hash = hash AND t.purpose = 'reset_password' AND t.expires_at > now()
      AND a.id = t.account_id AND a.email = t.email AND a.deleted_at IS NULL
    RETURNING t.account_id INTO account;
    IF NOT FOUND THEN
        PERFORM taskapi.raise_problem('not_found', 'The token is not valid, or no longer valid.', 'Ask for another mail.');
    END IF;
    IF password IS NULL THEN
        PERFORM taskapi.raise_problem('invalid_value', 'A password has 1 to 72 bytes.');
    END IF;
    UPDATE @data@.account a SET email_verified_at = now() WHERE a.id = account AND a.email_verified_at IS NULL;
    PERFORM @data@.set_password(account, password);
    PERFORM taskapi.set_response_status(204);
EXCEPTION WHEN serialization_failure OR deadlock_detected THEN
    PERFORM taskapi.raise_problem('try_again', 'Another request changed the same rows at the same time.',
                                  'Send the request again.');
END
$body$;
COMMENT ON FUNCTION @api@.reset_password(text, text) IS
    'POST {"token", "password"}: sets the password of the account that the token was mailed to, and ends all its sessions and '
    'API keys';
