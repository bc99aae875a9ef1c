-- Accounts and passwords. Only the owner of the tables calls these; nobody else may.

CREATE FUNCTION @data@.bcrypt(password text, salt text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    pgcrypto name;
    hash     text;
BEGIN
    IF password = '' OR octet_length(password) > 72 THEN
        RAISE EXCEPTION 'a password has 1 to 72 bytes'
            USING ERRCODE = 'check_violation', DETAIL = 'bcrypt would ignore what comes after the 72nd byte.';
    END IF;
    SELECT n.nspname INTO pgcrypto
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'pgcrypto';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'passwords need the extension pgcrypto'
            USING ERRCODE = 'undefined_object',
                  HINT = 'It comes with PostgreSQL (Debian: postgresql-N; elsewhere often postgresql-contrib): CREATE EXTENSION pgcrypto';
    END IF;
    EXECUTE format('SELECT %1$I.crypt($1, coalesce($2, %1$I.gen_salt(''bf'', 10)))', pgcrypto)
        INTO hash USING password, salt;
    RETURN hash;
END
$body$;
COMMENT ON FUNCTION @data@.bcrypt(text, text) IS
    'The hash of a password, with a salt of its own (cost 10) or that of a given hash; pgcrypto is found wherever it is';

CREATE FUNCTION @data@.create_account(email text, password text DEFAULT NULL, display_name text DEFAULT NULL) RETURNS uuid
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    new_id uuid;
BEGIN
    INSERT INTO @data@.account AS a (email, password_hash, display_name)
    VALUES (create_account.email,
            CASE WHEN create_account.password IS NOT NULL THEN @data@.bcrypt(create_account.password) END,
            coalesce(create_account.display_name, left(split_part(create_account.email, '@', 1), 200)))
    RETURNING a.id INTO new_id;
    RETURN new_id;
END
$body$;
COMMENT ON FUNCTION @data@.create_account(text, text, text) IS
    'Creates an account; without a password it can log in only through a token or key. The name defaults to what stands before the @';

CREATE FUNCTION @data@.set_password(account_id uuid, password text) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    UPDATE @data@.account a
    SET password_hash = CASE WHEN set_password.password IS NOT NULL THEN @data@.bcrypt(set_password.password) END
    WHERE a.id = set_password.account_id AND a.deleted_at IS NULL;
    IF NOT FOUND THEN
        PERFORM taskapi.raise_problem('not_found', format('There is no account %s.', account_id));
    END IF;
END
$body$;
COMMENT ON FUNCTION @data@.set_password(uuid, text) IS 'Sets the password of an account; NULL takes it away';

-- The answer takes as long for an unknown address as for a wrong password, so that it does not tell which it was.
CREATE FUNCTION @data@.verify_password(email text, password text) RETURNS uuid
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    decoy   CONSTANT text := '$2a$10$N9qo8uLOickgx2ZMRZoMye';
    found   uuid;
    hash    text;
    matches bool;
BEGIN
    IF password IS NULL OR password = '' OR octet_length(password) > 72 THEN
        RETURN NULL;
    END IF;
    SELECT a.id, a.password_hash INTO found, hash
    FROM @data@.account a
    WHERE lower(a.email) = lower(verify_password.email) AND a.deleted_at IS NULL;
    matches := @data@.bcrypt(password, coalesce(hash, decoy)) = hash;
    RETURN CASE WHEN matches THEN found END;
END
$body$;
COMMENT ON FUNCTION @data@.verify_password(text, text) IS 'The account with this address and password; NULL where there is none';
