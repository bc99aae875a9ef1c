-- Who the caller is, and the change of one's own e-mail address. Yours once created; see 10_tables.sql.
--
-- PATCH /users {"email": ...} never says whether the address is taken. It is noted as pending_email, for any address alike,
-- and the account keeps the one that it has. Your mail service then calls create_email_token(), for the accounts that
-- account_to_confirm indexes, and mails the token to pending_email. POST /rpc/confirm_email {"token": ...}, by the same
-- account, makes the change. So only who reads the mail of an address can learn that another account has it.

CREATE FUNCTION @data@.set_pending_email() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF row_security_active(TG_RELID) THEN
        NEW.pending_email := NEW.email;
        NEW.email := OLD.email;
    END IF;
    NEW.email_token_hash := NULL;
    NEW.email_token_expires_at := NULL;
    RETURN NEW;
END
$body$;
COMMENT ON FUNCTION @data@.set_pending_email() IS
    'An address that an API caller sets has to be confirmed; a token for an earlier one ends';
-- In another case it is the same address, and the same mailbox.
CREATE TRIGGER account_sets_pending_email BEFORE UPDATE OF email ON @data@.account FOR EACH ROW
    WHEN (lower(NEW.email) IS DISTINCT FROM lower(OLD.email)) EXECUTE FUNCTION @data@.set_pending_email();

-- "address" is where the mail goes: if the account has another pending address by now, there is no token for it.
CREATE FUNCTION @data@.create_email_token(account_id uuid, address text, lasts interval DEFAULT '1 day') RETURNS text
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    token CONSTANT text := 'tae_' || replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
BEGIN
    UPDATE @data@.account a
    SET email_token_hash = sha256(convert_to(token, 'UTF8')), email_token_expires_at = now() + lasts
    WHERE a.id = create_email_token.account_id AND a.pending_email = create_email_token.address AND a.deleted_at IS NULL;
    IF NOT FOUND THEN
        PERFORM taskapi.raise_problem('not_found', format('Account %s does not ask to confirm that e-mail address.', account_id));
    END IF;
    RETURN token;
END
$body$;
COMMENT ON FUNCTION @data@.create_email_token(uuid, text, interval) IS
    'Makes the token that confirms the pending e-mail address of an account, shown this once: mail it to that address, '
    'and show it to no client. An earlier one ends';

-- Runs as its owner, so that it shows pending_email, which no other view does; hence the barrier.
CREATE VIEW @api@.me WITH (security_barrier) AS
SELECT a.id, a.email, a.pending_email, a.display_name, a.version, a.created_at, a.updated_at,
       CASE WHEN c.claims ? 'api_key_id' THEN 'api_key' WHEN c.claims ? 'session_id' THEN 'session' ELSE 'token' END
           AS credential,
       string_to_array(c.claims ->> 'scope', ' ') AS scopes
FROM @data@.account a, (SELECT taskapi.jwt_claims() AS claims) c
WHERE a.id = (SELECT taskapi.current_subject_id()) AND a.deleted_at IS NULL;
COMMENT ON VIEW @api@.me IS 'The caller''s own account, in one row. Change it by PATCH /users?id=eq.ID';
COMMENT ON COLUMN @api@.me.pending_email IS 'The address that waits for POST /rpc/confirm_email; NULL: none does';
COMMENT ON COLUMN @api@.me.credential IS 'What the request came with: token, api_key or session';
COMMENT ON COLUMN @api@.me.scopes IS 'What that may be used for; NULL: for everything';

CREATE FUNCTION @api@.confirm_email(token text) RETURNS SETOF @api@.me
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    me CONSTANT uuid := taskapi.current_subject_id();
BEGIN
    UPDATE @data@.account a
    SET email = a.pending_email, pending_email = NULL
    WHERE a.id = me AND a.deleted_at IS NULL
      AND a.email_token_hash = sha256(convert_to(confirm_email.token, 'UTF8')) AND a.email_token_expires_at > now();
    IF NOT FOUND THEN
        PERFORM taskapi.raise_problem('not_found', 'The token is not valid, or not valid any more.', 'Ask for the change again.');
    END IF;
    RETURN QUERY SELECT * FROM @api@.me;
EXCEPTION
    WHEN unique_violation THEN
        PERFORM taskapi.raise_problem('already_exists', 'Another account has this e-mail address.');
    WHEN serialization_failure OR deadlock_detected THEN
        PERFORM taskapi.raise_problem('try_again', 'Another request changed the same at the same time.',
            'Send the request again.');
END
$body$;
COMMENT ON FUNCTION @api@.confirm_email(text) IS
    'POST {"token"}: the pending e-mail address of the caller becomes the address of the account; for who got the token '
    'by mail to it';
