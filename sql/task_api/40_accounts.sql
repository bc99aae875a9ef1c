-- Accounts and passwords. Yours once created; see 10_tables.sql. Only the owner of the tables may call these.

CREATE FUNCTION @data@.create_account(email text, password text DEFAULT NULL, display_name text DEFAULT NULL) RETURNS uuid
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    hash        text;
    new_id      uuid;
    constraint_ text;
    column_     text;
BEGIN
    IF password IS NOT NULL THEN
        hash := taskapi.hash_password(password);
    END IF;
    INSERT INTO @data@.account AS a (email, password_hash, display_name)
    VALUES (create_account.email, hash,
            coalesce(create_account.display_name, left(split_part(create_account.email, '@', 1), 200)))
    RETURNING a.id INTO new_id;
    RETURN new_id;
EXCEPTION WHEN check_violation OR not_null_violation THEN
    -- The same without its detail, which is the whole row: the hash would get into the server's log.
    GET STACKED DIAGNOSTICS constraint_ = CONSTRAINT_NAME, column_ = COLUMN_NAME;
    RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM,
        SCHEMA = @data_name@, TABLE = 'account', CONSTRAINT = constraint_, COLUMN = column_;
END
$body$;
COMMENT ON FUNCTION @data@.create_account(text, text, text) IS
    'Creates an account; without a password it can log in only through a token or key. The name defaults to what stands '
    'before the @';

CREATE FUNCTION @data@.set_password(account_id uuid, password text) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    UPDATE @data@.account a
    SET password_hash = taskapi.hash_password(set_password.password)
    WHERE a.id = set_password.account_id AND a.deleted_at IS NULL;
    IF NOT FOUND THEN
        PERFORM taskapi.raise_problem('not_found', format('There is no account %s.', account_id));
    END IF;
END
$body$;
COMMENT ON FUNCTION @data@.set_password(uuid, text) IS 'Sets the password of an account; NULL takes it away';

-- Whoever knew the old password, or holds a key or a token of an account that is gone, is out at once. A bearer token cannot be
-- revoked, so a deleted account is blocked: pre_request() refuses it whatever it comes with, and it cannot undo the deletion.
-- That is for the owner of the tables: UPDATE api.deleted_users SET deleted_at = NULL WHERE id = ... unblocks it, whoever had
-- blocked it. Its sessions and keys stay ended, and its memberships are gone (20_membership.sql). A row that is deleted for good
-- leaves its id blocked, since tokens may outlive it.
CREATE FUNCTION @data@.end_logins() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL THEN
        PERFORM taskapi.unblock_subject(OLD.id::text);
        RETURN NULL;
    END IF;
    PERFORM taskapi.revoke_credentials(OLD.id::text);
    DELETE FROM @data@.one_time_token t WHERE t.account_id = OLD.id AND t.purpose = 'reset_password';
    IF TG_OP = 'DELETE' OR NEW.deleted_at IS NOT NULL THEN
        DELETE FROM @data@.one_time_token t WHERE t.account_id = OLD.id;
        PERFORM taskapi.block_subject(OLD.id::text);
    END IF;
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION @data@.end_logins() IS
    'Ends the sessions, API keys and one-time tokens of an account that has another password or is deleted; blocks a '
    'deleted one, and unblocks one that is restored';
CREATE TRIGGER end_logins AFTER UPDATE OF password_hash, deleted_at ON @data@.account FOR EACH ROW
    WHEN (NEW.password_hash IS DISTINCT FROM OLD.password_hash OR (NEW.deleted_at IS NULL) <> (OLD.deleted_at IS NULL))
    EXECUTE FUNCTION @data@.end_logins();
CREATE TRIGGER end_logins_of_deleted AFTER DELETE ON @data@.account FOR EACH ROW EXECUTE FUNCTION @data@.end_logins();
