-- Passwords, by pgcrypto's bcrypt if that extension is installed.

CREATE FUNCTION taskapi.bcrypt(password text, salt text) RETURNS text
    LANGUAGE plpgsql STRICT
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pgcrypto name;
    hash text;
BEGIN
    SELECT n.nspname INTO pgcrypto FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pgcrypto';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'passwords need the extension pgcrypto'
            USING ERRCODE = 'feature_not_supported', HINT = 'It comes with PostgreSQL: CREATE EXTENSION pgcrypto;';
    END IF;
    IF salt = '' THEN
        EXECUTE format('SELECT %1$I.crypt($1, %1$I.gen_salt(''bf'', 10))', pgcrypto) INTO hash USING password;
    ELSE
        EXECUTE format('SELECT %1$I.crypt($1, $2)', pgcrypto) INTO hash USING password, salt;
    END IF;
    RETURN hash;
END
$$;
REVOKE ALL ON FUNCTION taskapi.bcrypt(text, text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.bcrypt(text, text) IS
    'pgcrypto''s crypt(), with a fresh salt of cost 10 for the empty one; what hash_password and verify_password share';

CREATE FUNCTION taskapi.hash_password(password text) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- bcrypt would not look at the rest
    IF password = '' OR octet_length(password) > 72 THEN
        PERFORM taskapi.raise_problem('invalid_value', 'A password has 1 to 72 bytes.');
    END IF;
    RETURN taskapi.bcrypt(password, '');
END
$$;
REVOKE ALL ON FUNCTION taskapi.hash_password(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.hash_password(text) IS 'The bcrypt hash of a password, with a fresh salt';

CREATE FUNCTION taskapi.verify_password(password text, hash text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- of no password: 22 characters of salt, 31 of a hash that no input was computed from
    decoy constant text := '$2a$10$0123456789abcdefghijkeAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
    -- $2b$ and $2y$ are what other programs call the bcrypt that pgcrypto calls $2a$. Any other form (argon2, an account that is
    -- locked by '!') matches no password, and takes the time of one that does not match.
    is_bcrypt constant boolean := coalesce(hash ~ '^\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}$', false);
    known constant text := CASE WHEN is_bcrypt THEN regexp_replace(hash, '^\$2[by]', '$2a') ELSE decoy END;
    computed text;
BEGIN
    IF password IS NULL OR password = '' OR octet_length(password) > 72 THEN
        RETURN false;
    END IF;
    computed := taskapi.bcrypt(password, known);
    -- digests, so that where they differ tells nothing of the hash
    RETURN sha256(convert_to(computed, 'UTF8')) = sha256(convert_to(known, 'UTF8')) AND is_bcrypt;
END
$$;
REVOKE ALL ON FUNCTION taskapi.verify_password(text, text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.verify_password(text, text) IS
    'Is it the password of that bcrypt hash ($2a$, $2b$, $2x$, $2y$)? Takes as long as for one of cost 10, and is false, if'
    ' the hash is NULL or of another form';

CREATE FUNCTION taskapi.charge_login(account text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM taskapi.enforce_rate_limits(s.subjects)
    FROM (SELECT jsonb_object_agg(p.policy, p.subject) AS subjects
          FROM (VALUES ('login_per_address', coalesce(abbrev(taskapi.client_address()), CASE
                            WHEN current_setting('taskapi.trusted_proxy_hops', true)::int > 0 THEN 'unknown' END)),
                       ('login_per_account', left(lower(account), 200))) AS p (policy, subject)
          WHERE p.subject <> '' AND EXISTS (SELECT FROM taskapi.rate_limit_policy l WHERE l.name = p.policy)) s
    WHERE s.subjects IS NOT NULL;
END
$$;
REVOKE ALL ON FUNCTION taskapi.charge_login(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.charge_login(text) IS
    'Charges an attempt to log in to the address and to the account, whether an account of that name exists or not;'
    ' rate_limited if either is used up';
