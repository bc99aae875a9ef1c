\echo Use "CREATE EXTENSION taskapi" to load this file. \quit

-- sql/install/00_header.sql
-- The schema, and what every module below uses.

-- CREATE EXTENSION puts the schema taskapi before all that is not pg_catalog's. What stands in there already, such as an
-- operator that fits more exactly than pg_catalog's own, must not be asked whether it may stand there.
SET LOCAL search_path = pg_catalog, pg_temp;

-- CREATE EXTENSION adopts a schema that exists. One that another role owns stays that role's: it could rename the schema and
-- put its own in its place, which functions that run with the rights of our owner would then call. If other roles may create
-- in it, or if it holds anything, it could lend objects to ours. Default privileges IN SCHEMA are no object, and are undone by
-- 90_privileges.sql. A schema of another superuser, as a dump may restore it, is taken over.
DO $$
DECLARE
    schema pg_namespace;
    -- What this transaction made, no other role could enter yet, even if default privileges let it.
    fresh  boolean;
    other  text;
BEGIN
    SELECT n.* INTO STRICT schema FROM pg_namespace n WHERE n.nspname = 'taskapi';
    fresh := (SELECT age(n.xmin) <= 0 FROM pg_namespace n WHERE n.oid = schema.oid);

    SELECT r.rolname INTO other FROM pg_roles r WHERE r.oid = schema.nspowner AND r.rolname <> current_user AND NOT r.rolsuper;
    IF FOUND THEN
        RAISE EXCEPTION 'schema "taskapi" belongs to role "%"', other
            USING ERRCODE = 'insufficient_privilege', HINT = 'Drop or rename the schema first.';
    END IF;
    SELECT coalesce(r.rolname, 'PUBLIC') INTO other
    FROM aclexplode(schema.nspacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE a.privilege_type = 'CREATE' AND a.grantee <> schema.nspowner AND r.rolsuper IS NOT TRUE
    LIMIT 1;
    IF FOUND AND NOT fresh THEN
        RAISE EXCEPTION 'role % may create objects in schema "taskapi"', other
            USING ERRCODE = 'insufficient_privilege', HINT = 'Drop or rename the schema first.';
    END IF;
    SELECT pg_describe_object(d.classid, d.objid, d.objsubid) INTO other
    FROM pg_depend d
    WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = schema.oid AND d.classid <> 'pg_default_acl'::regclass
      AND NOT (d.classid = 'pg_extension'::regclass AND d.objid = (SELECT e.oid FROM pg_extension e WHERE e.extname = 'taskapi'))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'schema "taskapi" exists already and is not empty'
            USING ERRCODE = 'duplicate_schema', DETAIL = format('It holds %s.', other), HINT = 'Drop or rename the schema first.';
    END IF;
    ALTER SCHEMA taskapi OWNER TO CURRENT_USER;
END
$$;
COMMENT ON SCHEMA taskapi IS 'Primitives of an HTTP API; never exposed over HTTP itself';

CREATE FUNCTION taskapi.invalidate_cache() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_invalidate_cache';
COMMENT ON FUNCTION taskapi.invalidate_cache() IS
    'Statement trigger of a configuration table: every backend drops what it has cached of it';

-- sql/install/02_trust.sql
-- Among other roles: acting with the rights of one, and letting none in that was not named. They run as their caller.

-- Runs one command as another role, whose rights the caller must have, in a security-restricted operation: what that role's
-- triggers, defaults and index predicates do is done with its rights, and their settings end with the command. As the role
-- itself, without restriction. The parameters are $1 and so on. Returns the text of the first column of the first row; let it be
-- an OID rather than a name, which that role's search_path would shorten.
-- C: src/base/run_as.c
CREATE FUNCTION taskapi.run_as(role regrole, command text) RETURNS text
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'taskapi_run_as';
COMMENT ON FUNCTION taskapi.run_as(regrole, text) IS
    'Runs a command with the rights of a role that the caller is a member of, security-restricted; returns its first value';

CREATE FUNCTION taskapi.run_as(role regrole, command text, VARIADIC parameters "any") RETURNS text
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'taskapi_run_as';
COMMENT ON FUNCTION taskapi.run_as(regrole, text, VARIADIC "any") IS
    'Runs a command with parameters with the rights of a role that the caller is a member of, security-restricted';

CREATE FUNCTION taskapi.owner_of(relation regclass) RETURNS regrole
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT c.relowner::regrole FROM pg_class c WHERE c.oid = $1;
    END;
COMMENT ON FUNCTION taskapi.owner_of(regclass) IS 'Internal: the owner of a table or view';

CREATE FUNCTION taskapi.grantee_name(grantee oid) RETURNS text
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT CASE WHEN $1 = 0 THEN 'PUBLIC' ELSE $1::regrole::text END;
    END;
COMMENT ON FUNCTION taskapi.grantee_name(oid) IS 'Internal: a grantee of aclexplode() as GRANT and REVOKE take it';

-- Whatever default privileges let others do with a new schema, relation, function or type (class and oid, as in pg_depend), is
-- taken back, and its owner has all privileges. The caller must have the rights of the owner.
CREATE FUNCTION taskapi.revoke_from_others(class regclass, object oid) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target  record;
    grantee oid;
BEGIN
    IF class = 'pg_namespace'::regclass THEN
        SELECT format('SCHEMA %I', n.nspname) AS name, n.nspacl AS acl, n.nspowner AS owner, 'n'::"char" AS kind
        INTO target FROM pg_namespace n WHERE n.oid = object;
    ELSIF class = 'pg_class'::regclass THEN
        SELECT format(CASE c.relkind WHEN 'S' THEN 'SEQUENCE %s' ELSE 'TABLE %s' END, c.oid::regclass) AS name, c.relacl AS acl,
               c.relowner AS owner, (CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char" AS kind
        INTO target FROM pg_class c WHERE c.oid = object AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S');
    ELSIF class = 'pg_proc'::regclass THEN
        SELECT format('ROUTINE %s', p.oid::regprocedure) AS name, p.proacl AS acl, p.proowner AS owner, 'f'::"char" AS kind
        INTO target FROM pg_proc p WHERE p.oid = object;
    ELSIF class = 'pg_type'::regclass THEN
        -- not array types, and not the row types of relations, which have no privileges of their own
        SELECT format('TYPE %s', t.oid::regtype) AS name, t.typacl AS acl, t.typowner AS owner, 'T'::"char" AS kind
        INTO target FROM pg_type t
        WHERE t.oid = object AND t.typcategory <> 'A'
          AND (t.typrelid = 0 OR (SELECT c.relkind FROM pg_class c WHERE c.oid = t.typrelid) = 'c');
    ELSE
        RETURN;
    END IF;
    FOR grantee IN
        SELECT DISTINCT a.grantee FROM aclexplode(coalesce(target.acl, acldefault(target.kind, target.owner))) a
        WHERE a.grantee <> target.owner
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s CASCADE', target.name, taskapi.grantee_name(grantee));
    END LOOP;
    IF target.acl IS NOT NULL THEN
        EXECUTE format('GRANT ALL ON %s TO %s', target.name, taskapi.grantee_name(target.owner));
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.revoke_from_others(regclass, oid) IS
    'Internal: revokes from all others than the owner what default privileges granted on a new object';

-- Whether a role could betray what the given owner puts into a schema: all but the owner, the caller and superusers. Schema
-- public belongs to pg_database_owner, which is the owner of the database.
CREATE FUNCTION taskapi.is_stranger(role oid, owner regrole) RETURNS boolean
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT r.oid IS NULL OR NOT r.rolsuper AND r.oid <> $2 AND r.rolname <> current_user
        FROM (SELECT CASE WHEN pg_get_userbyid($1) = 'pg_database_owner' THEN d.datdba ELSE $1 END AS id
              FROM pg_database d WHERE d.datname = current_database()) role
        LEFT JOIN pg_roles r ON r.oid = role.id;
    END;
COMMENT ON FUNCTION taskapi.is_stranger(oid, regrole) IS
    'Internal: whether a role, or PUBLIC (0), is neither that owner nor the caller nor a superuser';

-- Raises an error unless only the owner of what is to be put into a schema, the caller and superusers can change the schema.
CREATE FUNCTION taskapi.check_schema(schema name, owner regrole) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_schema pg_namespace;
    stranger     oid;
BEGIN
    SELECT n.* INTO STRICT found_schema FROM pg_namespace n WHERE n.nspname = schema;
    IF taskapi.is_stranger(found_schema.nspowner, owner) THEN
        RAISE EXCEPTION 'schema "%" belongs to role %', schema, found_schema.nspowner::regrole
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'The owner of a schema can replace the objects in it.',
                  HINT = format('Name another schema, or let a superuser call ALTER SCHEMA %I OWNER TO %s.', schema, owner);
    END IF;
    SELECT a.grantee INTO stranger FROM aclexplode(found_schema.nspacl) a
    WHERE a.privilege_type = 'CREATE' AND a.grantee <> found_schema.nspowner AND taskapi.is_stranger(a.grantee, owner)
    ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'role % may create objects in schema "%"', taskapi.grantee_name(stranger), schema
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('Name another schema, or call REVOKE CREATE ON SCHEMA %I FROM %s.',
                                schema, taskapi.grantee_name(stranger));
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.check_schema(name, regrole) IS
    'Internal: raises an error if roles other than that owner, the caller and superusers can change a schema';

CREATE FUNCTION taskapi.objects_in(schema name) RETURNS TABLE (class oid, object oid, owner oid)
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        -- Objects of the bootstrap superuser have no owner there.
        SELECT d.classid, d.objid, s.refobjid
        FROM pg_namespace n
        JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
        LEFT JOIN pg_shdepend s ON s.dbid = (SELECT b.oid FROM pg_database b WHERE b.datname = current_database())
            AND s.classid = d.classid AND s.objid = d.objid AND s.objsubid = 0 AND s.deptype = 'o'
        WHERE n.nspname = $1 AND d.classid <> 'pg_default_acl'::regclass;
    END;
COMMENT ON FUNCTION taskapi.objects_in(name) IS
    'Internal: every object of a schema, of any kind, with its owner; NULL stands for the bootstrap superuser';

-- sql/install/05_problem.sql
-- The error contract.

CREATE FUNCTION taskapi.raise_problem(problem text, detail text DEFAULT NULL, hint text DEFAULT NULL, headers jsonb DEFAULT NULL)
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_raise_problem';
COMMENT ON FUNCTION taskapi.raise_problem(text, text, text, jsonb) IS
    'Raises a problem: as PostgREST wants it inside an HTTP request, with its SQLSTATE and a JSON detail elsewhere';

CREATE FUNCTION taskapi.problems(OUT problem text, OUT status int, OUT sqlstate text, OUT title text)
    RETURNS SETOF record
    LANGUAGE C IMMUTABLE PARALLEL SAFE ROWS 25 AS 'MODULE_PATHNAME', 'taskapi_problems';
COMMENT ON FUNCTION taskapi.problems() IS
    'The catalogue of problems: name, HTTP status, SQLSTATE outside HTTP, title';

-- sql/install/10_request.sql
-- What the HTTP layer put into GUCs, and what it is to answer.

CREATE FUNCTION taskapi.request_header(name text) RETURNS text
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_request_header_sql';
COMMENT ON FUNCTION taskapi.request_header(text) IS
    'A header of the request, by name in any case; several of one name are joined by commas; NULL outside a request';

CREATE FUNCTION taskapi.request_cookie(name text) RETURNS text
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_request_cookie_sql';
COMMENT ON FUNCTION taskapi.request_cookie(text) IS 'A cookie of the request; NULL outside a request';

CREATE FUNCTION taskapi.jwt_claims() RETURNS jsonb
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_jwt_claims_sql';
COMMENT ON FUNCTION taskapi.jwt_claims() IS
    'The claims of the caller; NULL for an anonymous one. A sub that is a uuid has its standard spelling';

CREATE FUNCTION taskapi.current_subject() RETURNS text
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_current_subject_sql';
COMMENT ON FUNCTION taskapi.current_subject() IS
    'Who the caller is (claim sub, 1 to 1024 bytes, else unauthenticated); a uuid has its standard spelling; NULL for an'
    ' anonymous one';

CREATE FUNCTION taskapi.current_subject_id() RETURNS uuid
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_current_subject_id_sql';
COMMENT ON FUNCTION taskapi.current_subject_id() IS
    'Who the caller is, as a uuid; a subject that is not a uuid is unauthenticated';

CREATE FUNCTION taskapi.canonical_subject(subject text) RETURNS text
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_canonical_subject_sql';
REVOKE ALL ON FUNCTION taskapi.canonical_subject(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.canonical_subject(text) IS
    'Internal: a subject as credentials are stored for it; a uuid, in any spelling, becomes the standard one, and one that no'
    ' credential can have is an error';

CREATE FUNCTION taskapi.set_response_header(name text, value text) RETURNS void
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_set_response_header_sql';
COMMENT ON FUNCTION taskapi.set_response_header(text, text) IS
    'Sets a header of the answer, in place of one of that name; Set-Cookie is added';

CREATE FUNCTION taskapi.read_after() RETURNS text
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_read_after';
COMMENT ON FUNCTION taskapi.read_after() IS
    'The token by which a standby knows when it has what this transaction writes, NULL if it has written nothing so far; inside a'
    ' request it is the answer''s Read-After, which writes to resources and keyed functions set by themselves';

CREATE FUNCTION taskapi.set_response_status(status int) RETURNS void
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_set_response_status_sql';
COMMENT ON FUNCTION taskapi.set_response_status(int) IS 'Sets the HTTP status of the answer';

-- sql/install/15_uuid7.sql
-- UUID version 7 (RFC 9562).

CREATE FUNCTION taskapi.uuidv7() RETURNS uuid
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_uuidv7';
COMMENT ON FUNCTION taskapi.uuidv7() IS
    'A new UUID version 7: time-ordered, ever growing within a session';

CREATE FUNCTION taskapi.uuidv7_timestamp(id uuid) RETURNS timestamptz
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME', 'taskapi_uuidv7_timestamp';
COMMENT ON FUNCTION taskapi.uuidv7_timestamp(uuid) IS
    'When a UUID version 7 was made, to the millisecond; NULL for any other version';

-- sql/install/20_secret.sql
-- Signing keys: many a purpose, the newest that is not retired signs, all that are not retired verify.

CREATE FUNCTION taskapi.random_secret(length int) RETURNS bytea
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_random_secret';
REVOKE ALL ON FUNCTION taskapi.random_secret(int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.random_secret(int) IS 'Cryptographically strong random bytes';

CREATE TABLE taskapi.secret (
    purpose    text NOT NULL CHECK (purpose OPERATOR(pg_catalog.~) '^[a-z][a-z0-9_]{0,62}$'),
    key_id     int NOT NULL CHECK (key_id OPERATOR(pg_catalog.>=) 1),
    secret     bytea NOT NULL CHECK (pg_catalog.length(secret) BETWEEN 32 AND 1024),
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    retired_at timestamptz,
    initial    boolean NOT NULL DEFAULT false,
    PRIMARY KEY (purpose, key_id)
);
REVOKE ALL ON TABLE taskapi.secret FROM PUBLIC;
COMMENT ON TABLE taskapi.secret IS 'Signing keys, readable only by the owner';
COMMENT ON COLUMN taskapi.secret.purpose IS 'What it signs: cursor (cursors and page tokens) or jwt';
COMMENT ON COLUMN taskapi.secret.key_id IS 'Counted from 1 in each purpose; part of a token, so that its key is found';
COMMENT ON COLUMN taskapi.secret.retired_at IS 'Since when it neither signs nor verifies; NULL while it does';
COMMENT ON COLUMN taskapi.secret.initial IS
    'Made by CREATE EXTENSION. When a dump is restored, its initial key takes the place of the one that was just made';
SELECT pg_catalog.pg_extension_config_dump('taskapi.secret', '');

CREATE FUNCTION taskapi.replace_initial_secret() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_replace_initial_secret';
REVOKE ALL ON FUNCTION taskapi.replace_initial_secret() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.replace_initial_secret() IS
    'Row trigger of taskapi.secret: lets the initial key of a restored dump take the place of the one just made';

CREATE TRIGGER replace_initial BEFORE INSERT ON taskapi.secret
    FOR EACH ROW EXECUTE FUNCTION taskapi.replace_initial_secret();
CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.secret
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
-- also where session_replication_role says that ordinary triggers rest
ALTER TABLE taskapi.secret ENABLE ALWAYS TRIGGER replace_initial;
ALTER TABLE taskapi.secret ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER replace_initial ON taskapi.secret IS 'A restored initial key takes the place of the one just made';
COMMENT ON TRIGGER invalidate_cache ON taskapi.secret IS 'A changed key counts in every backend at once';

INSERT INTO taskapi.secret (purpose, key_id, secret, initial)
    SELECT purpose, 1, taskapi.random_secret(32), true
    FROM (VALUES ('cursor'), ('jwt')) AS initial (purpose);

CREATE FUNCTION taskapi.add_secret(purpose text, secret bytea) RETURNS int
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    newest taskapi.secret;
BEGIN
    -- of another one nothing would ever be read: a slip in an emergency would look like a rotation
    IF purpose IS NULL OR purpose NOT IN ('cursor', 'jwt') THEN
        RAISE EXCEPTION 'purpose of a secret is not valid'
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'The purposes are cursor and jwt.';
    END IF;
    -- here and not by the table's constraint, whose message would show the row
    IF secret IS NULL OR length(secret) NOT BETWEEN 32 AND 1024 THEN
        RAISE EXCEPTION 'secret is too short or too long'
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'HMAC-SHA-256 needs a key of at least 32 bytes; at most 1024 are kept.';
    END IF;
    -- two sessions must not take the same number
    LOCK TABLE taskapi.secret IN SHARE ROW EXCLUSIVE MODE;
    SELECT * INTO newest FROM taskapi.secret s WHERE s.purpose = add_secret.purpose ORDER BY s.key_id DESC LIMIT 1;
    -- digests, so that the time it takes tells nothing of the key that is there
    IF sha256(newest.secret) = sha256(add_secret.secret) AND newest.retired_at IS NULL THEN
        RETURN newest.key_id;
    END IF;
    INSERT INTO taskapi.secret (purpose, key_id, secret)
        VALUES (add_secret.purpose, coalesce(newest.key_id, 0) + 1, add_secret.secret);
    RETURN coalesce(newest.key_id, 0) + 1;
END
$$;
REVOKE ALL ON FUNCTION taskapi.add_secret(text, bytea) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.add_secret(text, bytea) IS
    'Internal: adds a key and returns its number; what rotate_secret and set_secret share';

CREATE FUNCTION taskapi.rotate_secret(purpose text) RETURNS int
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN taskapi.add_secret(purpose, taskapi.random_secret(32));
END
$$;
REVOKE ALL ON FUNCTION taskapi.rotate_secret(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rotate_secret(text) IS
    'Adds a random signing key and returns its number. The new key signs from now on; older ones verify until they are retired';

CREATE FUNCTION taskapi.set_secret(purpose text, secret text) RETURNS int
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- SQL_ASCII knows no characters, so its bytes are the secret's
    RETURN taskapi.add_secret(purpose, convert_to(secret, CASE getdatabaseencoding()
                                                              WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END));
END
$$;
REVOKE ALL ON FUNCTION taskapi.set_secret(text, text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.set_secret(text, text) IS
    'Adds a signing key that another program shares, such as the JWT secret of the HTTP layer, and returns its number';

CREATE FUNCTION taskapi.set_secret(purpose text, secret bytea) RETURNS int
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN taskapi.add_secret(purpose, secret);
END
$$;
REVOKE ALL ON FUNCTION taskapi.set_secret(text, bytea) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.set_secret(text, bytea) IS
    'set_secret() with a key of any bytes, such as one that the other program has as base64: decode(..., ''base64'')';

CREATE FUNCTION taskapi.retire_secret(purpose text, key_id int) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE taskapi.secret IN SHARE ROW EXCLUSIVE MODE;
    IF NOT EXISTS (SELECT FROM taskapi.secret s WHERE s.purpose = retire_secret.purpose AND s.key_id = retire_secret.key_id) THEN
        RAISE EXCEPTION 'there is no such signing key'
            USING ERRCODE = 'undefined_object',
                  DETAIL = format('Purpose %L has no key %s.', purpose, coalesce(key_id::text, 'NULL'));
    END IF;
    -- A snapshot of REPEATABLE READ may be older than the lock. Who saw a key that is retired by now fails here.
    PERFORM FROM taskapi.secret s WHERE s.purpose = retire_secret.purpose AND s.retired_at IS NULL FOR UPDATE;
    IF NOT EXISTS (SELECT FROM taskapi.secret s
                   WHERE s.purpose = retire_secret.purpose AND s.key_id <> retire_secret.key_id AND s.retired_at IS NULL) THEN
        RAISE EXCEPTION 'the only signing key of a purpose cannot be retired'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Make a new one first, with taskapi.rotate_secret().';
    END IF;
    UPDATE taskapi.secret s SET retired_at = now()
        WHERE s.purpose = retire_secret.purpose AND s.key_id = retire_secret.key_id AND s.retired_at IS NULL;
END
$$;
REVOKE ALL ON FUNCTION taskapi.retire_secret(text, int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.retire_secret(text, int) IS
    'From now on the key neither signs nor verifies: tokens that it signed are no longer valid';

-- sql/install/25_jwt.sql
-- JSON Web Tokens, HS256.

CREATE FUNCTION taskapi.jwt_sign(claims jsonb, secret text DEFAULT NULL) RETURNS text
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_jwt_sign';
REVOKE ALL ON FUNCTION taskapi.jwt_sign(jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.jwt_sign(jsonb, text) IS
    'Signs claims as a JWT (HS256) with the current key of purpose jwt, or with the secret given';

CREATE FUNCTION taskapi.jwt_verify(token text, secret text DEFAULT NULL) RETURNS jsonb
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_jwt_verify';
COMMENT ON FUNCTION taskapi.jwt_verify(text, text) IS
    'The claims of a JWT that is signed (HS256), valid now and meant for this server; anything else is unauthenticated';

-- A secret need not be text: of one that is configured as base64, such as the k of a JWK, these take the bytes.
CREATE FUNCTION taskapi.jwt_sign(claims jsonb, secret bytea) RETURNS text
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_jwt_sign';
REVOKE ALL ON FUNCTION taskapi.jwt_sign(jsonb, bytea) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.jwt_sign(jsonb, bytea) IS 'jwt_sign() with a secret of any bytes (RFC 7515)';

CREATE FUNCTION taskapi.jwt_verify(token text, secret bytea) RETURNS jsonb
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_jwt_verify';
COMMENT ON FUNCTION taskapi.jwt_verify(text, bytea) IS 'jwt_verify() with a secret of any bytes (RFC 7515)';

-- sql/install/30_cursor.sql
-- Cursors: a position in an order, comparable, and sealed as text.

CREATE TYPE taskapi.cursor;

CREATE FUNCTION taskapi.cursor_in(cstring) RETURNS taskapi.cursor
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_in';
COMMENT ON FUNCTION taskapi.cursor_in(cstring) IS 'Input: opens a token, whose signature and age are checked';

CREATE FUNCTION taskapi.cursor_out(taskapi.cursor) RETURNS cstring
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_out';
COMMENT ON FUNCTION taskapi.cursor_out(taskapi.cursor) IS 'Output: seals a token, with the newest key and the present time';

CREATE FUNCTION taskapi.cursor_recv(internal) RETURNS taskapi.cursor
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_recv';
COMMENT ON FUNCTION taskapi.cursor_recv(internal) IS 'Binary input: the same token';

CREATE FUNCTION taskapi.cursor_send(taskapi.cursor) RETURNS bytea
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_send';
COMMENT ON FUNCTION taskapi.cursor_send(taskapi.cursor) IS 'Binary output: the same token';

CREATE TYPE taskapi.cursor (
    INPUT = taskapi.cursor_in, OUTPUT = taskapi.cursor_out,
    RECEIVE = taskapi.cursor_recv, SEND = taskapi.cursor_send,
    INTERNALLENGTH = VARIABLE, STORAGE = extended
);
COMMENT ON TYPE taskapi.cursor IS
    'A position in an order_by: compares in page order, and is a sealed, URL-safe token as text';

CREATE FUNCTION taskapi.cursor_json(taskapi.cursor) RETURNS json
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_json';
COMMENT ON FUNCTION taskapi.cursor_json(taskapi.cursor) IS
    'The token as a JSON string; the cast that row_to_json() and its like use';

CREATE CAST (taskapi.cursor AS json) WITH FUNCTION taskapi.cursor_json(taskapi.cursor);
COMMENT ON CAST (taskapi.cursor AS json) IS 'The token as a JSON string';

CREATE FUNCTION taskapi.cursor_constructor_support(internal) RETURNS internal
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_constructor_support';
COMMENT ON FUNCTION taskapi.cursor_constructor_support(internal) IS
    'Planner support of cursor(): refuses a constant order_by that cannot be parsed, and keys that cannot be in a cursor';

-- The constructor and the operators are leakproof, so that they run, and serve an index, ahead of row-level security. They raise
-- for no argument that a row holds: a NULL cursor is what makes none. What no row decides is refused while planning.
--
-- Costs are in comparisons of numbers. Above ten the planner makes what only the rows of a page need after it has sorted
-- and limited them, as is right for a seal. The cursor itself must stay below: a computed field is not inlined where
-- its argument, a row with a cursor in it, costs more than ten, and then no index serves it.
CREATE FUNCTION taskapi.cursor(order_by text, VARIADIC keys "any") RETURNS taskapi.cursor
    LANGUAGE C IMMUTABLE PARALLEL SAFE LEAKPROOF SUPPORT taskapi.cursor_constructor_support
    AS 'MODULE_PATHNAME', 'taskapi_cursor';
COMMENT ON FUNCTION taskapi.cursor(text, "any") IS
    'The cursor of a row: cursor(''created_at DESC, id DESC'', created_at, id), as many keys as order_by has terms; NULL if'
    ' these make none';

CREATE FUNCTION taskapi.cursor_encode(order_by text, VARIADIC keys "any") RETURNS text
    LANGUAGE C STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'taskapi_cursor_encode';
COMMENT ON FUNCTION taskapi.cursor_encode(text, "any") IS 'The token of a row: cursor(...)::text';

CREATE FUNCTION taskapi.cursor_decode(token text, OUT "position" int, OUT key text, OUT type regtype,
                                      OUT descending boolean, OUT nulls_first boolean, OUT value text)
    RETURNS SETOF record
    LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 2 AS 'MODULE_PATHNAME', 'taskapi_cursor_decode';
COMMENT ON FUNCTION taskapi.cursor_decode(text) IS
    'What a token says; its signature is checked first';

CREATE FUNCTION taskapi.cursor_value(taskapi.cursor, "position" int, anyelement) RETURNS anyelement
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_value';
COMMENT ON FUNCTION taskapi.cursor_value(taskapi.cursor, int, anyelement) IS
    'The value of one key, counted from 1; the last argument says its type: cursor_value(c, 1, NULL::timestamptz)';

CREATE FUNCTION taskapi.cursor_key(taskapi.cursor, order_by text, "position" int, anyelement) RETURNS anyelement
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_key';
COMMENT ON FUNCTION taskapi.cursor_key(taskapi.cursor, text, int, anyelement) IS
    'Internal: cursor_value() as the planner puts it into a row comparison; NULL for a cursor of another order_by';

CREATE FUNCTION taskapi.cursor_check(taskapi.cursor, order_by text, not_null boolean, VARIADIC keys "any") RETURNS boolean
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_check';
COMMENT ON FUNCTION taskapi.cursor_check(taskapi.cursor, text, boolean, "any") IS
    'True if the cursor is of this order_by over keys of these types (give NULLs), else an error; with not_null, no key may'
    ' be NULL. The planner puts it into WHERE';

CREATE FUNCTION taskapi.cursor_check(taskapi.cursor[], order_by text, not_null boolean, VARIADIC keys "any") RETURNS boolean
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_check_array';
COMMENT ON FUNCTION taskapi.cursor_check(taskapi.cursor[], text, boolean, "any") IS
    'The same for every element of an array';

CREATE FUNCTION taskapi.cursor_support(internal) RETURNS internal
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_support';
COMMENT ON FUNCTION taskapi.cursor_support(internal) IS
    'Planner support: rewrites a comparison with cursor(...) into a row comparison that an ordinary index serves';

CREATE FUNCTION taskapi.cursor_lt(taskapi.cursor, taskapi.cursor) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.cursor_support AS 'MODULE_PATHNAME', 'taskapi_cursor_lt';
COMMENT ON FUNCTION taskapi.cursor_lt(taskapi.cursor, taskapi.cursor) IS 'Implementation of < operator';

CREATE FUNCTION taskapi.cursor_le(taskapi.cursor, taskapi.cursor) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.cursor_support AS 'MODULE_PATHNAME', 'taskapi_cursor_le';
COMMENT ON FUNCTION taskapi.cursor_le(taskapi.cursor, taskapi.cursor) IS 'Implementation of <= operator';

CREATE FUNCTION taskapi.cursor_eq(taskapi.cursor, taskapi.cursor) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.cursor_support AS 'MODULE_PATHNAME', 'taskapi_cursor_eq';
COMMENT ON FUNCTION taskapi.cursor_eq(taskapi.cursor, taskapi.cursor) IS 'Implementation of = operator';

CREATE FUNCTION taskapi.cursor_ne(taskapi.cursor, taskapi.cursor) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME', 'taskapi_cursor_ne';
COMMENT ON FUNCTION taskapi.cursor_ne(taskapi.cursor, taskapi.cursor) IS 'Implementation of <> operator';

CREATE FUNCTION taskapi.cursor_ge(taskapi.cursor, taskapi.cursor) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.cursor_support AS 'MODULE_PATHNAME', 'taskapi_cursor_ge';
COMMENT ON FUNCTION taskapi.cursor_ge(taskapi.cursor, taskapi.cursor) IS 'Implementation of >= operator';

CREATE FUNCTION taskapi.cursor_gt(taskapi.cursor, taskapi.cursor) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.cursor_support AS 'MODULE_PATHNAME', 'taskapi_cursor_gt';
COMMENT ON FUNCTION taskapi.cursor_gt(taskapi.cursor, taskapi.cursor) IS 'Implementation of > operator';

-- In pg_catalog, which is always searched: an HTTP layer writes "cursor" > 'token' with a search_path of its own.
CREATE OPERATOR pg_catalog.< (
    LEFTARG = taskapi.cursor, RIGHTARG = taskapi.cursor, FUNCTION = taskapi.cursor_lt,
    COMMUTATOR = OPERATOR(pg_catalog.>), NEGATOR = OPERATOR(pg_catalog.>=),
    RESTRICT = pg_catalog.scalarltsel, JOIN = pg_catalog.scalarltjoinsel);
COMMENT ON OPERATOR pg_catalog.< (taskapi.cursor, taskapi.cursor) IS 'comes before, in page order';
CREATE OPERATOR pg_catalog.<= (
    LEFTARG = taskapi.cursor, RIGHTARG = taskapi.cursor, FUNCTION = taskapi.cursor_le,
    COMMUTATOR = OPERATOR(pg_catalog.>=), NEGATOR = OPERATOR(pg_catalog.>),
    RESTRICT = pg_catalog.scalarlesel, JOIN = pg_catalog.scalarlejoinsel);
COMMENT ON OPERATOR pg_catalog.<= (taskapi.cursor, taskapi.cursor) IS 'comes before or at the same position, in page order';
CREATE OPERATOR pg_catalog.= (
    LEFTARG = taskapi.cursor, RIGHTARG = taskapi.cursor, FUNCTION = taskapi.cursor_eq,
    COMMUTATOR = OPERATOR(pg_catalog.=), NEGATOR = OPERATOR(pg_catalog.<>),
    RESTRICT = pg_catalog.eqsel, JOIN = pg_catalog.eqjoinsel, HASHES, MERGES);
COMMENT ON OPERATOR pg_catalog.= (taskapi.cursor, taskapi.cursor) IS 'same position';
CREATE OPERATOR pg_catalog.<> (
    LEFTARG = taskapi.cursor, RIGHTARG = taskapi.cursor, FUNCTION = taskapi.cursor_ne,
    COMMUTATOR = OPERATOR(pg_catalog.<>), NEGATOR = OPERATOR(pg_catalog.=),
    RESTRICT = pg_catalog.neqsel, JOIN = pg_catalog.neqjoinsel);
COMMENT ON OPERATOR pg_catalog.<> (taskapi.cursor, taskapi.cursor) IS 'another position';
CREATE OPERATOR pg_catalog.>= (
    LEFTARG = taskapi.cursor, RIGHTARG = taskapi.cursor, FUNCTION = taskapi.cursor_ge,
    COMMUTATOR = OPERATOR(pg_catalog.<=), NEGATOR = OPERATOR(pg_catalog.<),
    RESTRICT = pg_catalog.scalargesel, JOIN = pg_catalog.scalargejoinsel);
COMMENT ON OPERATOR pg_catalog.>= (taskapi.cursor, taskapi.cursor) IS 'comes after or at the same position, in page order';
CREATE OPERATOR pg_catalog.> (
    LEFTARG = taskapi.cursor, RIGHTARG = taskapi.cursor, FUNCTION = taskapi.cursor_gt,
    COMMUTATOR = OPERATOR(pg_catalog.<), NEGATOR = OPERATOR(pg_catalog.<=),
    RESTRICT = pg_catalog.scalargtsel, JOIN = pg_catalog.scalargtjoinsel);
COMMENT ON OPERATOR pg_catalog.> (taskapi.cursor, taskapi.cursor) IS 'comes after, in page order';

CREATE FUNCTION taskapi.cursor_cmp(taskapi.cursor, taskapi.cursor) RETURNS int
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME', 'taskapi_cursor_cmp';
COMMENT ON FUNCTION taskapi.cursor_cmp(taskapi.cursor, taskapi.cursor) IS 'Page order: less than, equal to or greater than 0';

CREATE FUNCTION taskapi.cursor_sortsupport(internal) RETURNS void
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_cursor_sortsupport';
COMMENT ON FUNCTION taskapi.cursor_sortsupport(internal) IS 'Sort support, with abbreviated keys';

CREATE FUNCTION taskapi.cursor_hash(taskapi.cursor) RETURNS int
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME', 'taskapi_cursor_hash';
COMMENT ON FUNCTION taskapi.cursor_hash(taskapi.cursor) IS 'Hash support';

CREATE FUNCTION taskapi.cursor_hash_extended(taskapi.cursor, bigint) RETURNS bigint
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME', 'taskapi_cursor_hash_extended';
COMMENT ON FUNCTION taskapi.cursor_hash_extended(taskapi.cursor, bigint) IS 'Hash support, with a seed';

CREATE OPERATOR CLASS taskapi.cursor_ops DEFAULT FOR TYPE taskapi.cursor USING btree AS
    OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
    FUNCTION 1 taskapi.cursor_cmp(taskapi.cursor, taskapi.cursor),
    FUNCTION 2 taskapi.cursor_sortsupport(internal);
COMMENT ON OPERATOR CLASS taskapi.cursor_ops USING btree IS 'Page order';
COMMENT ON OPERATOR FAMILY taskapi.cursor_ops USING btree IS 'Page order';

CREATE OPERATOR CLASS taskapi.cursor_ops DEFAULT FOR TYPE taskapi.cursor USING hash AS
    OPERATOR 1 pg_catalog.=,
    FUNCTION 1 taskapi.cursor_hash(taskapi.cursor),
    FUNCTION 2 taskapi.cursor_hash_extended(taskapi.cursor, bigint);
COMMENT ON OPERATOR CLASS taskapi.cursor_ops USING hash IS 'Same position';
COMMENT ON OPERATOR FAMILY taskapi.cursor_ops USING hash IS 'Same position';

-- sql/install/35_page.sql
-- Pages of any table or view, in any order, at the same cost at any depth.

CREATE TYPE taskapi.page_result AS (
    items json,
    next_page_token text,
    previous_page_token text,
    has_next boolean,
    has_previous boolean,
    total_size bigint
);
COMMENT ON TYPE taskapi.page_result IS
    'A page: its rows as a JSON array, and where its neighbours are. An empty next_page_token is the end; the number of'
    ' rows is not';
COMMENT ON COLUMN taskapi.page_result.items IS 'The rows, in page order whichever way the token went';
COMMENT ON COLUMN taskapi.page_result.next_page_token IS 'The page_token of the next page; empty if there is none';
COMMENT ON COLUMN taskapi.page_result.previous_page_token IS 'The page_token of the page before; empty if there is none';
COMMENT ON COLUMN taskapi.page_result.has_next IS 'Whether there is a next page';
COMMENT ON COLUMN taskapi.page_result.has_previous IS 'Whether there is a page before';
COMMENT ON COLUMN taskapi.page_result.total_size IS 'How many rows all pages have, if count asked for it; else NULL';

-- page_token: '' is the first page, 'last' the one that ends with the last row.
-- count: 'exact' reads every row that matches; 'estimated' reads max_page_size rows at most, and beyond that is the planner's
-- estimate. columns: what the items show, in that order; tokens hold the whole position all the same.
-- Not for parallel workers: it reads filter values in a subtransaction and sets response headers.
CREATE FUNCTION taskapi.page(source regclass, order_by text DEFAULT NULL, page_size int DEFAULT NULL,
                             page_token text DEFAULT NULL, filter jsonb DEFAULT NULL, count text DEFAULT NULL,
                             columns text[] DEFAULT NULL)
    RETURNS taskapi.page_result
    LANGUAGE C STABLE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'taskapi_page';
COMMENT ON FUNCTION taskapi.page(regclass, text, int, text, jsonb, text, text[]) IS
    'One page of a table or view, as the caller may see it: in order_by (NULL: the key), with a total if count is exact or'
    ' estimated, of some columns or all';

-- soft_delete: there is a view deleted_RESOURCE beside the resource, whose rows show_deleted puts among the others.
CREATE FUNCTION taskapi.resource_page(resource regclass, soft_delete boolean, default_order text, order_by text,
                                      page_size int, page_token text, filter jsonb, count text, columns text[],
                                      show_deleted boolean)
    RETURNS taskapi.page_result
    LANGUAGE C STABLE PARALLEL UNSAFE COST 1000 AS 'MODULE_PATHNAME', 'taskapi_resource_page';
COMMENT ON FUNCTION taskapi.resource_page(regclass, boolean, text, text, int, text, jsonb, text, text[], boolean) IS
    'Internal: what RESOURCE_page() calls; page() that can show deleted rows among the others, and sets the header Link';

CREATE FUNCTION taskapi.page_rows_support(internal) RETURNS internal
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_page_rows_support';
REVOKE ALL ON FUNCTION taskapi.page_rows_support(internal) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.page_rows_support(internal) IS 'Planner support: how many rows a page has';

CREATE FUNCTION taskapi.page_rows(row_type anyelement, order_by text DEFAULT NULL, page_size int DEFAULT NULL,
                                  page_token text DEFAULT NULL, filter jsonb DEFAULT NULL)
    RETURNS SETOF anyelement
    LANGUAGE C STABLE PARALLEL UNSAFE COST 1000 SUPPORT taskapi.page_rows_support AS 'MODULE_PATHNAME', 'taskapi_page_rows';
COMMENT ON FUNCTION taskapi.page_rows(anyelement, text, int, text, jsonb) IS
    'The rows of a page: SELECT * FROM taskapi.page_rows(NULL::public.orders, ''total DESC, id''); takes a row''s own cursor'
    ' as page_token too';

-- Errors: invalid_order_by, invalid_filter; 42809 for a source that no index can help.
CREATE FUNCTION taskapi.index_advice(source regclass, order_by text, filter jsonb DEFAULT NULL) RETURNS text
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_index_advice';
COMMENT ON FUNCTION taskapi.index_advice(regclass, text, jsonb) IS
    'NULL if an index bounds pages of the filtered rows at every depth; else the CREATE INDEX that would';

-- sql/install/37_match.sql
-- Filters that an index can bound under row-level security: docs/filters.md.
-- C: src/match/

-- The value as an index is given it: NULL if it is out of bounds, so that nothing matches. Put in by the planner;
-- VOLATILE, so that estimates do not see the value.
CREATE FUNCTION taskapi.match_value(elements anyarray) RETURNS anyarray
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_match_value_array';
COMMENT ON FUNCTION taskapi.match_value(anyarray) IS 'Internal: the elements, as they are';

CREATE FUNCTION taskapi.match_value(query tsquery) RETURNS tsquery
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_match_value_tsquery';
COMMENT ON FUNCTION taskapi.match_value(tsquery) IS 'Internal: the query, or NULL if it is nested more than 100 levels deep';

CREATE FUNCTION taskapi.match_value(part jsonb) RETURNS jsonb
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_match_value_jsonb';
COMMENT ON FUNCTION taskapi.match_value(jsonb) IS 'Internal: the value, or NULL if it is nested more than 100 levels deep';

CREATE FUNCTION taskapi.match_value(pattern text) RETURNS text
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_match_value_text';
COMMENT ON FUNCTION taskapi.match_value(text) IS 'Internal: the pattern, or NULL if it is longer than 1000 bytes';

CREATE FUNCTION taskapi.match_support(internal) RETURNS internal
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_match_support';
COMMENT ON FUNCTION taskapi.match_support(internal) IS 'Planner support of contains(), overlaps(), matches() and is_like()';

CREATE FUNCTION taskapi.contains(list text[], elements text[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_array_contains';
COMMENT ON FUNCTION taskapi.contains(text[], text[]) IS
    'list @> elements, by their bytes, such that a GIN index bounds it under row-level security';

CREATE FUNCTION taskapi.contains(list uuid[], elements uuid[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_array_contains';
COMMENT ON FUNCTION taskapi.contains(uuid[], uuid[]) IS
    'list @> elements, such that a GIN index bounds it under row-level security';

CREATE FUNCTION taskapi.contains(list int[], elements int[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_array_contains';
COMMENT ON FUNCTION taskapi.contains(int[], int[]) IS
    'list @> elements, such that a GIN index bounds it under row-level security';

CREATE FUNCTION taskapi.contains(list bigint[], elements bigint[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_array_contains';
COMMENT ON FUNCTION taskapi.contains(bigint[], bigint[]) IS
    'list @> elements, such that a GIN index bounds it under row-level security';

CREATE FUNCTION taskapi.contains(document jsonb, part jsonb) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_jsonb_contains';
COMMENT ON FUNCTION taskapi.contains(jsonb, jsonb) IS
    'document @> part, such that a GIN index bounds it under row-level security; NULL if part is nested over 100 levels deep';

CREATE FUNCTION taskapi.overlaps(list text[], elements text[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_array_overlaps';
COMMENT ON FUNCTION taskapi.overlaps(text[], text[]) IS
    'list && elements, by their bytes, such that a GIN index bounds it under row-level security';

CREATE FUNCTION taskapi.overlaps(list uuid[], elements uuid[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_array_overlaps';
COMMENT ON FUNCTION taskapi.overlaps(uuid[], uuid[]) IS
    'list && elements, such that a GIN index bounds it under row-level security';

CREATE FUNCTION taskapi.overlaps(list int[], elements int[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_array_overlaps';
COMMENT ON FUNCTION taskapi.overlaps(int[], int[]) IS
    'list && elements, such that a GIN index bounds it under row-level security';

CREATE FUNCTION taskapi.overlaps(list bigint[], elements bigint[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_array_overlaps';
COMMENT ON FUNCTION taskapi.overlaps(bigint[], bigint[]) IS
    'list && elements, such that a GIN index bounds it under row-level security';

CREATE FUNCTION taskapi.matches(document tsvector, query tsquery) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_matches';
COMMENT ON FUNCTION taskapi.matches(tsvector, tsquery) IS
    'document @@ query, such that a GIN index bounds it under row-level security; NULL if query is nested over 100 levels deep';

CREATE FUNCTION taskapi.is_like(value text, pattern text) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.match_support
    AS 'MODULE_PATHNAME', 'taskapi_is_like';
COMMENT ON FUNCTION taskapi.is_like(text, text) IS
    'value LIKE pattern, by their bytes, such that a GIN index of pg_trgm bounds it under row-level security; NULL if the'
    ' pattern is longer than 1000 bytes or ends with an escape';

-- Who belongs to what, for row-level security: much cheaper than a query. What else makes a member is the index's predicate. As
-- the caller, who must be able to read the table, whole: call it in a SECURITY DEFINER function of the table's owner.
-- Errors: 42809 for anything but a B-tree index whose first two columns are uuid; 42501; 55000 for an index that was made while
-- the transaction ran, over rows that it may still see.
-- C: src/match/index_values.c
CREATE FUNCTION taskapi.index_values(index regclass, key uuid) RETURNS uuid[]
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_index_values';
COMMENT ON FUNCTION taskapi.index_values(regclass, uuid) IS
    'The values of the second column of an index on (uuid, uuid) for a value of the first one, in their order';

-- sql/install/40_fingerprint.sql
-- The digest by which a repeated request is recognized.

CREATE FUNCTION taskapi.fingerprint(jsonb) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_fingerprint';
COMMENT ON FUNCTION taskapi.fingerprint(jsonb) IS
    'SHA-256 of a canonical form of a JSON value: key order, white space and number form (1, 1.0, 1e0) do not count';

-- sql/install/45_idempotency.sql
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

-- sql/install/46_idempotent_function.sql
-- Functions that are called once for each Idempotency-Key. C: src/resource/idempotent_function.c

-- The declaration is the function's own setting, so it can as well stand in CREATE FUNCTION ... SET taskapi.idempotent = on. It
-- has to if CREATE OR REPLACE makes the function again. A result whose type only the caller knows (record, without OUT arguments)
-- cannot be stored, and a function that is not VOLATILE has nothing to do twice.
CREATE FUNCTION taskapi.make_idempotent(function regprocedure, idempotent boolean DEFAULT true) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found pg_proc := (SELECT p FROM pg_proc p WHERE p.oid = function);
BEGIN
    IF found.oid IS NULL THEN
        RAISE EXCEPTION 'there is no such function' USING ERRCODE = 'undefined_function';
    END IF;
    IF found.prokind <> 'f' THEN
        RAISE EXCEPTION '% is not a function', function USING ERRCODE = 'wrong_object_type';
    END IF;
    IF idempotent AND found.provolatile <> 'v' THEN
        RAISE EXCEPTION 'function % is not VOLATILE, so it has no effect to make once', function
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF idempotent AND found.prorettype = 'record'::regtype
       AND NOT coalesce(found.proargmodes && '{o,b,t}'::"char"[], false) THEN
        RAISE EXCEPTION 'function % returns a record whose columns only its caller defines', function
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Declare them with OUT arguments or RETURNS TABLE.';
    END IF;
    IF idempotent THEN
        EXECUTE format('ALTER FUNCTION %s SET taskapi.idempotent = on', function);
    ELSE
        EXECUTE format('ALTER FUNCTION %s RESET taskapi.idempotent', function);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.make_idempotent(regprocedure, boolean) IS
    'Declares that a function is called once for each Idempotency-Key of its callers: its result is stored and given again. The'
    ' same as ALTER FUNCTION ... SET taskapi.idempotent = on';

CREATE FUNCTION taskapi.statement_returns(view regclass, "column" name) RETURNS boolean
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'taskapi_statement_returns';
COMMENT ON FUNCTION taskapi.statement_returns(regclass, name) IS
    'For an INSTEAD OF INSERT trigger: does the statement that fired it return the column to the client?';

-- sql/install/50_ratelimit.sql
-- Rate limits.

CREATE TYPE taskapi.rate_limit_verdict AS (
    allowed     boolean,
    policy      text,
    "limit"     bigint,
    remaining   bigint,
    retry_after double precision,
    reset_after double precision
);
COMMENT ON TYPE taskapi.rate_limit_verdict IS
    'What a rate limit says of a request; times in seconds, retry_after 0 when allowed and NULL when the cost can never fit';
COMMENT ON COLUMN taskapi.rate_limit_verdict.allowed IS 'May the request proceed?';
COMMENT ON COLUMN taskapi.rate_limit_verdict.policy IS 'The policy that was asked; NULL for a limit that was given with the call';
COMMENT ON COLUMN taskapi.rate_limit_verdict."limit" IS 'The burst: how much a key that has rested may cost at once';
COMMENT ON COLUMN taskapi.rate_limit_verdict.remaining IS 'How much may still be charged right now';
COMMENT ON COLUMN taskapi.rate_limit_verdict.retry_after IS 'Seconds until this request would be allowed';
COMMENT ON COLUMN taskapi.rate_limit_verdict.reset_after IS 'Seconds until the whole burst is there again';

CREATE FUNCTION taskapi.rate_limit(key text, rate int, per interval DEFAULT '1 second', burst int DEFAULT NULL,
                                   cost int DEFAULT 1)
    RETURNS taskapi.rate_limit_verdict
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit';
REVOKE ALL ON FUNCTION taskapi.rate_limit(text, int, interval, int, int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rate_limit(text, int, interval, int, int) IS
    'Charges a request of that cost to a key, or denies it: rate per interval sustained, burst (default rate) at once. A role'
    ' that may execute it may also check the subjects of others by policy';

CREATE FUNCTION taskapi.rate_limit_allowed(key text, rate int, per interval DEFAULT '1 second', burst int DEFAULT NULL,
                                           cost int DEFAULT 1)
    RETURNS bool
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit_allowed';
REVOKE ALL ON FUNCTION taskapi.rate_limit_allowed(text, int, interval, int, int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rate_limit_allowed(text, int, interval, int, int) IS
    'The column allowed of rate_limit() with these arguments: charges, or denies';

CREATE FUNCTION taskapi.rate_limit_peek(key text, rate int, per interval DEFAULT '1 second', burst int DEFAULT NULL)
    RETURNS taskapi.rate_limit_verdict
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit_peek';
REVOKE ALL ON FUNCTION taskapi.rate_limit_peek(text, int, interval, int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rate_limit_peek(text, int, interval, int) IS
    'What a request of cost 1 would be told; charges nothing';

CREATE FUNCTION taskapi.rate_limit_refund(key text, rate int, per interval DEFAULT '1 second', cost int DEFAULT 1)
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit_refund';
REVOKE ALL ON FUNCTION taskapi.rate_limit_refund(text, int, interval, int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rate_limit_refund(text, int, interval, int) IS
    'Gives back what a request had cost, up to the whole burst';

CREATE FUNCTION taskapi.rate_limit_reset(key text)
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit_reset';
REVOKE ALL ON FUNCTION taskapi.rate_limit_reset(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rate_limit_reset(text) IS 'Forgets a key, which has its whole burst then';

CREATE FUNCTION taskapi.save_rate_limits()
    RETURNS bigint
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_save_rate_limits';
REVOKE ALL ON FUNCTION taskapi.save_rate_limits() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.save_rate_limits() IS
    'Saves the shared table to a file that is loaded at the next start; returns how many keys it holds';

-- Policies: limits with a name.

CREATE FUNCTION taskapi.check_rate_limit_policy(rate int, per interval, burst int)
    RETURNS boolean
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_check_rate_limit_policy';
COMMENT ON FUNCTION taskapi.check_rate_limit_policy(int, interval, int) IS
    'True if these make a rate limit, else the error that says why not';

CREATE TABLE taskapi.rate_limit_policy (
    name        text PRIMARY KEY,
    rate        int NOT NULL,
    per         interval NOT NULL DEFAULT '1 second',
    burst       int,
    shadow      boolean NOT NULL DEFAULT false,
    description text,
    counts      text,
    plan        text,
    method      text,
    path        text,
    CONSTRAINT rate_limit_policy_counts_check
        CHECK (CASE WHEN counts IS NULL THEN plan IS NULL AND method IS NULL AND path IS NULL
                    ELSE counts OPERATOR(pg_catalog.=) ANY ('{subject,api_key,address}')
                         AND (plan IS NULL OR counts OPERATOR(pg_catalog.<>) 'address') END),
    CONSTRAINT rate_limit_policy_route_check
        CHECK ((method IS NULL OR method COLLATE "C" OPERATOR(pg_catalog.~) '^[A-Z]+$')
               AND (path IS NULL OR path COLLATE "C" OPERATOR(pg_catalog.~) '^/')),
    CONSTRAINT rate_limit_policy_name_check
        CHECK (pg_catalog.octet_length(name) >= 1 AND pg_catalog.octet_length(name) <= 63
               AND name COLLATE "C" OPERATOR(pg_catalog.!~) '[^ -~]'),
    CONSTRAINT rate_limit_policy_limit_check CHECK (taskapi.check_rate_limit_policy(rate, per, burst))
);
REVOKE ALL ON taskapi.rate_limit_policy FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('taskapi.rate_limit_policy', '');
COMMENT ON TABLE taskapi.rate_limit_policy IS 'Rate limits by name; a change takes effect in every session when it commits';
COMMENT ON COLUMN taskapi.rate_limit_policy.name IS
    'What checks and the RateLimit headers call it: printable ASCII, at most 63 characters';
COMMENT ON COLUMN taskapi.rate_limit_policy.rate IS 'How much it admits per interval, sustained';
COMMENT ON COLUMN taskapi.rate_limit_policy.per IS 'The interval';
COMMENT ON COLUMN taskapi.rate_limit_policy.burst IS 'How much it admits at once; NULL is as much as the rate';
COMMENT ON COLUMN taskapi.rate_limit_policy.shadow IS 'Count and report, but never deny';
COMMENT ON COLUMN taskapi.rate_limit_policy.description IS 'Free text';
COMMENT ON COLUMN taskapi.rate_limit_policy.counts IS
    'pre_request() applies it to each subject, api_key or address; NULL: it is applied only by its name';
COMMENT ON COLUMN taskapi.rate_limit_policy.plan IS 'Only to callers of this plan; NULL: to all';
COMMENT ON COLUMN taskapi.rate_limit_policy.method IS 'Only to this method, GET to HEAD too; NULL: to all';
COMMENT ON COLUMN taskapi.rate_limit_policy.path IS
    'Only to this path, or with a * at its end, to those that begin so; NULL: to all';

CREATE TRIGGER invalidate_cache
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.rate_limit_policy
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.rate_limit_policy ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.rate_limit_policy IS 'A changed policy counts in every backend at once';

-- What pre_request() applies by itself: policies that say what they count. C: src/ratelimit/ratelimit_plan.c

CREATE TABLE taskapi.rate_limit_route (
    path   text COLLATE "C",
    method text COLLATE "C" DEFAULT '*',
    cost   int NOT NULL,
    PRIMARY KEY (path, method),
    CONSTRAINT rate_limit_route_check
        CHECK (path OPERATOR(pg_catalog.~) '^/' AND method OPERATOR(pg_catalog.~) '^([A-Z]+|[*])$'
               AND cost OPERATOR(pg_catalog.>=) 0)
);
REVOKE ALL ON taskapi.rate_limit_route FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('taskapi.rate_limit_route', '');
COMMENT ON TABLE taskapi.rate_limit_route IS
    'What a request costs the policies that say what they count; 1 if no route fits. The closest one that fits says it';
COMMENT ON COLUMN taskapi.rate_limit_route.path IS 'Its path, or with a * at its end, how that begins';
COMMENT ON COLUMN taskapi.rate_limit_route.method IS 'Its method, GET for HEAD too; * is any';
COMMENT ON COLUMN taskapi.rate_limit_route.cost IS 'How much it is charged; 0 is nothing';

CREATE TABLE taskapi.rate_limit_subject (
    subject text COLLATE "C" PRIMARY KEY CHECK (subject OPERATOR(pg_catalog.=) taskapi.canonical_subject(subject)),
    plan    text NOT NULL
);
REVOKE ALL ON taskapi.rate_limit_subject FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('taskapi.rate_limit_subject', '');
COMMENT ON TABLE taskapi.rate_limit_subject IS
    'The plan of a subject. Of one that is not here it is the claim plan of its token, else taskapi.default_plan';
COMMENT ON COLUMN taskapi.rate_limit_subject.subject IS 'As current_subject() has it';
COMMENT ON COLUMN taskapi.rate_limit_subject.plan IS 'As policies have it';

CREATE TABLE taskapi.rate_limit_override (
    subject text COLLATE "C" CHECK (subject OPERATOR(pg_catalog.=) taskapi.canonical_subject(subject)),
    policy  text COLLATE "C",
    rate    int NOT NULL,
    per     interval NOT NULL DEFAULT '1 second',
    burst   int,
    PRIMARY KEY (subject, policy),
    CONSTRAINT rate_limit_override_limit_check CHECK (taskapi.check_rate_limit_policy(rate, per, burst))
);
REVOKE ALL ON taskapi.rate_limit_override FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('taskapi.rate_limit_override', '');
COMMENT ON TABLE taskapi.rate_limit_override IS 'Another rate for one subject, of a policy that says what it counts';
COMMENT ON COLUMN taskapi.rate_limit_override.subject IS 'As current_subject() has it';
COMMENT ON COLUMN taskapi.rate_limit_override.policy IS 'The policy whose rate this is for the subject';
COMMENT ON COLUMN taskapi.rate_limit_override.rate IS 'How much it admits per interval, sustained';
COMMENT ON COLUMN taskapi.rate_limit_override.per IS 'The interval';
COMMENT ON COLUMN taskapi.rate_limit_override.burst IS 'How much it admits at once; NULL is as much as the rate';

CREATE TRIGGER invalidate_cache
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.rate_limit_route
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.rate_limit_route ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.rate_limit_route IS 'A changed cost counts in every backend at once';

-- Checks by policy. The caller's own subjects are current_subject(), its API key and session (claims api_key_id, session_id) and
-- client_address(); for any other subject the current user needs EXECUTE on taskapi.rate_limit(), else the check is forbidden.

CREATE FUNCTION taskapi.check_rate_limits(subjects jsonb, cost int DEFAULT 1)
    RETURNS SETOF taskapi.rate_limit_verdict
    LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 3 AS 'MODULE_PATHNAME', 'taskapi_check_rate_limits';
REVOKE ALL ON FUNCTION taskapi.check_rate_limits(jsonb, int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.check_rate_limits(jsonb, int) IS
    'Charges {"policy": "subject", ...} all at once, or nothing if any of them denies';

CREATE FUNCTION taskapi.enforce_rate_limits(subjects jsonb, cost int DEFAULT 1)
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_enforce_rate_limits_sql';
REVOKE ALL ON FUNCTION taskapi.enforce_rate_limits(jsonb, int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.enforce_rate_limits(jsonb, int) IS
    'check_rate_limits() that sets the RateLimit headers of the answer, or raises rate_limited (429)';

CREATE FUNCTION taskapi.rate_limit_status(subjects jsonb)
    RETURNS SETOF taskapi.rate_limit_verdict
    LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 3 AS 'MODULE_PATHNAME', 'taskapi_rate_limit_status';
REVOKE ALL ON FUNCTION taskapi.rate_limit_status(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rate_limit_status(jsonb) IS
    'What a request of cost 1 would be told by each policy; charges nothing';

CREATE FUNCTION taskapi.rate_limit_headers(verdicts taskapi.rate_limit_verdict[])
    RETURNS jsonb
    LANGUAGE C STABLE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit_headers';
COMMENT ON FUNCTION taskapi.rate_limit_headers(taskapi.rate_limit_verdict[]) IS
    'RateLimit-Policy, RateLimit and, after a denial, Retry-After as draft-ietf-httpapi-ratelimit-headers has them';

CREATE FUNCTION taskapi.reset_rate_limits(subjects jsonb)
    RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_reset_rate_limits';
REVOKE ALL ON FUNCTION taskapi.reset_rate_limits(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.reset_rate_limits(jsonb) IS
    'Forgets what {"policy": "subject", ...} were charged';

-- Figures. Shared memory belongs to the server, and so do the counters; denials are shown of this database only.

CREATE FUNCTION taskapi.counters(OUT name text, OUT value bigint)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL SAFE ROWS 12 AS 'MODULE_PATHNAME', 'taskapi_counters';
REVOKE ALL ON FUNCTION taskapi.counters() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.counters() IS 'Everything counted since the server started, over all its databases';

CREATE FUNCTION taskapi.rate_limit_table(OUT keys bigint, OUT capacity bigint, OUT bytes bigint)
    RETURNS record
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_rate_limit_table';
REVOKE ALL ON FUNCTION taskapi.rate_limit_table() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rate_limit_table() IS
    'The shared table: keys that are not at rest, entries that it has, bytes that it takes';

CREATE FUNCTION taskapi.rate_limit_denied(OUT policy text, OUT subject text, OUT denied bigint, OUT error bigint,
                                          OUT last_denied_at timestamptz)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL SAFE ROWS 100 AS 'MODULE_PATHNAME', 'taskapi_rate_limit_denied';
REVOKE ALL ON FUNCTION taskapi.rate_limit_denied() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rate_limit_denied() IS 'The rows of view rate_limit_denials, in no order';

CREATE VIEW taskapi.rate_limit_stats AS
    SELECT t.keys, t.capacity, c.allowed, c.denied, c.evicted, c.shadow_denied, c.reclaimed, t.bytes
    FROM taskapi.rate_limit_table() t,
         (SELECT pg_catalog.max(value) FILTER (WHERE name = 'rate_limit_allowed') AS allowed,
                 pg_catalog.max(value) FILTER (WHERE name = 'rate_limit_denied') AS denied,
                 pg_catalog.max(value) FILTER (WHERE name = 'rate_limit_evicted') AS evicted,
                 pg_catalog.max(value) FILTER (WHERE name = 'rate_limit_shadow_denied') AS shadow_denied,
                 pg_catalog.max(value) FILTER (WHERE name = 'rate_limit_reclaimed') AS reclaimed
          FROM taskapi.counters()) c;
REVOKE ALL ON taskapi.rate_limit_stats FROM PUBLIC;
COMMENT ON VIEW taskapi.rate_limit_stats IS
    'The limiter, over all databases since the server started; limits are exact while evicted is 0';

CREATE VIEW taskapi.rate_limit_denials AS
    SELECT policy, subject, denied, last_denied_at, error
    FROM taskapi.rate_limit_denied()
    ORDER BY denied DESC, last_denied_at DESC;
REVOKE ALL ON taskapi.rate_limit_denials FROM PUBLIC;
COMMENT ON VIEW taskapi.rate_limit_denials IS
    'Who is denied most in this database (bounded; a count is at most error too high); policy NULL is a key of rate_limit()';

-- sql/install/51_pre_request.sql
-- Who calls: pre_request() and what it is made of. C: src/auth/pre_request.c, src/http/client_address.c, src/http/origin.c
--
-- taskapi.verify_bearer: pre_request() verifies the bearer token of a request without request.jwt.claims, as jwt_verify() does.
--
-- What a resource over one's own keys and sessions is built from (SECURITY DEFINER; set_api_roles() grants them to
-- the authenticated role; each acts for current_subject() alone, and is unauthenticated without one):
--   my_api_keys()                                   rows to list
--   create_my_api_key(name, scopes, expires_at)     one row with the secret, shown this once; not for a caller with an API key
--   revoke_my_api_key(id) -> boolean                false: no such live key of the caller
--   my_sessions()                                   the live ones; current = the one that this request came with
--   end_my_session(id) -> boolean                   false: no such live session of the caller; deletes the cookie of this one
-- and for a log-in, for the owner of the accounts (EXECUTE is nobody's):
--   charge_login(account)                           before the password is looked at, per address and account; rate_limited
--   verify_password(password, hash) -> boolean      takes the same time for a hash that is NULL (no such account, no password)
--   create_session(subject) -> text                 the token, and the cookie; ends the session that the request came with
--   revoke_credentials(subject) -> bigint           all keys and sessions of somebody whose password changed or who is gone

CREATE FUNCTION taskapi.client_address() RETURNS inet
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_client_address_sql';
COMMENT ON FUNCTION taskapi.client_address() IS
    'The caller''s address: entry taskapi.trusted_proxy_hops of X-Forwarded-For from the right, IPv6 by its /64; NULL if'
    ' it is not known';

CREATE FUNCTION taskapi.same_origin() RETURNS boolean
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_same_origin';
COMMENT ON FUNCTION taskapi.same_origin() IS
    'Does the request come from a page of the same origin or of a trusted one, by Sec-Fetch-Site or Origin? NULL if it'
    ' does not say';

CREATE FUNCTION taskapi.pre_request() RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_pre_request';
COMMENT ON FUNCTION taskapi.pre_request() IS
    'Finds out who calls (bearer token, API key, session cookie), becomes the authenticated role, and enforces the rate'
    ' limits. For db-pre-request';

-- sql/install/52_api_role.sql
-- The roles that an HTTP layer switches to. C: src/auth/pre_request.c reads them.

CREATE TABLE taskapi.api_role (
    name text PRIMARY KEY CHECK (name OPERATOR(pg_catalog.=) ANY ('{anonymous,authenticated}')),
    role regrole NOT NULL
);
REVOKE ALL ON TABLE taskapi.api_role FROM PUBLIC;
COMMENT ON TABLE taskapi.api_role IS 'The roles of callers, as set_api_roles() recorded them';
COMMENT ON COLUMN taskapi.api_role.name IS 'anonymous, or authenticated: what principals of an API key or a session become';
SELECT pg_catalog.pg_extension_config_dump('taskapi.api_role', '');
CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.api_role
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.api_role ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.api_role IS 'Every backend reads the table again';

CREATE FUNCTION taskapi.set_api_roles(anonymous regrole, authenticated regrole) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own constant text := 'taskapi.my_api_keys(), taskapi.create_my_api_key(text, text[], timestamptz), '
                         'taskapi.revoke_my_api_key(uuid), '
                         'taskapi.my_sessions(), taskapi.end_my_session(uuid)';
    before regrole;
BEGIN
    IF anonymous IS NULL OR authenticated IS NULL OR anonymous = authenticated THEN
        RAISE EXCEPTION 'two different roles are needed' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF (SELECT count(*) FROM pg_roles p WHERE p.oid IN (anonymous, authenticated)) <> 2 THEN
        RAISE EXCEPTION 'role % or % does not exist', anonymous, authenticated USING ERRCODE = 'undefined_object';
    END IF;
    SELECT r.role INTO before FROM taskapi.api_role r WHERE r.name = 'authenticated' AND r.role <> authenticated
        AND EXISTS (SELECT FROM pg_roles p WHERE p.oid = r.role);
    IF FOUND THEN
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM %s', own, before);
    END IF;
    INSERT INTO taskapi.api_role AS r (name, role)
        VALUES ('anonymous', anonymous), ('authenticated', authenticated)
        ON CONFLICT (name) DO UPDATE SET role = excluded.role WHERE r.role <> excluded.role;
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', own, authenticated);
END
$$;
REVOKE ALL ON FUNCTION taskapi.set_api_roles(regrole, regrole) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.set_api_roles(regrole, regrole) IS
    'Records the roles of anonymous and authenticated callers, and grants the latter what is for one''s own keys and sessions';

-- sql/install/53_credential.sql
-- What API keys and sessions have in common. C: src/auth/credential.c

CREATE FUNCTION taskapi.new_credential(kind text, OUT secret text, OUT prefix text, OUT secret_hash bytea)
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_new_credential';
REVOKE ALL ON FUNCTION taskapi.new_credential(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.new_credential(text) IS
    'Internal: a fresh secret of kind api_key or session, its readable part, and what is stored of it';

CREATE FUNCTION taskapi.require_subject() RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF taskapi.current_subject() IS NULL THEN
        PERFORM taskapi.raise_problem('unauthenticated', 'The request needs an authenticated caller.');
    END IF;
    RETURN taskapi.current_subject();
END
$$;
COMMENT ON FUNCTION taskapi.require_subject() IS 'current_subject(), or unauthenticated';

CREATE FUNCTION taskapi.lock_subject(subject text, exclusive boolean) RETURNS void
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'taskapi_lock_subject';
COMMENT ON FUNCTION taskapi.lock_subject(text, boolean) IS
    'Internal: until the transaction ends, who makes credentials of a subject and who revokes them wait for each other';

-- Ends every API key and session of a subject, those that other transactions are making as well: it waits for them. Under
-- REPEATABLE READ it misses those, since its snapshot is older.
CREATE FUNCTION taskapi.revoke_credentials(subject text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    keys bigint;
    sessions bigint;
BEGIN
    IF subject IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM taskapi.lock_subject(subject, true);
    UPDATE taskapi.session s SET revoked_at = now()
        WHERE s.subject = taskapi.canonical_subject(revoke_credentials.subject) AND s.revoked_at IS NULL AND s.expires_at > now();
    GET DIAGNOSTICS sessions = ROW_COUNT;
    UPDATE taskapi.api_key k SET revoked_at = now() WHERE k.subject = taskapi.canonical_subject(revoke_credentials.subject)
      AND k.revoked_at IS NULL;
    GET DIAGNOSTICS keys = ROW_COUNT;
    RETURN keys + sessions;
END
$$;
REVOKE ALL ON FUNCTION taskapi.revoke_credentials(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.revoke_credentials(text) IS
    'Ends every API key and session of a subject at once; returns how many there were';

-- sql/install/54_api_key.sql
-- API keys. C: src/auth/credential.c, src/auth/key_usage.c

CREATE TABLE taskapi.api_key (
    id           uuid PRIMARY KEY DEFAULT taskapi.uuidv7(),
    subject      text NOT NULL CHECK (subject OPERATOR(pg_catalog.=) taskapi.canonical_subject(subject)),
    name         text CHECK (pg_catalog.length(name) <= 200),
    prefix       text NOT NULL,
    secret_hash  bytea NOT NULL CONSTRAINT api_key_secret_hash_key UNIQUE
                 CHECK (pg_catalog.length(secret_hash) OPERATOR(pg_catalog.=) 32),
    scopes       text[] NOT NULL CHECK (scopes OPERATOR(pg_catalog.<@) '{read,write}'::text[]
                                        AND pg_catalog.array_position(scopes, NULL) IS NULL
                                        AND pg_catalog.cardinality(scopes) OPERATOR(pg_catalog.>=) 1),
    created_at   timestamptz NOT NULL DEFAULT pg_catalog.now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz
);
CREATE INDEX api_key_subject_idx ON taskapi.api_key (subject);
REVOKE ALL ON TABLE taskapi.api_key FROM PUBLIC;
COMMENT ON TABLE taskapi.api_key IS 'API keys: who they speak for, and the hash of their secret';
COMMENT ON COLUMN taskapi.api_key.prefix IS 'How the secret begins, to recognize it by';
COMMENT ON COLUMN taskapi.api_key.secret_hash IS 'SHA-256 of the whole secret, which has 190 random bits';
COMMENT ON COLUMN taskapi.api_key.scopes IS 'read: safe methods; write: all others';
COMMENT ON COLUMN taskapi.api_key.last_used_at IS 'As of the last flush_api_key_usage()';
SELECT pg_catalog.pg_extension_config_dump('taskapi.api_key', '');

-- A new key makes nothing wrong that is cached, nor does the time of its last use.
CREATE TRIGGER invalidate_cache
    AFTER UPDATE OF id, subject, secret_hash, scopes, expires_at, revoked_at OR DELETE OR TRUNCATE ON taskapi.api_key
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.api_key ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.api_key IS 'A revoked key ends in every backend at once';

CREATE FUNCTION taskapi.insert_api_key(subject text, name text, scopes text[], expires_at timestamptz, OUT id uuid,
                                       OUT secret text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fresh record;
BEGIN
    IF subject IS NULL OR subject = '' THEN
        RAISE EXCEPTION 'an API key needs a subject' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    subject := taskapi.canonical_subject(subject);
    IF scopes IS NULL OR NOT scopes <@ '{read,write}'::text[] OR cardinality(scopes) = 0
       OR array_position(scopes, NULL) IS NOT NULL THEN
        PERFORM taskapi.raise_problem('invalid_value', 'Scopes are read and write, at least one of them.');
    END IF;
    IF length(name) > 200 THEN
        PERFORM taskapi.raise_problem('invalid_value', 'A name has at most 200 characters.');
    END IF;
    IF expires_at <= now() THEN
        PERFORM taskapi.raise_problem('invalid_value', 'The expiry is in the past.');
    END IF;
    -- exclusive, so that two who make keys do not both find room for the last one
    PERFORM taskapi.lock_subject(subject, true);
    fresh := taskapi.new_credential('api_key');
    INSERT INTO taskapi.api_key AS k (subject, name, prefix, secret_hash, scopes, expires_at)
        VALUES (insert_api_key.subject, insert_api_key.name, fresh.prefix, fresh.secret_hash,
                ARRAY(SELECT DISTINCT s FROM unnest(insert_api_key.scopes) s ORDER BY s), insert_api_key.expires_at)
        RETURNING k.id INTO id;
    secret := fresh.secret;
    PERFORM taskapi.read_after();
END
$$;
REVOKE ALL ON FUNCTION taskapi.insert_api_key(text, text, text[], timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.insert_api_key(text, text, text[], timestamptz) IS
    'What create_api_key() and create_my_api_key() share';

CREATE FUNCTION taskapi.create_api_key(subject text, name text DEFAULT NULL, scopes text[] DEFAULT '{read,write}',
                                       expires_at timestamptz DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT k.secret FROM taskapi.insert_api_key(subject, name, scopes, expires_at) k);
END
$$;
REVOKE ALL ON FUNCTION taskapi.create_api_key(text, text, text[], timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.create_api_key(text, text, text[], timestamptz) IS
    'Makes an API key that speaks for a subject and returns its secret, which is stored nowhere';

-- One's own.

CREATE FUNCTION taskapi.api_key_last_used(id uuid) RETURNS timestamptz
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_api_key_last_used';
REVOKE ALL ON FUNCTION taskapi.api_key_last_used(uuid) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.api_key_last_used(uuid) IS
    'When an API key was last used, as shared memory has it; NULL if it has nothing';

CREATE FUNCTION taskapi.my_api_keys()
    RETURNS TABLE (id uuid, name text, prefix text, scopes text[], created_at timestamptz, expires_at timestamptz,
                   revoked_at timestamptz, last_used_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 10
    SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.id, k.name, k.prefix, k.scopes, k.created_at, k.expires_at, k.revoked_at,
           greatest(k.last_used_at, taskapi.api_key_last_used(k.id))
    FROM taskapi.api_key k
    WHERE k.subject = taskapi.require_subject()
    ORDER BY k.id
$$;
REVOKE ALL ON FUNCTION taskapi.my_api_keys() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.my_api_keys() IS 'The caller''s API keys, without their secrets';

CREATE FUNCTION taskapi.create_my_api_key(INOUT name text DEFAULT NULL, INOUT scopes text[] DEFAULT '{read,write}',
                                          INOUT expires_at timestamptz DEFAULT NULL,
                                          OUT id uuid, OUT prefix text, OUT created_at timestamptz, OUT secret text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    subject constant text := taskapi.require_subject();
    ended boolean;
    made record;
    -- enough for every program of one's own, too few to fill a table with
    most CONSTANT int := 100;
BEGIN
    -- else one that leaked would outlive its revocation
    IF taskapi.jwt_claims() ? 'api_key_id' THEN
        PERFORM taskapi.raise_problem('forbidden', 'An API key cannot create another one.');
    END IF;
    -- Nor may one outlive the session that makes it: who ends that, or blocks the caller, waits, or has done so by now. The lock
    -- comes first, as in revoke_credentials().
    PERFORM taskapi.lock_subject(subject, true);
    SELECT s.revoked_at IS NOT NULL INTO ended FROM taskapi.session s
        WHERE s.id::text = taskapi.jwt_claims() ->> 'session_id' AND s.subject = taskapi.current_subject()
        FOR SHARE;
    IF ended OR EXISTS (SELECT FROM taskapi.blocked_subject b WHERE b.subject = taskapi.require_subject()) THEN
        PERFORM taskapi.raise_problem('unauthenticated', 'The session has ended.');
    END IF;
    made := taskapi.insert_api_key(subject, name, scopes, expires_at);
    IF (SELECT count(*) FROM taskapi.api_key k
        WHERE k.subject = taskapi.require_subject() AND k.revoked_at IS NULL AND (k.expires_at > now()) IS NOT FALSE) > most THEN
        PERFORM taskapi.raise_problem('invalid_value', format('A subject can have at most %s live API keys.', most),
            'Revoke unused keys.');
    END IF;
    id := made.id;
    secret := made.secret;
    SELECT k.prefix, k.scopes, k.created_at INTO prefix, scopes, created_at FROM taskapi.api_key k WHERE k.id = made.id;
EXCEPTION WHEN serialization_failure THEN
    PERFORM taskapi.raise_problem('try_again', 'The session changed at the same time.', 'Send the request again.');
END
$$;
REVOKE ALL ON FUNCTION taskapi.create_my_api_key(text, text[], timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.create_my_api_key(text, text[], timestamptz) IS
    'Makes an API key of the caller''s; its secret is shown only once';

CREATE FUNCTION taskapi.revoke_my_api_key(id uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE taskapi.api_key k SET revoked_at = now()
        WHERE k.id = revoke_my_api_key.id AND k.subject = taskapi.require_subject() AND k.revoked_at IS NULL;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION taskapi.revoke_my_api_key(uuid) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.revoke_my_api_key(uuid) IS
    'Ends an API key of the caller at once; false if the caller has no such live key';

-- sql/install/55_session.sql
-- Sessions of browsers, by cookie. C: src/auth/credential.c

CREATE TABLE taskapi.session (
    id         uuid PRIMARY KEY DEFAULT taskapi.uuidv7(),
    subject    text NOT NULL CHECK (subject OPERATOR(pg_catalog.=) taskapi.canonical_subject(subject)),
    token_hash bytea NOT NULL CONSTRAINT session_token_hash_key UNIQUE
               CHECK (pg_catalog.length(token_hash) OPERATOR(pg_catalog.=) 32),
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    user_agent text,
    address    inet
);
CREATE INDEX session_subject_idx ON taskapi.session (subject);
CREATE INDEX session_expires_at_idx ON taskapi.session (expires_at);
REVOKE ALL ON TABLE taskapi.session FROM PUBLIC;
COMMENT ON TABLE taskapi.session IS 'Sessions of browsers: who is logged in, and the hash of the token in the cookie';
COMMENT ON COLUMN taskapi.session.token_hash IS 'SHA-256 of the token, which has 256 random bits';
COMMENT ON COLUMN taskapi.session.user_agent IS 'The browser that logged in, as it calls itself';
COMMENT ON COLUMN taskapi.session.address IS 'Where it logged in from; NULL without a trusted proxy that says so';
SELECT pg_catalog.pg_extension_config_dump('taskapi.session', '');

CREATE TRIGGER invalidate_cache
    AFTER UPDATE OR DELETE OR TRUNCATE ON taskapi.session
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.session ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.session IS 'A session that is over ends in every backend at once';

CREATE FUNCTION taskapi.session_cookie(token text, seconds int) RETURNS text
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_session_cookie_sql';
COMMENT ON FUNCTION taskapi.session_cookie(text, int) IS 'The value of Set-Cookie for a session; 0 seconds delete it';

CREATE FUNCTION taskapi.create_session(subject text, ttl interval DEFAULT '12 hours') RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fresh record;
    in_request boolean := coalesce(current_setting('request.method', true), '') <> '';
BEGIN
    IF subject IS NULL OR subject = '' THEN
        RAISE EXCEPTION 'a session needs a subject' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    subject := taskapi.canonical_subject(subject);
    -- browsers keep no cookie for longer
    IF ttl IS NULL OR ttl < '1 second' OR ttl > '400 days' THEN
        RAISE EXCEPTION 'a session lasts between 1 second and 400 days' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- a page elsewhere could log its visitor in as somebody else
    IF in_request AND NOT taskapi.same_origin() THEN
        PERFORM taskapi.raise_problem('forbidden', 'A log-in must come from the same origin.');
    END IF;
    PERFORM taskapi.lock_subject(subject, false);
    fresh := taskapi.new_credential('session');
    INSERT INTO taskapi.session (subject, token_hash, expires_at, user_agent, address)
        VALUES (create_session.subject, fresh.secret_hash, now() + ttl,
                left(taskapi.request_header('user-agent'), 500), taskapi.client_address());
    IF in_request THEN
        -- the browser forgets the token of a session that it had, so that one ends
        UPDATE taskapi.session s SET revoked_at = now()
            WHERE s.id::text = taskapi.jwt_claims() ->> 'session_id' AND s.subject = taskapi.current_subject()
              AND s.revoked_at IS NULL;
        PERFORM taskapi.set_response_header('Set-Cookie', taskapi.session_cookie(fresh.secret, extract(epoch FROM ttl)::int));
        PERFORM taskapi.read_after();
    END IF;
    RETURN fresh.secret;
END
$$;
REVOKE ALL ON FUNCTION taskapi.create_session(text, interval) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.create_session(text, interval) IS
    'Makes a session of a subject and returns its token, which is stored nowhere; inside a request it sets the cookie';

-- One's own.

CREATE FUNCTION taskapi.my_sessions()
    RETURNS TABLE (id uuid, created_at timestamptz, expires_at timestamptz, user_agent text, address inet, current boolean)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 10
    SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.id, s.created_at, s.expires_at, s.user_agent, s.address,
           s.id::text IS NOT DISTINCT FROM taskapi.jwt_claims() ->> 'session_id'
    FROM taskapi.session s
    WHERE s.subject = taskapi.require_subject() AND s.revoked_at IS NULL AND s.expires_at > now()
    ORDER BY s.id
$$;
REVOKE ALL ON FUNCTION taskapi.my_sessions() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.my_sessions() IS 'The caller''s live sessions';

CREATE FUNCTION taskapi.end_my_session(id uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE taskapi.session s SET revoked_at = now()
        WHERE s.id = end_my_session.id AND s.subject = taskapi.require_subject() AND s.revoked_at IS NULL
          AND s.expires_at > now();
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF id::text = taskapi.jwt_claims() ->> 'session_id' AND coalesce(current_setting('request.method', true), '') <> '' THEN
        PERFORM taskapi.set_response_header('Set-Cookie', taskapi.session_cookie('', 0));
    END IF;
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION taskapi.end_my_session(uuid) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.end_my_session(uuid) IS
    'Ends a session of the caller at once, and deletes its cookie if the request came with it; false if the caller has no'
    ' such live session';

-- sql/install/56_password.sql
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

-- sql/install/57_shipped_policies.sql
-- The policies that pre_request() and charge_login() apply, until somebody changes them. To do without one, set its
-- shadow; a deleted one comes back when a dump is restored.

CREATE FUNCTION taskapi.shipped_rate_limit_policies() RETURNS SETOF taskapi.rate_limit_policy
    LANGUAGE sql IMMUTABLE ROWS 6
    SET search_path = pg_catalog, pg_temp AS $$
    SELECT v.*, NULL, NULL, NULL, NULL
    FROM (VALUES ('per_key', 6000, '1 minute'::interval, 1000, false, 'requests with one API key'),
           ('per_user', 6000, '1 minute', 1000, false, 'requests of one subject, with whatever credential'),
           ('per_address', 600, '1 minute', 200, false,
            'requests of anonymous callers, and with bad credentials, from one address'),
           ('per_address_total', 30000, '1 minute', 5000, false, 'all requests from one address'),
           ('login_per_address', 60, '1 minute', 30, false, 'attempts to log in from one address'),
           ('login_per_account', 10, '10 minutes', 10, false, 'attempts to log in to one account')) v
$$;
REVOKE ALL ON FUNCTION taskapi.shipped_rate_limit_policies() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.shipped_rate_limit_policies() IS 'The policies that CREATE EXTENSION makes';

CREATE FUNCTION taskapi.replace_shipped_policy() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM taskapi.rate_limit_policy p
        WHERE p.name = NEW.name AND EXISTS (SELECT FROM taskapi.shipped_rate_limit_policies() s WHERE s IS NOT DISTINCT FROM p);
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION taskapi.replace_shipped_policy() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.replace_shipped_policy() IS
    'Row trigger of taskapi.rate_limit_policy: a new row, such as one of a restored dump, takes the place of a shipped'
    ' one that was not changed';

INSERT INTO taskapi.rate_limit_policy SELECT * FROM taskapi.shipped_rate_limit_policies();
CREATE TRIGGER replace_shipped BEFORE INSERT ON taskapi.rate_limit_policy
    FOR EACH ROW EXECUTE FUNCTION taskapi.replace_shipped_policy();
ALTER TABLE taskapi.rate_limit_policy ENABLE ALWAYS TRIGGER replace_shipped;
COMMENT ON TRIGGER replace_shipped ON taskapi.rate_limit_policy IS 'A restored policy takes the place of the shipped one';

-- sql/install/58_blocked_subject.sql
-- Subjects that are refused, whatever credential they bring. C: src/auth/blocked_subject.c

CREATE TABLE taskapi.blocked_subject (
    subject    text COLLATE "C" PRIMARY KEY CHECK (subject OPERATOR(pg_catalog.=) taskapi.canonical_subject(subject)),
    blocked_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
REVOKE ALL ON TABLE taskapi.blocked_subject FROM PUBLIC;
COMMENT ON TABLE taskapi.blocked_subject IS
    'Subjects that pre_request() refuses; a change counts in every session when it commits, and on a standby when it is replayed';
COMMENT ON COLUMN taskapi.blocked_subject.subject IS 'As current_subject() has it';
COMMENT ON COLUMN taskapi.blocked_subject.blocked_at IS 'When it was blocked';
SELECT pg_catalog.pg_extension_config_dump('taskapi.blocked_subject', '');

CREATE TRIGGER invalidate_cache
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.blocked_subject
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.blocked_subject ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.blocked_subject IS 'A blocked subject is refused in every backend at once';

-- Refuses a subject, 1 to 1024 bytes, until it is unblocked; a uuid in any spelling. Its credentials stay and are good
-- again then: revoke_credentials() ends them. Nothing happens if it is blocked already.
CREATE FUNCTION taskapi.block_subject(subject text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF subject IS NULL THEN
        RAISE EXCEPTION 'subject must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM taskapi.lock_subject(subject, true);
    INSERT INTO taskapi.blocked_subject (subject) VALUES (taskapi.canonical_subject(block_subject.subject))
        ON CONFLICT DO NOTHING;
END
$$;
REVOKE ALL ON FUNCTION taskapi.block_subject(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.block_subject(text) IS
    'Refuses a subject from the commit on: pre_request() answers its bearer tokens, API keys and sessions with'
    ' unauthenticated, in every backend and on standbys';

CREATE FUNCTION taskapi.unblock_subject(subject text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF subject IS NULL THEN
        RAISE EXCEPTION 'subject must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    DELETE FROM taskapi.blocked_subject b WHERE b.subject = taskapi.canonical_subject(unblock_subject.subject);
END
$$;
REVOKE ALL ON FUNCTION taskapi.unblock_subject(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.unblock_subject(text) IS
    'Takes a subject off the list of blocked ones; nothing happens if it is not there';

-- sql/install/60_resource.sql
-- Resources: the registry, and the triggers behind every resource.

CREATE TABLE taskapi.resource (
    resource         regclass PRIMARY KEY,
    source           regclass NOT NULL,
    deleted_resource regclass,
    page_function    name,
    order_by         text NOT NULL,
    soft_delete      boolean NOT NULL,
    versioned        boolean NOT NULL,
    idempotent       boolean NOT NULL,
    deleted_at_column name NOT NULL DEFAULT 'deleted_at',
    changes          boolean NOT NULL DEFAULT false,
    scope            text,
    publish          text,
    departures       regclass
);
REVOKE ALL ON TABLE taskapi.resource FROM PUBLIC;
COMMENT ON TABLE taskapi.resource IS 'Internal: what expose() has made a resource of';
COMMENT ON COLUMN taskapi.resource.resource IS 'The view of the live rows';
COMMENT ON COLUMN taskapi.resource.source IS 'The table';
COMMENT ON COLUMN taskapi.resource.deleted_resource IS 'The view of the deleted rows; NULL without soft_delete';
-- Not regprocedure: pg_upgrade refuses a database with a column of that type.
COMMENT ON COLUMN taskapi.resource.page_function IS
    'RESOURCE_page(), a page of the resource for GET over /rpc; in the schema of the view';
COMMENT ON COLUMN taskapi.resource.order_by IS 'The order of its column cursor, and of its pages unless they say otherwise';
COMMENT ON COLUMN taskapi.resource.soft_delete IS 'DELETE marks rows as deleted';
COMMENT ON COLUMN taskapi.resource.versioned IS 'Rows have a version, for If-Match';
COMMENT ON COLUMN taskapi.resource.idempotent IS 'Writes take an Idempotency-Key';
COMMENT ON COLUMN taskapi.resource.deleted_at_column IS
    'The column of the table that says when a row was deleted; the same for all resources made of the table';
COMMENT ON COLUMN taskapi.resource.changes IS 'Clients can ask what changed since: RESOURCE_changes(), in the schema of the view';
COMMENT ON COLUMN taskapi.resource.scope IS
    'What a reader may see of it, as an expression that the reader runs; NULL if no more than policies say';
COMMENT ON COLUMN taskapi.resource.publish IS 'The topic under which writes are published; NULL if they are not';
COMMENT ON COLUMN taskapi.resource.departures IS 'The table of the rows that left the table, for changes; NULL without them';
-- An entry with a view that was dropped by hand must not come back with a bare OID, which may be another relation then.
-- In an order, so that two dumps of the same are the same.
SELECT pg_catalog.pg_extension_config_dump('taskapi.resource',
    'WHERE resource IN (SELECT oid FROM pg_catalog.pg_class) AND source IN (SELECT oid FROM pg_catalog.pg_class)'
    ' AND (deleted_resource IS NULL OR deleted_resource IN (SELECT oid FROM pg_catalog.pg_class))'
    ' AND (departures IS NULL OR departures IN (SELECT oid FROM pg_catalog.pg_class))'
    ' ORDER BY resource::pg_catalog.text');

CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.resource
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
-- also where session_replication_role says that ordinary triggers rest
ALTER TABLE taskapi.resource ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.resource IS 'Every backend reads the table again';

-- Whoever exposes a table creates these triggers, hence EXECUTE for all. On anything that is not a registered resource
-- they raise an error or do nothing.

CREATE FUNCTION taskapi.resource_write() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_resource_write';
COMMENT ON FUNCTION taskapi.resource_write() IS
    'INSTEAD OF trigger of every resource: writes the row to its table, as the caller';

CREATE FUNCTION taskapi.resource_statement() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_resource_statement';
COMMENT ON FUNCTION taskapi.resource_statement() IS
    'BEFORE and AFTER STATEMENT trigger of every resource: what holds for all rows of a write, such as If-Match';

CREATE FUNCTION taskapi.resource_touch() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_resource_touch';
COMMENT ON FUNCTION taskapi.resource_touch() IS
    'BEFORE UPDATE trigger of a versioned table: sets version and updated_at if anything else changes';

CREATE FUNCTION taskapi.resource_reference() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_resource_reference';
COMMENT ON FUNCTION taskapi.resource_reference() IS
    'AFTER INSERT OR UPDATE trigger of an exposed table: no live row begins to refer to a deleted one';

CREATE FUNCTION taskapi.resource_publish() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_resource_publish';
COMMENT ON FUNCTION taskapi.resource_publish() IS
    'AFTER INSERT OR UPDATE OR DELETE trigger of an exposed table: publishes the change of a row to the outbox';

CREATE FUNCTION taskapi.change_stamp() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_change_stamp';
COMMENT ON FUNCTION taskapi.change_stamp() IS
    'BEFORE INSERT OR DELETE OR UPDATE trigger of a table whose changes are told: stamps rows, and records those that leave';

-- The defaults of a resource's columns.

CREATE FUNCTION taskapi.insert_columns_support(internal) RETURNS internal
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_insert_columns_support';
COMMENT ON FUNCTION taskapi.insert_columns_support(internal) IS
    'Planner support: puts in the place of insert_columns() what the INSERT says';

CREATE FUNCTION taskapi.insert_columns() RETURNS taskapi.cursor
    LANGUAGE C STABLE PARALLEL SAFE SUPPORT taskapi.insert_columns_support AS 'MODULE_PATHNAME', 'taskapi_insert_columns';
COMMENT ON FUNCTION taskapi.insert_columns() IS
    'Internal: the default of a resource''s column cursor, by which its trigger knows the columns that an INSERT names';

CREATE FUNCTION taskapi.insert_arguments(mark taskapi.cursor, arguments record) RETURNS taskapi.cursor
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_insert_arguments';
COMMENT ON FUNCTION taskapi.insert_arguments(taskapi.cursor, record) IS
    'Internal: adds the values of parameters that stand in ON CONFLICT to what the INSERT says';

CREATE FUNCTION taskapi.insert_conflict(live boolean, version bigint, key record) RETURNS boolean
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'taskapi_insert_conflict';
COMMENT ON FUNCTION taskapi.insert_conflict(boolean, bigint, record) IS
    'Internal: may the row be changed that ON CONFLICT DO UPDATE of a resource has met?';

CREATE FUNCTION taskapi.table_default_support(internal) RETURNS internal
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_table_default_support';
COMMENT ON FUNCTION taskapi.table_default_support(internal) IS
    'Planner support: in an INSERT into a resource that leaves the column out, the table itself makes its value';

CREATE FUNCTION taskapi.table_default(source regclass, attnum smallint, type anyelement) RETURNS anyelement
    LANGUAGE C VOLATILE SUPPORT taskapi.table_default_support AS 'MODULE_PATHNAME', 'taskapi_table_default';
COMMENT ON FUNCTION taskapi.table_default(regclass, smallint, anyelement) IS
    'The default that a column of a table has now, for those who may insert it: the default of a resource''s column';

-- What expose() and its kin, which run as their caller, need of C.

CREATE FUNCTION taskapi.resource_columns(resource regclass, OUT name name, OUT source_attnum smallint) RETURNS SETOF record
    LANGUAGE C STABLE STRICT AS 'MODULE_PATHNAME', 'taskapi_resource_columns';
COMMENT ON FUNCTION taskapi.resource_columns(regclass) IS
    'Internal: the columns of a resource, and which column of its table each is; NULL for a computed one';

CREATE FUNCTION taskapi.registered_resource(view regclass) RETURNS taskapi.resource
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT r FROM taskapi.resource r WHERE r.resource = $1 OR r.deleted_resource = $1;
    END;
COMMENT ON FUNCTION taskapi.registered_resource(regclass) IS
    'Internal: the registry entry of a resource, by either of its views; NULL for anything else';

CREATE FUNCTION taskapi.page_arguments() RETURNS oidvector
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        -- element by element, so that a dump of it is parsed to the same again
        SELECT array_to_string(ARRAY['text'::regtype::oid, 'int4'::regtype::oid, 'text'::regtype::oid, 'jsonb'::regtype::oid,
                                     'text'::regtype::oid, 'text[]'::regtype::oid, 'bool'::regtype::oid], ' ')::oidvector;
    END;
COMMENT ON FUNCTION taskapi.page_arguments() IS
    'Internal: the types of the arguments of every RESOURCE_page(): order_by, page_size, page_token, filter, count, fields,'
    ' show_deleted';

CREATE FUNCTION taskapi.key_columns(source regclass) RETURNS name[]
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(array_agg(a.attname ORDER BY k.place), '{}')
        FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place), pg_attribute a
        WHERE i.indrelid = $1 AND i.indisprimary AND k.place <= i.indnkeyatts AND a.attrelid = $1 AND a.attnum = k.attnum;
    END;
COMMENT ON FUNCTION taskapi.key_columns(regclass) IS 'Internal: the columns of the primary key of a table';

CREATE TYPE taskapi.changes_result AS (
    items           json,
    removed         json,
    next_page_token text,
    has_more        boolean
);
COMMENT ON TYPE taskapi.changes_result IS
    'The changes of a resource: rows as they are now, the keys of rows to remove, and the token to ask with next';

CREATE FUNCTION taskapi.changes_arguments() RETURNS oidvector
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT array_to_string(ARRAY['text'::regtype::oid, 'int4'::regtype::oid, 'jsonb'::regtype::oid], ' ')::oidvector;
    END;
COMMENT ON FUNCTION taskapi.changes_arguments() IS
    'Internal: the types of the arguments of every RESOURCE_changes(): page_token, page_size, filter';

CREATE FUNCTION taskapi.changes_function_of(resource regclass) RETURNS regprocedure
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT p.oid::regprocedure
        FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
        WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1
          AND p.prorettype = 'taskapi.changes_result'::regtype AND p.proargtypes = taskapi.changes_arguments()
          AND right(p.proname, 8) = '_changes'
        ORDER BY p.oid LIMIT 1;
    END;
COMMENT ON FUNCTION taskapi.changes_function_of(regclass) IS
    'Internal: the RESOURCE_changes() of a resource; NULL if there is none';

CREATE FUNCTION taskapi.scope_column(scope text) RETURNS name
    LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT (parse_ident((regexp_match($1,
            '^\s*("(?:[^"]|"")+"|[[:alpha:]_][\w$]*)\s*=\s*any\s*\(.*\)\s*$', 'i'))[1]))[1]::name;
    END;
COMMENT ON FUNCTION taskapi.scope_column(text) IS
    'Internal: the column of a scope "column = ANY (expression)"; NULL if it names none';

CREATE FUNCTION taskapi.page_function_of(resource regclass) RETURNS regprocedure
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT p.oid::regprocedure
        FROM pg_class c LEFT JOIN taskapi.resource r ON r.resource = c.oid
        JOIN pg_proc p ON p.pronamespace = c.relnamespace AND p.proargtypes = taskapi.page_arguments()
            AND p.proname = coalesce(r.page_function, c.relname || '_page')
        WHERE c.oid = $1
          AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                          AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid);
    END;
COMMENT ON FUNCTION taskapi.page_function_of(regclass) IS
    'Internal: the RESOURCE_page() of a resource, or that of its view of deleted rows; NULL if there is none';

-- Not to_regclass(), which wants USAGE of the schema.
CREATE FUNCTION taskapi.relation_named(schema name, name name) RETURNS regclass
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2;
    END;
COMMENT ON FUNCTION taskapi.relation_named(name, name) IS
    'Internal: the relation of that name, without a check of privileges; NULL if there is none';

CREATE FUNCTION taskapi.is_own_view(view regclass, source regclass) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(bool_and(d.refobjid = $2), false)
               AND EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = $1 AND t.tgfoid = 'taskapi.resource_write()'::regprocedure)
        FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class AND c.relkind = 'v'
        JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
            AND d.refobjid <> w.ev_class
        WHERE w.ev_class = $1;
    END;
COMMENT ON FUNCTION taskapi.is_own_view(regclass, regclass) IS
    'Internal: whether a view is one of a resource made of that table: it has the trigger of the extension and reads from'
    ' nothing else';

CREATE FUNCTION taskapi.is_source(source regclass, OUT soft_delete boolean, OUT versioned boolean, OUT published boolean,
                                  OUT changes boolean)
    RETURNS record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        -- an entry whose view was dropped counts for nothing
        SELECT bool_or(r.soft_delete), bool_or(r.versioned), bool_or(r.publish IS NOT NULL), bool_or(r.changes)
        FROM taskapi.resource r JOIN pg_class c ON c.oid = r.resource WHERE r.source = $1;
    END;
COMMENT ON FUNCTION taskapi.is_source(regclass) IS
    'Internal: what the resources made of a table need of it; NULLs if there is none';

CREATE FUNCTION taskapi.order_by_columns(order_by text, OUT columns name[], OUT descending boolean[]) RETURNS record
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_order_by_columns';
COMMENT ON FUNCTION taskapi.order_by_columns(text) IS
    'Internal: the columns that an order_by names, and which of them are descending';

CREATE FUNCTION taskapi.order_by_canonical(order_by text) RETURNS text
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_order_by_canonical_sql';
COMMENT ON FUNCTION taskapi.order_by_canonical(text) IS 'Internal: the one spelling of all order_bys that mean the same';

CREATE FUNCTION taskapi.order_by_renamed(order_by text, names name[], new_names name[]) RETURNS text
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_order_by_renamed';
COMMENT ON FUNCTION taskapi.order_by_renamed(text, name[], name[]) IS
    'Internal: an order_by, with columns that have new names';

CREATE FUNCTION taskapi.forget_dropped_resources() RETURNS void
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_forget_dropped_resources';
REVOKE ALL ON FUNCTION taskapi.forget_dropped_resources() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.forget_dropped_resources() IS
    'Internal: deletes the entries of resources whose view or table was dropped by hand, and forgets views of deleted rows';

-- written_before: rows that this transaction or a later one has written are not looked at.
CREATE FUNCTION taskapi.purge_source(source regclass, deleted_before timestamptz, batch int, written_before xid8) RETURNS bigint
    LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'taskapi_purge_source';
REVOKE ALL ON FUNCTION taskapi.purge_source(regclass, timestamptz, int, xid8) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.purge_source(regclass, timestamptz, int, xid8) IS
    'Internal: removes deletions of one table from before then, with its owner''s rights, each as a whole';

-- A rollback leaves it as it is: so a trigger that holds up a purge until it is cancelled does so once, and then the tables
-- behind it have their turn.
CREATE SEQUENCE taskapi.purge_turn MINVALUE 0 START 0;
REVOKE ALL ON SEQUENCE taskapi.purge_turn FROM PUBLIC;
COMMENT ON SEQUENCE taskapi.purge_turn IS 'The table whose purge began last, by OID; 0 if all that began have ended';

-- The newest first, since a table mostly refers to older ones, whose rows are free to go then; but first those behind the one at
-- which a run was cancelled.
CREATE FUNCTION taskapi.purge_tables() RETURNS regclass[]
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    turn CONSTANT bigint := (SELECT t.last_value FROM taskapi.purge_turn t);
BEGIN
    PERFORM taskapi.forget_dropped_resources();
    RETURN ARRAY(SELECT s.source
                 FROM (SELECT DISTINCT r.source FROM taskapi.resource r JOIN pg_class c ON c.oid = r.source WHERE r.soft_delete) s
                 ORDER BY turn > 0 AND s.source::oid::bigint >= turn, s.source DESC);
END
$$;
REVOKE ALL ON FUNCTION taskapi.purge_tables() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.purge_tables() IS 'Internal: the tables whose deleted rows are purged, in the order of their turns';

-- A lock is waited for 5 seconds at most: then the rest of the table waits for the next run.
CREATE FUNCTION taskapi.purge_table(source regclass, older_than interval, batch int, written_before xid8) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s'
AS $$
BEGIN
    PERFORM setval('taskapi.purge_turn', source::oid::bigint);
    RETURN taskapi.purge_source(source, now() - older_than, batch, written_before);
EXCEPTION WHEN OTHERS THEN              -- a table that does not fit any more must not keep the others from being purged
    -- the text may tell of rows that whoever runs this cannot read
    RAISE WARNING 'could not purge deleted rows of %', source
        USING ERRCODE = SQLSTATE, DETAIL = format('The error has SQLSTATE %s.', SQLSTATE),
              HINT = CASE WHEN SQLSTATE = '55P03' THEN 'Another session has locked it. The next run tries again.'
                          ELSE 'Call taskapi.expose() again.' END;
    RETURN 0;
END
$$;
REVOKE ALL ON FUNCTION taskapi.purge_table(regclass, interval, int, xid8) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.purge_table(regclass, interval, int, xid8) IS
    'Internal: purge_deleted() of one table; a warning if that no longer fits its resource';

-- The unit is a deletion: one row, or a row with all that went along. It goes as a whole or stays as a whole, by its own date.
-- written_before, the xmax of a snapshot, bounds a run of several calls by what was there when it began: rows that a trigger
-- leaves for each one that goes are none of its business. NULL is now.
CREATE FUNCTION taskapi.purge_deleted(older_than interval DEFAULT '30 days', batch int DEFAULT 10000,
                                      written_before xid8 DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    horizon CONSTANT xid8 := coalesce(written_before, pg_snapshot_xmax(pg_current_snapshot()));
    purged bigint := 0;
    table_ regclass;
BEGIN
    IF older_than IS NULL OR older_than < interval '0' THEN
        RAISE EXCEPTION 'older_than must not be negative' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF batch IS NULL OR batch < 1 THEN
        RAISE EXCEPTION 'batch must be positive' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOREACH table_ IN ARRAY taskapi.purge_tables() LOOP
        EXIT WHEN purged >= batch;
        purged := purged + taskapi.purge_table(table_, older_than, (batch - purged)::int, horizon);
    END LOOP;
    PERFORM setval('taskapi.purge_turn', 0);
    RETURN purged;
END
$$;
REVOKE ALL ON FUNCTION taskapi.purge_deleted(interval, int, xid8) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.purge_deleted(interval, int, xid8) IS
    'Purges at most batch deletions that are older, of all resources: each whole, and none that a live row refers to or'
    ' that is locked. Returns how many, not counting the rows that were deleted with another. Deletions that only go'
    ' together, since they refer to each other, go in one call, beyond batch too';

-- sql/install/61_resource_json.sql
-- What the planner takes for json_agg() in a query that reads a resource or a page (src/resource/resource_json.h).

CREATE FUNCTION taskapi.json_rows_add(internal, record) RETURNS internal
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_json_rows_add';
COMMENT ON FUNCTION taskapi.json_rows_add(internal, record) IS 'Internal: transition of json_rows()';

CREATE FUNCTION taskapi.json_rows_end(internal) RETURNS json
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_json_rows_end';
COMMENT ON FUNCTION taskapi.json_rows_end(internal) IS 'Internal: end of json_rows()';

-- The rows as json_agg() writes them, to the byte. Errors: those of json_agg().
CREATE AGGREGATE taskapi.json_rows(record) (
    SFUNC = taskapi.json_rows_add, STYPE = internal, FINALFUNC = taskapi.json_rows_end, PARALLEL = SAFE);
COMMENT ON AGGREGATE taskapi.json_rows(record) IS
    'Internal: json_agg() of rows of a subquery, which the planner puts in its place if the subquery reads a resource';

CREATE FUNCTION taskapi.json_row_end(internal) RETURNS json
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_json_row_end';
COMMENT ON FUNCTION taskapi.json_row_end(internal) IS 'Internal: end of json_row()';

-- The first of them, as json_agg(t) -> 0 gives it; NULL if there is none. Errors: those of json_agg(). A string with \u0000 in a
-- column of type json is given, as json_agg(t) gives it; the operator would refuse it.
CREATE AGGREGATE taskapi.json_row(record) (
    SFUNC = taskapi.json_rows_add, STYPE = internal, FINALFUNC = taskapi.json_row_end, PARALLEL = SAFE);
COMMENT ON AGGREGATE taskapi.json_row(record) IS
    'Internal: json_agg() -> 0 of rows of a subquery, which the planner puts in its place if the subquery reads a resource';

-- sql/install/65_expose.sql
-- expose(), expose_plan() and unexpose(). They run as their caller, who has the rights of the table's owner, and are therefore
-- everybody's to call.
--
-- What expose() does is planned first and done then. The plan is read from the catalog and locks nothing: what is wanted
-- (want_resource), why it cannot be (table_misfits, resolve_resource), the statements that are missing (resource_statements) and
-- what they leave to the owner (resource_notices). expose() runs the statements, each as its role, and expose_plan() prints them.

-- A resource that is wanted, with every choice made.
CREATE TYPE taskapi.wanted_resource AS (
    source            regclass,
    owner             regrole,
    creator           regrole,
    api_schema        name,
    resource          name,
    key               name[],
    order_by          text,
    soft_delete       boolean,
    versioned         boolean,
    idempotent        boolean,
    deleted_at_column name,
    changes           boolean,
    scope             text,
    publish           text,
    departures        name,
    former            taskapi.resource,
    adopted           boolean,
    leaving           name[],
    remake            boolean
);
COMMENT ON TYPE taskapi.wanted_resource IS 'Internal: a resource that expose() is to make, or to bring up to date';
COMMENT ON COLUMN taskapi.wanted_resource.creator IS
    'Who creates in the schema: the owner of the table; if that one may not, a superuser, who hands over what it made';
COMMENT ON COLUMN taskapi.wanted_resource.key IS 'The columns of the primary key';
COMMENT ON COLUMN taskapi.wanted_resource.departures IS
    'The table of the rows that left, in the schema of the table; NULL if no resource made of the table tells its changes';
COMMENT ON COLUMN taskapi.wanted_resource.former IS 'The entry of the resource, if it is there already';
COMMENT ON COLUMN taskapi.wanted_resource.adopted IS 'Its views and triggers are there, and no entry: a restore lost it';
COMMENT ON COLUMN taskapi.wanted_resource.leaving IS 'Columns that its views show, and must no longer show';
COMMENT ON COLUMN taskapi.wanted_resource.remake IS 'The views are dropped and made again';

CREATE FUNCTION taskapi.kept_by_citus(source regclass) RETURNS boolean
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_kept_by_citus';
COMMENT ON FUNCTION taskapi.kept_by_citus(regclass) IS
    'Internal: is it a table that Citus keeps on other servers? A resource over it could not promise once';

-- What can be a resource at all: raises the reason if this cannot, or the caller has no rights on it.
CREATE FUNCTION taskapi.check_exposable(source regclass) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    class     pg_class;
    extension name;
BEGIN
    SELECT * INTO class FROM pg_class c WHERE c.oid = source;
    IF source IS NULL THEN
        RAISE EXCEPTION 'source must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF NOT FOUND THEN
        RAISE EXCEPTION 'relation with OID % does not exist', source::oid USING ERRCODE = 'undefined_table';
    END IF;
    IF class.relnamespace = 'pg_catalog'::regnamespace OR class.relnamespace = 'information_schema'::regnamespace
       OR class.oid < 16384 THEN
        RAISE EXCEPTION 'cannot expose system table "%"', class.relname USING ERRCODE = 'wrong_object_type';
    END IF;
    IF class.relkind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION 'cannot expose "%"', class.relname
            USING ERRCODE = 'wrong_object_type', DETAIL = 'Only tables and partitioned tables can be exposed.',
                  HINT = CASE WHEN class.relkind IN ('v', 'm') THEN 'Pages of a view are read by taskapi.page().'
                         ELSE 'Expose a table.' END;
    END IF;
    IF class.relpersistence = 't' THEN
        RAISE EXCEPTION 'cannot expose temporary table "%"', class.relname USING ERRCODE = 'wrong_object_type';
    END IF;
    IF class.relispartition THEN
        RAISE EXCEPTION 'cannot expose partition "%"', class.relname
            USING ERRCODE = 'wrong_object_type', HINT = 'Expose the partitioned table.';
    END IF;
    SELECT e.extname INTO extension FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = source AND d.refclassid = 'pg_extension'::regclass
      AND d.deptype = 'e';
    IF FOUND THEN
        RAISE EXCEPTION 'cannot expose table "%"', class.relname
            USING ERRCODE = 'wrong_object_type', DETAIL = format('It belongs to extension %I.', extension);
    END IF;
    IF NOT pg_has_role(class.relowner, 'USAGE') THEN
        RAISE EXCEPTION 'must be owner of table %', class.relname USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF taskapi.kept_by_citus(source) THEN
        RAISE EXCEPTION 'cannot expose distributed table "%"', class.relname
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'Its rows are committed on other servers than idempotency keys and messages are, so a request could'
                           ' have its effect twice.',
                  HINT = 'Pages of it are read by taskapi.page(), and rows after a cursor by cursor > TOKEN.';
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.check_exposable(regclass) IS
    'Internal: raises the reason why a relation cannot be exposed, apart from its columns and indexes';

CREATE FUNCTION taskapi.resources_of(source regclass) RETURNS SETOF taskapi.resource
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT r FROM taskapi.resource r JOIN pg_class c ON c.oid = r.resource WHERE r.source = $1 ORDER BY r.resource;
    END;
COMMENT ON FUNCTION taskapi.resources_of(regclass) IS 'Internal: the registry entries of the resources made of a table';

CREATE FUNCTION taskapi.raise_no_resource(relation regclass) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made CONSTANT text[] := ARRAY(SELECT r.resource::text FROM taskapi.resources_of(relation) r);
BEGIN
    RAISE EXCEPTION '% is not a resource', coalesce(relation::text, 'null')
        USING ERRCODE = 'wrong_object_type',
              HINT = CASE cardinality(made) WHEN 0 THEN 'taskapi.resource lists the resources.'
                                            WHEN 1 THEN format('Its resource is %s.', made[1])
                                            ELSE format('Its resources are %s.', array_to_string(made, ', ')) END;
END
$$;
COMMENT ON FUNCTION taskapi.raise_no_resource(regclass) IS
    'Internal: raises the error that a relation is not a resource, and says which resources are made of it';

-- Which resource of a table is meant. What is not said is as it was; a second resource over one table is asked for by name.
CREATE FUNCTION taskapi.resource_names(source regclass, INOUT api_schema name, INOUT resource name, OUT former taskapi.resource)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    meant record;
    others text;
BEGIN
    SELECT count(*) AS resources, min(n.nspname::text) AS schema, min(c.relname::text) AS name,
           string_agg(c.oid::regclass::text, ', ' ORDER BY c.oid) AS list
    INTO meant
    FROM taskapi.resources_of(source) r JOIN pg_class c ON c.oid = r.resource JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = coalesce(resource_names.api_schema, n.nspname) AND c.relname = coalesce(resource_names.resource, c.relname);
    IF meant.resources > 1 THEN
        RAISE EXCEPTION 'table % has several resources', source
            USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s.', meant.list),
                  HINT = 'Name the one that is meant, with api_schema and resource.';
    END IF;
    IF meant.resources = 0 AND resource IS NULL THEN
        SELECT string_agg(r.resource::text, ', ' ORDER BY r.resource) INTO others FROM taskapi.resources_of(source) r;
        IF others IS NOT NULL THEN
            RAISE EXCEPTION 'table % is already exposed as %', source, others
                USING ERRCODE = 'duplicate_object', HINT = 'To make another resource of the table, give it a name.';
        END IF;
    END IF;
    api_schema := coalesce(api_schema, meant.schema, 'api');
    resource := coalesce(resource, meant.name, (SELECT c.relname FROM pg_class c WHERE c.oid = source));
    IF api_schema IN ('taskapi', 'pg_catalog', 'information_schema') OR api_schema LIKE 'pg\_%' THEN
        RAISE EXCEPTION 'schema "%" cannot hold resources', api_schema USING ERRCODE = 'invalid_schema_name';
    END IF;
    IF api_schema = '' THEN
        RAISE EXCEPTION 'name of a schema must not be empty' USING ERRCODE = 'invalid_schema_name';
    END IF;
    IF resource = '' OR octet_length(resource) > 55 THEN
        RAISE EXCEPTION 'name of resource "%" is empty or too long', resource
            USING ERRCODE = 'invalid_name', DETAIL = 'It can have 55 bytes at most, since deleted_ comes before it.';
    END IF;
    IF meant.resources = 1 THEN
        former := taskapi.registered_resource(taskapi.relation_named(api_schema, resource));
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.resource_names(regclass, name, name) IS
    'Internal: the schema and name of the resource that expose() is to make or bring up to date, and its registry entry';

-- Views that expose() made, and of which the registry knows nothing: a restore by a role that cannot write the registry brings
-- them so. What they are made of says how they were made. NULL if there are none of this table by that name.
CREATE FUNCTION taskapi.adoptable_resource(source regclass, api_schema name, resource name) RETURNS taskapi.resource
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    view    CONSTANT regclass := taskapi.relation_named(api_schema, resource);
    trash   CONSTANT regclass := taskapi.relation_named(api_schema, 'deleted_' || resource);
    owner   CONSTANT regrole := taskapi.owner_of(source);
    found   taskapi.resource;
    sorted  text;
    deleted text;
BEGIN
    IF NOT taskapi.is_own_view(view, source) OR taskapi.owner_of(view) <> owner
       OR (taskapi.registered_resource(view)).resource IS NOT NULL THEN
        RETURN NULL;
    END IF;
    sorted := (regexp_match(pg_get_viewdef(view), 'taskapi\.cursor\(''((?:[^'']|'''')*)''::text,'))[1];
    deleted := (regexp_match(pg_get_viewdef(view), 'WHERE \((?:t\.)?("(?:[^"]|"")*"|\w+) IS NULL\);$'))[1];
    IF sorted IS NULL OR deleted IS NULL AND trash IS NOT NULL THEN
        RETURN NULL;
    END IF;
    found.resource := view;
    found.source := source;
    found.page_function := resource || '_page';
    found.order_by := replace(sorted, '''''', '''');
    found.soft_delete := deleted IS NOT NULL;
    found.versioned := EXISTS (SELECT FROM pg_trigger t
                               WHERE t.tgrelid = source AND t.tgfoid = 'taskapi.resource_touch()'::regprocedure);
    found.idempotent := true;
    found.deleted_at_column := coalesce((parse_ident(deleted))[1], 'deleted_at');
    found.changes := EXISTS (SELECT FROM pg_trigger t
                             WHERE t.tgrelid = source AND t.tgfoid = 'taskapi.change_stamp()'::regprocedure);
    IF found.soft_delete AND taskapi.is_own_view(trash, source) AND taskapi.owner_of(trash) = owner THEN
        found.deleted_resource := trash;
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION taskapi.adoptable_resource(regclass, name, name) IS
    'Internal: the entry that views of a table would have, which expose() made and the registry does not know';

-- Every choice: what is asked for, else what was chosen before, else the default.
CREATE FUNCTION taskapi.want_resource(source regclass, api_schema name, resource name, order_by text, soft_delete boolean,
                                      versioned boolean, idempotent boolean, changes boolean, scope text, publish text,
                                      deleted_at_column name)
    RETURNS taskapi.wanted_resource
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    names  record;
    wanted taskapi.wanted_resource;
BEGIN
    PERFORM taskapi.check_exposable(source);
    names := taskapi.resource_names(source, api_schema, resource);
    wanted.source := source;
    wanted.owner := taskapi.owner_of(source);
    wanted.api_schema := names.api_schema;
    wanted.resource := names.resource;
    wanted.former := names.former;
    wanted.adopted := false;
    IF (wanted.former).resource IS NULL THEN
        wanted.former := taskapi.adoptable_resource(source, names.api_schema, names.resource);
        wanted.adopted := (wanted.former).resource IS NOT NULL;
    END IF;
    wanted.order_by := order_by;
    wanted.soft_delete := coalesce(soft_delete, (wanted.former).soft_delete, true);
    wanted.versioned := coalesce(versioned, (wanted.former).versioned, true);
    wanted.idempotent := coalesce(idempotent, (wanted.former).idempotent, true);
    wanted.deleted_at_column := taskapi.deletion_column(wanted, deleted_at_column);
    wanted.changes := coalesce(changes, (wanted.former).changes, false);
    wanted.scope := nullif(coalesce(scope, (wanted.former).scope), '');
    wanted.publish := nullif(coalesce(publish, (wanted.former).publish), '');
    wanted.key := taskapi.key_columns(source);
    RETURN wanted;
END
$$;
COMMENT ON FUNCTION taskapi.want_resource(regclass, name, name, text, boolean, boolean, boolean, boolean, text, text, name) IS
    'Internal: the resource that expose() is asked for, with what was chosen before and the defaults';

-- How another column comes to mark the deleted rows. One that does not fit is first made to.
CREATE FUNCTION taskapi.other_deletion_column(wanted taskapi.wanted_resource, asked name, present name) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source CONSTANT regclass := wanted.source;
    cures  text[];
    advice text[];
    there  boolean;
BEGIN
    wanted.deleted_at_column := asked;
    SELECT array_agg(coalesce(m.statement, format('ALTER TABLE %s %s;', source, m.action))), array_agg(m.advice),
           count(m.statement) = 0
    INTO cures, advice, there
    FROM taskapi.column_misfits(wanted) m WHERE starts_with(m.misfit, format('Column %I is ', asked));
    -- of a type that no time can be made of, it was renamed
    IF NOT there OR NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = source AND a.attname = asked) THEN
        cures := cures || format('ALTER TABLE %s ADD COLUMN %I timestamptz;', source, asked);
    END IF;
    RETURN concat_ws(' ', array_to_string(cures, ' '),
                     format('UPDATE %s SET %I = %I; call taskapi.expose() with soft_delete => false, and again with'
                            ' soft_delete => true and the column.', source, asked, present),
                     nullif(array_to_string(advice, ' '), ''));
END
$$;
COMMENT ON FUNCTION taskapi.other_deletion_column(taskapi.wanted_resource, name, name) IS
    'Internal: what has to be done so that another column marks the deleted rows of a resource';

-- The column that marks deletion. If it was renamed, the view of the deleted rows tells. All resources made of a table have the
-- same, and rows that are marked in another one would come back to life.
CREATE FUNCTION taskapi.deletion_column(wanted taskapi.wanted_resource, asked name) RETURNS name
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source CONSTANT regclass := wanted.source;
    chosen record;
BEGIN
    IF asked IN ('', 'version', 'updated_at', 'deletion_id', 'cursor')
       OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = source AND a.attname = asked AND a.attnum < 0) THEN
        RAISE EXCEPTION 'column "%" cannot mark deleted rows', asked
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'The name is reserved for another purpose.';
    END IF;
    SELECT r.resource, r.deleted_at_column AS name,
           coalesce((SELECT a.attname FROM taskapi.resource_columns(r.deleted_resource) c
                     JOIN pg_attribute a ON a.attrelid = r.source AND a.attnum = c.source_attnum
                     WHERE c.name = r.deleted_at_column), r.deleted_at_column) AS present,
           r.resource IS DISTINCT FROM (wanted.former).resource AS of_another
    INTO chosen
    FROM (SELECT o.* FROM taskapi.resources_of(source) o UNION SELECT (wanted.former).*) r
    WHERE r.soft_delete ORDER BY 4, r.resource LIMIT 1;
    IF NOT FOUND THEN
        RETURN coalesce(asked, (wanted.former).deleted_at_column, 'deleted_at');
    END IF;
    IF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = source AND a.attname = chosen.present) THEN
        RAISE EXCEPTION 'table % lacks column "%", which marks its deleted rows', source, chosen.present
            USING ERRCODE = 'undefined_column',
                  HINT = format('If it was renamed: ALTER TABLE %s RENAME COLUMN its_name_now TO %I.', source, chosen.present);
    END IF;
    IF asked <> chosen.present AND wanted.soft_delete THEN
        RAISE EXCEPTION 'column "%" of table % already marks its deleted rows', chosen.present, source
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = format('Resource %s says so. Rows that it marks would come back to life.', chosen.resource),
                  HINT = CASE WHEN chosen.of_another THEN 'All resources made of a table have the same deleted_at_column.'
                              ELSE taskapi.other_deletion_column(wanted, asked, chosen.present) END;
    END IF;
    RETURN chosen.present;
END
$$;
COMMENT ON FUNCTION taskapi.deletion_column(taskapi.wanted_resource, name) IS
    'Internal: the column that marks the deleted rows of a resource that is wanted';

-- What is there under the names of a resource must belong to it, and what is taken over to no role that could betray it.
CREATE FUNCTION taskapi.check_names(wanted taskapi.wanted_resource) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken record;
BEGIN
    FOR taken IN
        SELECT n.name, taskapi.relation_named(wanted.api_schema, n.name) AS relation, n.own,
               (SELECT t.oid::regtype FROM pg_type t JOIN pg_namespace s ON s.oid = t.typnamespace
                WHERE s.nspname = wanted.api_schema AND t.typname = n.name) AS type
        FROM (VALUES (wanted.resource, (wanted.former).resource),
                     (('deleted_' || wanted.resource)::name, (wanted.former).deleted_resource)) n (name, own)
        WHERE wanted.soft_delete OR n.name = wanted.resource
    LOOP
        IF taken.relation IS DISTINCT FROM taken.own AND taken.relation IS NOT NULL
           OR taken.relation IS NULL AND taken.type IS NOT NULL THEN
            RAISE EXCEPTION 'name "%" is taken in schema "%"', taken.name, wanted.api_schema
                USING ERRCODE = 'duplicate_table',
                      DETAIL = format('%s does not belong to a resource made of %s.',
                                      coalesce(taken.relation::text, taken.type::text), wanted.source),
                      HINT = 'Give the resource another name, or expose it in another schema.';
        END IF;
    END LOOP;
    FOR taken IN
        SELECT p.oid::regprocedure AS function, p.proname AS name, p.proowner::regrole AS owner
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = wanted.api_schema
          AND (p.proname = wanted.resource || '_page'
               OR wanted.changes AND p.proname::text = wanted.resource || '_changes'
               OR wanted.soft_delete AND p.proname::text = 'deleted_' || wanted.resource || '_page')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                              AND d.refclassid = 'pg_class'::regclass
                              AND d.refobjid IN ((wanted.former).resource, (wanted.former).deleted_resource))
          AND (taskapi.is_stranger(p.proowner, wanted.owner)
               OR p.proargtypes IN (taskapi.page_arguments(), taskapi.changes_arguments()))
    LOOP
        RAISE EXCEPTION 'name "%" is taken in schema "%"', taken.name, wanted.api_schema
            USING ERRCODE = 'duplicate_function',
                  DETAIL = format('%s, which belongs to role %s, does not belong to a resource made of %s.',
                                  taken.function, taken.owner, wanted.source),
                  HINT = 'Give the resource another name, or expose it in another schema.';
    END LOOP;
END
$$;
COMMENT ON FUNCTION taskapi.check_names(taskapi.wanted_resource) IS
    'Internal: raises an error if a name that a resource needs is taken';

-- The views and the page function of a resource that belong to another role than its table, which was given away meanwhile. The
-- caller must have the rights of that role to take them away.
CREATE FUNCTION taskapi.owned_by_others(wanted taskapi.wanted_resource) RETURNS TABLE (object text, owner regrole)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT 'VIEW ' || c.oid::regclass, c.relowner::regrole FROM pg_class c
        WHERE c.oid IN ((($1).former).resource, (($1).former).deleted_resource) AND c.relowner <> ($1).owner
        UNION ALL
        SELECT 'FUNCTION ' || p.oid::regprocedure, p.proowner::regrole FROM pg_proc p
        WHERE p.oid IN (taskapi.page_function_of((($1).former).resource),
                        taskapi.page_function_of((($1).former).deleted_resource),
                        taskapi.changes_function_of((($1).former).resource)) AND p.proowner <> ($1).owner
        ORDER BY 1;
    END;
COMMENT ON FUNCTION taskapi.owned_by_others(taskapi.wanted_resource) IS
    'Internal: what belongs to a resource and not to the owner of its table';

CREATE FUNCTION taskapi.check_owners(wanted taskapi.wanted_resource) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    others record;
BEGIN
    SELECT string_agg(DISTINCT o.owner::text, ', ') AS owners,
           string_agg(format('ALTER %s OWNER TO %s;', o.object, wanted.owner), ' ' ORDER BY o.object) AS statements
    INTO others FROM taskapi.owned_by_others(wanted) o WHERE NOT pg_has_role(o.owner, 'USAGE');
    IF others.owners IS NOT NULL THEN
        RAISE EXCEPTION 'resource % belongs to role %', (wanted.former).resource, others.owners
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('Table %s belongs to role %s.', wanted.source, wanted.owner),
                  HINT = format('Let a superuser call taskapi.expose(), or run: %s', others.statements);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.check_owners(taskapi.wanted_resource) IS
    'Internal: raises an error if a resource belongs to a role whose rights the caller does not have';

-- The schema of a resource is created for whoever calls, or must be out of the reach of strangers. Returns the role that is to
-- create in it.
CREATE FUNCTION taskapi.creator_in(api_schema name, owner regrole) RETURNS regrole
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me record;
BEGIN
    SELECT r.oid::regrole AS role, r.rolsuper INTO me FROM pg_roles r WHERE r.rolname = current_user;
    IF to_regnamespace(quote_ident(api_schema)) IS NULL THEN
        IF NOT has_database_privilege(current_database(), 'CREATE') THEN
            RAISE EXCEPTION 'permission denied to create schema "%"', api_schema
                USING ERRCODE = 'insufficient_privilege',
                      HINT = format('GRANT CREATE ON DATABASE %I TO %s, or let a superuser create the schema.',
                                    current_database(), me.role);
        END IF;
        RETURN CASE WHEN me.rolsuper AND NOT (SELECT o.rolsuper FROM pg_roles o WHERE o.oid = owner) THEN me.role ELSE owner END;
    END IF;
    PERFORM taskapi.check_schema(api_schema, owner);
    IF has_schema_privilege(owner, api_schema, 'CREATE') THEN
        RETURN owner;
    ELSIF NOT me.rolsuper THEN
        RAISE EXCEPTION 'role % may not create objects in schema "%"', owner, api_schema
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'The objects of a resource belong to the owner of its table.',
                  HINT = format('GRANT CREATE ON SCHEMA %I TO %s.', api_schema, owner);
    END IF;
    RETURN me.role;
END
$$;
COMMENT ON FUNCTION taskapi.creator_in(name, regrole) IS
    'Internal: the role that is to create the views of a resource; an error if strangers can change the schema';

-- The order of a resource, in which every row has its own place: what is asked for, else what was chosen before, by the names
-- that its columns have now, else created_at DESC if that is never NULL, else the key; and the columns of the key that are
-- missing.
CREATE FUNCTION taskapi.resource_order(wanted taskapi.wanted_resource) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sorted     text := wanted.order_by;
    terms      record;
    tiebreaker text;
    unknown    name;
BEGIN
    IF sorted IS NULL AND (wanted.former).resource IS NOT NULL THEN
        SELECT taskapi.order_by_renamed((wanted.former).order_by, array_agg(c.name), array_agg(a.attname)) INTO sorted
        FROM taskapi.resource_columns((wanted.former).resource) c
        JOIN pg_attribute a ON a.attrelid = wanted.source AND a.attnum = c.source_attnum;
    END IF;
    IF sorted IS NULL THEN
        SELECT 'created_at DESC' INTO sorted FROM pg_attribute a
        WHERE a.attrelid = wanted.source AND a.attname = 'created_at' AND a.attnotnull AND NOT a.attisdropped
          AND coalesce(col_description(wanted.source, a.attnum), '') NOT LIKE '@private%';
    END IF;
    IF sorted IS NULL THEN
        SELECT string_agg(quote_ident(k), ', ' ORDER BY place) INTO sorted FROM unnest(wanted.key) WITH ORDINALITY u (k, place);
    END IF;
    SELECT * INTO terms FROM taskapi.order_by_columns(sorted);
    SELECT c INTO unknown FROM unnest(terms.columns) WITH ORDINALITY u (c, place)
    WHERE c NOT IN (SELECT s.name FROM taskapi.source_columns(wanted) s WHERE s.name = ANY (wanted.key) OR NOT s.private)
    ORDER BY place LIMIT 1;
    IF FOUND THEN
        PERFORM taskapi.raise_problem('invalid_order_by',
            format('Table %s has no column %I to order by.', wanted.source, unknown),
            CASE WHEN wanted.order_by IS NULL
                 THEN format('It was exposed in order %s. Name another one with order_by.', sorted) END);
    END IF;
    SELECT string_agg(quote_ident(k) || CASE WHEN terms.descending[cardinality(terms.descending)] THEN ' DESC' ELSE '' END, ', '
                      ORDER BY place)
    INTO tiebreaker FROM unnest(wanted.key) WITH ORDINALITY u (k, place) WHERE k <> ALL (terms.columns);
    sorted := taskapi.order_by_canonical(concat_ws(', ', sorted, tiebreaker));
    -- invalid_order_by, if no cursor can hold a type of it. A domain may refuse NULL, but not as what an array lacks; of an
    -- array, such an element would be one of its own.
    PERFORM taskapi.run_as(wanted.owner, format('SELECT taskapi.cursor(%L, %s)', sorted,
                (SELECT string_agg(format(CASE WHEN t.typtype = 'd' THEN '(NULL::%s[])[1]' ELSE 'NULL::%s' END,
                                          coalesce(format_type(a.atttypid, NULL), n.type)), ', ' ORDER BY u.place)
                 FROM taskapi.order_by_columns(sorted) o, unnest(o.columns) WITH ORDINALITY u (name, place)
                 LEFT JOIN pg_attribute a ON a.attrelid = wanted.source AND a.attname = u.name
                 LEFT JOIN pg_type t ON t.oid = a.atttypid
                 LEFT JOIN taskapi.needed_columns(wanted) n ON n.name = u.name)));
    RETURN sorted;
END
$$;
COMMENT ON FUNCTION taskapi.resource_order(taskapi.wanted_resource) IS
    'Internal: the order of a resource, made total by the key; invalid_order_by if the table lacks a column of it';

-- Raises an error with everything about a table that does not fit, and the statements that help.
CREATE FUNCTION taskapi.check_misfits(wanted taskapi.wanted_resource) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found record;
BEGIN
    SELECT min(m.code) FILTER (WHERE m.place = 1) AS code, string_agg(m.misfit, E'\n' ORDER BY m.place) AS misfits INTO found
    FROM taskapi.table_misfits(wanted) WITH ORDINALITY m (code, misfit, statement, action, advice, place);
    IF found.misfits IS NOT NULL THEN
        RAISE EXCEPTION 'cannot expose table "%"', (SELECT c.relname FROM pg_class c WHERE c.oid = wanted.source)
            USING ERRCODE = found.code, DETAIL = found.misfits,
                  HINT = (SELECT string_agg(c, E'\n') FROM taskapi.misfit_cures(wanted) c);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.check_misfits(taskapi.wanted_resource) IS
    'Internal: raises an error with all that does not fit about a table, and the statements that help';

-- Writes would fail without an outbox, or if the table's owner, with whose rights its trigger works, may not publish.
CREATE FUNCTION taskapi.check_publish(topic text, owner regrole) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF octet_length(topic) > 1024 THEN
        RAISE EXCEPTION 'topic is too long' USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It can have 1024 bytes at most.';
    END IF;
    IF NOT EXISTS (SELECT FROM taskapi.outbox_location()) THEN
        RAISE EXCEPTION 'there is no outbox in this database'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Call taskapi.create_outbox() before you give publish.';
    END IF;
    IF NOT has_function_privilege(owner, 'taskapi.publish(text, text, jsonb, jsonb)', 'EXECUTE') THEN
        RAISE EXCEPTION 'role % may not publish', owner
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'Writes to the table are published with the rights of its owner.',
                  HINT = format('GRANT EXECUTE ON FUNCTION taskapi.publish TO %s.', owner);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.check_publish(text, regrole) IS
    'Internal: raises the reason why writes to a table of a role cannot be published under a topic';

-- What is left to choose once the table fits, or the reason why it cannot be so.
CREATE FUNCTION taskapi.resolve_resource(wanted taskapi.wanted_resource) RETURNS taskapi.wanted_resource
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    wanted.creator := taskapi.creator_in(wanted.api_schema, wanted.owner);
    PERFORM taskapi.check_names(wanted), taskapi.check_owners(wanted);
    IF wanted.publish IS NOT NULL THEN
        PERFORM taskapi.check_publish(wanted.publish, wanted.owner);
    END IF;
    wanted.order_by := taskapi.resource_order(wanted);
    PERFORM taskapi.check_changes(wanted);
    wanted.departures := taskapi.wanted_departures(wanted);
    wanted.leaving := taskapi.leaving_columns(wanted);
    wanted.remake := wanted.leaving <> '{}' OR EXISTS (SELECT FROM taskapi.owned_by_others(wanted));
    RETURN wanted;
END
$$;
COMMENT ON FUNCTION taskapi.resolve_resource(taskapi.wanted_resource) IS
    'Internal: a resource that is wanted, with its order, and who creates what';

-- Runs the statements that make a resource, and says what the registry is to hold. It registers nothing.
CREATE FUNCTION taskapi.make_resource(source regclass, api_schema name, resource name, order_by text, soft_delete boolean,
                                      versioned boolean, idempotent boolean, changes boolean, scope text, publish text,
                                      deleted_at_column name) RETURNS taskapi.resource
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted taskapi.wanted_resource := taskapi.want_resource($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
    roles      regrole[];
    statements text[];
    notices    jsonb;
    told       record;
    entry      taskapi.resource;
BEGIN
    PERFORM taskapi.check_misfits(wanted);
    wanted := taskapi.resolve_resource(wanted);
    SELECT array_agg(s.runs_as ORDER BY s.place), array_agg(s.statement ORDER BY s.place) INTO roles, statements
    FROM taskapi.resource_statements(wanted) WITH ORDINALITY s (runs_as, statement, place);
    SELECT jsonb_agg(n ORDER BY n.place) INTO notices
    FROM taskapi.resource_notices(wanted) WITH ORDINALITY n (level, message, detail, hint, place);
    FOR i IN 1 .. cardinality(statements) LOOP
        PERFORM taskapi.run_as(roles[i], statements[i]);
    END LOOP;
    -- afterwards: what cannot get its locks is tried again
    FOR told IN SELECT n.value FROM jsonb_array_elements(notices) WITH ORDINALITY n (value, place) ORDER BY n.place LOOP
        PERFORM taskapi.raise_notice(told.value ->> 'level', told.value ->> 'message', told.value ->> 'detail',
                                     told.value ->> 'hint');
    END LOOP;
    entry.resource := format('%I.%I', wanted.api_schema, wanted.resource)::regclass;
    entry.source := source;
    entry.deleted_resource := CASE WHEN wanted.soft_delete
                              THEN format('%I.%I', wanted.api_schema, 'deleted_' || wanted.resource)::regclass END;
    entry.page_function := wanted.resource || '_page';
    entry.order_by := wanted.order_by;
    entry.soft_delete := wanted.soft_delete;
    entry.versioned := wanted.versioned;
    entry.idempotent := wanted.idempotent;
    entry.deleted_at_column := wanted.deleted_at_column;
    entry.changes := wanted.changes;
    entry.scope := wanted.scope;
    entry.publish := wanted.publish;
    IF wanted.changes THEN
        SELECT taskapi.relation_named(n.nspname, wanted.departures) INTO entry.departures
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = source;
    END IF;
    RETURN entry;
END
$$;
COMMENT ON FUNCTION taskapi.make_resource(regclass, name, name, text, boolean, boolean, boolean, boolean, text, text, name) IS
    'Internal: what expose() does before the resource is in the registry';

-- expose(source, api_schema, resource, order_by, soft_delete, versioned, idempotent, changes, scope, publish, deleted_at_column)
--     -> the view
--
-- Makes a table a resource, or brings the resource up to date with its table and with the extension. NULL keeps what was
-- chosen before; the first time it is schema api, the table's name, created_at DESC if that is never NULL, else the key, true,
-- no changes, no scope, no topic and deleted_at. An empty scope or topic is none. No role is granted anything but what this call
-- adds to a resource that was granted before: columns, and to hear of its changes. The caller must have the rights of the table's
-- owner. The locks are waited for 100 ms at a time, the views' before the table's, and given back before the next try: for
-- 5 seconds in all, while expose_online() goes on for longer. docs/expose.md.
--
-- In C, around the function above, since no role can write the registry: there is no function to call that does.
CREATE FUNCTION taskapi.expose(source regclass, api_schema name DEFAULT NULL, resource name DEFAULT NULL,
                               order_by text DEFAULT NULL, soft_delete boolean DEFAULT NULL, versioned boolean DEFAULT NULL,
                               idempotent boolean DEFAULT NULL, changes boolean DEFAULT NULL, scope text DEFAULT NULL,
                               publish text DEFAULT NULL, deleted_at_column name DEFAULT NULL)
    RETURNS regclass
    LANGUAGE C VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off SET jit = off
    SET taskapi.migration_guard = off
    AS 'MODULE_PATHNAME', 'taskapi_expose';
COMMENT ON FUNCTION taskapi.expose(regclass, name, name, text, boolean, boolean, boolean, boolean, text, text, name) IS
    'Makes a table that the caller owns an HTTP resource, or brings the resource up to date; no role is granted anything';

-- A name may hold a line break, which must not end the comment.
CREATE FUNCTION taskapi.sql_comment(comment text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT '-- ' || regexp_replace($1, '[\n\r]', '\&-- ', 'g');
    END;
COMMENT ON FUNCTION taskapi.sql_comment(text) IS 'Internal: a text as a comment of SQL';

-- expose_plan(the arguments of expose()) -> statements and comments, one a row
--
-- What expose() would do: its statements, as they are run, and its NOTICEs and WARNINGs as comments. For a table that does not
-- fit: all that does not, with the statements that help, as comments. Any other error is that of expose(). It changes nothing,
-- takes no lock that a writer waits for, and works in a transaction that is READ ONLY.
CREATE FUNCTION taskapi.expose_plan(source regclass, api_schema name DEFAULT NULL, resource name DEFAULT NULL,
                                    order_by text DEFAULT NULL, soft_delete boolean DEFAULT NULL,
                                    versioned boolean DEFAULT NULL, idempotent boolean DEFAULT NULL,
                                    changes boolean DEFAULT NULL, scope text DEFAULT NULL,
                                    publish text DEFAULT NULL, deleted_at_column name DEFAULT NULL)
    RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off SET jit = off
AS $$
DECLARE
    wanted taskapi.wanted_resource := taskapi.want_resource($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
    role   regrole := wanted.owner;
    step   record;
BEGIN
    IF EXISTS (SELECT FROM taskapi.table_misfits(wanted)) THEN
        RETURN NEXT taskapi.sql_comment(format('cannot expose table %s', source));
        RETURN QUERY SELECT taskapi.sql_comment(m.misfit) FROM taskapi.table_misfits(wanted) m WHERE m.misfit IS NOT NULL;
        RETURN QUERY SELECT taskapi.sql_comment(c) FROM taskapi.misfit_cures(wanted) c;
        RETURN;
    END IF;
    wanted := taskapi.resolve_resource(wanted);
    FOR step IN SELECT * FROM taskapi.resource_notices(wanted) LOOP
        RETURN NEXT taskapi.sql_comment(concat_ws(E'\n', upper(step.level) || ': ' || step.message, step.detail, step.hint));
    END LOOP;
    FOR step IN SELECT * FROM taskapi.resource_statements(wanted) LOOP
        IF step.runs_as <> role THEN
            role := step.runs_as;
            RETURN NEXT taskapi.sql_comment(format('as role %s', role));
        END IF;
        RETURN NEXT step.statement || ';';
    END LOOP;
    RETURN NEXT taskapi.sql_comment(format('%I.%I is entered into taskapi.resource', wanted.api_schema, wanted.resource));
END
$$;
COMMENT ON FUNCTION taskapi.expose_plan(regclass, name, name, text, boolean, boolean, boolean, boolean, text, text, name) IS
    'What taskapi.expose() would do with the same arguments: its statements and, as comments, what it would say';

-- Returns the table, or NULL if it is gone. Of a table that lost all its resources only the triggers are left.
CREATE FUNCTION taskapi.drop_resource(resource regclass) RETURNS regclass
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    entry     CONSTANT taskapi.resource := taskapi.registered_resource(resource);
    source    CONSTANT regclass := (SELECT c.oid FROM pg_class c WHERE c.oid = coalesce(entry.source, resource));
    view      CONSTANT regclass := (SELECT c.oid FROM pg_class c WHERE c.oid = entry.resource);
    statement record;
BEGIN
    IF entry.resource IS NULL
       AND (EXISTS (SELECT FROM taskapi.resources_of(resource))
            OR NOT EXISTS (SELECT FROM taskapi.own_triggers(resource) t
                           WHERE t.function <> 'taskapi.resource_write()'::regprocedure)) THEN
        PERFORM taskapi.raise_no_resource(resource);
    END IF;
    IF NOT pg_has_role(taskapi.owner_of(coalesce(view, source)), 'USAGE') THEN
        RAISE EXCEPTION 'must be owner of %', coalesce(view, source) USING ERRCODE = 'insufficient_privilege';
    END IF;
    FOR statement IN SELECT s.* FROM taskapi.drop_statements(entry) s LOOP
        PERFORM taskapi.run_as(statement.runs_as, statement.statement);
    END LOOP;
    FOR statement IN
        SELECT d.relowner::regrole AS runs_as, format('DROP TABLE %s', d.oid::regclass) AS statement
        FROM pg_class d
        WHERE (d.oid = entry.departures OR d.oid IN (SELECT taskapi.departures_of(source)))
          AND NOT EXISTS (SELECT FROM taskapi.resources_of(source) r
                          WHERE r.changes AND r.resource IS DISTINCT FROM entry.resource)
    LOOP
        PERFORM taskapi.run_as(statement.runs_as, statement.statement);
    END LOOP;
    RETURN source;
END
$$;
COMMENT ON FUNCTION taskapi.drop_resource(regclass) IS 'Internal: what unexpose() does while the resource is in the registry';

-- Takes away the triggers that the table does not need any more, and says what stays.
CREATE FUNCTION taskapi.finish_unexpose(source regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statements CONSTANT text[] := ARRAY(
        SELECT s.s FROM taskapi.is_source(source) i,
             taskapi.source_trigger_statements(source, i.versioned, i.versioned IS NOT NULL, i.published, i.changes) s (s));
    granted    text;
BEGIN
    FOR i IN 1 .. cardinality(statements) LOOP
        PERFORM taskapi.run_as(taskapi.owner_of(source), statements[i]);
    END LOOP;
    SELECT string_agg(format('%s to %s', g.privileges, g.grantee), '; ' ORDER BY g.grantee) INTO granted
    FROM (SELECT taskapi.grantee_name(a.grantee) AS grantee, string_agg(DISTINCT a.privilege_type, ', ') AS privileges
          FROM (SELECT t.grantee, t.privilege_type FROM pg_class c, aclexplode(c.relacl) t
                WHERE c.oid = source AND t.grantee <> c.relowner
                UNION
                SELECT t.grantee, t.privilege_type
                FROM pg_class c JOIN pg_attribute u ON u.attrelid = c.oid, aclexplode(u.attacl) t
                WHERE c.oid = source AND t.grantee <> c.relowner) a
          GROUP BY 1) g;
    IF granted IS NOT NULL THEN
        RAISE NOTICE 'privileges on table % stay: %', source, granted
            USING HINT = 'A DELETE by these roles is now permanent, and deleted rows are visible like any others.';
    END IF;
    NOTIFY pgrst, 'reload schema';
END
$$;
COMMENT ON FUNCTION taskapi.finish_unexpose(regclass) IS 'Internal: what unexpose() does after the entry is gone';

-- unexpose(resource): drops the views and the page function of a resource, as far as they are there, and the triggers that its
-- table no longer needs. Of a table whose resources were dropped by hand, name the table. Columns, rows and privileges of the
-- table stay, and a NOTICE says who has privileges. The caller must have the rights of the owner. Locks as for
-- expose().
CREATE FUNCTION taskapi.unexpose(resource regclass) RETURNS void
    LANGUAGE C VOLATILE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off SET jit = off
    SET taskapi.migration_guard = off
    AS 'MODULE_PATHNAME', 'taskapi_unexpose';
COMMENT ON FUNCTION taskapi.unexpose(regclass) IS
    'Drops a resource. Its table keeps all its columns and rows, the deleted ones too';

-- sql/install/66_resource_views.sql
-- What a resource is made of: columns of its table, two views, a page function, triggers. Each function here reads the catalog
-- and returns the statements that are missing, with the role that runs each; what is there already keeps its place, so that
-- nothing that depends on it is lost.

-- The columns that versions and soft deletion need, with the types that fit, the one that is added, and its default.
CREATE FUNCTION taskapi.needed_columns(wanted taskapi.wanted_resource)
    RETURNS TABLE (place int, name name, types regtype[], type text, value text, required boolean, fitting text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT n.place, n.name::name, n.types::regtype[], n.type, n.value, n.required, n.fitting
        FROM (VALUES
                (1, ($1).versioned,   'version',                '{int4,int8,int2}',        'int',         '1',     true,
                 'smallint, int or bigint'),
                (2, ($1).versioned,   'updated_at',             '{timestamptz,timestamp}', 'timestamptz', 'now()', false,
                 'timestamptz or timestamp'),
                (3, ($1).soft_delete, ($1).deleted_at_column,   '{timestamptz}',           'timestamptz', NULL,    false,
                 'timestamptz'),
                (4, ($1).soft_delete, 'deletion_id',            '{uuid}',                  'uuid',        NULL,    false,
                 'uuid'),
                (5, ($1).changes,     'changed',                '{xid8}',                  'xid8',        '''0''', true,
                 'xid8')) n (place, needed, name, types, type, value, required, fitting)
        WHERE n.needed ORDER BY n.place;
    END;
COMMENT ON FUNCTION taskapi.needed_columns(taskapi.wanted_resource) IS
    'Internal: the columns that versions and soft deletion need of a table';

-- A stamp of change_stamp() is nobody's to see.
CREATE FUNCTION taskapi.is_stamp(wanted taskapi.wanted_resource, name name) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT $2 = 'changed'
               AND coalesce((SELECT a.atttypid = 'xid8'::regtype FROM pg_attribute a
                             WHERE a.attrelid = ($1).source AND a.attname = $2), ($1).changes);
    END;
COMMENT ON FUNCTION taskapi.is_stamp(taskapi.wanted_resource, name) IS
    'Internal: whether a column of a table holds the stamps of its changes';

-- The columns that the table will have: those that it has, and those that are added, in that order.
CREATE FUNCTION taskapi.source_columns(wanted taskapi.wanted_resource)
    RETURNS TABLE (attnum smallint, name name, private boolean, generated boolean, comment text, default_expression text,
                   added boolean)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT a.attnum, a.attname, coalesce(d.description, '') LIKE '@private%', a.attgenerated <> '', d.description,
               CASE WHEN e.oid IS NOT NULL AND a.attgenerated = '' OR a.attidentity = 'd' OR t.typtype = 'd'
                    THEN format('taskapi.table_default(%L::regclass, %L::smallint, %s)', ($1).source, a.attnum,
                                -- a domain may refuse NULL, but not as what an array lacks
                                format(CASE WHEN t.typtype = 'd' THEN '(NULL::%s[])[1]' ELSE 'NULL::%s' END,
                                       format_type(a.atttypid, NULL))) END, false
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = a.attrelid AND d.objsubid = a.attnum
        LEFT JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
        WHERE a.attrelid = ($1).source AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        -- with names for what has none: without, pg_upgrade changes the text
        SELECT (c.relnatts + row_number() OVER (ORDER BY n.place))::smallint AS attnum, n.name, false AS private,
               false AS generated, NULL::text AS comment, NULL::text AS default_expression, true AS added
        FROM taskapi.needed_columns($1) n, pg_class c
        WHERE c.oid = ($1).source
          AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = n.name)
        ORDER BY 1;
    END;
COMMENT ON FUNCTION taskapi.source_columns(taskapi.wanted_resource) IS
    'Internal: the columns that a table will have as a resource, by number';

-- Columns that are missing are added, and what a client cannot send has a default. None of it rewrites the table: the defaults
-- are the same for all its rows.
CREATE FUNCTION taskapi.column_statements(wanted taskapi.wanted_resource) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format('ALTER TABLE %s %s', ($1).source, string_agg(n.action, ', ' ORDER BY n.place))
        FROM (SELECT n.place,
                     CASE WHEN a.attnum IS NULL
                          THEN format('ADD COLUMN %I %s%s', n.name, n.type, ' NOT NULL DEFAULT ' || n.value)
                          WHEN n.value IS NOT NULL AND NOT a.atthasdef
                          THEN format('ALTER COLUMN %I SET DEFAULT %s', n.name,
                                      CASE WHEN a.atttypid = 'timestamp'::regtype THEN '(now() AT TIME ZONE ''UTC'')'
                                           ELSE n.value END) END AS action
              FROM taskapi.needed_columns($1) n
              LEFT JOIN pg_attribute a ON a.attrelid = ($1).source AND a.attname = n.name) n
        WHERE n.action IS NOT NULL HAVING count(*) > 0;
    END;
COMMENT ON FUNCTION taskapi.column_statements(taskapi.wanted_resource) IS
    'Internal: the statement that gives a table the columns and defaults that it lacks as a resource';

CREATE FUNCTION taskapi.shown_columns(view regclass) RETURNS smallint[]
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(array_agg(c.source_attnum), '{}') FROM taskapi.resource_columns($1) c WHERE c.source_attnum IS NOT NULL;
    END;
COMMENT ON FUNCTION taskapi.shown_columns(regclass) IS
    'Internal: the columns of its table that a view of a resource shows, by number';

-- The one or the other view of a resource, if it is there; what is to be made again is not.
CREATE FUNCTION taskapi.present_view(wanted taskapi.wanted_resource, deleted boolean) RETURNS regclass
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT c.oid FROM pg_class c
        WHERE c.oid = CASE WHEN $2 THEN (($1).former).deleted_resource ELSE (($1).former).resource END
          AND ($1).remake IS NOT TRUE;
    END;
COMMENT ON FUNCTION taskapi.present_view(taskapi.wanted_resource, boolean) IS
    'Internal: the view of the live or deleted rows of a resource that is wanted, if it can be kept';

-- The order of the deleted rows of a resource: last deleted first.
CREATE FUNCTION taskapi.deleted_order(key name[], deleted_at_column name) RETURNS text
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format('%I DESC', $2) || coalesce(string_agg(format(', %I DESC', k.name), '' ORDER BY k.place), '')
        FROM unnest($1) WITH ORDINALITY k (name, place) WHERE k.name <> $2;
    END;
COMMENT ON FUNCTION taskapi.deleted_order(name[], name) IS
    'Internal: the order of the deleted rows of a resource with that primary key';

-- A layer finds relations by the columns of foreign keys that views pass on, and would take the deleted rows for a second table
-- of that name: with a second junction many-to-many is ambiguous, and foreign keys lead to the trash. So the columns that others
-- may refer to hide there where they come from (src/base/simple_view.h); to the planner they are the table's.
CREATE FUNCTION taskapi.column_expression(wanted taskapi.wanted_resource, deleted boolean, name name) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format(CASE WHEN $2 AND ($3 = ANY (($1).key)
                                        OR EXISTS (SELECT FROM pg_constraint f
                                                   JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = ANY (f.confkey)
                                                   WHERE f.contype = 'f' AND f.confrelid = ($1).source AND a.attname = $3))
                           THEN 'CASE WHEN true THEN t.%1$I ELSE t.%1$I END' ELSE 't.%1$I' END, $3);
    END;
COMMENT ON FUNCTION taskapi.column_expression(taskapi.wanted_resource, boolean, name) IS
    'Internal: what a view of the live or deleted rows of a resource shows as a column of its table';

-- The columns that a view will have, in order. Those of a view that is there are bound to the columns of the table by number, and
-- follow their names. The view of the deleted rows shows the column that marks them under the name deleted_at too, by which every
-- client restores, unless the table has another column of that name.
CREATE FUNCTION taskapi.view_columns(wanted taskapi.wanted_resource, deleted boolean)
    RETURNS TABLE (name name, was name, source_attnum smallint, expression text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH source AS (
            SELECT s.*, s.name IN (($1).deleted_at_column, 'deletion_id') AND ($1).soft_delete AND NOT $2
                        OR taskapi.is_stamp($1, s.name) AS hidden
            FROM taskapi.source_columns($1) s),
        present AS (
            SELECT c.name AS was, c.source_attnum, c.place, s.name,
                   -- the second column that shows the same
                   $2 AND c.name = 'deleted_at' AND s.name = ($1).deleted_at_column
                   AND count(*) OVER (PARTITION BY c.source_attnum) > 1 AS alias
            FROM taskapi.resource_columns(taskapi.present_view($1, $2)) WITH ORDINALITY c (name, source_attnum, place)
            LEFT JOIN source s ON s.attnum = c.source_attnum),
        ordered AS (
            SELECT taskapi.deleted_order(($1).key, ($1).deleted_at_column) AS deleted, ($1).order_by AS live),
        cursor AS (
            SELECT format('taskapi.cursor(%L, %s)', o.order_by,
                          string_agg(format('t.%I', s.c), ', ' ORDER BY s.place)) AS expression
            FROM (SELECT CASE WHEN $2 THEN o.deleted ELSE o.live END AS order_by FROM ordered o) o,
                 taskapi.order_by_columns(o.order_by) t, unnest(t.columns) WITH ORDINALITY s (c, place)
            GROUP BY o.order_by),
        wanted AS (
            SELECT 1 AS part, p.place, p.was, p.source_attnum,
                   CASE WHEN p.source_attnum IS NULL THEN p.was WHEN p.alias THEN 'deleted_at' ELSE p.name END AS name,
                   CASE WHEN p.source_attnum IS NULL THEN c.expression
                        ELSE taskapi.column_expression($1, $2, p.name::name) END AS expression
            FROM present p, cursor c
            UNION ALL
            SELECT 2 AS part, s.attnum AS place, NULL::name AS was, s.attnum AS source_attnum, s.name,
                   taskapi.column_expression($1, $2, s.name::name) AS expression
            FROM source s
            WHERE NOT s.hidden AND (NOT s.private OR s.name = ANY (($1).key))
              AND s.attnum NOT IN (SELECT p.source_attnum FROM present p WHERE p.source_attnum IS NOT NULL)
            UNION ALL
            SELECT 3 AS part, 0 AS place, NULL::name AS was, s.attnum AS source_attnum, 'deleted_at'::name AS name,
                   format('t.%I', s.name) AS expression
            FROM source s
            WHERE $2 AND s.name = ($1).deleted_at_column AND s.name <> 'deleted_at'
              AND NOT EXISTS (SELECT FROM present p WHERE p.alias)
              AND NOT EXISTS (SELECT FROM source o WHERE o.name = 'deleted_at')
            UNION ALL
            SELECT 4 AS part, 0 AS place, NULL::name AS was, NULL::smallint AS source_attnum, 'cursor'::name AS name, c.expression
            FROM cursor c
            WHERE NOT EXISTS (SELECT FROM present p WHERE p.source_attnum IS NULL))
        SELECT w.name::name, w.was::name, w.source_attnum, w.expression FROM wanted w ORDER BY w.part, w.place;
    END;
COMMENT ON FUNCTION taskapi.view_columns(taskapi.wanted_resource, boolean) IS
    'Internal: the columns that the view of the live or deleted rows of a resource will have';

-- Columns that the views of a resource show and that are to leave it: a view cannot lose a column. They are private since, or
-- mark deletion since; or the other name of the column of deletion is one of the table since.
CREATE FUNCTION taskapi.leaving_columns(wanted taskapi.wanted_resource) RETURNS name[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(array_agg(DISTINCT l.name), '{}')
        FROM (SELECT s.name
              FROM taskapi.source_columns($1) s, pg_class c, LATERAL unnest(taskapi.shown_columns(c.oid::regclass)) u (attnum)
              WHERE c.oid IN ((($1).former).resource, (($1).former).deleted_resource) AND s.attnum = u.attnum
                AND (s.private AND s.name <> ALL (($1).key)
                     OR ($1).soft_delete AND c.oid = (($1).former).resource
                        AND s.name IN (($1).deleted_at_column, 'deletion_id')
                     OR ($1).changes AND s.name = 'changed')
              UNION ALL
              SELECT c.name
              FROM pg_class v, LATERAL taskapi.resource_columns(v.oid::regclass) c,
                   LATERAL taskapi.resource_columns(v.oid::regclass) o
              WHERE v.oid = (($1).former).deleted_resource AND c.name = 'deleted_at' AND o.name <> 'deleted_at'
                AND o.source_attnum = c.source_attnum
                AND EXISTS (SELECT FROM taskapi.source_columns($1) s WHERE s.name = 'deleted_at')) l;
    END;
COMMENT ON FUNCTION taskapi.leaving_columns(taskapi.wanted_resource) IS
    'Internal: the columns that the views of a resource show and must no longer show';

-- Each as its owner. What is gone is passed by, and so is what a registry entry only claims to be of the resource.
CREATE FUNCTION taskapi.drop_statements(entry taskapi.resource) RETURNS TABLE (runs_as regrole, statement text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT d.owner::regrole, d.statement
        FROM (SELECT 1, p.proowner, format('DROP FUNCTION %s', p.oid::regprocedure) FROM pg_proc p
              WHERE p.oid IN (taskapi.page_function_of(($1).resource), taskapi.page_function_of(($1).deleted_resource),
                              taskapi.changes_function_of(($1).resource))
              UNION ALL
              SELECT 2, c.relowner, format('DROP VIEW %s', c.oid::regclass) FROM pg_class c
              WHERE c.oid = ($1).deleted_resource AND taskapi.is_own_view(c.oid, ($1).source)
              UNION ALL
              SELECT 3, c.relowner, format('DROP VIEW %s', c.oid::regclass) FROM pg_class c
              WHERE c.oid = ($1).resource AND c.relkind = 'v') d (place, owner, statement)
        ORDER BY d.place;
    END;
COMMENT ON FUNCTION taskapi.drop_statements(taskapi.resource) IS
    'Internal: drop the views and the page function of a resource';

-- The triggers that are ours, with their bits in pg_trigger.tgtype: 1 row, 2 before, 4 insert, 8 delete, 16 update, 64 instead
-- of. Those of a table are for writers who go round the resource; their names sort after all other triggers', but
-- for the one that publishes: a trigger after it that writes the row again publishes after it.
CREATE FUNCTION taskapi.resource_triggers(kinds text[])
    RETURNS TABLE (name name, type smallint, events text, level text, function regprocedure)
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT v.name, v.type, v.events, CASE WHEN v.type & 1 = 1 THEN 'ROW' ELSE 'STATEMENT' END, v.function::regprocedure
        FROM (VALUES
            ('live',        93, 'taskapi_write',           'INSTEAD OF INSERT OR DELETE OR UPDATE', 'taskapi.resource_write()'),
            ('live',        30, 'taskapi_statement_start', 'BEFORE INSERT OR DELETE OR UPDATE', 'taskapi.resource_statement()'),
            ('live',        28, 'taskapi_statement_end',   'AFTER INSERT OR DELETE OR UPDATE', 'taskapi.resource_statement()'),
            ('deleted',     89, 'taskapi_write',           'INSTEAD OF DELETE OR UPDATE', 'taskapi.resource_write()'),
            ('deleted',     26, 'taskapi_statement_start', 'BEFORE DELETE OR UPDATE', 'taskapi.resource_statement()'),
            ('deleted',     24, 'taskapi_statement_end',   'AFTER DELETE OR UPDATE', 'taskapi.resource_statement()'),
            -- before the touch, to which its stamp is no change
            ('changes',     31, 'zz_taskapi_change',       'BEFORE INSERT OR DELETE OR UPDATE', 'taskapi.change_stamp()'),
            ('versioned',   19, 'zz_taskapi_touch',        'BEFORE UPDATE', 'taskapi.resource_touch()'),
            ('source',      21, 'zz_taskapi_reference',    'AFTER INSERT OR UPDATE', 'taskapi.resource_reference()'),
            ('published',   29, '00_taskapi_publish', 'AFTER INSERT OR DELETE OR UPDATE', 'taskapi.resource_publish()'))
            v (kind, type, name, events, function)
        WHERE v.kind = ANY ($1);
    END;
COMMENT ON FUNCTION taskapi.resource_triggers(text[]) IS 'Internal: the triggers of the extension that are of the given kinds';

CREATE FUNCTION taskapi.own_triggers(relation regclass) RETURNS TABLE (name name, function regprocedure)
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT t.tgname, t.tgfoid::regprocedure FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = $1 AND NOT t.tgisinternal AND p.pronamespace = 'taskapi'::regnamespace
          AND t.tgname ~ '^(zz_|00_)?taskapi_' ORDER BY t.tgname;
    END;
COMMENT ON FUNCTION taskapi.own_triggers(regclass) IS 'Internal: the triggers of the extension on a table or view';

-- What is there already is left alone, since to create a trigger locks a table against writers, and to drop one against readers;
-- what another version called otherwise goes, and one that is disabled is enabled. "relation" is NULL for a view that is made.
CREATE FUNCTION taskapi.trigger_statements(relation regclass, qualified text, kinds text[]) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT s.statement
        FROM (SELECT 1, o.name, format('DROP TRIGGER %I ON %s', o.name, $2)
              FROM taskapi.own_triggers($1) o WHERE o.name NOT IN (SELECT w.name FROM taskapi.resource_triggers($3) w)
              UNION ALL
              SELECT 2, w.name, format('CREATE OR REPLACE TRIGGER %I %s ON %s FOR EACH %s EXECUTE FUNCTION %s',
                                       w.name, w.events, $2, w.level, w.function)
              FROM taskapi.resource_triggers($3) w
              WHERE NOT EXISTS (SELECT FROM pg_trigger t
                                WHERE t.tgrelid = $1 AND t.tgname = w.name AND t.tgtype = w.type AND t.tgfoid = w.function
                                  AND t.tgattr = '' AND t.tgqual IS NULL AND t.tgnargs = 0 AND t.tgconstraint = 0
                                  AND t.tgoldtable IS NULL AND t.tgnewtable IS NULL)
              UNION ALL
              -- one that is ENABLE ALWAYS stays so; of a partitioned table the partitions' are meant too
              SELECT DISTINCT 3, t.tgname, format('ALTER TABLE %s ENABLE TRIGGER %I', $2, t.tgname)
              FROM pg_trigger t JOIN taskapi.resource_triggers($3) w ON t.tgname = w.name AND t.tgfoid = w.function
              WHERE t.tgenabled IN ('D', 'R') AND w.name <> 'zz_taskapi_change'
                AND (t.tgrelid = $1 OR t.tgrelid IN (SELECT p.relid FROM pg_partition_tree($1) p))
              UNION ALL
              -- a subscriber of logical replication stamps with ids of its own
              SELECT 4, w.name, format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', $2, w.name)
              FROM taskapi.resource_triggers($3) w
              WHERE w.name = 'zz_taskapi_change'
                AND (NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = $1 AND t.tgname = w.name)
                     OR EXISTS (SELECT FROM pg_trigger t
                                WHERE t.tgname = w.name AND t.tgfoid = w.function AND t.tgenabled <> 'A'
                                  AND (t.tgrelid = $1 OR t.tgrelid IN (SELECT p.relid FROM pg_partition_tree($1) p))))
             ) s (place, name, statement)
        ORDER BY s.place, s.name;
    END;
COMMENT ON FUNCTION taskapi.trigger_statements(regclass, text, text[]) IS
    'Internal: create the triggers of the given kinds on a relation, and drop the other triggers of the extension';

CREATE FUNCTION taskapi.source_trigger_statements(source regclass, versioned boolean, exposed boolean, published boolean,
                                                  changes boolean)
    RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT taskapi.trigger_statements($1, $1::text, ARRAY[CASE WHEN $2 THEN 'versioned' END, CASE WHEN $3 THEN 'source' END,
                                                              CASE WHEN $4 THEN 'published' END,
                                                              CASE WHEN $5 THEN 'changes' END]);
    END;
COMMENT ON FUNCTION taskapi.source_trigger_statements(regclass, boolean, boolean, boolean, boolean) IS
    'Internal: create the triggers that the resources made of a table need, and drop the other triggers of the extension';

-- Columns that were renamed. Two may have swapped their names: then all take a name that is nobody's first.
CREATE FUNCTION taskapi.rename_statements(wanted taskapi.wanted_resource, deleted boolean, qualified text) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH present AS MATERIALIZED (SELECT v.* FROM taskapi.view_columns($1, $2) v WHERE v.was IS NOT NULL),
        renamed AS (
            SELECT v.was, v.name, row_number() OVER (ORDER BY v.was) AS number,
                   EXISTS (SELECT FROM present o WHERE o.was = v.name) AS taken
            FROM present v WHERE v.was <> v.name)
        SELECT format('ALTER VIEW %s RENAME COLUMN %I TO %I', $3, s.was, s.name)
        FROM (SELECT 1, r.number, r.was::text, 'taskapi ' || r.number FROM renamed r WHERE r.taken
              UNION ALL
              SELECT 2, r.number, CASE WHEN r.taken THEN 'taskapi ' || r.number ELSE r.was END, r.name FROM renamed r
             ) s (place, number, was, name)
        ORDER BY s.place, s.number;
    END;
COMMENT ON FUNCTION taskapi.rename_statements(taskapi.wanted_resource, boolean, text) IS
    'Internal: give the columns of a view of a resource the names that the columns of the table have now';

-- Where the URL of the next page is. In one direction and without NULLs, the columns' own index serves both order and cursor;
-- otherwise one on the cursor does.
CREATE FUNCTION taskapi.cursor_comment(wanted taskapi.wanted_resource, deleted boolean) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    order_by CONSTANT text := CASE WHEN deleted THEN taskapi.deleted_order(wanted.key, wanted.deleted_at_column)
                              ELSE wanted.order_by END;
    name     CONSTANT text := CASE WHEN deleted THEN 'deleted_' ELSE '' END || wanted.resource;
    sorted   record;
    forth    text := 'cursor';
    back     text := 'cursor.desc';
BEGIN
    SELECT * INTO sorted FROM taskapi.order_by_columns(order_by);
    IF NOT (true = ANY (sorted.descending) AND false = ANY (sorted.descending))
       AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = wanted.source AND a.attname = ANY (sorted.columns)
                           AND NOT a.attnotnull AND NOT (deleted AND a.attname = wanted.deleted_at_column)) THEN
        SELECT string_agg(c || CASE WHEN sorted.descending[1] THEN '.desc' ELSE '' END, ',' ORDER BY place),
               string_agg(c || CASE WHEN sorted.descending[1] THEN '' ELSE '.desc' END, ',' ORDER BY place)
        INTO forth, back FROM unnest(sorted.columns) WITH ORDINALITY u (c, place);
    END IF;
    RETURN format('Where the row stands in order_by %s. Next page: /%s?order=%s&limit=50&cursor=gt.TOKEN, with the cursor of the'
                  ' last row, until a page is empty; previous page, backwards: /%s?order=%s&limit=50&cursor=lt.TOKEN, with'
                  ' that of the first',
                  order_by, name, forth, name, back);
END
$$;
COMMENT ON FUNCTION taskapi.cursor_comment(taskapi.wanted_resource, boolean) IS
    'Internal: the comment on the column cursor of a view of a resource';

-- Defaults, and comments. The default of a column is the table's at that moment, whatever it becomes later; that of the cursor
-- tells the trigger which columns an INSERT names.
CREATE FUNCTION taskapi.dress_statements(wanted taskapi.wanted_resource, deleted boolean, qualified text) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        -- each is computed once: a table can have many columns
        WITH view AS MATERIALIZED (
            SELECT taskapi.present_view($1, $2) AS id),
        present AS MATERIALIZED (
            -- a default names no column, and without a relation that is a matter of its length only
            SELECT a.attname AS name, pg_get_expr(d.adbin, 0) AS value, col_description(a.attrelid, a.attnum) AS comment
            FROM view v JOIN pg_attribute a ON a.attrelid = v.id AND a.attnum > 0
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum),
        columns AS MATERIALIZED (
            SELECT c.* FROM taskapi.view_columns($1, $2) WITH ORDINALITY c (name, was, source_attnum, expression, place)),
        source AS MATERIALIZED (
            SELECT s.attnum, s.comment, CASE WHEN NOT $2 AND NOT (($1).versioned AND s.name IN ('version', 'updated_at'))
                                             THEN s.default_expression END AS value
            FROM taskapi.source_columns($1) s),
        shown AS MATERIALIZED (
            SELECT c.name, c.place, s.comment, s.value, p.value AS former_value, p.comment AS former_comment
            FROM columns c JOIN source s ON s.attnum = c.source_attnum LEFT JOIN present p ON p.name = c.was)
        SELECT s.statement
        FROM (SELECT 1, s.place, format('ALTER VIEW %s ALTER COLUMN %I %s', $3, s.name,
                                        coalesce('SET DEFAULT ' || s.value, 'DROP DEFAULT'))
              FROM shown s WHERE s.value IS DISTINCT FROM s.former_value
              UNION ALL
              SELECT 2, 0, format('ALTER VIEW %s ALTER COLUMN cursor SET DEFAULT taskapi.insert_columns()', $3)
              WHERE NOT $2 AND NOT EXISTS (SELECT FROM present p WHERE p.name = 'cursor' AND p.value IS NOT NULL)
              UNION ALL
              SELECT 3, s.place, format('COMMENT ON COLUMN %s.%I IS %L', $3, s.name, s.comment)
              FROM shown s WHERE s.comment IS DISTINCT FROM s.former_comment
              UNION ALL
              SELECT 4, 0, format('COMMENT ON COLUMN %s.cursor IS %L', $3, c.comment)
              FROM taskapi.cursor_comment($1, $2) c (comment)
              WHERE c.comment IS DISTINCT FROM (SELECT p.comment FROM present p WHERE p.name = 'cursor')
              UNION ALL
              SELECT 5, 0, format('COMMENT ON VIEW %s IS %L', $3, c.comment)
              FROM (SELECT coalesce(obj_description(($1).source, 'pg_class'), 'Rows of ' || ($1).source)
                           || CASE WHEN $2 THEN E'\n\nThose that are deleted. PATCH {"deleted_at": null} restores,'
                                                ' DELETE purges for good.' ELSE '' END) c (comment)
              WHERE c.comment IS DISTINCT FROM (SELECT obj_description(v.id, 'pg_class') FROM view v)
             ) s (part, place, statement)
        ORDER BY s.part, s.place;
    END;
COMMENT ON FUNCTION taskapi.dress_statements(taskapi.wanted_resource, boolean, text) IS
    'Internal: give a view of a resource the defaults and comments of its table';

-- A view of a resource: created as the creator, and the owner's from then on.
CREATE FUNCTION taskapi.view_statements(wanted taskapi.wanted_resource, deleted boolean)
    RETURNS TABLE (runs_as regrole, statement text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    view      CONSTANT regclass := taskapi.present_view(wanted, deleted);
    name      CONSTANT name := CASE WHEN deleted THEN 'deleted_' ELSE '' END || wanted.resource;
    qualified CONSTANT text := format('%I.%I', wanted.api_schema, name);
BEGIN
    -- the view of the deleted rows follows that of the live rows
    RETURN QUERY
        SELECT wanted.creator, format('ALTER VIEW %s SET SCHEMA %I', view, wanted.api_schema)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = view AND n.nspname <> wanted.api_schema
        UNION ALL
        SELECT wanted.creator, format('ALTER VIEW %I.%I RENAME TO %I', wanted.api_schema, c.relname, name)
        FROM pg_class c WHERE c.oid = view AND c.relname <> name;
    RETURN QUERY SELECT wanted.creator, s FROM taskapi.rename_statements(wanted, deleted, qualified) s;
    RETURN QUERY
        SELECT wanted.creator,
               format('CREATE OR REPLACE VIEW %s WITH (security_invoker = true) AS SELECT %s FROM %s AS t%s', qualified,
                      string_agg(v.expression || CASE WHEN v.expression <> format('t.%I', v.name) THEN format(' AS %I', v.name)
                                                 ELSE '' END, ', ' ORDER BY v.place),
                      wanted.source,
                      CASE WHEN wanted.soft_delete THEN format(' WHERE t.%I IS %s', wanted.deleted_at_column,
                                                               CASE WHEN deleted THEN 'NOT NULL' ELSE 'NULL' END) END)
        FROM taskapi.view_columns(wanted, deleted) WITH ORDINALITY v (name, was, source_attnum, expression, place);
    IF view IS NULL THEN
        IF wanted.creator <> wanted.owner THEN
            RETURN QUERY SELECT wanted.creator, format('ALTER VIEW %s OWNER TO %s', qualified, wanted.owner);
        END IF;
        RETURN QUERY SELECT wanted.owner, format('SELECT taskapi.revoke_from_others(''pg_class'', %L::regclass)', qualified);
    END IF;
    RETURN QUERY SELECT wanted.owner, s FROM taskapi.dress_statements(wanted, deleted, qualified) s;
    RETURN QUERY SELECT wanted.owner, s
                 FROM taskapi.trigger_statements(view, qualified, ARRAY[CASE WHEN deleted THEN 'deleted' ELSE 'live' END]) s;
END
$$;
COMMENT ON FUNCTION taskapi.view_statements(taskapi.wanted_resource, boolean) IS
    'Internal: create the view of the live or deleted rows of a resource, or bring it up to date';

-- RESOURCE_page(order_by, page_size, page_token, filter, count, fields, show_deleted), and deleted_RESOURCE_page() with the same
-- arguments, whose rows are deleted in any case; that one is left out if its name would be too long. The columns of a page are
-- called fields here: in a URL, columns is PostgREST's own. One that an earlier version made with other arguments or another
-- result cannot be replaced: it goes, and what roles were granted passes on. A new one is for those who may read the view.
CREATE FUNCTION taskapi.page_statements(wanted taskapi.wanted_resource, deleted boolean)
    RETURNS TABLE (runs_as regrole, statement text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    view      CONSTANT text := CASE WHEN deleted THEN 'deleted_' ELSE '' END || wanted.resource;
    name      CONSTANT text := view || '_page';
    arguments CONSTANT text[] := '{order_by,page_size,page_token,filter,count,fields,show_deleted}';
    qualified CONSTANT text := format('%I.%I(text, int, text, jsonb, text, text[], boolean)', wanted.api_schema, name);
    order_by  CONSTANT text := CASE WHEN deleted THEN taskapi.deleted_order(wanted.key, wanted.deleted_at_column)
                               ELSE wanted.order_by END;
    comment   CONSTANT text := format('A page of %s, in order %s unless told otherwise:'
                                      ' GET /rpc/%s?page_size=50&page_token=TOKEN, until next_page_token is empty',
                                      view, order_by, name);
    former    CONSTANT regclass := CASE WHEN deleted THEN (wanted.former).deleted_resource ELSE (wanted.former).resource END;
    old       record;
    made      regprocedure := CASE WHEN NOT wanted.remake THEN to_regprocedure(qualified) END;
    readers   oid[] := ARRAY(
        SELECT DISTINCT a.grantee FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = former AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner ORDER BY 1);
BEGIN
    IF octet_length(name) > 63 THEN
        RETURN;
    END IF;
    FOR old IN
        SELECT p.oid::regprocedure AS function, p.proowner::regrole AS owner,
               ARRAY(SELECT DISTINCT a.grantee FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                     WHERE a.grantee NOT IN (0, p.proowner) ORDER BY 1) AS callers
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE NOT wanted.remake
          AND (p.proname = (wanted.former).page_function AND NOT deleted OR p.oid = taskapi.page_function_of(former))
          AND (n.nspname, p.proname, p.proargtypes, p.proargnames, p.prorettype) IS DISTINCT FROM
              (wanted.api_schema, name::name, taskapi.page_arguments(), arguments, 'taskapi.page_result'::regtype::oid)
          AND starts_with(obj_description(p.oid, 'pg_proc'), 'A page of ')
          AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                          AND d.refclassid = 'pg_class'::regclass AND d.refobjid = former)
    LOOP
        readers := old.callers;
        made := nullif(made, old.function);
        RETURN QUERY SELECT old.owner, format('DROP FUNCTION %s', old.function);
    END LOOP;
    RETURN QUERY SELECT wanted.creator, format(
        'CREATE OR REPLACE FUNCTION %I.%I(order_by text DEFAULT NULL, page_size int DEFAULT NULL, page_token text DEFAULT NULL,'
        ' filter jsonb DEFAULT NULL, count text DEFAULT NULL, fields text[] DEFAULT NULL, show_deleted boolean DEFAULT false)'
        ' RETURNS taskapi.page_result LANGUAGE sql STABLE'
        ' RETURN taskapi.resource_page(%L::regclass, %L::boolean, %L, $1, $2, $3, $4, $5, $6, %s)',
        wanted.api_schema, name, format('%I.%I', wanted.api_schema, view), wanted.soft_delete AND NOT deleted, order_by,
        CASE WHEN deleted THEN 'false' ELSE '$7' END);
    IF made IS NULL THEN
        IF wanted.creator <> wanted.owner THEN
            RETURN QUERY SELECT wanted.creator, format('ALTER FUNCTION %s OWNER TO %s', qualified, wanted.owner);
        END IF;
        RETURN QUERY SELECT wanted.owner, format('SELECT taskapi.revoke_from_others(''pg_proc'', %L::regprocedure)', qualified);
        RETURN QUERY SELECT wanted.owner, format('GRANT EXECUTE ON FUNCTION %s TO %s', qualified, taskapi.grantee_name(g))
                     FROM unnest(readers) g WHERE NOT wanted.remake;
    END IF;
    IF made IS NULL OR obj_description(made, 'pg_proc') IS DISTINCT FROM comment THEN
        RETURN QUERY SELECT wanted.owner, format('COMMENT ON FUNCTION %s IS %L', qualified, comment);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.page_statements(taskapi.wanted_resource, boolean) IS
    'Internal: create the function that answers with a page of the live or deleted rows, or bring it up to date';

-- A schema that expose() creates is out of the reach of others.
CREATE FUNCTION taskapi.schema_statements(wanted taskapi.wanted_resource) RETURNS TABLE (runs_as regrole, statement text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regnamespace(quote_ident(wanted.api_schema)) IS NULL THEN
        RETURN QUERY SELECT me.oid::regrole, format('CREATE SCHEMA %I AUTHORIZATION %s', wanted.api_schema, wanted.creator)
                     FROM pg_roles me WHERE me.rolname = current_user;
        RETURN QUERY SELECT wanted.creator,
                            format('SELECT taskapi.revoke_from_others(''pg_namespace'', %L::regnamespace)',
                                   quote_ident(wanted.api_schema));
    END IF;
    IF wanted.creator <> wanted.owner
       AND has_schema_privilege(wanted.owner, to_regnamespace(quote_ident(wanted.api_schema))::oid, 'USAGE') IS NOT TRUE THEN
        RETURN QUERY SELECT wanted.creator, format('GRANT USAGE ON SCHEMA %I TO %s', wanted.api_schema, wanted.owner);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.schema_statements(taskapi.wanted_resource) IS 'Internal: create the schema of a resource';

-- All of it, in the order in which it is run.
CREATE FUNCTION taskapi.resource_statements(wanted taskapi.wanted_resource) RETURNS TABLE (runs_as regrole, statement text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source CONSTANT regclass := wanted.source;
    others record;
BEGIN
    SELECT bool_or(r.versioned) AS versioned, bool_or(r.publish IS NOT NULL) AS published, bool_or(r.changes) AS changes
    INTO others
    FROM taskapi.resources_of(source) r WHERE r.resource IS DISTINCT FROM (wanted.former).resource;
    RETURN QUERY SELECT s.* FROM taskapi.schema_statements(wanted) s;
    RETURN QUERY SELECT wanted.owner, s FROM taskapi.column_statements(wanted) s;
    IF wanted.remake THEN
        RETURN QUERY SELECT wanted.owner, s FROM taskapi.revoke_statements(wanted) s;
        RETURN QUERY SELECT s.* FROM taskapi.drop_statements(wanted.former) s;
    END IF;
    RETURN QUERY SELECT s.* FROM taskapi.view_statements(wanted, false) s;
    IF wanted.soft_delete THEN
        RETURN QUERY SELECT s.* FROM taskapi.view_statements(wanted, true) s;
    ELSIF NOT wanted.remake THEN
        RETURN QUERY SELECT s.* FROM taskapi.drop_statements(
            ROW(NULL, source, (wanted.former).deleted_resource, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                NULL, NULL, NULL)::taskapi.resource) s;
    END IF;
    RETURN QUERY SELECT s.* FROM taskapi.page_statements(wanted, false) s;
    IF wanted.soft_delete THEN
        RETURN QUERY SELECT s.* FROM taskapi.page_statements(wanted, true) s;
    END IF;
    RETURN QUERY SELECT s.* FROM taskapi.changes_statements(wanted) s;
    RETURN QUERY SELECT s.* FROM taskapi.departures_statements(wanted) s;
    RETURN QUERY SELECT wanted.owner, s
                 FROM taskapi.source_trigger_statements(source, wanted.versioned OR others.versioned IS TRUE, true,
                                                        wanted.publish IS NOT NULL OR others.published IS TRUE,
                                                        wanted.changes OR others.changes IS TRUE) s;
    RETURN QUERY SELECT wanted.owner, s FROM taskapi.changes_grants(wanted) s;
    IF wanted.remake THEN
        RETURN QUERY SELECT wanted.owner, s FROM taskapi.remade_grants(wanted) s;
    END IF;
    RETURN QUERY SELECT wanted.owner, s FROM taskapi.new_column_grants(wanted) s;
END
$$;
COMMENT ON FUNCTION taskapi.resource_statements(taskapi.wanted_resource) IS
    'Internal: the statements that make a resource, or bring it up to date, and the role that runs each';

-- sql/install/67_resource_grants.sql
-- Who may use a resource: what expose() passes on, and grant_resource(). Each statement is run as the owner of what it is about.

-- The grants on a view or function, but those on some columns, as statements.
CREATE FUNCTION taskapi.grants_on(class regclass, object oid, but name[]) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(array_agg(format('GRANT %s ON %s TO %s%s', g.privilege, g.name, taskapi.grantee_name(g.grantee),
                                         CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END)
                                  ORDER BY g.name, g.grantee, g.privilege), '{}')
        FROM (SELECT c.oid::regclass::text AS name, a.privilege_type AS privilege, a.grantee, a.is_grantable
              FROM pg_class c, aclexplode(c.relacl) a WHERE $1 = 'pg_class'::regclass AND c.oid = $2 AND a.grantee <> c.relowner
              UNION ALL
              SELECT c.oid::regclass::text, format('%s (%I)', a.privilege_type, t.attname), a.grantee, a.is_grantable
              FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
              WHERE $1 = 'pg_class'::regclass AND c.oid = $2 AND a.grantee <> c.relowner AND t.attname <> ALL ($3)
              UNION ALL
              SELECT 'FUNCTION ' || p.oid::regprocedure, a.privilege_type, a.grantee, a.is_grantable
              FROM pg_proc p, aclexplode(p.proacl) a WHERE $1 = 'pg_proc'::regclass AND p.oid = $2 AND a.grantee <> p.proowner) g;
    END;
COMMENT ON FUNCTION taskapi.grants_on(regclass, oid, name[]) IS
    'Internal: the grants on a view or function as statements, but those on the given columns';

CREATE FUNCTION taskapi.holds(grantee oid, relation regclass, column_number smallint, privilege text) RETURNS boolean
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT CASE WHEN $1 = 0 THEN coalesce(has_column_privilege('public', $2, $3, $4), has_table_privilege('public', $2, $4))
               ELSE coalesce(has_column_privilege($1, $2, $3, $4), has_table_privilege($1, $2, $4)) END;
    END;
COMMENT ON FUNCTION taskapi.holds(oid, regclass, smallint, text) IS
    'Internal: whether a grantee of aclexplode() has a privilege on a column, or will have on one that is added';

-- Whoever was granted the resource is granted the columns that it shows since this call, as far as it holds the same privilege on
-- some column of before; and readers the column of deletion, if the view asks for it since this call. What was revoked is not
-- given back.
CREATE FUNCTION taskapi.new_column_grants(wanted taskapi.wanted_resource) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH former AS (SELECT taskapi.shown_columns((($1).former).resource) AS shown)
        SELECT format('GRANT %s (%s) ON %s TO %s', g.privilege_type, string_agg(quote_ident(s.name), ', ' ORDER BY s.attnum),
                      ($1).source, taskapi.grantee_name(g.grantee))
        FROM former f, pg_class c, aclexplode(c.relacl) g, taskapi.source_columns($1) s
        WHERE c.oid = (($1).former).resource AND g.privilege_type IN ('SELECT', 'INSERT', 'UPDATE') AND g.grantee <> c.relowner
          AND s.attnum <> ALL (f.shown)
          AND (s.attnum IN (SELECT v.source_attnum FROM taskapi.view_columns($1, false) v WHERE v.source_attnum IS NOT NULL)
               OR s.name = ($1).deleted_at_column AND ($1).soft_delete AND NOT (($1).former).soft_delete
                  AND g.privilege_type = 'SELECT')
          AND (g.privilege_type = 'SELECT'
               OR NOT s.generated AND NOT (($1).versioned AND s.name IN ('version', 'updated_at')))
          AND EXISTS (SELECT FROM unnest(f.shown) u WHERE taskapi.holds(g.grantee, ($1).source, u, g.privilege_type))
          AND NOT taskapi.holds(g.grantee, ($1).source, s.attnum, g.privilege_type)
        GROUP BY g.privilege_type, g.grantee ORDER BY g.grantee, g.privilege_type;
    END;
COMMENT ON FUNCTION taskapi.new_column_grants(taskapi.wanted_resource) IS
    'Internal: grant the columns that a resource shows since this call to those who were granted the resource';

-- What was granted on the views and the page function, before they are made again; columns by the names that they will have.
CREATE FUNCTION taskapi.remade_grants(wanted taskapi.wanted_resource) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH views AS (
            SELECT v.view, v.place
            FROM (VALUES ((($1).former).resource, 1),
                         (CASE WHEN ($1).soft_delete THEN (($1).former).deleted_resource END, 2)) v (view, place))
        SELECT s.statement
        FROM (SELECT v.place, 0, g.statement
              FROM views v, LATERAL unnest(taskapi.grants_on('pg_class', v.view, ARRAY(
                       SELECT a.attname FROM pg_attribute a WHERE a.attrelid = v.view))) g (statement)
              UNION ALL
              SELECT v.place, 1, format('GRANT %s (%I) ON %s TO %s%s', g.privilege_type, coalesce(s.name, c.name), v.view,
                                        taskapi.grantee_name(g.grantee), CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END)
              FROM views v JOIN pg_class r ON r.oid = v.view CROSS JOIN LATERAL taskapi.resource_columns(v.view) c
              JOIN pg_attribute a ON a.attrelid = v.view AND a.attname = c.name
              LEFT JOIN taskapi.source_columns($1) s ON s.attnum = c.source_attnum CROSS JOIN LATERAL aclexplode(a.attacl) g
              WHERE c.name <> ALL (($1).leaving) AND g.grantee <> r.relowner
              UNION ALL
              SELECT 3, v.place, g.statement
              FROM views v, LATERAL unnest(taskapi.grants_on('pg_proc', taskapi.page_function_of(v.view), '{}')) g (statement)
             ) s (place, part, statement)
        ORDER BY s.place, s.part, s.statement;
    END;
COMMENT ON FUNCTION taskapi.remade_grants(taskapi.wanted_resource) IS
    'Internal: the grants on the views and the page function of a resource that are made again';

-- Whoever was granted the resource was granted the columns of the table: those that leave the resource are taken back.
CREATE FUNCTION taskapi.revoke_statements(wanted taskapi.wanted_resource) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format('REVOKE %s (%I) ON %s FROM %s', t.privilege_type, a.attname, ($1).source, taskapi.grantee_name(t.grantee))
        FROM pg_attribute a, aclexplode(a.attacl) t
        WHERE a.attrelid = ($1).source AND a.attname = ANY (($1).leaving)
          AND coalesce(col_description(a.attrelid, a.attnum), '') LIKE '@private%'
          AND t.grantee IN (SELECT g.grantee FROM pg_class c, aclexplode(c.relacl) g
                            WHERE c.oid IN ((($1).former).resource, (($1).former).deleted_resource) AND g.grantee <> c.relowner)
        ORDER BY a.attnum, t.grantee, t.privilege_type;
    END;
COMMENT ON FUNCTION taskapi.revoke_statements(taskapi.wanted_resource) IS
    'Internal: take the columns that are private since from those who were granted the resource';

-- What a reader reads of the departures: whatever else stands there is for policies.
CREATE FUNCTION taskapi.told_columns(source regclass, scopes text[]) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ', taskapi_stamp'
        FROM pg_attribute a
        WHERE a.attrelid = $1 AND (a.attname = ANY (taskapi.key_columns($1))
                                   OR a.attname IN (SELECT taskapi.scope_column(s) FROM unnest($2) s));
    END;
COMMENT ON FUNCTION taskapi.told_columns(regclass, text[]) IS
    'Internal: the columns of a table''s departures that readers are granted, as a list';

-- What each action grants, as statements: a table of docs/security.md. The views run with their caller's privileges, so the same
-- columns are granted of the table. To restore or purge a row one has to be able to name it, which read_deleted lets.
CREATE FUNCTION taskapi.resource_grants(entry taskapi.resource, action text) RETURNS TABLE (relation regclass, privilege text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH list AS (
            SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS shown,
                   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (
                       WHERE a.attgenerated = '' AND NOT (($1).versioned AND a.attname IN ('version', 'updated_at'))) AS written,
                   -- by which of its names a client may restore
                   (SELECT string_agg(quote_ident(c.name), ', ')
                    FROM taskapi.resource_columns(($1).deleted_resource) c
                    JOIN pg_attribute d ON d.attrelid = ($1).source AND d.attnum = c.source_attnum
                    WHERE d.attname = ($1).deleted_at_column) AS restored
            FROM pg_attribute a
            WHERE a.attrelid = ($1).source AND a.attnum = ANY (taskapi.shown_columns(($1).resource)))
        SELECT g.relation, g.privilege
        FROM list, LATERAL (VALUES
            ('read',         ($1).resource,         'SELECT'),
            ('read',         ($1).source,           format('SELECT (%s)', list.shown)),
            -- which the view of the live rows asks for
            ('read',         ($1).source,           CASE WHEN ($1).soft_delete
                                                    THEN format('SELECT (%I)', ($1).deleted_at_column) END),
            ('read',         ($1).source,           CASE WHEN ($1).changes THEN 'SELECT (changed)' END),
            ('read',         ($1).departures,       CASE WHEN ($1).changes AND ($1).departures IS NOT NULL THEN
                                                    format('SELECT (%s)', taskapi.told_columns(($1).source,
                                                                                               ARRAY[($1).scope])) END),
            ('read_deleted', ($1).deleted_resource, 'SELECT'),
            ('read_deleted', ($1).source,           format('SELECT (%s, %I, deletion_id)', list.shown, ($1).deleted_at_column)),
            ('create',       ($1).resource,         'INSERT'),
            ('create',       ($1).source,           format('INSERT (%s)', list.written)),
            ('update',       ($1).resource,         'UPDATE'),
            ('update',       ($1).source,           format('UPDATE (%s)', list.written)),
            ('delete',       ($1).resource,         'DELETE'),
            ('delete',       ($1).source,           'DELETE'),
            -- to restore needs the right to update the row, though no column that the client could set
            ('restore',      ($1).deleted_resource, format('UPDATE (%s)', list.restored)),
            ('restore',      ($1).source,           format('UPDATE (%I)', CASE WHEN ($1).versioned THEN 'updated_at'
                                                                               ELSE ($1).deleted_at_column END)),
            ('purge',        ($1).deleted_resource, 'DELETE'),
            ('purge',        ($1).source,           'DELETE')) g (action, relation, privilege)
        WHERE g.privilege IS NOT NULL AND (g.action = $2 OR g.action = 'read_deleted' AND $2 IN ('restore', 'purge'));
    END;
COMMENT ON FUNCTION taskapi.resource_grants(taskapi.resource, text) IS
    'Internal: the privileges on tables and views that an action on a resource takes';

-- grant_resource(resource, grantee, actions): grants a role some of read, read_deleted, create, update, delete, restore and purge
-- on a resource, with USAGE of the two schemas. read is of the live rows alone. Policies still apply. The caller must have the
-- rights of the owner of the views and of the table.
CREATE FUNCTION taskapi.grant_resource(resource regclass, grantee regrole, actions text[] DEFAULT '{read,create,update,delete}')
    RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    entry   CONSTANT taskapi.resource := taskapi.registered_resource(resource);
    unknown text;
    owned   name;
    target  record;
BEGIN
    IF entry.resource IS NULL THEN
        PERFORM taskapi.raise_no_resource(resource);
    END IF;
    IF grantee IS NULL OR actions IS NULL THEN
        RAISE EXCEPTION 'grantee and actions must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = grantee) THEN
        RAISE EXCEPTION 'role % does not exist', grantee USING ERRCODE = 'undefined_object';
    END IF;
    SELECT a INTO unknown FROM unnest(actions) a
    WHERE a IS NULL OR a NOT IN ('read', 'read_deleted', 'create', 'update', 'delete', 'restore', 'purge') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'unrecognized action "%"', coalesce(unknown, 'null')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Actions are read, read_deleted, create, update, delete, restore and purge.';
    END IF;
    IF actions && '{read_deleted,restore,purge}' AND entry.deleted_resource IS NULL THEN
        RAISE EXCEPTION 'resource % has no deleted rows to read, restore or purge', entry.resource
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT c.relname INTO owned FROM pg_class c
    WHERE c.oid IN (entry.resource, entry.source) AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'must be owner of %', owned USING ERRCODE = 'insufficient_privilege';
    END IF;

    -- of the table's schema too: statements on the table are parsed as the caller
    FOR target IN
        SELECT DISTINCT n.nspname AS name,
               -- or as the caller, who may have been granted it WITH GRANT OPTION
               CASE WHEN pg_has_role(n.nspowner, 'USAGE') THEN n.nspowner ELSE me.oid END::regrole AS grantor
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, pg_roles me
        WHERE c.oid IN (entry.resource, entry.source) AND NOT has_schema_privilege(grantee, n.oid, 'USAGE')
          AND me.rolname = current_user
        ORDER BY 1
    LOOP
        PERFORM taskapi.run_as(target.grantor, format('GRANT USAGE ON SCHEMA %I TO %s', target.name, grantee));
    END LOOP;
    FOR target IN
        SELECT DISTINCT g.relation, g.privilege FROM unnest(actions) a, taskapi.resource_grants(entry, a) g ORDER BY 1, 2
    LOOP
        PERFORM taskapi.run_as(taskapi.owner_of(target.relation),
                               format('GRANT %s ON %s TO %s', target.privilege, target.relation, grantee));
    END LOOP;
    FOR target IN
        SELECT p.oid::regprocedure AS function, p.proowner::regrole AS owner FROM pg_proc p
        WHERE 'read' = ANY (actions) AND p.oid IN (taskapi.page_function_of(entry.resource),
                                                   taskapi.changes_function_of(entry.resource))
           OR actions && '{read_deleted,restore,purge}' AND p.oid = taskapi.page_function_of(entry.deleted_resource)
    LOOP
        PERFORM taskapi.run_as(target.owner, format('GRANT EXECUTE ON FUNCTION %s TO %s', target.function, grantee));
    END LOOP;
    IF 'create' = ANY (actions) THEN
        -- Of serial columns, whose default is the caller's to compute. A default may name a sequence of any other role, which
        -- the owner of the table has no say over.
        FOR target IN
            SELECT DISTINCT d.refobjid::regclass AS sequence, c.relowner = taskapi.owner_of(entry.source) AS own
            FROM pg_attrdef a
            JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid AND d.refclassid = 'pg_class'::regclass
            JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'S'
            WHERE a.adrelid = entry.source ORDER BY 1
        LOOP
            IF target.own THEN
                PERFORM taskapi.run_as(taskapi.owner_of(entry.source),
                                       format('GRANT USAGE ON SEQUENCE %s TO %s', target.sequence, grantee));
            ELSE
                RAISE NOTICE 'sequence % does not belong to the owner of table %, and is not granted',
                    target.sequence, entry.source
                    USING HINT = format('A default needs the privilege: GRANT USAGE ON SEQUENCE %s TO %s.',
                                        target.sequence, grantee);
            END IF;
        END LOOP;
    END IF;
    -- a layer shows each role what it may do
    NOTIFY pgrst, 'reload schema';
END
$$;
COMMENT ON FUNCTION taskapi.grant_resource(regclass, regrole, text[]) IS
    'Grants a role some of read, read_deleted, create, update, delete, restore, purge on a resource; policies still apply';

-- sql/install/68_resource_catalog.sql
-- What a layer can ask: the resources, as far as the asking role may use them.

-- A view runs with its caller's rights, and takes them for each column of the table that it names, whichever are asked for.
CREATE FUNCTION taskapi.may_read_view(view regclass, source regclass) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(has_any_column_privilege($1, 'SELECT') AND has_any_column_privilege($2, 'SELECT'), false)
               AND NOT EXISTS (SELECT FROM pg_rewrite w
                               JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                                   AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $2 AND d.refobjsubid > 0
                               WHERE w.ev_class = $1 AND NOT has_column_privilege($2, d.refobjsubid::int2, 'SELECT'));
    END;
COMMENT ON FUNCTION taskapi.may_read_view(regclass, regclass) IS
    'Internal: whether the current role may read a view of a resource, apart from the schema';

-- Row-level security lets nothing be written that no permissive policy is about: every such statement of the role is refused.
-- Which rows a policy is about is not asked.
CREATE FUNCTION taskapi.some_policy(source regclass, command "char") RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT NOT row_security_active($1::oid)
               OR EXISTS (SELECT FROM pg_policy p
                          WHERE p.polrelid = $1 AND p.polpermissive AND p.polcmd IN ('*', $2)
                            AND (0::oid = ANY (p.polroles)
                                 OR EXISTS (SELECT FROM unnest(p.polroles) r (role) WHERE pg_has_role(r.role, 'USAGE'))));
    END;
COMMENT ON FUNCTION taskapi.some_policy(regclass, "char") IS
    'Internal: whether row-level security of a table may let the current role do a (insert), w (update) or d (delete)';

-- What the current role may do with a resource: the actions of grant_resource(), each if it holds the privileges on at least one
-- column, and if a policy is about it.
CREATE FUNCTION taskapi.resource_actions(entry taskapi.resource) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(array_agg(a.action ORDER BY a.place), '{}')
        FROM (SELECT v.oid AS view, d.oid AS trash, t.oid AS source, a.attnum AS restored, m.attnum AS mark,
                     has_schema_privilege(v.relnamespace, 'USAGE') AS reached,
                     -- a statement on the table is parsed as the caller
                     has_schema_privilege(v.relnamespace, 'USAGE') AND has_schema_privilege(t.relnamespace, 'USAGE') AS written
              FROM pg_class v JOIN pg_class t ON t.oid = ($1).source
              LEFT JOIN pg_class d ON d.oid = ($1).deleted_resource
              LEFT JOIN pg_attribute a ON a.attrelid = t.oid
                  AND a.attname = CASE WHEN ($1).versioned THEN 'updated_at' ELSE ($1).deleted_at_column END
              -- by number: of a name that the owner has changed, PostgreSQL raises an error, for whoever asks for any resource
              LEFT JOIN pg_attribute m ON m.attrelid = d.oid AND m.attname = ($1).deleted_at_column
              WHERE v.oid = ($1).resource AND v.relkind = 'v') r,
        LATERAL (VALUES
            (1, 'read', reached AND taskapi.may_read_view(view, source)),
            (2, 'read_deleted', reached AND taskapi.may_read_view(trash, source)),
            (3, 'create', written AND has_any_column_privilege(view, 'INSERT') AND has_any_column_privilege(source, 'INSERT')
                           AND taskapi.some_policy(source, 'a')),
            (4, 'update', written AND has_any_column_privilege(view, 'UPDATE') AND has_any_column_privilege(source, 'UPDATE')
                           AND taskapi.some_policy(source, 'w')),
            (5, 'delete', written AND has_table_privilege(view, 'DELETE') AND has_table_privilege(source, 'DELETE')
                           AND taskapi.some_policy(source, 'd')),
            (6, 'restore', written AND has_column_privilege(trash, mark, 'UPDATE')
                           AND has_column_privilege(source, restored, 'UPDATE')
                           AND taskapi.some_policy(source, 'w')),
            (7, 'purge', written AND has_table_privilege(trash, 'DELETE') AND has_table_privilege(source, 'DELETE')
                           AND taskapi.some_policy(source, 'd')))
            a (place, action, allowed)
        WHERE a.allowed;
    END;
COMMENT ON FUNCTION taskapi.resource_actions(taskapi.resource) IS
    'Internal: which of read, read_deleted, create, update, delete, restore and purge the current role may do with a resource';

-- The columns of a resource that the current role may read or write, in their order.
CREATE FUNCTION taskapi.describe_columns(entry taskapi.resource) RETURNS jsonb
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH resource AS (
            SELECT has_schema_privilege(t.relnamespace, 'USAGE') AS written, taskapi.may_read_view(($1).resource, t.oid) AS shown,
                   taskapi.some_policy(t.oid, 'a') AS made, taskapi.some_policy(t.oid, 'w') AS changed
            FROM pg_class t WHERE t.oid = ($1).source
        ), described AS (
            SELECT v.attnum, v.attname, v.atttypid, v.atttypmod,
                   w.shown AND has_column_privilege(($1).resource, v.attnum, 'SELECT') AS readable,
                   s.attnum IS NULL OR s.attgenerated <> '' OR s.attidentity = 'a'
                       OR ($1).versioned AND s.attname IN ('version', 'updated_at') AS generated,
                   w.written AND w.made AND has_column_privilege(($1).resource, v.attnum, 'INSERT')
                       AND coalesce(has_column_privilege(($1).source, s.attnum, 'INSERT'), false) AS insertable,
                   w.written AND w.changed AND has_column_privilege(($1).resource, v.attnum, 'UPDATE')
                       AND coalesce(has_column_privilege(($1).source, s.attnum, 'UPDATE'), false) AS updatable,
                   s.attnotnull OR y.typnotnull AS never_null,
                   s.atthasdef OR s.attidentity <> '' OR v.atthasdef OR y.typdefault IS NOT NULL AS filled,
                   col_description(($1).resource, v.attnum) AS comment
            FROM resource w, pg_attribute v
            JOIN pg_type y ON y.oid = v.atttypid
            LEFT JOIN pg_attribute s ON s.attrelid = ($1).source AND s.attname = v.attname AND s.attnum > 0
            WHERE v.attrelid = ($1).resource AND v.attnum > 0 AND NOT v.attisdropped)
        SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'name', d.attname, 'type', format_type(d.atttypid, d.atttypmod), 'readable', d.readable,
                   'insertable', d.insertable AND NOT d.generated, 'updatable', d.updatable AND NOT d.generated,
                   'required', NOT d.generated AND d.never_null AND NOT d.filled,
                   'generated', d.generated, 'nullable', NOT coalesce(d.never_null, false),
                   'description', d.comment) ORDER BY d.attnum), '[]')
        FROM described d WHERE d.readable OR d.insertable AND NOT d.generated OR d.updatable AND NOT d.generated;
    END;
COMMENT ON FUNCTION taskapi.describe_columns(taskapi.resource) IS
    'Internal: the columns of a resource that the current role may read or write, as a JSON array';

-- A barrier, so that no function in a condition meets a resource that the role may not use. A foreign key is shown if the role
-- may use the resource that it leads to, and if the view has all of its columns.
CREATE VIEW taskapi.resources WITH (security_barrier = true) AS
    WITH usable AS MATERIALIZED (
        SELECT r, n.nspname, c.relname, k.actions
        FROM taskapi.resource r
        JOIN pg_catalog.pg_class c ON c.oid = r.resource
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
        LATERAL (SELECT taskapi.resource_actions(r) AS actions OFFSET 0) k
        WHERE k.actions <> '{}')
    SELECT u.nspname AS api_schema, u.relname AS resource, pg_catalog.obj_description((u.r).resource, 'pg_class') AS description,
           u.actions, taskapi.key_columns((u.r).source) AS key_columns,
           (u.r).order_by, 'cursor'::pg_catalog.name AS cursor_column,
           (SELECT p.proname FROM pg_catalog.pg_proc p
            WHERE p.oid = taskapi.page_function_of((u.r).resource)
              AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')) AS page_function,
           (SELECT d.relname FROM pg_catalog.pg_class d WHERE d.oid = t.trash) AS deleted_resource,
           CASE WHEN t.trash IS NOT NULL
                THEN taskapi.deleted_order(taskapi.key_columns((u.r).source), (u.r).deleted_at_column) END AS deleted_order_by,
           (SELECT p.proname FROM pg_catalog.pg_proc p
            WHERE p.oid = taskapi.page_function_of((u.r).deleted_resource)
              AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')) AS deleted_page_function,
           taskapi.describe_columns(u.r) AS columns,
           (SELECT coalesce(pg_catalog.jsonb_agg(f.parent ORDER BY f.parent), '[]')
            FROM (SELECT pg_catalog.jsonb_build_object(
                             'api_schema', v.nspname, 'resource', v.relname, 'constraint', f.conname,
                             'columns', (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY k.place)
                                         FROM pg_catalog.unnest(f.conkey) WITH ORDINALITY k (attnum, place)
                                         JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum),
                             'references', (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY k.place)
                                            FROM pg_catalog.unnest(f.confkey) WITH ORDINALITY k (attnum, place)
                                            JOIN pg_catalog.pg_attribute a
                                                ON a.attrelid = f.confrelid AND a.attnum = k.attnum)) AS parent
                  FROM pg_catalog.pg_constraint f
                  JOIN usable v ON (v.r).source = f.confrelid
                  WHERE f.contype = 'f' AND f.conrelid = (u.r).source
                    AND NOT EXISTS (
                        SELECT FROM pg_catalog.pg_attribute a
                        WHERE a.attrelid = f.conrelid AND a.attnum = ANY (f.conkey)
                          AND a.attname NOT IN (SELECT s.attname FROM pg_catalog.pg_attribute s
                                                WHERE s.attrelid = (u.r).resource AND s.attnum > 0))) f) AS parents,
           (u.r).versioned, (u.r).soft_delete, (u.r).idempotent, (u.r).changes, (u.r).scope, (u.r).publish,
           (SELECT p.proname FROM pg_catalog.pg_proc p
            WHERE p.oid = taskapi.changes_function_of((u.r).resource)
              AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')) AS changes_function
    FROM usable u,
    LATERAL (SELECT CASE WHEN u.actions && '{read_deleted,restore,purge}' THEN (u.r).deleted_resource END AS trash) t;
COMMENT ON VIEW taskapi.resources IS
    'The resources that the current role may use, for layers that make their routes and descriptions of them';
COMMENT ON COLUMN taskapi.resources.api_schema IS 'The schema of its views and functions';
COMMENT ON COLUMN taskapi.resources.resource IS 'The name of the view of the live rows';
COMMENT ON COLUMN taskapi.resources.description IS 'The comment on that view';
COMMENT ON COLUMN taskapi.resources.actions IS
    'What the role''s privileges let it do, as in grant_resource(), on one column at least, unless no policy of the table is'
    ' about it; the policies pick the rows';
COMMENT ON COLUMN taskapi.resources.key_columns IS 'The primary key, which names a row';
COMMENT ON COLUMN taskapi.resources.order_by IS 'The default order, and that of the cursor: no two rows are equal in it';
COMMENT ON COLUMN taskapi.resources.cursor_column IS 'The column of the position of a row in order_by';
COMMENT ON COLUMN taskapi.resources.page_function IS
    'The function that answers with a page; NULL if there is none that the role may call';
COMMENT ON COLUMN taskapi.resources.deleted_resource IS
    'The view of the deleted rows; NULL without soft deletion, or if the role may neither read, restore nor purge';
COMMENT ON COLUMN taskapi.resources.deleted_order_by IS 'The default order of the deleted rows, and that of their cursor';
COMMENT ON COLUMN taskapi.resources.deleted_page_function IS
    'The function that answers with a page of the deleted rows; NULL if there is none that the role may call';
COMMENT ON COLUMN taskapi.resources.columns IS
    'The columns that the role may read or write, in their order: an array of objects with name, type, description and'
    ' the booleans readable, insertable, updatable, required (of an INSERT), generated (by the server) and nullable';
COMMENT ON COLUMN taskapi.resources.parents IS
    'Foreign keys to resources that the role may use: an array of objects with columns, api_schema, resource, references'
    ' and constraint';
COMMENT ON COLUMN taskapi.resources.versioned IS 'Rows have a version, for If-Match';
COMMENT ON COLUMN taskapi.resources.soft_delete IS 'DELETE marks rows as deleted';
COMMENT ON COLUMN taskapi.resources.idempotent IS 'Writes take an Idempotency-Key';
COMMENT ON COLUMN taskapi.resources.changes IS 'Clients can ask what changed since, by RESOURCE_changes()';
COMMENT ON COLUMN taskapi.resources.scope IS 'The expression that says what of it the role may see; NULL if there is none';
COMMENT ON COLUMN taskapi.resources.changes_function IS
    'The function that tells what changed since; NULL if there is none that the role may call';
COMMENT ON COLUMN taskapi.resources.publish IS 'The topic under which writes are published; NULL if they are not';

-- sql/install/69_migrations.sql
-- Migrations: changes of a table that has resources, while they are served.

-- run_ddl(command, lock_timeout, give_up_after): runs a command that takes strong locks, as the caller and under the caller's
-- settings. A try waits for a lock for lock_timeout, so nobody waits longer behind it; if the lock is not to be had, its
-- transaction is rolled back, which gives back what it locked, and after a pause (up to ten times lock_timeout, of random length)
-- comes the next, until give_up_after has passed. A NOTICE says how many tries it took and how long locks were held.
--
-- Errors: 2D000 in a transaction block or a function, or for BEGIN, COMMIT and their kin; 42601 for none or several commands;
-- 25001 for what cannot run in a transaction, such as CREATE INDEX CONCURRENTLY; 55P03 after the last try. Any other error of
-- the command's ends it at once.
CREATE PROCEDURE taskapi.run_ddl(command text, lock_timeout interval DEFAULT '100 ms', give_up_after interval DEFAULT '5 min')
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_run_ddl';
COMMENT ON PROCEDURE taskapi.run_ddl(text, interval, interval) IS
    'Runs a command that takes strong locks, in tries that wait for a short time, so that no queue forms behind it';

-- expose_online(source, ..., lock_timeout, give_up_after): expose() as run_ddl() runs it. It has no search_path of its own, since
-- a procedure that has any setting cannot end a transaction.
CREATE PROCEDURE taskapi.expose_online(source regclass, api_schema name DEFAULT NULL, resource name DEFAULT NULL,
                                       order_by text DEFAULT NULL, soft_delete boolean DEFAULT NULL,
                                       versioned boolean DEFAULT NULL, idempotent boolean DEFAULT NULL,
                                       changes boolean DEFAULT NULL, scope text DEFAULT NULL,
                                       publish text DEFAULT NULL, deleted_at_column name DEFAULT NULL,
                                       lock_timeout interval DEFAULT '100 ms', give_up_after interval DEFAULT '5 min')
    LANGUAGE plpgsql
AS $$
BEGIN
    CALL taskapi.run_ddl(
        pg_catalog.format('SELECT taskapi.expose(%s::pg_catalog.oid, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L)',
                          source::pg_catalog.oid, api_schema, resource, order_by, soft_delete, versioned, idempotent,
                          changes, scope, publish, deleted_at_column),
        lock_timeout, give_up_after);
END
$$;
COMMENT ON PROCEDURE taskapi.expose_online(regclass, name, name, text, boolean, boolean, boolean, boolean, text, text, name,
                                           interval, interval) IS
    'expose() for a table that is in use: in tries that wait for locks for a short time, each a transaction of its own';

-- What was taken from the owner of a view or function, who has every privilege on what is made afresh.
CREATE FUNCTION taskapi.revokes_on(class regclass, object oid) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format('REVOKE %s ON %s FROM %s', string_agg(d.privilege_type, ', ' ORDER BY d.privilege_type), o.name,
                      taskapi.grantee_name(o.owner))
        FROM (SELECT 'r'::"char" AS kind, c.relowner AS owner, c.relacl AS acl, c.oid::regclass::text AS name
              FROM pg_class c WHERE $1 = 'pg_class'::regclass AND c.oid = $2
              UNION ALL
              SELECT 'f'::"char" AS kind, p.proowner AS owner, p.proacl AS acl, 'FUNCTION ' || p.oid::regprocedure AS name
              FROM pg_proc p WHERE $1 = 'pg_proc'::regclass AND p.oid = $2) o,
             aclexplode(acldefault(o.kind, o.owner)) d
        WHERE o.acl IS NOT NULL AND d.grantee = o.owner
          AND NOT EXISTS (SELECT FROM aclexplode(o.acl) a WHERE a.grantee = o.owner AND a.privilege_type = d.privilege_type)
        GROUP BY o.name, o.owner;
    END;
COMMENT ON FUNCTION taskapi.revokes_on(regclass, oid) IS
    'Internal: the privileges of its own that the owner of a view or function lacks, as statements';

-- Comments that expose() did not write: it repeats those of the table, and its own begin with the same words.
CREATE FUNCTION taskapi.own_comments(view regclass, source regclass) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format('COMMENT ON VIEW %s IS %L', $1, v.comment)
        FROM (SELECT obj_description($1, 'pg_class') AS comment) v
        WHERE NOT starts_with(v.comment, coalesce(obj_description($2, 'pg_class'), 'Rows of ' || $2))
        UNION ALL
        (SELECT format('COMMENT ON COLUMN %s.%I IS %L', $1, a.attname, col_description($1, a.attnum))
         FROM pg_attribute a LEFT JOIN pg_attribute s ON s.attrelid = $2 AND s.attname = a.attname AND NOT s.attisdropped
         WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
           AND CASE WHEN a.attname = 'cursor' THEN NOT starts_with(col_description($1, a.attnum), 'Where the row stands in ')
                    ELSE col_description($1, a.attnum) IS DISTINCT FROM col_description($2, s.attnum) END
         ORDER BY a.attnum);
    END;
COMMENT ON FUNCTION taskapi.own_comments(regclass, regclass) IS
    'Internal: the comments on a resource''s view that expose() did not write, as statements';

-- The function that answers with pages of a view of a resource; NULL if there is none.
CREATE FUNCTION taskapi.page_function_over(view regclass) RETURNS regprocedure
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT p.oid::regprocedure
        FROM pg_class c JOIN pg_proc p ON p.pronamespace = c.relnamespace AND p.proargtypes = taskapi.page_arguments()
        WHERE c.oid = $1 AND (p.proname = c.relname || '_page'
                              OR EXISTS (SELECT FROM taskapi.registered_resource($1) r
                                         WHERE r.resource = $1 AND r.page_function = p.proname))
          AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                          AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1)
        ORDER BY p.oid LIMIT 1;
    END;
COMMENT ON FUNCTION taskapi.page_function_over(regclass) IS 'Internal: the page function of one of the two views of a resource';

-- Grants a role, or PUBLIC for NULL, the columns of the table that a resource shows, but those that it lacked before: as
-- expose() grants what a table got since, after a time in which there was no resource.
CREATE FUNCTION taskapi.grant_shown_columns(resource regclass, grantee regrole, privilege text, but name[]) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    entry CONSTANT taskapi.resource := taskapi.registered_resource(resource);
    list  text;
BEGIN
    IF entry.resource IS NULL OR but IS NULL OR coalesce(privilege, '') NOT IN ('SELECT', 'INSERT', 'UPDATE') THEN
        RAISE EXCEPTION 'a resource, SELECT, INSERT or UPDATE, and a list of columns must be given'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO list
    FROM pg_attribute a
    WHERE a.attrelid = entry.source AND a.attnum = ANY (taskapi.shown_columns(entry.resource)) AND a.attname <> ALL (but)
      AND (privilege = 'SELECT' OR a.attgenerated = '' AND NOT (entry.versioned AND a.attname IN ('version', 'updated_at')))
      AND NOT taskapi.holds(coalesce(grantee::oid, 0), entry.source, a.attnum, privilege);
    IF list IS NOT NULL THEN
        PERFORM taskapi.run_as(taskapi.owner_of(entry.source),
                               format('GRANT %s (%s) ON %s TO %s', privilege, list, entry.source,
                                      taskapi.grantee_name(coalesce(grantee::oid, 0))));
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.grant_shown_columns(regclass, regrole, text, name[]) IS
    'Internal: grants a role the columns of its table that a resource shows, but the given ones';

-- Whoever was granted a view holds the same privilege on columns of the table, as statements that hold for any columns.
CREATE FUNCTION taskapi.column_grants_of(entry taskapi.resource) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT format('SELECT taskapi.grant_shown_columns(%L, %L, %L, %L)', ($1).resource,
                      CASE WHEN h.grantee <> 0 THEN h.grantee::regrole END, h.privilege, h.lacked)
        FROM (SELECT g.grantee, g.privilege_type AS privilege, count(*) FILTER (WHERE held.held) AS columns,
                     coalesce(array_agg(a.attname ORDER BY a.attnum) FILTER (WHERE NOT held.held), '{}') AS lacked
              FROM pg_class c, aclexplode(c.relacl) g, pg_attribute a,
                   LATERAL (SELECT taskapi.holds(g.grantee, ($1).source, a.attnum, g.privilege_type) AS held) held
              WHERE c.oid = ($1).resource AND g.grantee <> c.relowner
                AND g.privilege_type IN ('SELECT', 'INSERT', 'UPDATE') AND a.attrelid = ($1).source
                AND a.attnum = ANY (taskapi.shown_columns(($1).resource))
              GROUP BY g.grantee, g.privilege_type) h
        WHERE h.columns > 0
        ORDER BY h.grantee, h.privilege;
    END;
COMMENT ON FUNCTION taskapi.column_grants_of(taskapi.resource) IS
    'Internal: the privileges on columns that go with those on a resource''s view, as statements';

-- resource_ddl(resource) -> statements
--
-- What makes a resource again, after unexpose() and whatever the table needed: expose() with every choice, then owners,
-- privileges, comments and triggers that were given to its views and functions by hand. Statements end with a semicolon; each
-- holds by itself, so that one about a column that is gone can be left out. Privileges on the table are the table's, and
-- unexpose() leaves them; columns that it gets meanwhile are granted as expose() would have.
-- Errors: 42809 for what is no resource.
CREATE FUNCTION taskapi.resource_ddl(resource regclass) RETURNS SETOF text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    entry CONSTANT taskapi.resource := taskapi.registered_resource(resource);
    owner CONSTANT regrole := taskapi.owner_of(entry.source);
    view  record;
    page  regprocedure;
BEGIN
    IF entry.resource IS NULL OR owner IS NULL THEN
        PERFORM taskapi.raise_no_resource(resource);
    END IF;
    -- whatever expose() is asked by the name of a column of the registry
    RETURN QUERY
        SELECT format('SELECT taskapi.expose(%L, api_schema => %L, resource => %L%s);', entry.source, n.nspname, c.relname,
                      string_agg(format(', %I => %L', e.key, e.value), '' ORDER BY a.place))
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, jsonb_each_text(to_jsonb(entry)) e
        JOIN (SELECT p.arg, p.place FROM pg_proc f, unnest(f.proargnames) WITH ORDINALITY p (arg, place)
              WHERE f.proname = 'expose' AND f.pronamespace = 'taskapi'::regnamespace) a
             ON a.arg = e.key AND a.arg NOT IN ('source', 'resource')
        WHERE c.oid = entry.resource AND e.value IS NOT NULL
        GROUP BY n.nspname, c.relname;
    FOR view IN
        SELECT c.oid::regclass AS name, c.relowner::regrole AS owner
        FROM unnest(ARRAY[entry.resource, entry.deleted_resource]) WITH ORDINALITY v (oid, place) JOIN pg_class c ON c.oid = v.oid
        ORDER BY v.place
    LOOP
        IF view.owner <> owner THEN
            RETURN NEXT format('ALTER VIEW %s OWNER TO %s;', view.name, view.owner);
        END IF;
        RETURN QUERY SELECT s || ';' FROM taskapi.revokes_on('pg_class', view.name) s;
        RETURN QUERY SELECT s || ';' FROM unnest(taskapi.grants_on('pg_class', view.name, '{}')) s;
        RETURN QUERY SELECT s || ';' FROM taskapi.own_comments(view.name, entry.source) s;
        RETURN QUERY
            SELECT pg_get_triggerdef(t.oid) || ';' FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
            WHERE t.tgrelid = view.name AND NOT t.tgisinternal AND p.pronamespace <> 'taskapi'::regnamespace ORDER BY t.tgname;
        page := taskapi.page_function_over(view.name);
        CONTINUE WHEN page IS NULL;
        RETURN QUERY
            SELECT format('ALTER FUNCTION %s OWNER TO %s;', page, p.proowner::regrole)
            FROM pg_proc p WHERE p.oid = page AND p.proowner <> owner;
        RETURN QUERY SELECT s || ';' FROM taskapi.revokes_on('pg_proc', page) s;
        RETURN QUERY SELECT s || ';' FROM unnest(taskapi.grants_on('pg_proc', page, '{}')) s;
        RETURN QUERY
            SELECT format('COMMENT ON FUNCTION %s IS %L;', page, obj_description(page, 'pg_proc'))
            WHERE NOT starts_with(obj_description(page, 'pg_proc'), 'A page of ');
    END LOOP;
    RETURN QUERY
        SELECT s || ';' FROM taskapi.changes_function_of(entry.resource) f,
             LATERAL (SELECT taskapi.revokes_on('pg_proc', f)
                      UNION ALL
                      SELECT unnest(taskapi.grants_on('pg_proc', f, '{}'))) g (s)
        WHERE f IS NOT NULL;
    RETURN QUERY SELECT s || ';' FROM taskapi.column_grants_of(entry) s;
END
$$;
COMMENT ON FUNCTION taskapi.resource_ddl(regclass) IS
    'The statements that make a resource again after unexpose(): with its choices, owners, privileges and comments';

-- sql/install/69_resource_notices.sql
-- What expose() says: why a table cannot be a resource as it is, and what it leaves to the owner of the table.

-- All that does not fit about a table, each with what helps: a whole statement, an action of ALTER TABLE, or advice.
CREATE FUNCTION taskapi.table_misfits(wanted taskapi.wanted_resource)
    RETURNS TABLE (code text, misfit text, statement text, action text, advice text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    source CONSTANT regclass := wanted.source;
    class  CONSTANT pg_class := (SELECT c FROM pg_class c WHERE c.oid = wanted.source);
    found  record;
BEGIN
    -- A child has neither the triggers nor the key of its parent, and its rows would have no version.
    IF class.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = source) THEN
        RETURN QUERY SELECT 'wrong_object_type', 'Other tables inherit from it.', NULL, NULL,
                            'Partition the table instead, or expose the tables that inherit from it.';
    END IF;
    RETURN QUERY SELECT 'wrong_object_type', format('It has a rule %I.', r.rulename),
                        format('DROP RULE %I ON %s;', r.rulename, source), NULL, 'Make a trigger of the rule.'
                 FROM pg_rewrite r WHERE r.ev_class = source ORDER BY r.rulename;
    RETURN QUERY SELECT m.* FROM taskapi.key_misfits(source) m;
    RETURN QUERY SELECT 'duplicate_column', 'It has a column cursor, and so has every resource.',
                        format('ALTER TABLE %s RENAME COLUMN cursor TO %I;', source, taskapi.free_column(source, 'old_cursor')),
                        NULL, NULL
                 FROM pg_attribute a WHERE a.attrelid = source AND a.attname = 'cursor' AND NOT a.attisdropped;
    RETURN QUERY SELECT m.* FROM taskapi.column_misfits(wanted) m;
    IF class.reloftype <> 0 AND EXISTS (SELECT FROM taskapi.source_columns(wanted) s WHERE s.added) THEN
        RETURN QUERY SELECT 'wrong_object_type', 'It is a typed table, which cannot have more columns than its type.',
                            NULL, 'NOT OF', NULL;
    END IF;
    -- a view has one column more than the table, or two; a table counts those that were dropped
    SELECT max(s.attnum) AS numbers, count(*) + 1
           + CASE WHEN wanted.soft_delete AND wanted.deleted_at_column <> 'deleted_at' THEN 1 ELSE 0 END AS shown
    INTO found FROM taskapi.source_columns(wanted) s;
    IF greatest(found.numbers, found.shown) > 1600 THEN
        RETURN QUERY SELECT 'too_many_columns',
                            format('Its views would have %s columns, and it would have used up %s. The limit is 1600.',
                                   found.shown, found.numbers),
                            NULL, NULL, 'Move columns to another table, into a new table if it had many.';
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.table_misfits(taskapi.wanted_resource) IS
    'Internal: all that keeps a table from being the resource that is wanted, and what helps';

-- A resource names a row by a primary key that is checked at once, and by equality.
CREATE FUNCTION taskapi.key_misfits(source regclass)
    RETURNS TABLE (code text, misfit text, statement text, action text, advice text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key  record;
    cols text;
BEGIN
    SELECT i.indimmediate AS immediate, i.indisvalid AS valid, i.indisexclusion AS overlaps, k.conname AS name,
           i.indexrelid AS index
    INTO key
    FROM pg_index i JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype = 'p'
    WHERE i.indrelid = source AND i.indisprimary;
    IF NOT FOUND THEN
        SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.place) INTO cols
        FROM (SELECT i.* FROM pg_index i
              WHERE i.indrelid = source AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL
                AND i.indexprs IS NULL
                AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = source AND NOT a.attnotnull
                                  AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
              ORDER BY i.indnkeyatts, i.indexrelid LIMIT 1) i,
             unnest(i.indkey::int2[]) WITH ORDINALITY u (attnum, place), pg_attribute a
        WHERE u.place <= i.indnkeyatts AND a.attrelid = source AND a.attnum = u.attnum;
        RETURN QUERY SELECT 'object_not_in_prerequisite_state', 'It has no primary key.', NULL,
                            CASE WHEN cols IS NOT NULL THEN format('ADD PRIMARY KEY (%s)', cols)
                                 ELSE format('ADD COLUMN %I bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY',
                                             taskapi.free_column(source, 'id')) END, NULL;
        RETURN;
    END IF;
    SELECT string_agg(quote_ident(k.name), ', ' ORDER BY k.place) INTO cols
    FROM unnest(taskapi.key_columns(source)) WITH ORDINALITY k (name, place);
    IF NOT key.immediate OR key.overlaps THEN
        RETURN QUERY SELECT 'object_not_in_prerequisite_state',
                            CASE WHEN key.overlaps THEN 'Its primary key is WITHOUT OVERLAPS, which names no row by equality.'
                                 ELSE 'Its primary key is DEFERRABLE: it is not checked at once.' END, NULL,
                            format('DROP CONSTRAINT %I, ADD PRIMARY KEY (%s)', key.name, cols),
                            'Foreign keys that refer to it are to be made again.';
    ELSIF NOT key.valid THEN
        RETURN QUERY SELECT 'object_not_in_prerequisite_state', 'Its primary key is not valid: a partition lacks it.', NULL, NULL,
                            format('Attach an index of each partition to %s.', key.index::regclass);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.key_misfits(regclass) IS
    'Internal: what keeps the primary key of a table from naming the rows of a resource';

-- Columns that are there by a name that versions or soft deletion need, and cannot be taken over.
CREATE FUNCTION taskapi.column_misfits(wanted taskapi.wanted_resource)
    RETURNS TABLE (code text, misfit text, statement text, action text, advice text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    source CONSTANT regclass := wanted.source;
    col    record;
    help   text[];
BEGIN
    FOR col IN
        SELECT n.*, a.attnotnull AS is_notnull, a.atttypid = ANY (n.types) AS typed, a.attgenerated <> '' AS generated,
               a.attgenerated = 'v' AS is_virtual,
               a.attidentity <> '' AS identity, a.atthasdef AND a.attgenerated = '' AS has_default,
               pg_get_expr(d.adbin, d.adrelid) AS expression,
               -- how a value of the column becomes one of the type that fits; NULL if only a person can say
               CASE WHEN n.type = 'timestamptz' AND a.atttypid = 'timestamp'::regtype THEN '%I AT TIME ZONE ''UTC'''
                    WHEN n.type = 'timestamptz' AND a.atttypid = 'bool'::regtype THEN 'CASE WHEN %I THEN now() END'
                    WHEN n.type = 'timestamptz' AND a.atttypid = 'date'::regtype
                         OR n.type = 'uuid' AND a.atttypid IN ('text'::regtype, 'varchar'::regtype) THEN '%I::' || n.type
                    END AS converted,
               concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                         CASE WHEN a.attgenerated <> '' THEN 'GENERATED' WHEN a.attidentity <> '' THEN 'IDENTITY'
                              WHEN a.atthasdef THEN 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END) AS is
        FROM taskapi.needed_columns(wanted) n
        JOIN pg_attribute a ON a.attrelid = source AND a.attname = n.name
        LEFT JOIN pg_attrdef d ON d.adrelid = source AND d.adnum = a.attnum
        ORDER BY n.place
    LOOP
        IF col.value IS NULL THEN
            CONTINUE WHEN col.typed AND NOT col.is_notnull AND NOT col.has_default AND NOT col.generated AND NOT col.identity;
        ELSE
            CONTINUE WHEN col.typed AND (col.is_notnull OR NOT col.required) AND NOT col.generated AND NOT col.identity;
        END IF;
        misfit := format('Column %I is %s. It must be %s%s.', col.name, col.is, col.fitting,
                         CASE WHEN col.value IS NULL THEN ', and may be NULL, without default'
                              WHEN col.required THEN ', NOT NULL, with default ' || col.value ELSE '' END);
        code := 'datatype_mismatch';
        -- DROP EXPRESSION is not for virtual columns
        IF NOT col.typed AND col.converted IS NULL OR col.is_virtual THEN
            RETURN QUERY SELECT code, misfit, format('ALTER TABLE %s RENAME COLUMN %I TO %I;', source, col.name,
                                                     taskapi.free_column(source, 'old_' || col.name)), NULL::text, NULL::text;
            CONTINUE;
        END IF;
        help := array_remove(ARRAY[
            CASE WHEN col.generated THEN format('ALTER COLUMN %I DROP EXPRESSION', col.name) END,
            CASE WHEN col.identity THEN format('ALTER COLUMN %I DROP IDENTITY', col.name) END,
            CASE WHEN col.has_default AND (col.value IS NULL OR NOT col.typed)
                 THEN format('ALTER COLUMN %I DROP DEFAULT', col.name) END,
            CASE WHEN NOT col.typed
                 THEN format('ALTER COLUMN %I TYPE %s USING ', col.name, col.type) || format(col.converted, col.name) END,
            CASE WHEN col.is_notnull AND col.value IS NULL THEN format('ALTER COLUMN %I DROP NOT NULL', col.name) END,
            CASE WHEN NOT col.is_notnull AND col.required THEN format('ALTER COLUMN %I SET NOT NULL', col.name) END], NULL);
        RETURN QUERY SELECT code, misfit,
            CASE WHEN col.required AND col.typed AND NOT col.is_notnull AND NOT col.generated
                 THEN format('UPDATE %s SET %I = %s WHERE %2$I IS NULL;', source, col.name, col.value) END,
            array_to_string(help, ', '),
            CASE WHEN col.converted LIKE '%AT TIME ZONE%' AND NOT col.typed
                 THEN 'The time zone is the one that the values were written in.'
                 WHEN col.converted LIKE 'CASE %' AND NOT col.typed
                 THEN format('A view, partial index or policy that uses %I stands in its way.', col.name) END;
    END LOOP;
    -- a new column of that name would begin again, and every row of it at the same version
    FOR col IN
        SELECT n.name, a.attname AS present
        FROM taskapi.needed_columns(wanted) n, pg_class v, LATERAL taskapi.resource_columns(v.oid::regclass) c, pg_attribute a
        WHERE v.oid = coalesce((wanted.former).deleted_resource, (wanted.former).resource) AND c.name = n.name
          AND a.attrelid = source AND a.attnum = c.source_attnum
          AND NOT EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = source AND o.attname = n.name)
        ORDER BY n.place
    LOOP
        code := 'undefined_column';
        RETURN QUERY SELECT code, format('Column %I was called %I.', col.present, col.name),
                            format('ALTER TABLE %s RENAME COLUMN %I TO %I;', source, col.present, col.name),
                            NULL::text, NULL::text;
    END LOOP;
    IF code IS NOT NULL THEN
        RETURN QUERY SELECT code, NULL::text, NULL::text, NULL::text,
                            'Or rename them, or call taskapi.expose() with versioned or soft_delete set to false.';
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.column_misfits(taskapi.wanted_resource) IS
    'Internal: columns of a table by the names of those that versions and soft deletion need, which do not fit';

-- The statements that make a table fit, in order, and advice.
CREATE FUNCTION taskapi.misfit_cures(wanted taskapi.wanted_resource) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH misfits AS (
            SELECT m.* FROM taskapi.table_misfits($1) WITH ORDINALITY m (code, misfit, statement, action, advice, place))
        SELECT c.cure
        FROM (SELECT 1, m.place, m.statement FROM misfits m WHERE m.statement IS NOT NULL
              UNION ALL
              SELECT 2, 0, format('ALTER TABLE %s %s;', ($1).source, string_agg(m.action, ', ' ORDER BY m.place))
              FROM misfits m WHERE m.action <> '' HAVING count(*) > 0
              UNION ALL
              SELECT 3, min(m.place), m.advice FROM misfits m WHERE m.advice IS NOT NULL GROUP BY m.advice) c (part, place, cure)
        ORDER BY c.part, c.place;
    END;
COMMENT ON FUNCTION taskapi.misfit_cures(taskapi.wanted_resource) IS
    'Internal: the statements, and the advice, that make a table fit';

-- Names that are free: the given one, shortened, with a number if it is taken.
CREATE FUNCTION taskapi.free_name(name text, schema oid) RETURNS name
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT n.candidate
        FROM (SELECT (left($1, 56) || CASE WHEN i > 0 THEN i::text ELSE '' END)::name AS candidate, i
              FROM generate_series(0, 999) i) n
        WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = $2 AND c.relname = n.candidate)
        ORDER BY n.i LIMIT 1;
    END;
COMMENT ON FUNCTION taskapi.free_name(text, oid) IS 'Internal: a name for a relation that is free in a schema';

CREATE FUNCTION taskapi.free_column(source regclass, name text) RETURNS name
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT n.candidate
        FROM (SELECT (left($2, 56) || CASE WHEN i > 0 THEN i::text ELSE '' END)::name AS candidate, i
              FROM generate_series(0, 1600) i) n
        WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = $1 AND a.attname = n.candidate)
        ORDER BY n.i LIMIT 1;
    END;
COMMENT ON FUNCTION taskapi.free_column(regclass, text) IS 'Internal: a name for a column that is free in a table';

-- What soft deletion means for a table's triggers and keys.
CREATE FUNCTION taskapi.trash_notices(wanted taskapi.wanted_resource) RETURNS TABLE (message text, detail text, hint text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    source CONSTANT regclass := wanted.source;
    marks  CONSTANT text := quote_ident(wanted.deleted_at_column);
    names  text;
BEGIN
    SELECT string_agg(DISTINCT quote_ident(t.tgname), ', ') INTO names FROM pg_trigger t
    WHERE (t.tgrelid = source OR t.tgrelid IN (SELECT p.relid FROM pg_partition_tree(source) p))
      AND NOT t.tgisinternal AND t.tgtype & 8 <> 0
      AND NOT EXISTS (SELECT FROM taskapi.own_triggers(t.tgrelid) o WHERE o.name = t.tgname);
    IF names IS NOT NULL THEN
        RETURN QUERY SELECT format('triggers of table %s for DELETE fire when a row is purged, not when it is deleted', source),
                            format('They are %s. A deletion is an UPDATE of %s and deletion_id, and so is a restore.',
                                   names, marks), NULL;
    END IF;
    SELECT string_agg(quote_ident(p.polname), ', ' ORDER BY p.polname) INTO names FROM pg_policy p
    WHERE p.polrelid = source AND p.polcmd IN ('r', '*')
      AND EXISTS (SELECT FROM pg_depend d JOIN pg_attribute a ON a.attrelid = source AND a.attnum = d.refobjsubid
                  WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass
                    AND d.refobjid = source AND a.attname = wanted.deleted_at_column);
    IF names IS NOT NULL THEN
        RETURN QUERY SELECT format('policies of table %s ask for %s: %s', source, marks, names), NULL,
                            'A policy that hides deleted rows hides them from who restores, too. The views see to it.';
    END IF;
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.place) INTO names
    FROM pg_index i CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY k (attnum, place)
    JOIN pg_attribute a ON a.attrelid = source AND a.attnum = k.attnum
    WHERE i.indrelid = source AND i.indisprimary AND k.place <= i.indnkeyatts
    HAVING bool_and(a.attidentity = '' AND a.attgenerated = '' AND NOT a.atthasdef);
    IF names IS NOT NULL THEN
        RETURN QUERY SELECT format('deleted rows keep their primary keys in table %s taken', source), NULL,
                            format('Clients choose %s: a key is free again when its row is purged. Let the table make the key '
                                   '(identity), or keep it unique among live rows only, by a partial unique index.', names);
    END IF;
    RETURN QUERY
        SELECT CASE WHEN i.excludes THEN format('deleted rows keep their values in constraint %I taken', i.conname)
                    ELSE format('deleted rows keep their values in unique index %s taken', i.index::regclass) END, NULL,
               CASE WHEN i.contype = 'x'
                    THEN format('One over the live rows would not: ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %2$I %s.',
                                source, i.conname,
                                regexp_replace(i.definition, '( DEFERRABLE.*)?$', format(' WHERE (%s IS NULL)\1', marks)))
                    WHEN i.excludes THEN format('An exclusion constraint WHERE (%s IS NULL) would not.', marks)
                    ELSE format('An index over the live rows would not: %s WHERE (%s IS NULL); then %s.',
                                regexp_replace(i.definition, '^CREATE UNIQUE INDEX .*? ON ',
                                               format('CREATE UNIQUE INDEX %I ON ',
                                                      taskapi.free_name(i.relname || '_live', i.relnamespace))), marks,
                                CASE WHEN i.conname IS NULL THEN format('DROP INDEX %s', i.index::regclass)
                                     ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', source, i.conname) END) END
        FROM (SELECT i.indexrelid AS index, c.relname, c.relnamespace, k.conname, i.indisexclusion AS excludes, k.contype,
                     CASE WHEN i.indisexclusion THEN pg_get_constraintdef(k.oid)
                          ELSE pg_get_indexdef(i.indexrelid) END AS definition
              FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
              LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = source AND k.contype IN ('u', 'x')
              WHERE i.indrelid = source AND (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary AND i.indpred IS NULL) i
        ORDER BY i.index;
END
$$;
COMMENT ON FUNCTION taskapi.trash_notices(taskapi.wanted_resource) IS
    'Internal: what expose() says about soft deletion and the triggers, policies and keys of a table';

-- The index that an order needs; of columns that come only now there is none.
CREATE FUNCTION taskapi.order_advice(wanted taskapi.wanted_resource) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    live CONSTANT text := format(' WHERE %I IS NULL', wanted.deleted_at_column);
BEGIN
    IF EXISTS (SELECT FROM taskapi.order_by_columns(wanted.order_by) o, taskapi.source_columns(wanted) s
               WHERE s.added AND s.name = ANY (o.columns)) THEN
        RETURN format('CREATE INDEX %sON %s (%s)%s',
                      CASE (SELECT c.relkind FROM pg_class c WHERE c.oid = wanted.source)
                      WHEN 'r' THEN 'CONCURRENTLY ' ELSE '' END,
                      wanted.source, wanted.order_by, CASE WHEN wanted.soft_delete THEN live ELSE '' END);
    ELSIF NOT wanted.soft_delete THEN
        RETURN taskapi.index_advice(wanted.source, wanted.order_by);
    ELSIF EXISTS (SELECT FROM taskapi.source_columns(wanted) s WHERE NOT s.added AND s.name = wanted.deleted_at_column) THEN
        RETURN taskapi.index_advice(wanted.source, wanted.order_by,
                                    jsonb_build_object(wanted.deleted_at_column, jsonb_build_object('is', NULL)));
    END IF;
    RETURN taskapi.index_advice(wanted.source, wanted.order_by) || live;
END
$$;
COMMENT ON FUNCTION taskapi.order_advice(taskapi.wanted_resource) IS
    'Internal: the index that the order of a resource that is wanted lacks; NULL if one serves';

-- What expose() does not do by itself. Runs as the owner of the table, whose index predicates the planner evaluates.
CREATE FUNCTION taskapi.owner_notices(wanted taskapi.wanted_resource)
    RETURNS TABLE (level text, message text, detail text, hint text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
DECLARE
    source  CONSTANT regclass := wanted.source;
    first   CONSTANT boolean := (wanted.former).resource IS NULL;
    present CONSTANT boolean := EXISTS (SELECT FROM taskapi.source_columns(wanted) s
                                        WHERE s.name = wanted.deleted_at_column AND NOT s.added);
    old     boolean := false;
    readers text;
    advice  text;
BEGIN
    IF wanted.leaving <> '{}' THEN
        RETURN QUERY SELECT 'notice', format('columns of %s leave the resource: %s', source,
                                             array_to_string(wanted.leaving, ', ')), NULL, NULL;
    END IF;
    IF NOT wanted.soft_delete AND EXISTS (SELECT FROM pg_class c WHERE c.oid = (wanted.former).deleted_resource) THEN
        RETURN QUERY SELECT 'notice', format('rows of %s that are deleted show up in %I.%I again', source, wanted.api_schema,
                                             wanted.resource), NULL, NULL;
    END IF;
    IF wanted.soft_delete THEN
        IF present AND (wanted.former).soft_delete IS NOT TRUE
           AND NOT EXISTS (SELECT FROM taskapi.resources_of(source) r WHERE r.soft_delete) THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM %s t WHERE t.%I IS NOT NULL)', source, wanted.deleted_at_column) INTO old;
        END IF;
        IF old THEN
            RETURN QUERY SELECT 'warning',
                format('rows of table %s that were deleted before become deleted rows of the resource', source),
                'taskapi.maintain() removes for good what was deleted longer ago than taskapi.deleted_retention.',
                'To keep them, set taskapi.deleted_retention to -1 for the role that runs taskapi.maintain().';
        END IF;
        IF first THEN
            SELECT string_agg(DISTINCT w.ev_class::regclass::text, ', ') INTO readers
            FROM pg_depend d JOIN pg_rewrite w ON w.oid = d.objid
            WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = source
              AND NOT EXISTS (SELECT FROM taskapi.own_triggers(w.ev_class::regclass));
            RETURN QUERY SELECT 'notice',
                format('code that reads table %s itself sees deleted rows, unless it asks for %I IS NULL', source,
                       wanted.deleted_at_column), 'So do these views: ' || readers || '.', NULL;
        END IF;
        RETURN QUERY SELECT 'notice', n.* FROM taskapi.trash_notices(wanted) n;
    END IF;
    advice := taskapi.order_advice(wanted);
    IF advice IS NOT NULL THEN
        RETURN QUERY SELECT 'notice', format('no index serves the order of resource %I.%I', wanted.api_schema, wanted.resource),
                            NULL, advice;
    END IF;
    advice := taskapi.changes_advice(wanted);
    IF advice IS NOT NULL THEN
        RETURN QUERY SELECT 'notice', format('no index serves the changes of resource %I.%I', wanted.api_schema, wanted.resource),
                            NULL, advice;
    END IF;
    -- The purge reads them in order of deletion, from an index that holds no live rows or begins with the column.
    IF wanted.soft_delete AND NOT EXISTS (
        SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = source AND a.attname = wanted.deleted_at_column
        WHERE i.indrelid = source
          AND (i.indkey[0] = a.attnum
               OR pg_get_expr(i.indpred, source) = format('(%I IS NOT NULL)', wanted.deleted_at_column))) THEN
        RETURN QUERY SELECT 'notice', format('no index leads to the deleted rows of %s', source), NULL,
            format('CREATE INDEX %sON %s (%s) WHERE %I IS NOT NULL',
                   CASE (SELECT c.relkind FROM pg_class c WHERE c.oid = source) WHEN 'r' THEN 'CONCURRENTLY ' ELSE '' END, source,
                   (SELECT string_agg(quote_ident(u.name), ', ' ORDER BY u.place)
                    FROM taskapi.order_by_columns(taskapi.deleted_order(wanted.key, wanted.deleted_at_column)) o,
                         unnest(o.columns) WITH ORDINALITY u (name, place)), wanted.deleted_at_column);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.owner_notices(taskapi.wanted_resource) IS
    'Internal: what expose() says about a table, computed as its owner';

CREATE FUNCTION taskapi.resource_notices(wanted taskapi.wanted_resource)
    RETURNS TABLE (level text, message text, detail text, hint text)
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT n.value ->> 'level', n.value ->> 'message', n.value ->> 'detail', n.value ->> 'hint'
        FROM jsonb_array_elements(taskapi.run_as(($1).owner,
                 'SELECT jsonb_agg(n ORDER BY n.place)'
                 ' FROM taskapi.owner_notices($1) WITH ORDINALITY n (level, message, detail, hint, place)', $1)::jsonb)
             WITH ORDINALITY n (value, place)
        ORDER BY n.place;
    END;
COMMENT ON FUNCTION taskapi.resource_notices(taskapi.wanted_resource) IS
    'Internal: what expose() says about what it does';

CREATE FUNCTION taskapi.raise_notice(level text, message text, detail text, hint text) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF level = 'warning' THEN
        RAISE WARNING '%', message USING DETAIL = detail, HINT = hint;
    ELSIF detail IS NULL AND hint IS NULL THEN
        RAISE NOTICE '%', message;
    ELSIF hint IS NULL THEN
        RAISE NOTICE '%', message USING DETAIL = detail;
    ELSE
        RAISE NOTICE '%', message USING HINT = hint;
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.raise_notice(text, text, text, text) IS 'Internal: a NOTICE or WARNING of expose()';

-- sql/install/70_task_api.sql
-- What the task API's policies are made of, and the task API itself.

CREATE FUNCTION taskapi.one_of_support(internal) RETURNS internal
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_one_of_support';
REVOKE ALL ON FUNCTION taskapi.one_of_support(internal) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.one_of_support(internal) IS 'Planner support of one_of()';

CREATE FUNCTION taskapi.one_of(value uuid, elements uuid[]) RETURNS bool
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF SUPPORT taskapi.one_of_support AS 'MODULE_PATHNAME', 'taskapi_one_of';
COMMENT ON FUNCTION taskapi.one_of(uuid, uuid[]) IS
    'value = ANY (elements) for a row-level security policy: bounds an index scan, and leaves the query the plan that it has'
    ' without the policy';

-- It is created from the text of sql/task_api/, as the caller and in schemas that are the caller's: its functions run with the
-- caller's rights and call what they find there by name. A schema that exists must be out of the reach of strangers and hold
-- nothing of theirs, such as an overload that fits better than ours. What is made belongs to the caller, whatever default
-- privileges say, until grant_api().

CREATE FUNCTION taskapi.check_task_api_schema(schema name) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    me    CONSTANT regrole := (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user);
    alien record;
BEGIN
    PERFORM taskapi.check_schema(schema, me);
    SELECT pg_describe_object(o.class, o.object, 0) AS name, o.owner::regrole AS owner INTO alien
    FROM taskapi.objects_in(schema) o
    WHERE taskapi.is_stranger(o.owner, me) ORDER BY o.class, o.object LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'schema "%" holds objects of role %', schema, alien.owner
            USING ERRCODE = 'insufficient_privilege', DETAIL = format('One is %s.', alien.name), HINT = 'Name another schema.';
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.check_task_api_schema(name) IS
    'Internal: raises an error if other roles can change a schema or have put something into it';

CREATE FUNCTION taskapi.create_task_api(data_schema name DEFAULT 'tasks', api_schema name DEFAULT 'api',
                                        anonymous regrole DEFAULT NULL, authenticated regrole DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = pg_catalog, pg_temp
    -- what expose() advises is seen to
    SET client_min_messages = warning
AS $create_task_api$
DECLARE
    task_api text := $task_api$
-- The tables of the task API.
--
-- Once created, these objects are yours: alter them, add to them. No later version of the extension changes them, and
-- create_task_api() a second time into the same schemas is refused. taskapi.expose() brings a resource up to date.
--
-- To add          touch these
--   a column      ALTER TABLE; a CHECK whose name says what is asked; taskapi.expose(), which grants it to those who have the
--                 others; '@private' in its comment keeps it out of the resource
--   a table       its project_id, indexes and deletion columns as below; policies as in 30_policies.sql; taskapi.expose() as in
--                 50_resources.sql; taskapi.grant_resource() as in 90_grants.sql
--   an endpoint   a function in the API schema: SECURITY INVOKER where policies are enough; GRANT EXECUTE as in 90_grants.sql
--   either        a row for each action in a test like test/pgtap/matrix.sql, which fails without
--
-- Every row of a project carries project_id, every id is a UUID version 7, and status and priority are text and
-- smallint because their comparisons are leakproof: under row-level security only those can bound an index scan.
-- Constraint names reach the client in invalid_value problems, so they say what is asked.

CREATE TABLE @data@.account (
    id            uuid        NOT NULL DEFAULT taskapi.uuidv7(),
    email         text        NOT NULL,
    display_name  text        NOT NULL,
    password_hash text,
    pending_email text,
    email_verified_at timestamptz,
    version       int         NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    deleted_at    timestamptz,
    deletion_id   uuid,
    CONSTRAINT account_pkey PRIMARY KEY (id),
    CONSTRAINT account_email_is_an_address CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    CONSTRAINT account_email_has_at_most_254_characters CHECK (length(email) <= 254),
    CONSTRAINT account_pending_email_is_an_address CHECK (pending_email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    CONSTRAINT account_pending_email_has_at_most_254_characters CHECK (length(pending_email) <= 254),
    CONSTRAINT account_display_name_has_1_to_200_characters
        CHECK (length(btrim(display_name)) > 0 AND length(display_name) <= 200)
);
COMMENT ON TABLE @data@.account IS 'Who may log in';
COMMENT ON COLUMN @data@.account.email IS
    'Unique among live accounts, in any case. A PATCH makes it pending_email until it is confirmed';
COMMENT ON COLUMN @data@.account.password_hash IS '@private bcrypt; NULL: no login by password';
COMMENT ON COLUMN @data@.account.pending_email IS
    '@private The address that the account asked for and has not confirmed; only "me" shows it';
COMMENT ON COLUMN @data@.account.email_verified_at IS
    '@private When the address was confirmed by a token that was mailed to it; NULL: it was not. Only "me" shows it';

-- What a mail carries, in a link, to prove that the mail was read: 244 random bits, of which only the hash is here. One at a time
-- for each account and purpose; it goes when it is used, with the next one, and with maintain() when it is expired.
CREATE TABLE @data@.one_time_token (
    token_hash bytea       NOT NULL,
    purpose    text        NOT NULL,
    account_id uuid        NOT NULL,
    email      text        NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT one_time_token_pkey PRIMARY KEY (token_hash),
    CONSTRAINT one_time_token_is_the_only_one UNIQUE (account_id, purpose),
    CONSTRAINT one_time_token_account_exists FOREIGN KEY (account_id) REFERENCES @data@.account ON DELETE CASCADE,
    CONSTRAINT one_time_token_purpose_is_confirm_email_or_reset_password CHECK (purpose IN ('confirm_email', 'reset_password'))
);
COMMENT ON TABLE @data@.one_time_token IS 'Tokens that were mailed, to confirm an address or to set another password';
COMMENT ON COLUMN @data@.one_time_token.token_hash IS 'SHA-256 of the token';
COMMENT ON COLUMN @data@.one_time_token.email IS 'Where it was mailed to: it proves nothing of any other address';

CREATE TABLE @data@.project (
    id          uuid        NOT NULL DEFAULT taskapi.uuidv7(),
    name        text        NOT NULL,
    description text,
    creator_id  uuid        DEFAULT taskapi.current_subject_id(),
    version     int         NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    deleted_at  timestamptz,
    deletion_id uuid,
    CONSTRAINT project_pkey PRIMARY KEY (id),
    CONSTRAINT project_creator_is_an_account FOREIGN KEY (creator_id) REFERENCES @data@.account ON DELETE SET NULL,
    CONSTRAINT project_name_has_1_to_200_characters CHECK (length(btrim(name)) > 0 AND length(name) <= 200),
    CONSTRAINT project_description_has_at_most_20000_characters CHECK (length(description) <= 20000)
);
COMMENT ON TABLE @data@.project IS 'What tasks belong to';
COMMENT ON COLUMN @data@.project.creator_id IS 'Who created it, set by the server; its first owner';

CREATE TABLE @data@.membership (
    project_id  uuid        NOT NULL,
    account_id  uuid        NOT NULL,
    role        text        NOT NULL DEFAULT 'viewer',
    version     int         NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    deleted_at  timestamptz,
    deletion_id uuid,
    CONSTRAINT membership_pkey PRIMARY KEY (project_id, account_id),
    CONSTRAINT membership_project_exists FOREIGN KEY (project_id) REFERENCES @data@.project ON DELETE CASCADE,
    CONSTRAINT membership_account_exists FOREIGN KEY (account_id) REFERENCES @data@.account ON DELETE CASCADE,
    CONSTRAINT membership_role_is_owner_editor_or_viewer CHECK (role IN ('owner', 'editor', 'viewer'))
);
COMMENT ON TABLE @data@.membership IS 'Who may do what in which project';
COMMENT ON COLUMN @data@.membership.role IS
    'owner: everything; editor: reads all, writes tasks; viewer: reads all. A live project always has an owner';

-- An account becomes a member only by accepting one of these. account_id is no foreign key, and no account is looked up
-- for email: an answer would tell the inviter which of them exist. project_name and inviter_name are what the invited
-- account is told, since it sees neither the project nor the inviter.
CREATE TABLE @data@.invitation (
    id           uuid        NOT NULL DEFAULT taskapi.uuidv7(),
    project_id   uuid        NOT NULL,
    email        text,
    account_id   uuid,
    role         text        NOT NULL,
    inviter_id   uuid        NOT NULL,
    project_name text        NOT NULL,
    inviter_name text        NOT NULL,
    token_hash   bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    CONSTRAINT invitation_pkey PRIMARY KEY (id),
    CONSTRAINT invitation_project_exists FOREIGN KEY (project_id) REFERENCES @data@.project ON DELETE CASCADE,
    CONSTRAINT invitation_inviter_is_an_account FOREIGN KEY (inviter_id) REFERENCES @data@.account ON DELETE CASCADE,
    CONSTRAINT invitation_is_by_email_or_by_account CHECK ((email IS NULL) <> (account_id IS NULL)),
    CONSTRAINT invitation_by_email_has_a_token CHECK ((email IS NULL) = (token_hash IS NULL)),
    CONSTRAINT invitation_email_is_an_address CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    CONSTRAINT invitation_email_has_at_most_254_characters CHECK (length(email) <= 254),
    CONSTRAINT invitation_role_is_owner_editor_or_viewer CHECK (role IN ('owner', 'editor', 'viewer')),
    CONSTRAINT invitation_ends_after_it_begins CHECK (expires_at > created_at)
);
COMMENT ON TABLE @data@.invitation IS 'Who may become a member by accepting. It goes when it is accepted, revoked or declined';
COMMENT ON COLUMN @data@.invitation.account_id IS 'The invited account; no foreign key, which would tell whether there is one';
COMMENT ON COLUMN @data@.invitation.inviter_id IS 'An owner of the project; the invitation ends when they no longer are one';
COMMENT ON COLUMN @data@.invitation.token_hash IS 'SHA-256 of the token of an invitation by e-mail, which has 244 random bits';

CREATE TABLE @data@.task (
    id           uuid        NOT NULL DEFAULT taskapi.uuidv7(),
    project_id   uuid        NOT NULL,
    assignee_id  uuid,
    creator_id   uuid        DEFAULT taskapi.current_subject_id(),
    parent_id    uuid,
    title        text        NOT NULL,
    description  text,
    status       text        NOT NULL DEFAULT 'todo',
    priority     smallint    NOT NULL DEFAULT 0,
    labels       text[]      NOT NULL DEFAULT '{}',
    due_date     date,
    position     text COLLATE "C" NOT NULL DEFAULT replace(left(taskapi.uuidv7()::text, 18), '-', '') || 'V',
    version      int         NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    deleted_at   timestamptz,
    deletion_id  uuid,
    search       tsvector    GENERATED ALWAYS AS (setweight(to_tsvector('simple', title), 'A')
                                                  || setweight(to_tsvector('simple', coalesce(description, '')), 'B')) STORED,
    CONSTRAINT task_pkey PRIMARY KEY (id),
    CONSTRAINT task_of_project UNIQUE (project_id, id),
    CONSTRAINT task_project_exists FOREIGN KEY (project_id) REFERENCES @data@.project ON DELETE CASCADE,
    CONSTRAINT task_assignee_is_a_member FOREIGN KEY (project_id, assignee_id) REFERENCES @data@.membership
        ON DELETE SET NULL (assignee_id),
    CONSTRAINT task_creator_is_an_account FOREIGN KEY (creator_id) REFERENCES @data@.account ON DELETE SET NULL,
    CONSTRAINT task_parent_is_of_its_project FOREIGN KEY (project_id, parent_id) REFERENCES @data@.task (project_id, id)
        ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT task_title_has_1_to_500_characters CHECK (length(btrim(title)) > 0 AND length(title) <= 500),
    CONSTRAINT task_description_has_at_most_20000_characters CHECK (length(description) <= 20000),
    CONSTRAINT task_status_is_todo_in_progress_done_or_cancelled CHECK (status IN ('todo', 'in_progress', 'done', 'cancelled')),
    CONSTRAINT task_priority_is_0_to_100 CHECK (priority BETWEEN 0 AND 100),
    CONSTRAINT task_labels_are_a_list_of_at_most_50 CHECK (cardinality(labels) <= 50 AND coalesce(array_ndims(labels), 1) = 1
                                                           AND array_position(labels, NULL) IS NULL),
    CONSTRAINT task_labels_have_at_most_5000_characters CHECK (length(array_to_string(labels, '')) <= 5000),
    CONSTRAINT task_due_date_is_finite CHECK (isfinite(due_date)),
    CONSTRAINT task_position_has_at_most_100_letters_and_digits_and_ends_with_no_0
        CHECK (position ~ '^[0-9A-Za-z]*[1-9A-Za-z]$' AND length(position) <= 100),
    CONSTRAINT task_completed_at_goes_with_done CHECK ((status = 'done') = (completed_at IS NOT NULL))
);
COMMENT ON TABLE @data@.task IS 'What is to be done';
COMMENT ON COLUMN @data@.task.assignee_id IS 'A member of the project; NULL once they no longer are one';
COMMENT ON COLUMN @data@.task.creator_id IS 'Who created it, set by the server';
COMMENT ON COLUMN @data@.task.parent_id IS
    'The task of the same project that this is a subtask of, with which it is deleted and restored';
COMMENT ON COLUMN @data@.task.position IS
    'Where it stands in the order by hand, order=position,id: behind all others when it is new, then by move_task()';
COMMENT ON COLUMN @data@.task.status IS 'todo, in_progress, done or cancelled';
COMMENT ON COLUMN @data@.task.priority IS '0 (none) to 100 (most urgent)';
COMMENT ON COLUMN @data@.task.due_date IS 'A calendar date, in no time zone';
COMMENT ON COLUMN @data@.task.search IS '@private The words of title and description, for tasks_search()';
COMMENT ON COLUMN @data@.task.completed_at IS 'When status became done, set by the server; NULL otherwise';

CREATE TABLE @data@.comment (
    id          uuid        NOT NULL DEFAULT taskapi.uuidv7(),
    project_id  uuid        NOT NULL,
    task_id     uuid        NOT NULL,
    author_id   uuid        DEFAULT taskapi.current_subject_id(),
    body        text        NOT NULL,
    version     int         NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    deleted_at  timestamptz,
    deletion_id uuid,
    search      tsvector    GENERATED ALWAYS AS (setweight(to_tsvector('simple', body), 'C')) STORED,
    CONSTRAINT comment_pkey PRIMARY KEY (id),
    CONSTRAINT comment_task_exists FOREIGN KEY (project_id, task_id) REFERENCES @data@.task (project_id, id)
        ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT comment_author_is_an_account FOREIGN KEY (author_id) REFERENCES @data@.account ON DELETE SET NULL,
    CONSTRAINT comment_body_has_1_to_20000_characters CHECK (length(btrim(body)) > 0 AND length(body) <= 20000)
);
COMMENT ON TABLE @data@.comment IS 'What members say about a task';
COMMENT ON COLUMN @data@.comment.project_id IS 'That of the task, set by the server';
COMMENT ON COLUMN @data@.comment.search IS '@private Its words, for tasks_search()';
COMMENT ON COLUMN @data@.comment.author_id IS 'Who wrote it, set by the server';

-- No foreign keys: an entry outlives what it tells of, and writing one looks nothing up. It goes with its project, and by age.
CREATE TABLE @data@.activity (
    id            uuid        NOT NULL DEFAULT taskapi.uuidv7(),
    project_id    uuid        NOT NULL,
    task_id       uuid,
    resource      text        NOT NULL,
    row_id        uuid        NOT NULL,
    action        text        NOT NULL,
    changes       jsonb,
    actor_id      uuid,
    credential    text,
    credential_id text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT activity_pkey PRIMARY KEY (project_id, id)
);
COMMENT ON TABLE @data@.activity IS 'Who changed what from what to what. Written by triggers, and never changed';
COMMENT ON COLUMN @data@.activity.task_id IS 'The task that it is about, or whose comment it is about';
COMMENT ON COLUMN @data@.activity.resource IS 'tasks, comments, members or projects';
COMMENT ON COLUMN @data@.activity.row_id IS 'The id of the row; of a member, its account';
COMMENT ON COLUMN @data@.activity.action IS 'created, updated, deleted, restored or purged';
COMMENT ON COLUMN @data@.activity.changes IS 'For each column that was updated: [what it was, what it became]';
COMMENT ON COLUMN @data@.activity.actor_id IS
    'The account that did it; NULL: the owner of the tables, or a caller without an account';
COMMENT ON COLUMN @data@.activity.credential IS 'The credential of the request: token, api_key or session';
COMMENT ON COLUMN @data@.activity.credential_id IS 'Which API key or session';

-- Unique among live rows only: a deleted account's address is free again.
CREATE UNIQUE INDEX account_email_is_taken ON @data@.account (lower(email)) WHERE deleted_at IS NULL;

-- One pending invitation to a project for each address and account; an expired one gives way (80_invitations.sql).
CREATE UNIQUE INDEX invitation_email_is_invited ON @data@.invitation (project_id, lower(email)) WHERE email IS NOT NULL;
CREATE UNIQUE INDEX invitation_account_is_invited ON @data@.invitation (project_id, account_id) WHERE account_id IS NOT NULL;
CREATE UNIQUE INDEX invitation_by_token ON @data@.invitation (token_hash) WHERE token_hash IS NOT NULL;

-- What lists are read in: the default order of a resource, live rows only. Accounts have none: who sees few of them all sorts
-- these, and nobody sees more.
CREATE INDEX project_by_created_at ON @data@.project (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX task_by_created_at ON @data@.task (project_id, created_at, id) WHERE deleted_at IS NULL;

-- What filters ask for: words, and labels. If btree_gin is there, the project is the first column, and no row of another project
-- is found; else the index of task_of_project helps. New entries wait in a list that every scan reads, so it is short.
DO $body$
DECLARE
    project CONSTANT text := CASE WHEN EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'btree_gin')
                                  THEN 'project_id, ' ELSE '' END;
BEGIN
    EXECUTE format('CREATE INDEX task_by_word ON %s.task USING gin (%ssearch) WITH (gin_pending_list_limit = 256)'
                   ' WHERE deleted_at IS NULL', '@data_in_quotes@', project);
    EXECUTE format('CREATE INDEX task_by_label ON %s.task USING gin (%slabels) WITH (gin_pending_list_limit = 256)'
                   ' WHERE deleted_at IS NULL', '@data_in_quotes@', project);
    EXECUTE format('CREATE INDEX comment_by_word ON %s.comment USING gin (%ssearch) WITH (gin_pending_list_limit = 256)'
                   ' WHERE deleted_at IS NULL', '@data_in_quotes@', project);
END
$body$;

-- By hand: the columns of a board are statuses, each in the order of position. move_task() finds neighbours here too.
CREATE INDEX task_by_position ON @data@.task (project_id, status, position, id) WHERE deleted_at IS NULL;

-- Subtasks of a task in their order, and comments on one in theirs; also for the foreign keys, for restore and for purge, which
-- need deleted rows: hence not partial. A list skips what is deleted of one task.
CREATE INDEX task_of_parent ON @data@.task (parent_id, position, id) WHERE parent_id IS NOT NULL;
CREATE INDEX comment_of_task ON @data@.comment (task_id, created_at, id);

-- What happened: to a project by the primary key, to a task by this one, both last first since the ids are in order of time.
CREATE INDEX activity_of_task ON @data@.activity (task_id, id) WHERE task_id IS NOT NULL;
-- For the retention, which asks for the oldest. Rows are appended in the order of time, so a few bytes a megabyte do.
CREATE INDEX activity_by_age ON @data@.activity USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on);

-- What was deleted, last first, for the lists of deleted rows and for the purge. Those of members and tasks are asked for
-- by project: an index that gives their order over all projects would tempt the planner past the policy (30_policies.sql).
CREATE INDEX account_by_deleted_at ON @data@.account (deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX project_by_deleted_at ON @data@.project (deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX membership_by_deleted_at ON @data@.membership (project_id, deleted_at, account_id) WHERE deleted_at IS NOT NULL;
CREATE INDEX task_by_deleted_at ON @data@.task (project_id, deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX comment_by_deleted_at ON @data@.comment (project_id, deleted_at, id) WHERE deleted_at IS NOT NULL;

-- Other orders. The first two are no single row comparison, since they hold NULLs or mix directions: the cursor itself is
-- indexed, which serves `cursor_by_... > token` with ORDER BY, and page(). See the functions of these names.
CREATE INDEX task_by_due_date ON @data@.task
    (project_id, taskapi.cursor('due_date NULLS LAST, id', due_date, id)) WHERE deleted_at IS NULL;
CREATE INDEX task_by_priority ON @data@.task
    (project_id, taskapi.cursor('priority DESC, created_at, id', priority, created_at, id)) WHERE deleted_at IS NULL;
CREATE INDEX task_by_updated_at ON @data@.task
    (project_id, taskapi.cursor('updated_at DESC, id DESC', updated_at, id)) WHERE deleted_at IS NULL;

-- For the foreign keys, which must find deleted rows too; the tasks of a project have the index of task_of_project.
CREATE INDEX task_of_assignee ON @data@.task (assignee_id, created_at, id);
CREATE INDEX task_of_creator ON @data@.task (creator_id);
CREATE INDEX comment_of_author ON @data@.comment (author_id);
CREATE INDEX invitation_of_project ON @data@.invitation (project_id, expires_at);
CREATE INDEX invitation_of_inviter ON @data@.invitation (inviter_id, project_id);
CREATE INDEX project_of_creator ON @data@.project (creator_id, created_at);

-- Read once per statement by the policies, without visiting the table: my_project_ids(). Each is the list for one of its answers.
CREATE INDEX membership_of_viewer ON @data@.membership (account_id, project_id) WHERE deleted_at IS NULL;
CREATE INDEX membership_of_editor ON @data@.membership (account_id, project_id)
    WHERE deleted_at IS NULL AND role IN ('owner', 'editor');
CREATE INDEX membership_of_owner ON @data@.membership (account_id, project_id) WHERE deleted_at IS NULL AND role = 'owner';
CREATE INDEX membership_deleted ON @data@.membership (account_id, project_id) WHERE deleted_at IS NOT NULL;
-- For the foreign key.
CREATE INDEX membership_of_account ON @data@.membership (account_id, project_id);

-- What an invited account lists.
CREATE INDEX invitation_of_account ON @data@.invitation (account_id) WHERE account_id IS NOT NULL;
-- Who belongs to what, and what happens when that changes. Yours once created; see 10_tables.sql.
--
-- event                            what fires                                  locks, in this order
--   a project is created           add_first_owner                             project, membership
--   an invitation is accepted      accept_invitation(), which is in            account KEY SHARE, project KEY SHARE,
--                                  80_invitations.sql                          membership of the inviter SHARE, invitation;
--                                                                              then the new membership
--   a member leaves, is removed    end_membership, end_invitations,            membership, invitation, project NO KEY UPDATE,
--                                  keep_an_owner; the foreign key of tasks     task
--   an owner steps down            end_invitations, keep_an_owner              membership, invitation, project NO KEY UPDATE
--   a task is assigned             the foreign key, resource_reference()       task, membership KEY SHARE
--   an account is deleted          leave_projects; for each membership as      account, project NO KEY UPDATE, membership,
--                                  above; end_logins (40_accounts.sql)         invitation, task
--   a project is deleted           end_invitations, then the cascade           project UPDATE, invitation, membership, task
--   a project is restored          the cascade                                 project, membership, task
--
-- So the order is account, project, membership, invitation, task, with one exception: who leaves locks the membership first,
-- since that is the row that the statement finds. Against the deletion of the project this can be a deadlock, which
-- PostgreSQL ends after deadlock_timeout and the resource answers with try_again.
--
-- Nobody is a member without consent: there is no policy for INSERT on membership, its key cannot be changed, and one that
-- ended by itself is gone. It comes into being with the project, and by accept_invitation(). One that ended with its project
-- comes back with it; one that ended with its account does not.
--
-- The first two functions are the only place that knows who belongs to what; the policies call them in a sub-select,
-- which the planner runs once per statement and whose result can bound an index scan:
--
--     taskapi.one_of(project_id, (SELECT my_project_ids()))
--
-- They run as their owner, so that reading memberships needs no policy of its own. A membership that went along with
-- its project still counts: else nobody could see a deleted project, let alone restore it. One that was removed by
-- itself does not.

CREATE FUNCTION @data@.my_project_ids(minimum_role text DEFAULT 'viewer') RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    me   CONSTANT uuid     := taskapi.current_subject_id();
    live CONSTANT regclass := CASE minimum_role WHEN 'viewer' THEN '@data_in_quotes@.membership_of_viewer'::regclass
                                                WHEN 'editor' THEN '@data_in_quotes@.membership_of_editor'::regclass
                                                WHEN 'owner'  THEN '@data_in_quotes@.membership_of_owner'::regclass END;
BEGIN
    -- few expressions and no array in a variable: this runs in nearly every statement
    IF taskapi.index_values('@data_in_quotes@.membership_deleted', me) = '{}' THEN
        RETURN coalesce(taskapi.index_values(live, me), '{}');
    END IF;
    RETURN coalesce(taskapi.index_values(live, me), '{}') || ARRAY(
        SELECT m.project_id
        FROM @data@.membership m JOIN @data@.project p ON p.id = m.project_id
        WHERE m.account_id = me AND m.deleted_at IS NOT NULL AND m.deletion_id = p.deletion_id
          AND CASE minimum_role WHEN 'viewer' THEN true
                                WHEN 'editor' THEN m.role <> 'viewer'
                                WHEN 'owner'  THEN m.role = 'owner' END);
END
$body$;
COMMENT ON FUNCTION @data@.my_project_ids(text) IS
    'The projects in which the caller has at least that role: owner, editor or viewer';

CREATE FUNCTION @data@.my_peer_ids() RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    me CONSTANT uuid := taskapi.current_subject_id();
BEGIN
    RETURN ARRAY(
        SELECT me WHERE me IS NOT NULL
        UNION
        SELECT m.account_id
        FROM @data@.membership m
        WHERE m.project_id = ANY (@data@.my_project_ids())
          AND (m.deleted_at IS NULL
               OR m.deletion_id = (SELECT p.deletion_id FROM @data@.project p WHERE p.id = m.project_id)));
END
$body$;
COMMENT ON FUNCTION @data@.my_peer_ids() IS
    'The accounts that the caller may see: their own, and all that share a project with them';

-- Whoever creates a project is its first owner.

CREATE FUNCTION @data@.add_first_owner() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO @data@.membership (project_id, account_id, role)
    VALUES (NEW.id, NEW.creator_id, 'owner')
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION @data@.add_first_owner() IS 'Whoever creates a project is its first owner';
CREATE TRIGGER project_creator_owns_it AFTER INSERT ON @data@.project
    FOR EACH ROW WHEN (NEW.creator_id IS NOT NULL) EXECUTE FUNCTION @data@.add_first_owner();

-- A live project always has a live owner. Whoever takes one away locks the project first, so that two owners who
-- leave at once do so one after the other, and the second one is refused.

CREATE FUNCTION @data@.keep_an_owner() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM FROM @data@.project p WHERE p.id = OLD.project_id AND p.deleted_at IS NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN       -- the project goes as well
        RETURN NULL;
    END IF;
    IF current_setting('transaction_isolation') = 'repeatable read' THEN
        -- An old snapshot would show an owner who has left since: locking the row fails then.
        PERFORM FROM @data@.membership m
        WHERE m.project_id = OLD.project_id AND m.role = 'owner' AND m.deleted_at IS NULL FOR UPDATE;
    END IF;
    IF NOT EXISTS (SELECT FROM @data@.membership m
                   WHERE m.project_id = OLD.project_id AND m.role = 'owner' AND m.deleted_at IS NULL) THEN
        PERFORM taskapi.raise_problem('has_dependents',
            format('Project %s would have no owner.', OLD.project_id),
            'Make another member its owner first, or delete the project.');
    END IF;
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION @data@.keep_an_owner() IS 'A live project always has a live owner';
CREATE TRIGGER membership_keeps_an_owner_on_update AFTER UPDATE ON @data@.membership
    FOR EACH ROW WHEN (OLD.role = 'owner' AND OLD.deleted_at IS NULL
                       AND (NEW.role <> 'owner' OR NEW.deleted_at IS NOT NULL OR NEW.project_id <> OLD.project_id))
    EXECUTE FUNCTION @data@.keep_an_owner();
CREATE TRIGGER membership_keeps_an_owner_on_delete AFTER DELETE ON @data@.membership
    FOR EACH ROW WHEN (OLD.role = 'owner' AND OLD.deleted_at IS NULL) EXECUTE FUNCTION @data@.keep_an_owner();

-- A project comes back with its memberships. An owner who leaves the deleted project meanwhile is waited for.

CREATE FUNCTION @data@.come_back_with_an_owner() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF taskapi.current_subject_id() IS NULL THEN       -- no API caller: an administrator may have to give it an owner
        RETURN NULL;
    END IF;
    PERFORM FROM @data@.membership m
    WHERE m.project_id = NEW.id AND m.role = 'owner' AND (m.deleted_at IS NULL OR m.deletion_id = OLD.deletion_id)
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM taskapi.raise_problem('has_dependents', format('Project %s would have no owner.', NEW.id));
    END IF;
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION @data@.come_back_with_an_owner() IS 'An API caller cannot restore a project whose owners have left it';
CREATE TRIGGER project_comes_back_with_an_owner AFTER UPDATE OF deleted_at ON @data@.project
    FOR EACH ROW WHEN (NEW.deleted_at IS NULL AND OLD.deleted_at IS NOT NULL)
    EXECUTE FUNCTION @data@.come_back_with_an_owner();

-- API callers cannot change whose membership it is, nor of what: that would make a member of somebody who was not asked.

CREATE FUNCTION @data@.keep_member() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF row_security_active(TG_RELID) THEN
        PERFORM taskapi.raise_problem('forbidden', 'The account and the project of a membership cannot be changed.',
            'Invite the account to the other project.');
    END IF;
    RETURN NEW;
END
$body$;
COMMENT ON FUNCTION @data@.keep_member() IS 'API callers cannot turn a membership into another account''s, or another project''s';
CREATE TRIGGER membership_keeps_its_member BEFORE UPDATE OF project_id, account_id ON @data@.membership FOR EACH ROW
    WHEN ((NEW.project_id, NEW.account_id) IS DISTINCT FROM (OLD.project_id, OLD.account_id))
    EXECUTE FUNCTION @data@.keep_member();

-- A membership that is deleted by itself goes for good: nobody may restore it. The foreign key task_assignee_is_a_member then
-- sets the assignee to NULL, and as referential integrity does so, it misses no task in any isolation level.
-- With a deleted project all stays as it is, so that it comes back so.

CREATE FUNCTION @data@.end_membership() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    DELETE FROM @data@.membership m
    WHERE m.project_id = NEW.project_id AND m.account_id = NEW.account_id
      AND EXISTS (SELECT FROM @data@.project p WHERE p.id = NEW.project_id AND p.deleted_at IS NULL);
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION @data@.end_membership() IS 'Purges a membership that is deleted while its project is live';
CREATE TRIGGER membership_leaves AFTER UPDATE OF deleted_at ON @data@.membership
    FOR EACH ROW WHEN (NEW.deleted_at IS NOT NULL AND OLD.deleted_at IS NULL) EXECUTE FUNCTION @data@.end_membership();

-- An invitation is as good as its inviter, who may have kept the token, and as its project.

CREATE FUNCTION @data@.end_invitations() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF TG_ARGV[0] = 'of the project' THEN
        DELETE FROM @data@.invitation i WHERE i.project_id = OLD.id;
    ELSE
        DELETE FROM @data@.invitation i WHERE i.project_id = OLD.project_id AND i.inviter_id = OLD.account_id;
    END IF;
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION @data@.end_invitations() IS
    'Ends the invitations of a deleted project, and those of an owner who no longer is one';
CREATE TRIGGER project_ends_invitations AFTER UPDATE OF deleted_at ON @data@.project FOR EACH ROW
    WHEN (NEW.deleted_at IS NOT NULL AND OLD.deleted_at IS NULL) EXECUTE FUNCTION @data@.end_invitations('of the project');
CREATE TRIGGER membership_ends_invitations_on_update AFTER UPDATE OF role, deleted_at ON @data@.membership FOR EACH ROW
    WHEN (OLD.role = 'owner' AND (NEW.role <> 'owner' OR NEW.deleted_at IS NOT NULL))
    EXECUTE FUNCTION @data@.end_invitations('of the owner');
CREATE TRIGGER membership_ends_invitations_on_delete AFTER DELETE ON @data@.membership FOR EACH ROW
    WHEN (OLD.role = 'owner') EXECUTE FUNCTION @data@.end_invitations('of the owner');

-- Who deletes their account leaves all projects for good: were the account restored, its owner would be a member, or an
-- owner even, whom the others have long seen go. The projects are locked first, in order, for keep_an_owner().

CREATE FUNCTION @data@.leave_projects() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM FROM @data@.project p
    WHERE p.id IN (SELECT m.project_id FROM @data@.membership m WHERE m.account_id = OLD.id)
    ORDER BY p.id FOR NO KEY UPDATE;
    DELETE FROM @data@.membership m WHERE m.account_id = OLD.id;
    DELETE FROM @data@.invitation i WHERE i.account_id = OLD.id OR i.inviter_id = OLD.id;
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION @data@.leave_projects() IS 'Purges the memberships of an account that is deleted';
CREATE TRIGGER account_leaves_projects AFTER UPDATE OF deleted_at ON @data@.account FOR EACH ROW
    WHEN (NEW.deleted_at IS NOT NULL AND OLD.deleted_at IS NULL) EXECUTE FUNCTION @data@.leave_projects();
-- The foreign keys see to the rest; this one is none.
CREATE TRIGGER account_leaves_projects_on_delete AFTER DELETE ON @data@.account FOR EACH ROW
    EXECUTE FUNCTION @data@.leave_projects();

-- What the server sets. Callers to whom row-level security applies cannot set it themselves: on insert their value
-- is replaced, later the old one stays (so that PUT, which resets what the body leaves out, does not reset it).
-- The tables' owner, hence referential integrity and imports, may. They run for every row that is written, as the caller, and
-- name all they use with its schema: SET search_path on a function costs each call more than these do.

CREATE FUNCTION @data@.set_creator() RETURNS trigger
    LANGUAGE plpgsql
AS $body$
BEGIN
    IF pg_catalog.row_security_active(TG_RELID) THEN
        IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN
            NEW.creator_id := taskapi.current_subject_id();
            NEW.created_at := pg_catalog.now();
        ELSE
            NEW.id := OLD.id;
            NEW.creator_id := OLD.creator_id;
            NEW.created_at := OLD.created_at;
        END IF;
    END IF;
    RETURN NEW;
END
$body$;
COMMENT ON FUNCTION @data@.set_creator() IS 'Sets creator_id and created_at, which API callers cannot, and keeps the id';
CREATE TRIGGER project_sets_creator BEFORE INSERT OR UPDATE OF id, creator_id, created_at ON @data@.project
    FOR EACH ROW EXECUTE FUNCTION @data@.set_creator();
CREATE TRIGGER task_sets_creator BEFORE INSERT OR UPDATE OF id, creator_id, created_at ON @data@.task
    FOR EACH ROW EXECUTE FUNCTION @data@.set_creator();

CREATE FUNCTION @data@.set_created_at() RETURNS trigger
    LANGUAGE plpgsql
AS $body$
BEGIN
    IF pg_catalog.row_security_active(TG_RELID) THEN
        NEW.created_at := CASE WHEN TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN pg_catalog.now() ELSE OLD.created_at END;
    END IF;
    RETURN NEW;
END
$body$;
COMMENT ON FUNCTION @data@.set_created_at() IS 'Sets created_at, which API callers cannot';
CREATE TRIGGER account_sets_created_at BEFORE INSERT OR UPDATE OF created_at ON @data@.account
    FOR EACH ROW EXECUTE FUNCTION @data@.set_created_at();
CREATE TRIGGER membership_sets_created_at BEFORE INSERT OR UPDATE OF created_at ON @data@.membership
    FOR EACH ROW EXECUTE FUNCTION @data@.set_created_at();

CREATE FUNCTION @data@.set_completed_at() RETURNS trigger
    LANGUAGE plpgsql
AS $body$
BEGIN
    IF NEW.status OPERATOR(pg_catalog.<>) 'done' OR NEW.status IS NULL THEN
        NEW.completed_at := NULL;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' AND OLD.status OPERATOR(pg_catalog.=) 'done' THEN
        NEW.completed_at := OLD.completed_at;
    ELSIF NEW.completed_at IS NULL OR pg_catalog.row_security_active(TG_RELID) THEN
        NEW.completed_at := pg_catalog.now();
    END IF;
    RETURN NEW;
END
$body$;
COMMENT ON FUNCTION @data@.set_completed_at() IS 'Keeps completed_at in step with status';
CREATE TRIGGER task_sets_completed_at_on_insert BEFORE INSERT ON @data@.task
    FOR EACH ROW WHEN (NEW.status = 'done' OR NEW.completed_at IS NOT NULL) EXECUTE FUNCTION @data@.set_completed_at();
CREATE TRIGGER task_sets_completed_at_on_update BEFORE UPDATE OF status, completed_at ON @data@.task
    FOR EACH ROW EXECUTE FUNCTION @data@.set_completed_at();
-- Row-level security, by membership. Yours once created; see 10_tables.sql. Two rules for whoever changes a policy:
-- a SELECT policy must not test deleted_at (the resources' views do), and what it needs to know of the caller belongs
-- in a sub-select, so that it is computed once per statement. = ANY and taskapi.one_of() mean the same and bound the same
-- index scans; they differ in what the planner expects. Accounts and projects are listed by who sees few of them all:
-- = ANY. Members and tasks are asked for by project, of which the policy takes nothing away: one_of().

ALTER TABLE @data@.account ENABLE ROW LEVEL SECURITY;
CREATE POLICY account_sees_peers ON @data@.account FOR SELECT
    USING (id = ANY ((SELECT @data@.my_peer_ids())::uuid[]));
CREATE POLICY account_changes_itself ON @data@.account FOR UPDATE
    USING (id = (SELECT taskapi.current_subject_id()));
CREATE POLICY account_deletes_itself ON @data@.account FOR DELETE
    USING (id = (SELECT taskapi.current_subject_id()));
COMMENT ON POLICY account_sees_peers ON @data@.account IS 'Their own account, and those that share a project';
COMMENT ON POLICY account_changes_itself ON @data@.account IS 'Everyone changes their own account';
COMMENT ON POLICY account_deletes_itself ON @data@.account IS 'Everyone deletes their own account';

-- INSERT ... RETURNING asks the SELECT policy before the trigger has made the creator an owner; hence the second arm,
-- which is true in the creating transaction alone, whose time no caller can choose.
ALTER TABLE @data@.project ENABLE ROW LEVEL SECURITY;
CREATE POLICY project_seen_by_members ON @data@.project FOR SELECT
    USING (id = ANY ((SELECT @data@.my_project_ids())::uuid[])
           OR (creator_id = (SELECT taskapi.current_subject_id()) AND created_at = now()));
CREATE POLICY project_created_by_anyone ON @data@.project FOR INSERT
    WITH CHECK (creator_id = (SELECT taskapi.current_subject_id()));
CREATE POLICY project_changed_by_owners ON @data@.project FOR UPDATE
    USING (id = ANY ((SELECT @data@.my_project_ids('owner'))::uuid[]));
CREATE POLICY project_deleted_by_owners ON @data@.project FOR DELETE
    USING (id = ANY ((SELECT @data@.my_project_ids('owner'))::uuid[]));
COMMENT ON POLICY project_seen_by_members ON @data@.project IS 'Members see their projects';
COMMENT ON POLICY project_created_by_anyone ON @data@.project IS 'Everyone who is logged in creates projects';
COMMENT ON POLICY project_changed_by_owners ON @data@.project IS 'Owners change their projects';
COMMENT ON POLICY project_deleted_by_owners ON @data@.project IS 'Owners delete their projects';

-- No policy for INSERT: an account becomes a member by accepting an invitation.
ALTER TABLE @data@.membership ENABLE ROW LEVEL SECURITY;
CREATE POLICY membership_seen_by_members ON @data@.membership FOR SELECT
    USING (taskapi.one_of(project_id, (SELECT @data@.my_project_ids())));
CREATE POLICY membership_changed_by_owners ON @data@.membership FOR UPDATE
    USING (taskapi.one_of(project_id, (SELECT @data@.my_project_ids('owner'))));
CREATE POLICY membership_ended_by_owners_and_oneself ON @data@.membership FOR DELETE
    USING (taskapi.one_of(project_id, (SELECT @data@.my_project_ids('owner')))
           OR account_id = (SELECT taskapi.current_subject_id()));
COMMENT ON POLICY membership_seen_by_members ON @data@.membership IS 'Members see who else is one';
COMMENT ON POLICY membership_changed_by_owners ON @data@.membership IS 'Owners change roles';
COMMENT ON POLICY membership_ended_by_owners_and_oneself ON @data@.membership IS
    'Owners remove members, and every member may leave';

ALTER TABLE @data@.invitation ENABLE ROW LEVEL SECURITY;
CREATE POLICY invitation_seen_by_owners_and_invited ON @data@.invitation FOR SELECT
    USING (taskapi.one_of(project_id, (SELECT @data@.my_project_ids('owner')))
           OR account_id = (SELECT taskapi.current_subject_id()));
CREATE POLICY invitation_ended_by_owners_and_invited ON @data@.invitation FOR DELETE
    USING (taskapi.one_of(project_id, (SELECT @data@.my_project_ids('owner')))
           OR account_id = (SELECT taskapi.current_subject_id()));
COMMENT ON POLICY invitation_seen_by_owners_and_invited ON @data@.invitation IS
    'Owners see those to their projects, an account those to itself';
COMMENT ON POLICY invitation_ended_by_owners_and_invited ON @data@.invitation IS
    'Owners revoke, and the invited account declines';

ALTER TABLE @data@.task ENABLE ROW LEVEL SECURITY;
CREATE POLICY task_seen_by_members ON @data@.task FOR SELECT
    USING (taskapi.one_of(project_id, (SELECT @data@.my_project_ids())));
CREATE POLICY task_created_by_editors ON @data@.task FOR INSERT
    WITH CHECK (taskapi.one_of(project_id, (SELECT @data@.my_project_ids('editor'))));
CREATE POLICY task_changed_by_editors ON @data@.task FOR UPDATE
    USING (taskapi.one_of(project_id, (SELECT @data@.my_project_ids('editor'))));
CREATE POLICY task_deleted_by_editors ON @data@.task FOR DELETE
    USING (taskapi.one_of(project_id, (SELECT @data@.my_project_ids('editor'))));
COMMENT ON POLICY task_seen_by_members ON @data@.task IS 'Members see the tasks of their projects';
COMMENT ON POLICY task_created_by_editors ON @data@.task IS 'Owners and editors create tasks';
COMMENT ON POLICY task_changed_by_editors ON @data@.task IS 'Owners and editors change tasks';
COMMENT ON POLICY task_deleted_by_editors ON @data@.task IS 'Owners and editors delete tasks';

-- Every member has a say, a viewer too.
ALTER TABLE @data@.comment ENABLE ROW LEVEL SECURITY;
CREATE POLICY comment_seen_by_members ON @data@.comment FOR SELECT
    USING (taskapi.one_of(project_id, (SELECT @data@.my_project_ids())));
CREATE POLICY comment_created_by_members ON @data@.comment FOR INSERT
    WITH CHECK (taskapi.one_of(project_id, (SELECT @data@.my_project_ids()))
                AND author_id = (SELECT taskapi.current_subject_id()));
CREATE POLICY comment_changed_by_author ON @data@.comment FOR UPDATE
    USING (taskapi.one_of(project_id, (SELECT @data@.my_project_ids()))
           AND author_id = (SELECT taskapi.current_subject_id()));
CREATE POLICY comment_deleted_by_author_and_owners ON @data@.comment FOR DELETE
    USING (taskapi.one_of(project_id, (SELECT @data@.my_project_ids('owner')))
           OR taskapi.one_of(project_id, (SELECT @data@.my_project_ids()))
              AND author_id = (SELECT taskapi.current_subject_id()));
COMMENT ON POLICY comment_seen_by_members ON @data@.comment IS 'Members see the comments of their projects';
COMMENT ON POLICY comment_created_by_members ON @data@.comment IS 'Members comment, in their own name';
COMMENT ON POLICY comment_changed_by_author ON @data@.comment IS 'The author changes a comment, while a member';
COMMENT ON POLICY comment_deleted_by_author_and_owners ON @data@.comment IS
    'The author deletes a comment, while a member, and owners delete any';

-- Only the triggers of 58_activity.sql write it, as the owner of the tables.
ALTER TABLE @data@.activity ENABLE ROW LEVEL SECURITY;
CREATE POLICY activity_seen_by_members ON @data@.activity FOR SELECT
    USING (taskapi.one_of(project_id, (SELECT @data@.my_project_ids())));
COMMENT ON POLICY activity_seen_by_members ON @data@.activity IS 'Members see what happened in their projects';

-- Only the functions of 45_me.sql see it, as the owner of the tables.
ALTER TABLE @data@.one_time_token ENABLE ROW LEVEL SECURITY;
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
-- The resources. Yours once created; see 10_tables.sql. Run taskapi.expose() again after changing a table, or with a newer
-- version of the extension.

SELECT taskapi.expose(format('%I.account', @data_name@)::regclass, @api_name@, 'users');
-- Clients ask what changed since, of one project or of all of theirs; who is let into a project, or out of it, starts over
-- (docs/sync.md).
SELECT taskapi.expose(format('%I.project', @data_name@)::regclass, @api_name@, 'projects',
                      changes => true, scope => format('id = ANY (%I.my_project_ids())', @data_name@));
SELECT taskapi.expose(format('%I.membership', @data_name@)::regclass, @api_name@, 'members',
                      changes => true, scope => format('project_id = ANY (%I.my_project_ids())', @data_name@));
SELECT taskapi.expose(format('%I.task', @data_name@)::regclass, @api_name@, 'tasks',
                      changes => true, scope => format('project_id = ANY (%I.my_project_ids())', @data_name@));
CREATE INDEX project_by_change ON @data@.project (id, changed);
CREATE INDEX membership_by_change ON @data@.membership (project_id, changed, account_id);
CREATE INDEX task_by_change ON @data@.task (project_id, changed, id);
SELECT taskapi.expose(format('%I.comment', @data_name@)::regclass, @api_name@, 'comments');
SELECT taskapi.expose(format('%I.activity', @data_name@)::regclass, @api_name@, 'activity', order_by => 'id DESC',
                      soft_delete => false, versioned => false, idempotent => false);

-- Computed fields: columns of tasks that PostgREST computes when they are asked for, ordered by or compared with.
-- The planner inlines them, so they meet the expression indexes of the same terms.

CREATE FUNCTION @api@.cursor_by_due_date(task @api@.tasks) RETURNS taskapi.cursor
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $body$ SELECT taskapi.cursor('due_date NULLS LAST, id', task.due_date, task.id) $body$;
COMMENT ON FUNCTION @api@.cursor_by_due_date(@api@.tasks) IS
    'Earliest due date first, undated last: '
    '/tasks?select=*,cursor_by_due_date&project_id=eq.ID&order=cursor_by_due_date&limit=50, then '
    '&cursor_by_due_date=gt.TOKEN of the last row';

CREATE FUNCTION @api@.cursor_by_priority(task @api@.tasks) RETURNS taskapi.cursor
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $body$ SELECT taskapi.cursor('priority DESC, created_at, id', task.priority, task.created_at, task.id) $body$;
COMMENT ON FUNCTION @api@.cursor_by_priority(@api@.tasks) IS
    'Most urgent first, the oldest of them first: '
    '/tasks?select=*,cursor_by_priority&project_id=eq.ID&order=cursor_by_priority&limit=50, then '
    '&cursor_by_priority=gt.TOKEN of the last row';

CREATE FUNCTION @api@.cursor_by_updated_at(task @api@.tasks) RETURNS taskapi.cursor
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $body$ SELECT taskapi.cursor('updated_at DESC, id DESC', task.updated_at, task.id) $body$;
COMMENT ON FUNCTION @api@.cursor_by_updated_at(@api@.tasks) IS
    'Last changed first: /tasks?select=*,cursor_by_updated_at&project_id=eq.ID&order=cursor_by_updated_at&limit=50, '
    'then &cursor_by_updated_at=gt.TOKEN of the last row';
-- Subtasks, and the order by hand. Yours once created; see 10_tables.sql.
--
-- A subtask is a task with a parent_id. The foreign key task_parent_is_of_its_project keeps both in one project, also when the
-- parent moves to another, and takes subtasks along into the trash, back, and with the purge.
--
-- position is a key in base 62, compared byte by byte: between any two there is room for another, so a move writes one row. All
-- tasks of a project share one order, of which a board's column and the subtasks of a task are parts. A new task stands behind
-- all others, without looking at any: its default is the time, as the first 16 hexadecimal digits of a UUID version 7, and a V.
--
--   POST /rpc/move_task {"id", "after" or "before", "status"}      right behind or before another task, or to the end if neither
--                                                                  is given; with status into that column, in one write
--   PATCH /tasks {"position"}                                      a key of the client's own making
--
-- event                      what fires                                    locks, in this order
--   a task is moved          move_task(), make_room()                      project NO KEY UPDATE, task; of a tight place its
--                                                                          neighbours
--   a task gets a parent     the foreign key, resource_reference(),        task, parent KEY SHARE, then the ancestors SHARE, from
--                            keep_acyclic                                  the parent up (not for a new task)
--
-- Moves within a project come one after the other, so that two into one place get two keys; other writes do not wait for them.
-- Two tasks that get each other as ancestors wait for each other: PostgreSQL ends one of both after deadlock_timeout, and the
-- resource answers with try_again.

-- Whoever gives a task another parent holds the task, and then every ancestor. So of two that would close a circle between them
-- one comes first, and the other sees it; with an old snapshot, locking fails. A new task is nobody's ancestor yet.
--
-- What hangs below a task goes along, so its levels count too: deletion, restore and the foreign keys go down level by level.
-- Who adds below a tree while another hangs it below a second one may make it 200 deep, and no deeper.
CREATE FUNCTION @data@.keep_acyclic() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    ancestor uuid   := NEW.parent_id;
    level    uuid[] := ARRAY[NEW.id];
    depth    int    := 0;
BEGIN
    WHILE ancestor IS NOT NULL LOOP
        depth := depth + 1;
        IF ancestor = NEW.id THEN
            PERFORM taskapi.raise_problem('invalid_value', 'A task cannot be a subtask of itself, or of a subtask of its own.');
        END IF;
        EXIT WHEN depth > 100;
        IF TG_OP = 'UPDATE' THEN
            SELECT t.parent_id INTO ancestor FROM @data@.task t WHERE t.id = ancestor FOR SHARE;
        ELSE
            SELECT t.parent_id INTO ancestor FROM @data@.task t WHERE t.id = ancestor;
        END IF;
    END LOOP;
    WHILE TG_OP = 'UPDATE' AND depth <= 100 LOOP
        level := ARRAY(SELECT t.id FROM @data@.task t WHERE t.parent_id = ANY (level));
        EXIT WHEN level = '{}';
        depth := depth + 1;
    END LOOP;
    IF depth > 100 THEN
        PERFORM taskapi.raise_problem('invalid_value', 'Subtasks are nested at most 100 deep.');
    END IF;
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION @data@.keep_acyclic() IS 'No task is its own ancestor, and none has more than 100';
CREATE TRIGGER task_keeps_acyclic_on_insert AFTER INSERT ON @data@.task
    FOR EACH ROW WHEN (NEW.parent_id IS NOT NULL) EXECUTE FUNCTION @data@.keep_acyclic();
CREATE TRIGGER task_keeps_acyclic_on_update AFTER UPDATE OF parent_id ON @data@.task
    FOR EACH ROW WHEN (NEW.parent_id IS DISTINCT FROM OLD.parent_id AND NEW.parent_id IS NOT NULL)
    EXECUTE FUNCTION @data@.keep_acyclic();

-- position_between(lower, upper): a short key between two, NULL if there is none. A NULL stands for an open end, where the key is
-- the next one beside the neighbour, so that many moves to that end keep it short; the empty lower for the start of all keys.
CREATE FUNCTION @data@.position_between(lower text, upper text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    digits CONSTANT text := '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
    below  CONSTANT text := coalesce(lower, '');
    bound  boolean       := upper IS NOT NULL;      -- is the key so far a beginning of upper?
    key    text          := '';
    lo     int;
    hi     int;
BEGIN
    IF below COLLATE "C" >= upper COLLATE "C" THEN
        RETURN NULL;
    END IF;
    FOR i IN 1 .. greatest(length(below), length(upper)) + 1 LOOP
        lo := strpos(digits, substr(below, i, 1)) - 1;        -- behind its end: 0
        hi := CASE WHEN bound THEN strpos(digits, substr(upper, i, 1)) - 1 ELSE 62 END;
        IF hi - lo > 1 THEN
            RETURN key || substr(digits, 1 + CASE WHEN upper IS NULL THEN lo + 1
                                                  WHEN lower IS NULL THEN hi - 1
                                                  ELSE (lo + hi) / 2 END, 1);
        END IF;
        bound := bound AND hi = lo;
        key := key || substr(digits, 1 + lo, 1);
    END LOOP;
    RETURN key || 'V';
END
$body$;
COMMENT ON FUNCTION @data@.position_between(text, text) IS
    'A key between two positions; NULL as a bound is an open end, NULL as the answer: there is no room';

CREATE FUNCTION @data@.positions_between(lower text, upper text, n int) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    middle CONSTANT text := CASE WHEN n > 0 THEN @data@.position_between(lower, upper) END;
BEGIN
    RETURN CASE WHEN middle IS NULL THEN '{}'
                ELSE @data@.positions_between(lower, middle, n / 2) || middle
                     || @data@.positions_between(middle, upper, n - n / 2 - 1) END;
END
$body$;
COMMENT ON FUNCTION @data@.positions_between(text, text, int) IS
    'That many keys between two positions, evenly; fewer if there is no room';

-- The live tasks of a project before or behind a place in its order, nearest first, without the one that moves. A branch for each
-- status, as the index task_by_position has it; who adds a status adds it here.
CREATE FUNCTION @data@.neighbours(project_id uuid, behind boolean, place text, place_id uuid, moving uuid, n int)
    RETURNS TABLE (id uuid, "position" text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
BEGIN
    IF behind THEN
        RETURN QUERY
        SELECT x.id, x.position
        FROM unnest('{todo,in_progress,done,cancelled}'::text[]) s (status)
        CROSS JOIN LATERAL (
            SELECT t.id, t.position FROM @data@.task t
            WHERE t.project_id = neighbours.project_id AND t.status = s.status AND t.deleted_at IS NULL AND t.id <> moving
              AND (t.position, t.id) > (place COLLATE "C", place_id)
            ORDER BY t.position, t.id LIMIT n) x
        ORDER BY x.position, x.id LIMIT n;
    ELSE
        RETURN QUERY
        SELECT x.id, x.position
        FROM unnest('{todo,in_progress,done,cancelled}'::text[]) s (status)
        CROSS JOIN LATERAL (
            SELECT t.id, t.position FROM @data@.task t
            WHERE t.project_id = neighbours.project_id AND t.status = s.status AND t.deleted_at IS NULL AND t.id <> moving
              AND (t.position, t.id) < (place COLLATE "C", place_id)
            ORDER BY t.position DESC, t.id DESC LIMIT n) x
        ORDER BY x.position DESC, x.id DESC LIMIT n;
    END IF;
END
$body$;
COMMENT ON FUNCTION @data@.neighbours(uuid, boolean, text, uuid, uuid, int) IS
    'The tasks of a project next to a place in its order by hand, nearest first';

-- The position of a task that is new now, as the column's default makes it.
CREATE FUNCTION @data@.last_position() RETURNS text
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
    AS $body$ SELECT replace(left(taskapi.uuidv7()::text, 18), '-', '') || 'V' $body$;
COMMENT ON FUNCTION @data@.last_position() IS 'The position of a task that is new now';

-- Where a key would become longer than 40, or where two are equal, since clients may set them, the 16 tasks on both sides get
-- other keys, evenly; if those are not short either, the 64, and so on, at last all of the project. A key grows by one letter
-- in about six moves into one place, so this happens once in more than a hundred moves.
CREATE FUNCTION @data@.spread_positions(project_id uuid, moving uuid, place text, place_id uuid) RETURNS text
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    n      int := 16;
    before uuid[];
    behind uuid[];
    lower  text;
    upper  text;
    keys   text[];
BEGIN
    LOOP
        -- the one more than n on each side keeps its key, and bounds the others
        SELECT coalesce(array_agg(b.id ORDER BY b.nth DESC) FILTER (WHERE b.nth <= n), '{}'),
               coalesce(max(b.position) FILTER (WHERE b.nth > n), '')
        INTO before, lower
        FROM (SELECT place_id AS id, place AS position, 0 AS nth WHERE place_id IS NOT NULL
              UNION ALL
              SELECT p.id, p.position, p.nth
              FROM @data@.neighbours(project_id, false, place, place_id, moving, n + 1) WITH ORDINALITY p (id, position, nth)) b;
        SELECT coalesce(array_agg(b.id ORDER BY b.nth) FILTER (WHERE b.nth <= n), '{}'),
               max(b.position) FILTER (WHERE b.nth > n)
        INTO behind, upper
        FROM @data@.neighbours(project_id, true, place, place_id, moving, n + 1) WITH ORDINALITY b (id, position, nth);
        keys := @data@.positions_between(lower, coalesce(upper, greatest(@data@.last_position() COLLATE "C", lower || 'V')),
                                         cardinality(before) + 1 + cardinality(behind));
        EXIT WHEN lower = '' AND upper IS NULL
             OR cardinality(keys) > cardinality(before) + cardinality(behind)
                AND (SELECT max(length(k)) FROM unnest(keys) k) <= 24;
        n := n * 4;
    END LOOP;
    UPDATE @data@.task t SET position = k.key
    FROM unnest(before || moving || behind, keys) k (id, key)
    WHERE t.id = k.id AND t.id <> moving;
    RETURN keys[cardinality(before) + 1];
END
$body$;
COMMENT ON FUNCTION @data@.spread_positions(uuid, uuid, text, uuid) IS
    'Gives the neighbours of a place in the order of a project other keys, and returns one for the task that moves there';

-- Runs as its owner, since it locks the project, which only its owners may write.
CREATE FUNCTION @data@.make_room(project_id uuid, moving uuid, after uuid, before uuid) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    anchor   CONSTANT uuid := coalesce(after, before);
    place    text;
    lower    text;
    lower_id uuid;
    upper    text;
    key      text;
BEGIN
    IF project_id = ANY (@data@.my_project_ids('editor')) IS NOT TRUE THEN
        PERFORM taskapi.raise_problem('forbidden', 'Only owners and editors of a project move its tasks.');
    END IF;
    PERFORM FROM @data@.project p WHERE p.id = make_room.project_id FOR NO KEY UPDATE;
    IF anchor IS NOT NULL THEN
        SELECT t.position INTO place FROM @data@.task t
        WHERE t.id = anchor AND t.project_id = make_room.project_id AND t.deleted_at IS NULL AND t.id <> moving;
        IF NOT FOUND THEN
            PERFORM taskapi.raise_problem('invalid_reference', 'The project has no such other task.');
        END IF;
    END IF;
    IF after IS NOT NULL THEN
        lower := place;
        lower_id := after;
        SELECT n.position INTO upper FROM @data@.neighbours(project_id, true, place, after, moving, 1) n;
    ELSE
        SELECT n.id, n.position INTO lower_id, lower
        FROM @data@.neighbours(project_id, false, coalesce(place, repeat('z', 101)), coalesce(before, moving), moving, 1) n;
        upper := place;
    END IF;
    key := @data@.last_position();
    IF upper IS NOT NULL OR lower COLLATE "C" >= key THEN       -- else behind the last one, and what is new comes behind it
        key := @data@.position_between(lower, upper);
    END IF;
    IF key IS NULL OR length(key) > 40 THEN
        key := @data@.spread_positions(project_id, moving, coalesce(lower, ''), lower_id);
    END IF;
    RETURN key;
END
$body$;
COMMENT ON FUNCTION @data@.make_room(uuid, uuid, uuid, uuid) IS
    'The position of a task that moves behind or before another one, or to the end; other moves in the project wait';

CREATE FUNCTION @api@.move_task(id uuid, after uuid DEFAULT NULL, before uuid DEFAULT NULL, status text DEFAULT NULL)
    RETURNS SETOF @api@.tasks
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
DECLARE
    project uuid;
    key     text;
BEGIN
    IF after IS NOT NULL AND before IS NOT NULL THEN
        PERFORM taskapi.raise_problem('invalid_value', 'Give after or before, not both.');
    END IF;
    SELECT t.project_id INTO project FROM @api@.tasks t WHERE t.id = move_task.id;
    IF NOT FOUND THEN
        PERFORM taskapi.raise_problem('not_found', 'There is no such task.');
    END IF;
    key := @data@.make_room(project, move_task.id, after, before);
    UPDATE @api@.tasks t SET position = key, status = coalesce(move_task.status, t.status) WHERE t.id = move_task.id;
    RETURN QUERY SELECT * FROM @api@.tasks t WHERE t.id = move_task.id;
END
$body$;
COMMENT ON FUNCTION @api@.move_task(uuid, uuid, uuid, text) IS
    'POST {"id", "after" or "before", "status"}: the task moves right behind or before another one of its project, or to the '
    'end; with status it gets that one too';
-- Comments on tasks. Yours once created; see 10_tables.sql. Members of a project comment, viewers too; the author changes a
-- comment, the author and owners delete it. It goes along with its task into the trash, back, and to another project.
--
-- Writing one locks the task KEY SHARE, as every reference does, and nothing else.

-- As the caller, who finds the project of a task that the caller sees: else project_id is NULL, which the policy refuses.
CREATE FUNCTION @data@.set_author() RETURNS trigger
    LANGUAGE plpgsql
AS $body$
BEGIN
    IF pg_catalog.row_security_active(TG_RELID) THEN
        IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN
            NEW.author_id := taskapi.current_subject_id();
            NEW.created_at := pg_catalog.now();
            NEW.project_id := NULL;
        ELSE
            NEW.id := OLD.id;
            NEW.project_id := OLD.project_id;
            NEW.task_id := OLD.task_id;
            NEW.author_id := OLD.author_id;
            NEW.created_at := OLD.created_at;
        END IF;
    END IF;
    IF NEW.project_id IS NULL THEN
        SELECT t.project_id INTO NEW.project_id FROM @data@.task t WHERE t.id OPERATOR(pg_catalog.=) NEW.task_id;
    END IF;
    RETURN NEW;
END
$body$;
COMMENT ON FUNCTION @data@.set_author() IS
    'Sets author_id, project_id and created_at, which API callers cannot, and keeps the task';
CREATE TRIGGER comment_sets_author BEFORE INSERT OR UPDATE OF id, project_id, task_id, author_id, created_at ON @data@.comment
    FOR EACH ROW EXECUTE FUNCTION @data@.set_author();
-- Who changed what from what to what. Yours once created; see 10_tables.sql.
--
-- A trigger for each table adds a row to activity for each row that is written, in the same transaction, however it is written:
-- through the API, by a cascade, or by hand. Members read it: GET /activity?task_id=eq.ID, or ?project_id=eq.ID. Nobody changes
-- it through the API. It locks nothing and has no foreign key. A move changes nothing that is told here.
--
-- Entries go with the purge of their project, and by age: CALL maintain(), from the scheduler that calls taskapi.maintain() too.
--
-- A column that you add to task is in it once log_task() names it. To have another table in it: CREATE TRIGGER ... EXECUTE
-- FUNCTION log_activity('resource', 'column of the id', 'column of the task''s id, or none', 'column', ...), with the columns
-- whose changes it tells. Do not name what is private.

-- Written out, since it runs for every write of a task: a comparison of two rows as jsonb would double what an update costs.
CREATE FUNCTION @data@.log_task() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    claims  jsonb;
    action  text := 'created';
    changes jsonb;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        changes := nullif(jsonb_strip_nulls(jsonb_build_object(
            'project_id', CASE WHEN NEW.project_id <> OLD.project_id THEN jsonb_build_array(OLD.project_id, NEW.project_id) END,
            'parent_id', CASE WHEN NEW.parent_id IS DISTINCT FROM OLD.parent_id
                              THEN jsonb_build_array(OLD.parent_id, NEW.parent_id) END,
            'assignee_id', CASE WHEN NEW.assignee_id IS DISTINCT FROM OLD.assignee_id
                                THEN jsonb_build_array(OLD.assignee_id, NEW.assignee_id) END,
            'title', CASE WHEN NEW.title <> OLD.title THEN jsonb_build_array(OLD.title, NEW.title) END,
            'description', CASE WHEN NEW.description IS DISTINCT FROM OLD.description
                                THEN jsonb_build_array(OLD.description, NEW.description) END,
            'status', CASE WHEN NEW.status <> OLD.status THEN jsonb_build_array(OLD.status, NEW.status) END,
            'priority', CASE WHEN NEW.priority <> OLD.priority THEN jsonb_build_array(OLD.priority, NEW.priority) END,
            'labels', CASE WHEN NEW.labels <> OLD.labels THEN jsonb_build_array(OLD.labels, NEW.labels) END,
            'due_date', CASE WHEN NEW.due_date IS DISTINCT FROM OLD.due_date
                             THEN jsonb_build_array(OLD.due_date, NEW.due_date) END)), '{}');
        action := CASE WHEN (OLD.deleted_at IS NULL) = (NEW.deleted_at IS NULL) THEN 'updated'
                       WHEN NEW.deleted_at IS NULL THEN 'restored' ELSE 'deleted' END;
        IF changes IS NULL AND action = 'updated' THEN
            RETURN NULL;
        END IF;
    END IF;
    claims := taskapi.jwt_claims();
    INSERT INTO @data@.activity (project_id, task_id, resource, row_id, action, changes, actor_id, credential, credential_id)
    VALUES (NEW.project_id, NEW.id, 'tasks', NEW.id, action, changes, taskapi.current_subject_id(),
            CASE WHEN claims ? 'api_key_id' THEN 'api_key' WHEN claims ? 'session_id' THEN 'session'
                 WHEN claims ? 'sub' THEN 'token' END,
            coalesce(claims ->> 'api_key_id', claims ->> 'session_id'));
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION @data@.log_task() IS 'Adds a row to activity for a task that is created, updated, deleted or restored';

CREATE FUNCTION @data@.log_activity() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    claims  CONSTANT jsonb := taskapi.jwt_claims();
    entry   CONSTANT jsonb := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
    former  jsonb;
    action  text := 'created';
    changes jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT FROM @data@.project p WHERE p.id = OLD.project_id) THEN       -- which took it along
            RETURN NULL;
        END IF;
        action := CASE TG_ARGV[0] WHEN 'members' THEN 'deleted' ELSE 'purged' END;
    ELSIF TG_OP = 'UPDATE' THEN
        former := to_jsonb(OLD);
        FOR i IN 3 .. TG_NARGS - 1 LOOP
            IF former -> TG_ARGV[i] <> entry -> TG_ARGV[i] THEN
                changes := coalesce(changes, '{}')
                           || jsonb_build_object(TG_ARGV[i], jsonb_build_array(former -> TG_ARGV[i], entry -> TG_ARGV[i]));
            END IF;
        END LOOP;
        action := CASE WHEN (OLD.deleted_at IS NULL) = (NEW.deleted_at IS NULL) THEN 'updated'
                       WHEN NEW.deleted_at IS NULL THEN 'restored' ELSE 'deleted' END;
        IF changes IS NULL AND action = 'updated' THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO @data@.activity (project_id, task_id, resource, row_id, action, changes, actor_id, credential, credential_id)
    VALUES ((entry ->> CASE TG_ARGV[0] WHEN 'projects' THEN 'id' ELSE 'project_id' END)::uuid, (entry ->> TG_ARGV[2])::uuid,
            TG_ARGV[0], (entry ->> TG_ARGV[1])::uuid, action, changes, taskapi.current_subject_id(),
            CASE WHEN claims ? 'api_key_id' THEN 'api_key' WHEN claims ? 'session_id' THEN 'session'
                 WHEN claims ? 'sub' THEN 'token' END,
            coalesce(claims ->> 'api_key_id', claims ->> 'session_id'));
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION @data@.log_activity() IS
    'Adds a row to activity; its arguments are the resource, the columns of ids, and the columns whose changes are told';

-- A purge by maintain() is nobody's doing, and not told; nor is what goes with the purge of a project.
CREATE TRIGGER task_logs_activity AFTER INSERT OR UPDATE ON @data@.task
    FOR EACH ROW EXECUTE FUNCTION @data@.log_task();
CREATE TRIGGER task_logs_purge AFTER DELETE ON @data@.task
    FOR EACH ROW WHEN (taskapi.current_subject() IS NOT NULL) EXECUTE FUNCTION @data@.log_activity('tasks', 'id', 'id');
CREATE TRIGGER comment_logs_activity AFTER INSERT OR UPDATE ON @data@.comment
    FOR EACH ROW EXECUTE FUNCTION @data@.log_activity('comments', 'id', 'task_id', 'project_id', 'body');
CREATE TRIGGER comment_logs_purge AFTER DELETE ON @data@.comment
    FOR EACH ROW WHEN (taskapi.current_subject() IS NOT NULL) EXECUTE FUNCTION @data@.log_activity('comments', 'id', 'task_id');
CREATE TRIGGER membership_logs_activity AFTER INSERT OR UPDATE OF role OR DELETE ON @data@.membership
    FOR EACH ROW EXECUTE FUNCTION @data@.log_activity('members', 'account_id', '', 'role');
CREATE TRIGGER project_logs_activity AFTER INSERT OR UPDATE ON @data@.project
    FOR EACH ROW EXECUTE FUNCTION @data@.log_activity('projects', 'id', '', 'name', 'description');

-- What they call is the extension's. Without it the tables can be written as before.
ALTER TRIGGER task_logs_activity ON @data@.task DEPENDS ON EXTENSION taskapi;
ALTER TRIGGER comment_logs_activity ON @data@.comment DEPENDS ON EXTENSION taskapi;
ALTER TRIGGER membership_logs_activity ON @data@.membership DEPENDS ON EXTENSION taskapi;
ALTER TRIGGER project_logs_activity ON @data@.project DEPENDS ON EXTENSION taskapi;

CREATE FUNCTION @data@.forget_activity() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    DELETE FROM @data@.activity a WHERE a.project_id = OLD.id;
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION @data@.forget_activity() IS 'Deletes the activity of a project that is purged';
CREATE TRIGGER project_forgets_activity AFTER DELETE ON @data@.project
    FOR EACH ROW EXECUTE FUNCTION @data@.forget_activity();

-- maintain(activity_retention, batch): the upkeep of the task API, as taskapi.maintain() is the extension's: deletes one-time
-- tokens that are expired, and activity older than that (NULL: none), committing batch by batch. Every statement names its
-- schemas: a procedure that commits cannot pin its search_path.
CREATE PROCEDURE @data@.maintain(activity_retention interval DEFAULT '400 days', batch int DEFAULT 10000)
    LANGUAGE plpgsql
AS $body$
DECLARE
    done pg_catalog.int8;
BEGIN
    IF batch IS NULL OR batch OPERATOR(pg_catalog.<) 1 THEN
        RAISE EXCEPTION 'batch must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    DELETE FROM @data@.one_time_token t WHERE t.expires_at OPERATOR(pg_catalog.<=) pg_catalog.now();
    COMMIT;
    LOOP
        DELETE FROM @data@.activity a
        WHERE a.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(
            SELECT o.ctid FROM @data@.activity o
            WHERE o.created_at OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.-) activity_retention) LIMIT batch));
        GET DIAGNOSTICS done = ROW_COUNT;
        COMMIT;
        EXIT WHEN done OPERATOR(pg_catalog.<) batch;
    END LOOP;
END
$body$;
COMMENT ON PROCEDURE @data@.maintain(interval, int) IS
    'Deletes expired one-time tokens and old activity, committing batch by batch. For a scheduler, beside taskapi.maintain()';
-- Yours once created; see 10_tables.sql.
--
-- All tasks of all the caller's projects, newest first or in another order, and backwards. Asked of the tasks resource this must
-- read every one of them and sort; here each project is a branch of its own, read from the index of that order, and the branches
-- are merged. Only as many projects can contribute to a page as it has rows, namely those whose first tasks come first, and only
-- what does not come behind the first task of the last one of them. So a page costs one index descent a project, and little
-- else, however many tasks there are and however deep the page is. Fewer projects than the page has rows give no such bound:
-- each is read for as many rows as it can contribute.
--
-- It is linear in projects. What is not: a bound of each project's newest task in the caller's memberships, read from the highest
-- down until it falls below the page's last row (13 of 500 projects, 187 buffers for 1,671). It was not built: a task would
-- write a row for each member of its project whenever the bound moves, once an hour, and hold them; with 1,000 members that is
-- a POST of 1,000 updates. It would serve one order of four.
--
-- The orders are those that an index has for each project. One by title would write 150 bytes of WAL for each task, of 2,650, and
-- be as large as the largest of the others, for a list that page() sorts for one project; statuses are four, and the order by
-- hand is one of each project.
--
-- my_task_ids_by_created_at() and so on, one for each order, are made from one text. A session keeps the plans of statements that
-- stand in a function; to plan them takes twice as long as to read a page of few projects. Who adds an index adds its order
-- here, in my_task_ids() and in my_tasks().

DO $do$
DECLARE
    o     record;
    pages text[];
BEGIN
    FOR o IN
        -- What tells a row's place, what cursor_check() is told of it, and the cursors that no row comes before or behind. If the
        -- index is not of cursors: that a row comes not before, or not behind one; the index's order in both directions.
        SELECT v.*, format('taskapi.cursor(%L, %s)', v.order_by, 't.' || replace(v.keys, ', ', ', t.')) AS place
        FROM (VALUES
            ('created_at', 'created_at DESC, id DESC', 'created_at, id', 'created_at, id', 'true, NULL::timestamptz, NULL::uuid',
             'timestamptz ''infinity'', uuid ''ffffffff-ffff-ffff-ffff-ffffffffffff''',
             'timestamptz ''-infinity'', uuid ''00000000-0000-0000-0000-000000000000''',
             '(t.created_at, t.id)'
             ' <= (taskapi.cursor_value(%1$s, 1, NULL::timestamptz), taskapi.cursor_value(%1$s, 2, NULL::uuid))',
             '(t.created_at, t.id)'
             ' >= (taskapi.cursor_value(%1$s, 1, NULL::timestamptz), taskapi.cursor_value(%1$s, 2, NULL::uuid))',
             't.created_at DESC, t.id DESC', 't.created_at, t.id'),
            ('due_date', 'due_date NULLS LAST, id', 'due_date DESC NULLS FIRST, id DESC', 'due_date, id',
             'false, NULL::date, NULL::uuid',
             'date ''-infinity'', uuid ''00000000-0000-0000-0000-000000000000''',
             'NULL::date, uuid ''ffffffff-ffff-ffff-ffff-ffffffffffff''', NULL, NULL, NULL, NULL),
            ('priority', 'priority DESC, created_at, id', 'priority, created_at DESC, id DESC', 'priority, created_at, id',
             'true, NULL::smallint, NULL::timestamptz, NULL::uuid',
             'smallint ''32767'', timestamptz ''-infinity'', uuid ''00000000-0000-0000-0000-000000000000''',
             'smallint ''-32768'', timestamptz ''infinity'', uuid ''ffffffff-ffff-ffff-ffff-ffffffffffff''',
             NULL, NULL, NULL, NULL),
            ('updated_at', 'updated_at DESC, id DESC', 'updated_at, id', 'updated_at, id', 'true, NULL::timestamptz, NULL::uuid',
             'timestamptz ''infinity'', uuid ''ffffffff-ffff-ffff-ffff-ffffffffffff''',
             'timestamptz ''-infinity'', uuid ''00000000-0000-0000-0000-000000000000''', NULL, NULL, NULL, NULL)
        ) v (name, order_by, backwards, keys, checked, first, last, not_before, not_behind, forth, back)
    LOOP
        pages := ARRAY(
            SELECT format($page$
        WITH branch AS MATERIALIZED (
            SELECT b.project_id, b.nth, taskapi.cursor(%2$L, %3$s) AS place
            FROM (SELECT p.project_id, first.*, row_number() OVER (ORDER BY %4$s) AS nth
                  FROM unnest(%1$s.my_project_ids()) AS p (project_id)
                  CROSS JOIN LATERAL (
                      SELECT t.%5$s
                      FROM %1$s.task t
                      WHERE t.project_id = p.project_id AND t.deleted_at IS NULL
                        AND %6$s
                        AND %7$s IS DISTINCT FROM after
                      ORDER BY %8$s
                      LIMIT 1) AS first
                  ORDER BY %4$s
                  LIMIT page_size) b
        ), final AS MATERIALIZED (
            SELECT coalesce((SELECT b.place FROM branch b WHERE b.nth = page_size), taskapi.cursor(%2$L, %9$s)) AS place
        )
        SELECT r.id
        FROM (SELECT row.*
              FROM final
              CROSS JOIN branch b
              CROSS JOIN LATERAL (
                  SELECT t.%5$s
                  FROM %1$s.task t
                  WHERE t.project_id = b.project_id AND t.deleted_at IS NULL
                    AND %10$s
                    AND %11$s
                  ORDER BY %8$s
                  LIMIT page_size - b.nth + 1) AS row) r
        ORDER BY %4$s
        LIMIT page_size$page$,
                '@data_in_quotes@', o.order_by, o.keys, w.order_by, replace(o.keys, ', ', ', t.'),
                format(w.from_here, format('coalesce(after, taskapi.cursor(%L, %s))', o.order_by, w.first)),
                o.place, w.sorted, w.last, format(w.from_here, 'b.place'), format(w.to_here, 'final.place'))
            FROM (VALUES
                (1, o.order_by, coalesce(o.not_before, o.place || ' >= %s'), coalesce(o.not_behind, o.place || ' <= %s'),
                 coalesce(o.forth, o.place), o.first, o.last),
                (2, o.backwards, coalesce(o.not_behind, o.place || ' <= %s'), coalesce(o.not_before, o.place || ' >= %s'),
                 coalesce(o.back, o.place || ' DESC'), o.last, o.first)
            ) w (nth, order_by, from_here, to_here, sorted, first, last)
            ORDER BY w.nth);
        EXECUTE format($function$
CREATE FUNCTION %1$s.%2$I(page_size int, after taskapi.cursor, backwards boolean) RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM taskapi.cursor_check(after, %3$L, %4$s);
    IF backwards THEN
        RETURN ARRAY(%6$s);
    END IF;
    RETURN ARRAY(%5$s);
END
$body$ $function$, '@data_in_quotes@', 'my_task_ids_by_' || o.name, o.order_by, o.checked, pages[1], pages[2]);
        EXECUTE format('COMMENT ON FUNCTION %s.%I(int, taskapi.cursor, boolean) IS %L',
                       '@data_in_quotes@', 'my_task_ids_by_' || o.name,
                       format('The first tasks of all the caller''s projects behind a cursor, or before it, in the order %s;'
                              ' for my_task_ids()', o.order_by));
    END LOOP;
END
$do$;

-- The owner's eyes are for these only.
CREATE FUNCTION @data@.my_task_ids(order_by text, page_size int, after taskapi.cursor, backwards boolean) RETURNS uuid[]
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    CASE order_by
        WHEN 'created_at' THEN RETURN @data@.my_task_ids_by_created_at(page_size, after, backwards);
        WHEN 'due_date'   THEN RETURN @data@.my_task_ids_by_due_date(page_size, after, backwards);
        WHEN 'priority'   THEN RETURN @data@.my_task_ids_by_priority(page_size, after, backwards);
        WHEN 'updated_at' THEN RETURN @data@.my_task_ids_by_updated_at(page_size, after, backwards);
    END CASE;
END
$body$;
COMMENT ON FUNCTION @data@.my_task_ids(text, int, taskapi.cursor, boolean) IS
    'The ids of a page of all tasks of all the caller''s projects, in one of four orders or backwards; for my_tasks()';

CREATE FUNCTION @api@.my_tasks(page_size int DEFAULT NULL, page_token text DEFAULT NULL, order_by text DEFAULT NULL,
                               backwards boolean DEFAULT NULL)
    RETURNS SETOF @api@.tasks
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
DECLARE
    ordered CONSTANT text := coalesce(nullif(my_tasks.order_by, ''), 'created_at');
    after taskapi.cursor;
    size  int;
    ids   uuid[];
BEGIN
    IF taskapi.current_subject() IS NULL THEN
        RETURN;
    END IF;
    IF ordered NOT IN ('created_at', 'due_date', 'priority', 'updated_at') THEN
        PERFORM taskapi.raise_problem('invalid_order_by', 'order_by is created_at, due_date, priority or updated_at.');
    END IF;
    after := nullif(page_token, '');
    size := coalesce(nullif(page_size, 0), coalesce(current_setting('taskapi.default_page_size',true),'50')::int);
    IF size < 0 THEN
        PERFORM taskapi.raise_problem('invalid_page_size', format('page_size is %s.', size));
    END IF;
    -- A cursor of another order: cursor_mismatch. In the statement below the planner would call it once more, to estimate.
    ids := @data@.my_task_ids(ordered, least(size, coalesce(current_setting('taskapi.max_page_size',true),'1000')::int),
                              after, coalesce(backwards, false));
    RETURN QUERY
    SELECT t.*
    FROM unnest(ids) WITH ORDINALITY i (id, nth)
    JOIN @api@.tasks t ON t.id = i.id
    ORDER BY i.nth;
END
$body$;
COMMENT ON FUNCTION @api@.my_tasks(int, text, text, boolean) IS
    'All tasks of all the caller''s projects, newest first, or in the order of due_date, priority or updated_at: '
    '/rpc/my_tasks?page_size=50, then &page_token=CURSOR of the last row: the column cursor, or cursor_by_due_date and so on, '
    'which select=*,cursor_by_due_date adds. With backwards=true the order from its end, or from the cursor to its start. '
    'An empty page is the end; a short one is not, since limits may cut it';
-- Search and labels. Yours once created; see 10_tables.sql.
--
--   GET /rpc/tasks_search?query=login "blank page" -safari err*      words, phrases, words that must not be there, beginnings
--   GET /tasks?labels=cs.{bug}, ?labels=ov.{bug,ui}                  all of these labels, one of these
--
-- What is searched is in the columns "search" of task and comment, and in the GIN indexes of 10_tables.sql. The configuration
-- "simple" takes words as they are, in any language; whoever wants stems changes it there and in words_of().

-- Under row-level security only a leakproof operator bounds an index scan, and these are. In the API's schema they are found
-- ahead of the server's, which are for arrays of any type.
CREATE OPERATOR @api@.@> (LEFTARG = text[], RIGHTARG = text[], FUNCTION = taskapi.contains,
                          RESTRICT = contsel, JOIN = contjoinsel);
CREATE OPERATOR @api@.&& (LEFTARG = text[], RIGHTARG = text[], FUNCTION = taskapi.overlaps, COMMUTATOR = OPERATOR(@api@.&&),
                          RESTRICT = contsel, JOIN = contjoinsel);
COMMENT ON OPERATOR @api@.@> (text[], text[]) IS 'contains, bounded by an index under row-level security';
COMMENT ON OPERATOR @api@.&& (text[], text[]) IS 'overlaps, bounded by an index under row-level security';

CREATE FUNCTION @data@.words_of(query text) RETURNS tsquery
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    words     tsquery;
    beginning tsquery;
    word      text;
    lexeme    text;
BEGIN
    IF query IS NULL OR length(query) > 1000 THEN
        PERFORM taskapi.raise_problem('invalid_value', 'query has at most 1000 characters.');
    END IF;
    words := websearch_to_tsquery('simple', regexp_replace(query, '(^|\s)[^\s"]+\*(?=\s|$)', ' ', 'g'));
    FOR word IN SELECT m[1] FROM regexp_matches(query, '(?:^|\s)([^\s"]+)\*(?=\s|$)', 'g') m LOOP
        -- the parser may divide it, or find nothing in it
        beginning := '';
        FOREACH lexeme IN ARRAY tsvector_to_array(to_tsvector('simple', word)) LOOP
            beginning := beginning && format('''%s'':*', replace(replace(lexeme, '\', '\\'), '''', ''''''))::tsquery;
        END LOOP;
        words := words && CASE WHEN word LIKE '-%' THEN !! beginning ELSE beginning END;
    END LOOP;
    IF numnode(words) NOT BETWEEN 1 AND 99 THEN
        PERFORM taskapi.raise_problem('invalid_value', 'query has 1 to 50 words.');
    END IF;
    RETURN words;
END
$body$;
COMMENT ON FUNCTION @data@.words_of(text) IS
    'What a client searches for: as websearch_to_tsquery() has it, and word* for words that begin so. Problem: invalid_value';

-- The tasks whose title and description match, or one of whose comments does; as the owner of the tables, within the caller's
-- projects. Newest first: of one project in the order of an index or from the GIN index, as the planner finds a word rare or
-- not. By rank: all that match are ranked.
CREATE FUNCTION @data@.my_matching_tasks(words tsquery, project_id uuid, by_rank boolean, page_size int, after_rank real,
                                         after_created_at timestamptz, after_id uuid)
    RETURNS TABLE (id uuid, rank real)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    mine  CONSTANT uuid[] := @data@.my_project_ids();
    scope CONSTANT text   := CASE WHEN project_id IS NULL THEN 'ANY ($1)' ELSE '$2' END;
BEGIN
    -- It also sees to it that a row of another project has no error to cause.
    IF taskapi.match_value(words) IS NULL OR project_id <> ALL (mine) THEN
        RETURN;
    ELSIF by_rank THEN
        RETURN QUERY EXECUTE format($query$
            SELECT f.id, max(f.rank)
            FROM (SELECT t.id, ts_rank(t.search, $3) AS rank
                  FROM @data@.task t
                  WHERE t.project_id = %1$s AND t.deleted_at IS NULL AND t.search @@ $3
                  UNION ALL
                  SELECT c.task_id, ts_rank(c.search, $3)
                  FROM @data@.comment c JOIN @data@.task t ON t.id = c.task_id
                  WHERE c.project_id = %1$s AND c.deleted_at IS NULL AND c.search @@ $3 AND t.deleted_at IS NULL) f
            GROUP BY f.id HAVING (max(f.rank), f.id) < ($5, $7)
            ORDER BY 2 DESC, 1 DESC LIMIT $4 $query$, scope)
            USING mine, project_id, words, page_size, after_rank, after_created_at, after_id;
    ELSE
        RETURN QUERY EXECUTE format($query$
            SELECT f.id, NULL::real
            FROM ((SELECT t.id, t.created_at
                   FROM @data@.task t
                   WHERE t.project_id = %1$s AND t.deleted_at IS NULL AND t.search @@ $3 AND (t.created_at, t.id) < ($6, $7)
                   ORDER BY t.created_at DESC, t.id DESC LIMIT $4)
                  UNION
                  SELECT t.id, t.created_at
                  FROM @data@.comment c JOIN @data@.task t ON t.id = c.task_id
                  WHERE c.project_id = %1$s AND c.deleted_at IS NULL AND c.search @@ $3
                    AND t.deleted_at IS NULL AND (t.created_at, t.id) < ($6, $7)) f
            ORDER BY f.created_at DESC, f.id DESC LIMIT $4 $query$, scope)
            USING mine, project_id, words, page_size, after_rank, after_created_at, after_id;
    END IF;
END
$body$;
COMMENT ON FUNCTION @data@.my_matching_tasks(tsquery, uuid, boolean, int, real, timestamptz, uuid) IS
    'The ids of the tasks of the caller''s projects that match, after the given place; for tasks_search()';

CREATE FUNCTION @api@.tasks_search(query text, project_id uuid DEFAULT NULL, by_rank boolean DEFAULT false,
                                   page_size int DEFAULT NULL, page_token text DEFAULT NULL)
    RETURNS TABLE (rank real, cursor taskapi.cursor, task @api@.tasks)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
DECLARE
    after taskapi.cursor;
    size  int;
    words tsquery;
BEGIN
    IF taskapi.current_subject() IS NULL THEN
        RETURN;
    END IF;
    after := nullif(page_token, '');
    size := coalesce(nullif(page_size, 0), coalesce(current_setting('taskapi.default_page_size', true), '50')::int);
    IF size < 0 THEN
        PERFORM taskapi.raise_problem('invalid_page_size', format('page_size is %s.', size));
    END IF;
    size := least(size, coalesce(current_setting('taskapi.max_page_size', true), '1000')::int);
    words := @data@.words_of(query);
    -- A cursor of another order: cursor_mismatch.
    IF by_rank THEN
        PERFORM taskapi.cursor_check(after, 'rank DESC, id DESC', true, NULL::real, NULL::uuid);
        RETURN QUERY
        SELECT m.rank, taskapi.cursor('rank DESC, id DESC', m.rank, m.id), t
        FROM @data@.my_matching_tasks(words, project_id, true, size,
                                      coalesce(taskapi.cursor_value(after, 1, NULL::real), 'infinity'), NULL,
                                      coalesce(taskapi.cursor_value(after, 2, NULL::uuid),
                                               'ffffffff-ffff-ffff-ffff-ffffffffffff')) m
        JOIN @api@.tasks t ON t.id = m.id
        ORDER BY m.rank DESC, m.id DESC;
    ELSE
        PERFORM taskapi.cursor_check(after, 'created_at DESC, id DESC', true, NULL::timestamptz, NULL::uuid);
        RETURN QUERY
        SELECT m.rank, t.cursor, t
        FROM @data@.my_matching_tasks(words, project_id, false, size, NULL,
                                      coalesce(taskapi.cursor_value(after, 1, NULL::timestamptz), 'infinity'),
                                      coalesce(taskapi.cursor_value(after, 2, NULL::uuid),
                                               'ffffffff-ffff-ffff-ffff-ffffffffffff')) m
        JOIN @api@.tasks t ON t.id = m.id
        ORDER BY t.created_at DESC, t.id DESC;
    END IF;
END
$body$;
COMMENT ON FUNCTION @api@.tasks_search(text, uuid, boolean, int, text) IS
    'Tasks in which, or in a comment on which, words occur: newest first, or the best first with by_rank=true, then '
    '&page_token=CURSOR, the column cursor of the last row. An empty page is the end';
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
-- Invitations, and their acceptance: the only way into a project of others. Yours once created; see 10_tables.sql.
--
--   POST /invitations {"project_id", "email", "role"}        an owner invites whoever reads the mail of an address. The answer
--                                                           has the token, this once, for a link that the owner sends
--   POST /invitations {"project_id", "account_id", "role"}   an owner invites an account, which finds it under /invitations
--   DELETE /invitations?id=eq.ID                            an owner revokes it, or the invited account declines
--   POST /rpc/accept_invitation {"token"}                   the account that has the address accepts
--   POST /rpc/accept_invitation {"invitation_id"}           the invited account accepts
--
-- Inviting looks no account up, so its answer is the same whether there is one or not. Accepting has one refusal for a token
-- that is wrong, used, revoked, expired or for another address, for an invitation that is another's, and for a project that is
-- gone. What it locks, and when an invitation ends by itself, stands in 20_membership.sql.

CREATE VIEW @api@.invitations WITH (security_invoker) AS
SELECT i.id, i.project_id, i.email, i.account_id, i.role, i.inviter_id, i.project_name, i.inviter_name,
       i.created_at, i.expires_at, NULL::text AS token
FROM @data@.invitation i
WHERE i.expires_at > now();
ALTER VIEW @api@.invitations ALTER COLUMN role SET DEFAULT 'viewer';
ALTER VIEW @api@.invitations ALTER COLUMN expires_at SET DEFAULT now() + interval '7 days';
COMMENT ON VIEW @api@.invitations IS
    'Pending invitations: those to projects that the caller owns, and those to the caller''s account. POST '
    '{"project_id", "email" or "account_id", "role"} invites, DELETE revokes or declines';
COMMENT ON COLUMN @api@.invitations.email IS 'The invited address, for owners; NULL if an account is invited';
COMMENT ON COLUMN @api@.invitations.account_id IS 'The invited account; NULL if an address is invited';
COMMENT ON COLUMN @api@.invitations.role IS 'What the invited account becomes: owner, editor or viewer';
COMMENT ON COLUMN @api@.invitations.project_name IS 'What the project was called then';
COMMENT ON COLUMN @api@.invitations.expires_at IS '7 days from now unless given; at most 30';
COMMENT ON COLUMN @api@.invitations.token IS 'Shown once, in the answer to POST with an email; NULL ever after';

CREATE FUNCTION @data@.create_invitation() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    inviter     CONSTANT uuid := taskapi.current_subject_id();
    constraint_ text;
BEGIN
    IF NEW.project_id = ANY (@data@.my_project_ids('owner')) IS NOT TRUE THEN
        PERFORM taskapi.raise_problem('forbidden', 'Only an owner of a project invites to it.');
    END IF;
    SELECT p.name INTO NEW.project_name FROM @data@.project p WHERE p.id = NEW.project_id AND p.deleted_at IS NULL FOR KEY SHARE;
    IF NOT FOUND THEN
        PERFORM taskapi.raise_problem('invalid_reference', 'The project is deleted.');
    END IF;
    -- Whoever makes the inviter an owner no more comes before, or finds the invitation.
    PERFORM FROM @data@.membership m
    WHERE m.project_id = NEW.project_id AND m.account_id = inviter AND m.role = 'owner' AND m.deleted_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        PERFORM taskapi.raise_problem('forbidden', 'Only an owner of a project invites to it.');
    END IF;
    IF NEW.role IS NULL OR NEW.expires_at IS NULL THEN
        PERFORM taskapi.raise_problem('invalid_value', 'An invitation needs a role and an end.');
    END IF;
    IF NEW.expires_at <= now() OR NEW.expires_at > now() + interval '30 days' THEN
        PERFORM taskapi.raise_problem('invalid_value', 'An invitation must end in the future, within 30 days.');
    END IF;

    DELETE FROM @data@.invitation i
    WHERE i.id IN (SELECT o.id FROM @data@.invitation o WHERE o.project_id = NEW.project_id AND o.expires_at <= now()
                   ORDER BY o.id FOR UPDATE SKIP LOCKED);
    SELECT a.display_name INTO NEW.inviter_name FROM @data@.account a WHERE a.id = inviter;
    NEW.inviter_id := inviter;
    IF NEW.email IS NOT NULL THEN
        NEW.token := 'tai_' || replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
    END IF;
    INSERT INTO @data@.invitation AS i (project_id, email, account_id, role, inviter_id, project_name, inviter_name,
                                        token_hash, expires_at)
    VALUES (NEW.project_id, NEW.email, NEW.account_id, NEW.role, NEW.inviter_id, NEW.project_name, NEW.inviter_name,
            sha256(convert_to(NEW.token, 'UTF8')), NEW.expires_at)
    RETURNING i.id, i.created_at INTO NEW.id, NEW.created_at;
    RETURN NEW;
EXCEPTION
    -- Without their details, which are the row: it has the hash of the token.
    WHEN check_violation THEN
        GET STACKED DIAGNOSTICS constraint_ = CONSTRAINT_NAME;
        IF constraint_ = '' THEN        -- a problem already
            RAISE;
        END IF;
        PERFORM taskapi.raise_problem('invalid_value', format('It violates constraint "%s".', constraint_));
    WHEN unique_violation THEN
        PERFORM taskapi.raise_problem('already_exists', 'An invitation to this project is pending for this address or account.',
            'Revoke it first.');
    WHEN serialization_failure OR deadlock_detected THEN
        PERFORM taskapi.raise_problem('try_again', 'Another request changed the same rows at the same time.',
            'Send the request again.');
END
$body$;
COMMENT ON FUNCTION @data@.create_invitation() IS 'POST /invitations';
CREATE TRIGGER create_invitation INSTEAD OF INSERT ON @api@.invitations FOR EACH ROW EXECUTE FUNCTION @data@.create_invitation();
CREATE TRIGGER refuse_update INSTEAD OF UPDATE ON @api@.invitations FOR EACH ROW EXECUTE FUNCTION @data@.refuse_update();
-- DELETE is PostgreSQL's own, of the one table, by its policies.

CREATE FUNCTION @api@.accept_invitation(token text DEFAULT NULL, invitation_id uuid DEFAULT NULL) RETURNS SETOF @api@.members
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    me      CONSTANT uuid := taskapi.current_subject_id();
    address text;
    invited @data@.invitation;
BEGIN
    IF me IS NULL THEN
        PERFORM taskapi.raise_problem('unauthenticated', 'An invitation is accepted by an account.');
    END IF;
    IF (token IS NULL) = (invitation_id IS NULL) THEN
        PERFORM taskapi.raise_problem('invalid_value', 'Give a token or an invitation_id.');
    END IF;
    SELECT a.email INTO address FROM @data@.account a WHERE a.id = me AND a.deleted_at IS NULL FOR KEY SHARE;
    SELECT i.* INTO invited FROM @data@.invitation i
    WHERE CASE WHEN accept_invitation.token IS NOT NULL
               THEN i.token_hash = sha256(convert_to(accept_invitation.token, 'UTF8')) AND lower(i.email) = lower(address)
               ELSE i.id = accept_invitation.invitation_id AND i.account_id = me AND address IS NOT NULL END;
    PERFORM FROM @data@.project p WHERE p.id = invited.project_id AND p.deleted_at IS NULL FOR KEY SHARE;
    IF FOUND THEN
        PERFORM FROM @data@.membership m
        WHERE m.project_id = invited.project_id AND m.account_id = invited.inviter_id
          AND m.role = 'owner' AND m.deleted_at IS NULL FOR SHARE;
    END IF;
    IF FOUND THEN
        -- whoever revokes or accepts it at the same time comes before or after
        DELETE FROM @data@.invitation i WHERE i.id = invited.id AND i.expires_at > now();
    END IF;
    IF NOT FOUND THEN
        PERFORM taskapi.raise_problem('not_found', 'There is no such invitation for you, or it has ended.');
    END IF;
    INSERT INTO @data@.membership (project_id, account_id, role) VALUES (invited.project_id, me, invited.role);
    RETURN QUERY SELECT * FROM @api@.members m WHERE m.project_id = invited.project_id AND m.account_id = me;
EXCEPTION
    WHEN unique_violation THEN
        PERFORM taskapi.raise_problem('already_exists', 'You are a member already.');
    WHEN serialization_failure OR deadlock_detected THEN
        PERFORM taskapi.raise_problem('try_again', 'Another request changed the same rows at the same time.',
            'Send the request again.');
END
$body$;
COMMENT ON FUNCTION @api@.accept_invitation(text, uuid) IS
    'POST {"token"} or {"invitation_id"}: the caller becomes a member of the project, and sees itself as one';

-- POST /members says what to do instead.
CREATE FUNCTION @data@.refuse_member() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    PERFORM taskapi.raise_problem('forbidden', 'An account becomes a member by accepting an invitation.',
        'Invite it: POST /invitations {"project_id", "email" or "account_id", "role"}.');
    RETURN NULL;
END
$body$;
COMMENT ON FUNCTION @data@.refuse_member() IS 'POST /members: refused, since an account becomes a member only by consent';
CREATE TRIGGER refuse_member INSTEAD OF INSERT ON @api@.members FOR EACH ROW EXECUTE FUNCTION @data@.refuse_member();
-- Who may do what. Yours once created; see 10_tables.sql. create_task_api() leaves all that it made to its owner, whatever
-- default privileges say; grant_api() gives the two roles what they need, and no more: an anonymous caller may log in or
-- reset a password, and an authenticated one may what row-level security leaves. Functions that you add are PUBLIC's until
-- you revoke them.

CREATE FUNCTION @data@.grant_api(anonymous regrole, authenticated regrole) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    data CONSTANT name := @data_name@;
    api  CONSTANT name := @api_name@;
    name text;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %s, %s', api, anonymous, authenticated);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %s', data, authenticated);

    FOREACH name IN ARRAY ARRAY['projects', 'tasks', 'comments'] LOOP
        PERFORM taskapi.grant_resource(format('%I.%I', api, name)::regclass, authenticated,
                                       '{read,create,update,delete,restore,purge}');
    END LOOP;
    PERFORM taskapi.grant_resource(format('%I.activity', api)::regclass, authenticated, '{read}');
    -- Only accept_invitation() makes a member, and only the role of one changes. INSERT on the view, without any on its
    -- table, is for the words of refuse_member(). Purge is for leaving a project that is deleted.
    PERFORM taskapi.grant_resource(format('%I.members', api)::regclass, authenticated, '{read,delete,purge}');
    EXECUTE format('GRANT INSERT, UPDATE ON %I.members TO %s', api, authenticated);
    EXECUTE format('GRANT UPDATE (role) ON %I.membership TO %s', data, authenticated);
    -- Only create_account() makes an account, and only the owner of the tables restores one.
    PERFORM taskapi.grant_resource(format('%I.users', api)::regclass, authenticated, '{read,delete}');
    EXECUTE format('GRANT UPDATE ON %I.users TO %s', api, authenticated);
    EXECUTE format('GRANT UPDATE (email, display_name) ON %I.account TO %s', data, authenticated);

    EXECUTE format('GRANT INSERT (email, password) ON %I.sessions TO %s, %s', api, anonymous, authenticated);
    -- To see the answer to one's own log-in. What GET would ask for, an anonymous caller may not execute.
    EXECUTE format('GRANT SELECT (id, created_at, expires_at, user_agent, address, current, email, password)'
                   ' ON %I.sessions TO %s', api, anonymous);
    EXECUTE format('GRANT SELECT, DELETE ON %I.sessions TO %s', api, authenticated);
    EXECUTE format('GRANT SELECT, INSERT (name, scopes, expires_at), DELETE ON %I.api_keys TO %s', api, authenticated);
    EXECUTE format('GRANT SELECT ON %I.me TO %s', api, authenticated);
    EXECUTE format('GRANT SELECT, INSERT (project_id, email, account_id, role, expires_at), DELETE ON %I.invitations TO %s',
                   api, authenticated);
    EXECUTE format('GRANT SELECT (id, project_id, email, account_id, role, inviter_id, project_name, inviter_name,'
                   ' created_at, expires_at), DELETE ON %I.invitation TO %s', data, authenticated);
    PERFORM taskapi.set_api_roles(anonymous, authenticated);

    -- What the policies call, the computed fields, and the lists.
    FOREACH name IN ARRAY ARRAY['my_project_ids', 'my_peer_ids', 'my_task_ids', 'make_room', 'words_of',
                              'my_matching_tasks'] LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %I.%I TO %s', data, name, authenticated);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['cursor_by_due_date', 'cursor_by_priority', 'cursor_by_updated_at', 'my_tasks',
                                'confirm_email', 'accept_invitation', 'move_task', 'tasks_search',
                                'request_email_verification'] LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %I.%I TO %s', api, name, authenticated);
    END LOOP;
    -- For who forgot the password, logged in elsewhere or not.
    FOREACH name IN ARRAY ARRAY['request_password_reset', 'reset_password'] LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %I.%I TO %s, %s', api, name, anonymous, authenticated);
    END LOOP;
END
$body$;
COMMENT ON FUNCTION @data@.grant_api(regrole, regrole) IS
    'Grants the two roles what they need for the API, and nothing else: anonymous may log in, or '
    'reset a password';
$task_api$;
    name     text;
    has      text;
    lacks    text;
    before   text[];
    made     record;
BEGIN
    IF data_schema IS NULL OR api_schema IS NULL OR data_schema = api_schema THEN
        RAISE EXCEPTION 'the task API needs two schemas' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF (anonymous IS NULL) <> (authenticated IS NULL) THEN
        RAISE EXCEPTION 'both roles or neither must be given' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF EXISTS (SELECT FROM unnest(ARRAY[anonymous, authenticated]) r
               WHERE r IS NOT NULL AND NOT EXISTS (SELECT FROM pg_roles p WHERE p.oid = r)) THEN
        RAISE EXCEPTION 'role % or % does not exist', anonymous, authenticated USING ERRCODE = 'undefined_object';
    END IF;
    FOREACH name IN ARRAY ARRAY[data_schema, api_schema] LOOP
        IF name ~ '^$|[@$]' OR name = 'taskapi' OR name ~ '^pg_' OR name = 'information_schema' THEN
            RAISE EXCEPTION 'schema "%" cannot hold the task API', name USING ERRCODE = 'invalid_parameter_value';
        END IF;
        IF to_regnamespace(quote_ident(name)) IS NULL THEN
            EXECUTE format('CREATE SCHEMA %I', name);
            PERFORM taskapi.revoke_from_others('pg_namespace', to_regnamespace(quote_ident(name)));
            IF name = api_schema THEN
                -- what layers call the API: the title, and what it is about
                EXECUTE format('COMMENT ON SCHEMA %I IS %L', name, E'Tasks\n\nProjects, their members, and their tasks.');
            END IF;
        END IF;
        PERFORM taskapi.check_task_api_schema(name);
    END LOOP;
    SELECT string_agg(c.relname, ', ' ORDER BY c.relname) INTO has
    FROM pg_class c
    WHERE c.relnamespace = to_regnamespace(quote_ident(data_schema))
          AND c.relname IN ('account', 'project', 'membership', 'invitation', 'task', 'comment', 'activity',
                            'one_time_token')
       OR c.relnamespace = to_regnamespace(quote_ident(api_schema))
          AND c.relname IN ('users', 'projects', 'members', 'tasks', 'sessions', 'api_keys', 'me', 'invitations',
                            'comments', 'activity');
    IF has IS NOT NULL THEN
        RAISE EXCEPTION 'the task API cannot be created in "%" and "%"', data_schema, api_schema
            USING ERRCODE = 'duplicate_table', DETAIL = format('Already taken: %s.', has),
                  HINT = 'Name two other schemas.'
                         ' To bring an existing task API up to date, call taskapi.expose() on its tables again.';
    END IF;
    SELECT string_agg(f, ', ') INTO lacks
    FROM unnest(ARRAY['taskapi.hash_password(text)', 'taskapi.verify_password(text,text)', 'taskapi.charge_login(text)',
                      'taskapi.revoke_credentials(text)', 'taskapi.block_subject(text)', 'taskapi.unblock_subject(text)',
                      'taskapi.create_session(text,interval)', 'taskapi.set_api_roles(regrole,regrole)',
                      'taskapi.publish(text,text,jsonb,jsonb)']) f
    WHERE NOT has_function_privilege(f, 'EXECUTE');
    IF lacks IS NOT NULL THEN
        RAISE WARNING 'passwords, log-ins, mail, the deletion of accounts and grant_api() will not work for role "%"',
            current_user
            USING HINT = format('Let the owner of the extension call GRANT EXECUTE ON FUNCTION %s TO %I.', lacks, current_user);
    END IF;
    -- Mail goes out through the outbox: it is made if the caller may make it and nothing else is there by its name.
    IF has_function_privilege('taskapi.outbox_location()', 'EXECUTE') THEN
        IF NOT EXISTS (SELECT FROM taskapi.outbox_location()) THEN
            IF to_regnamespace('outbox') IS NULL
               AND has_function_privilege('taskapi.create_outbox(name)', 'EXECUTE')
               AND has_function_privilege('taskapi.register_outbox(regclass,bigint)', 'EXECUTE')
               AND has_function_privilege('taskapi.extend_outbox(int)', 'EXECUTE') THEN
                PERFORM taskapi.create_outbox();
            ELSE
                RAISE WARNING 'there is no outbox in this database, so no mail will go out'
                    USING HINT = 'Call taskapi.create_outbox() with the name of a schema.';
            END IF;
        END IF;
    END IF;
    task_api := replace(task_api, '@data@', quote_ident(data_schema));
    task_api := replace(task_api, '@api@', quote_ident(api_schema));
    task_api := replace(task_api, '@data_name@', quote_literal(data_schema));
    -- within a literal
    task_api := replace(task_api, '@data_in_quotes@', replace(quote_ident(data_schema), '''', ''''''));
    task_api := replace(task_api, '@api_name@', quote_literal(api_schema));
    before := ARRAY(SELECT format('%s %s', o.class, o.object)
                    FROM unnest(ARRAY[data_schema, api_schema]) s, taskapi.objects_in(s) o);
    EXECUTE task_api;
    FOR made IN
        SELECT o.class, o.object FROM unnest(ARRAY[data_schema, api_schema]) s, taskapi.objects_in(s) o
        WHERE format('%s %s', o.class, o.object) <> ALL (before)
    LOOP
        PERFORM taskapi.revoke_from_others(made.class, made.object);
    END LOOP;
    IF anonymous IS NOT NULL THEN
        EXECUTE format('SELECT %I.grant_api($1, $2)', data_schema) USING anonymous, authenticated;
    END IF;
END
$create_task_api$;
REVOKE ALL ON FUNCTION taskapi.create_task_api(name, name, regrole, regrole) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.create_task_api(name, name, regrole, regrole) IS
    'Creates the task API in two schemas, as the caller: tables in data_schema, resources in api_schema; grant_api() for two'
    ' roles';

-- sql/install/75_outbox.sql
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

-- sql/install/76_changes.sql
-- The change feed: what happened to the rows of a resource since a client asked last. C: src/feed/

-- One row for each table whose changes are told. incarnation stands in the upper 16 bits of its stamps; the first write that
-- finds another system identifier, after a restore into another cluster, begins the next (src/feed/feed_state.h).
CREATE TABLE taskapi.change_source (
    source            regclass PRIMARY KEY,
    incarnation       int      NOT NULL CHECK (incarnation BETWEEN 0 AND 65535),
    system_identifier bigint   NOT NULL,
    pruned            xid8     NOT NULL DEFAULT '0'
);
REVOKE ALL ON TABLE taskapi.change_source FROM PUBLIC;
COMMENT ON TABLE taskapi.change_source IS 'The tables whose changes are told';
COMMENT ON COLUMN taskapi.change_source.source IS 'The table';
COMMENT ON COLUMN taskapi.change_source.incarnation IS 'The upper 16 bits of its stamps of now';
COMMENT ON COLUMN taskapi.change_source.system_identifier IS 'The cluster whose transaction ids these stamps hold';
COMMENT ON COLUMN taskapi.change_source.pruned IS 'The newest stamp of a departure that was pruned';
SELECT pg_catalog.pg_extension_config_dump('taskapi.change_source',
    'WHERE source IN (SELECT oid FROM pg_catalog.pg_class) ORDER BY source::pg_catalog.text');

CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.change_source
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.change_source ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.change_source IS 'Every backend reads the table again';

-- changes(resource, page_token, page_size, filter) -> (items, removed, next_page_token, has_more)
--
-- What happened to the rows of a resource since the token: items are rows as they are now, as page() gives them, removed the keys
-- of rows that are deleted, that the caller does not see any more, or that do not match the filter. No token is the beginning;
-- 'latest' asks for nothing but a token. The order is that of the changes' transactions, and each row comes once. Once has_more
-- is false, the caller has what the database held when that walk began; the next call tells what happened since. A token is for
-- one resource, filter and caller. Works in a transaction that is READ ONLY, and on a standby. docs/sync.md
--
-- Errors: 55000 for what does not tell its changes; invalid_filter, invalid_page_size, invalid_cursor; cursor_mismatch for the
-- token of another resource, filter or caller; cursor_expired (410) if the client must start over without a token; try_again.
CREATE FUNCTION taskapi.changes(resource regclass, page_token text DEFAULT NULL, page_size int DEFAULT NULL,
                                filter jsonb DEFAULT NULL)
    RETURNS taskapi.changes_result
    LANGUAGE C STABLE AS 'MODULE_PATHNAME', 'taskapi_changes';
COMMENT ON FUNCTION taskapi.changes(regclass, text, int, jsonb) IS
    'The changes of the rows of a resource since a token, as the caller may see them';

-- Policies.

CREATE FUNCTION taskapi.policy_expression(policy oid, alias name) RETURNS text
    LANGUAGE C STABLE STRICT SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
    AS 'MODULE_PATHNAME', 'taskapi_policy_expression';
COMMENT ON FUNCTION taskapi.policy_expression(oid, name) IS
    'Internal: what a policy asks of a row that is there, as of a table with another name';

CREATE FUNCTION taskapi.read_policies(relation regclass, alias name)
    RETURNS TABLE (name name, permissive boolean, roles text, expression text)
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT p.polname, p.polpermissive,
               (SELECT string_agg(taskapi.grantee_name(r), ', ' ORDER BY r) FROM unnest(p.polroles) r),
               coalesce(taskapi.policy_expression(p.oid, $2), 'true')
        FROM pg_policy p WHERE p.polrelid = $1 AND p.polcmd IN ('r', '*') ORDER BY p.polname;
    END;
COMMENT ON FUNCTION taskapi.read_policies(regclass, name) IS
    'Internal: the policies of a table that are asked when it is read, as those of a table with another name';

-- What a departure has to keep: the key, the scope's column, what policies test.
CREATE FUNCTION taskapi.departure_columns(source regclass, scopes text[]) RETURNS TABLE (name name, definition text, key boolean)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT a.attname, format_type(a.atttypid, a.atttypmod)
                          || CASE WHEN a.attcollation <> t.typcollation
                                  THEN (SELECT format(' COLLATE %I.%I', n.nspname, l.collname)
                                        FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
                                        WHERE l.oid = a.attcollation) ELSE '' END,
               a.attname = ANY (taskapi.key_columns($1))
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
          AND (a.attname = ANY (taskapi.key_columns($1))
               OR a.attname IN (SELECT taskapi.scope_column(s) FROM unnest($2) s)
               OR EXISTS (SELECT FROM pg_policy p JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
                              AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = a.attnum
                          WHERE p.polrelid = $1 AND p.polcmd IN ('r', '*')))
        ORDER BY a.attnum;
    END;
COMMENT ON FUNCTION taskapi.departure_columns(regclass, text[]) IS
    'Internal: the columns that the departures of a table have to keep';

-- A policy that takes the row as a whole, a system column or the table itself cannot be asked of a departure. Nor can one that
-- looks into a table with a foreign key to this one: what it finds there of a row goes with the row, and the answer is another
-- once that is gone.
CREATE FUNCTION taskapi.has_opaque_policy(source regclass) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT EXISTS (SELECT FROM pg_policy p JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
                           AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'n'
                       WHERE p.polrelid = $1 AND p.polcmd IN ('r', '*')
                         AND (d.refobjid = $1 AND d.refobjsubid <= 0
                              OR EXISTS (SELECT FROM pg_constraint f
                                         WHERE f.contype = 'f' AND f.conrelid = d.refobjid AND f.confrelid = $1
                                           AND f.conrelid <> f.confrelid)));
    END;
COMMENT ON FUNCTION taskapi.has_opaque_policy(regclass) IS
    'Internal: whether a policy of a table asks more of a row than some of its columns';

CREATE FUNCTION taskapi.departure_columns_of(departures regclass) RETURNS TABLE (name name, definition text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT a.attname, format_type(a.atttypid, a.atttypmod)
                          || CASE WHEN a.attcollation <> t.typcollation
                                  THEN (SELECT format(' COLLATE %I.%I', n.nspname, l.collname)
                                        FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
                                        WHERE l.oid = a.attcollation) ELSE '' END
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped;
    END;
COMMENT ON FUNCTION taskapi.departure_columns_of(regclass) IS 'Internal: the columns of a table of departures';

-- Can departures be read as the table is: with its columns, under its policies?
CREATE FUNCTION taskapi.departures_fit(source regclass, departures regclass, scopes text[] DEFAULT NULL) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(bool_and(
            s.relowner = d.relowner AND d.relrowsecurity AND NOT d.relforcerowsecurity AND d.relkind = 'r'
            AND s.relrowsecurity = NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = $2 AND p.polname = 'taskapi_all')
            AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = $2 AND p.polname = 'taskapi_fit')
            AND NOT taskapi.has_opaque_policy($1)
            AND NOT EXISTS (SELECT FROM taskapi.departure_columns($1, coalesce($3,
                                            (SELECT array_agg(r.scope) FROM taskapi.resources_of($1) r WHERE r.changes))) c
                            WHERE NOT EXISTS (SELECT FROM taskapi.departure_columns_of($2) p
                                              WHERE p.name = c.name AND p.definition = c.definition))
            AND NOT EXISTS ((SELECT p.* FROM taskapi.read_policies($1, d.relname) p
                             EXCEPT SELECT p.* FROM taskapi.read_policies($2, d.relname) p)
                            UNION ALL
                            (SELECT p.* FROM taskapi.read_policies($2, d.relname) p
                             WHERE p.name NOT IN ('taskapi_fit', 'taskapi_all')
                             EXCEPT SELECT p.* FROM taskapi.read_policies($1, d.relname) p))), false)
        FROM pg_class s, pg_class d WHERE s.oid = $1 AND d.oid = $2;
    END;
COMMENT ON FUNCTION taskapi.departures_fit(regclass, regclass, text[]) IS
    'Internal: whether a table of departures has the columns and policies that its source has now';

-- Asked by a policy of the departures: whoever reads them round the feed gets none that policies of another time are for.
CREATE FUNCTION taskapi.departures_legible(departures regclass) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(bool_and(taskapi.departures_fit(r.source, $1)), false)
        FROM (SELECT DISTINCT r.source FROM taskapi.resource r WHERE r.departures = $1) r;
    END;
COMMENT ON FUNCTION taskapi.departures_legible(regclass) IS
    'Internal: whether a table of departures can be read as its source is';

-- What expose() does about changes. The scopes are those of all resources made of the table that tell their changes.

CREATE FUNCTION taskapi.wanted_scopes(wanted taskapi.wanted_resource) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT coalesce(array_agg(s.scope), '{}')
        FROM (SELECT ($1).scope WHERE ($1).changes
              UNION
              SELECT r.scope FROM taskapi.resources_of(($1).source) r
              WHERE r.changes AND r.resource IS DISTINCT FROM (($1).former).resource) s (scope);
    END;
COMMENT ON FUNCTION taskapi.wanted_scopes(taskapi.wanted_resource) IS
    'Internal: the scopes of the resources made of a table that tell its changes; an empty array if none does';

CREATE FUNCTION taskapi.check_changes(wanted taskapi.wanted_resource) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    scope_column CONSTANT name := taskapi.scope_column(wanted.scope);
BEGIN
    IF wanted.changes AND (SELECT c.relpersistence <> 'p' FROM pg_class c WHERE c.oid = wanted.source) THEN
        RAISE EXCEPTION 'cannot track changes of unlogged table %', wanted.source
            USING ERRCODE = 'feature_not_supported', DETAIL = 'A crash empties it.';
    END IF;
    IF wanted.scope IS NULL THEN
        RETURN;
    END IF;
    IF scope_column IS NOT NULL
       AND NOT EXISTS (SELECT FROM pg_attribute a
                       WHERE a.attrelid = wanted.source AND a.attname = scope_column AND a.attnum > 0) THEN
        RAISE EXCEPTION 'scope names column "%", which table % does not have', scope_column, wanted.source
            USING ERRCODE = 'undefined_column';
    END IF;
    -- as its owner, and without a row to run it for
    PERFORM taskapi.run_as(wanted.owner, CASE WHEN scope_column IS NULL THEN format('SELECT (%s) LIMIT 0', wanted.scope)
                                         ELSE format('SELECT t.%s FROM %s AS t LIMIT 0', wanted.scope, wanted.source) END);
END
$$;
COMMENT ON FUNCTION taskapi.check_changes(taskapi.wanted_resource) IS
    'Internal: raises the reason why a resource that is wanted cannot tell its changes';

-- The present departures. Those of a table whose resources were dropped by hand are known by their owner, their columns and their
-- name, with or without the number that free_name() gives.
CREATE FUNCTION taskapi.departures_of(source regclass) RETURNS SETOF regclass
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH registered AS (
            SELECT DISTINCT d.oid FROM taskapi.resource r JOIN pg_class d ON d.oid = r.departures WHERE r.source = $1)
        SELECT r.oid::regclass FROM registered r
        UNION ALL
        SELECT d.oid::regclass
        FROM pg_class s JOIN pg_class d ON d.relnamespace = s.relnamespace AND d.relowner = s.relowner AND d.relkind = 'r'
        WHERE s.oid = $1 AND rtrim(d.relname::text, '0123456789') = left(s.relname::text, 45) || '_departures'
          AND NOT EXISTS (SELECT FROM registered)
          AND NOT EXISTS (SELECT FROM taskapi.resource r WHERE r.departures = d.oid)
          AND (SELECT count(*) FROM pg_attribute a
               WHERE a.attrelid = d.oid AND a.attname IN ('taskapi_departed_at', 'taskapi_stamp')) = 2;
    END;
COMMENT ON FUNCTION taskapi.departures_of(regclass) IS 'Internal: the tables of the rows that left a table';

-- One of them, if it can be kept.
CREATE FUNCTION taskapi.present_departures(wanted taskapi.wanted_resource) RETURNS regclass
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT d FROM taskapi.departures_of(($1).source) d
        WHERE taskapi.departures_fit(($1).source, d, taskapi.wanted_scopes($1)) ORDER BY d::oid LIMIT 1;
    END;
COMMENT ON FUNCTION taskapi.present_departures(taskapi.wanted_resource) IS
    'Internal: the table of departures of a table, if it fits; else NULL';

CREATE FUNCTION taskapi.wanted_departures(wanted taskapi.wanted_resource) RETURNS name
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT CASE WHEN taskapi.wanted_scopes($1) <> '{}'
               THEN coalesce((SELECT d.relname FROM pg_class d WHERE d.oid = taskapi.present_departures($1)),
                             taskapi.free_name(left(s.relname, 45) || '_departures', s.relnamespace)) END
        FROM pg_class s WHERE s.oid = ($1).source;
    END;
COMMENT ON FUNCTION taskapi.wanted_departures(taskapi.wanted_resource) IS
    'Internal: the name of the table of departures that a table has, or will have';

-- Made again if columns or policies of the table changed: what left under other policies must not be read under these. The lock
-- lets nobody write to the table until what it writes is recorded in the new one.
CREATE FUNCTION taskapi.departures_statements(wanted taskapi.wanted_resource) RETURNS TABLE (runs_as regrole, statement text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    scopes    CONSTANT text[] := taskapi.wanted_scopes(wanted);
    present   CONSTANT regclass := taskapi.present_departures(wanted);
    source    CONSTANT pg_class := (SELECT c FROM pg_class c WHERE c.oid = wanted.source);
    creator   CONSTANT regrole := CASE WHEN has_schema_privilege(wanted.owner, source.relnamespace, 'CREATE') THEN wanted.owner
                                  ELSE (SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user) END;
    qualified CONSTANT text := format('%I.%I', (SELECT n.nspname FROM pg_namespace n WHERE n.oid = source.relnamespace),
                                      coalesce(wanted.departures, ''));
    keys      CONSTANT text := (SELECT string_agg(quote_ident(k.name), ', ' ORDER BY k.place)
                                FROM unnest(taskapi.key_columns(wanted.source)) WITH ORDINALITY k (name, place));
BEGIN
    IF scopes = '{}' OR present IS NULL THEN
        RETURN QUERY SELECT c.relowner::regrole, format('DROP TABLE %s', d)
                     FROM taskapi.departures_of(wanted.source) d JOIN pg_class c ON c.oid = d;
    END IF;
    IF scopes = '{}' OR present IS NOT NULL THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT wanted.owner, format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', wanted.source);
    RETURN QUERY SELECT creator, format(
        'CREATE TABLE %s (%s, taskapi_stamp xid8 NOT NULL, taskapi_departed_at timestamptz NOT NULL DEFAULT now())',
        qualified, string_agg(format('%I %s%s', c.name, c.definition, CASE WHEN c.key THEN ' NOT NULL' END), ', '))
        FROM taskapi.departure_columns(wanted.source, scopes) c;
    IF creator <> wanted.owner THEN
        RETURN QUERY SELECT creator, format('ALTER TABLE %s OWNER TO %s', qualified, wanted.owner);
    END IF;
    RETURN QUERY SELECT wanted.owner, format('SELECT taskapi.revoke_from_others(''pg_class'', %L::regclass)', qualified);
    RETURN QUERY SELECT wanted.owner, format('COMMENT ON TABLE %s IS %L', qualified, format('Rows that left %s', wanted.source));
    RETURN QUERY SELECT DISTINCT wanted.owner, format('CREATE INDEX ON %s (%staskapi_stamp, %s)', qualified,
                                                      quote_ident(taskapi.scope_column(s)) || ', ', keys) FROM unnest(scopes) s
                 WHERE taskapi.scope_column(s) IS NOT NULL;
    RETURN QUERY SELECT wanted.owner, format('CREATE INDEX ON %s (taskapi_stamp, %s)', qualified, keys);
    RETURN QUERY SELECT wanted.owner, format('CREATE INDEX ON %s (taskapi_departed_at)', qualified);
    RETURN QUERY SELECT wanted.owner, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', qualified);
    -- asked once a statement, and only if it comes upon a row
    RETURN QUERY SELECT wanted.owner, format(
        'CREATE POLICY taskapi_fit ON %s AS RESTRICTIVE FOR SELECT USING (CASE WHEN taskapi_stamp OPERATOR(pg_catalog.>=)'
        ' ''0''::pg_catalog.xid8 THEN (SELECT taskapi.departures_legible(%L::pg_catalog.regclass)) ELSE false END)',
        qualified, qualified);
    IF NOT source.relrowsecurity THEN
        RETURN QUERY SELECT wanted.owner, format('CREATE POLICY taskapi_all ON %s FOR SELECT USING (true)', qualified);
    END IF;
    -- one that cannot be asked of a departure is missing: nobody is told, and whoever asks has to start over
    RETURN QUERY SELECT wanted.owner, format('CREATE POLICY %I ON %s AS %s FOR SELECT TO %s USING (%s)', p.name, qualified,
                                             CASE WHEN p.permissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END, p.roles,
                                             p.expression)
                 FROM taskapi.read_policies(wanted.source, wanted.departures) p
                 WHERE NOT taskapi.has_opaque_policy(wanted.source);
END
$$;
COMMENT ON FUNCTION taskapi.departures_statements(taskapi.wanted_resource) IS
    'Internal: create the table of the rows that left, or make it again';

-- Whoever may read a resource may hear of its changes.
CREATE FUNCTION taskapi.readers_of(resource regclass) RETURNS SETOF oid
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT a.grantee FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = $1 AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
        UNION
        SELECT a.grantee FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
        WHERE c.oid = $1 AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner;
    END;
COMMENT ON FUNCTION taskapi.readers_of(regclass) IS 'Internal: who was granted to read a view or some of its columns';

-- Those of a resource that tells its changes since this call, and of the others if the departures are made again.
CREATE FUNCTION taskapi.changes_grants(wanted taskapi.wanted_resource) RETURNS SETOF text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH feeds AS (
            SELECT r.resource, r.scope, r.changes AS former FROM taskapi.resources_of(($1).source) r
            WHERE r.changes AND r.resource IS DISTINCT FROM (($1).former).resource
            UNION ALL
            SELECT (($1).former).resource, ($1).scope, (($1).former).changes WHERE ($1).changes),
        readers AS (
            SELECT f.scope, f.former, r.grantee FROM feeds f, LATERAL taskapi.readers_of(f.resource) r (grantee)),
        fit AS (
            SELECT taskapi.present_departures($1) IS NOT NULL AS present, n.nspname
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ($1).source)
        SELECT format('GRANT SELECT (changed) ON %s TO %s', ($1).source, taskapi.grantee_name(r.grantee))
        FROM (SELECT DISTINCT r.grantee FROM readers r WHERE NOT r.former) r
        UNION ALL
        SELECT format('GRANT SELECT (%s) ON %I.%I TO %s', taskapi.told_columns(($1).source, ARRAY[r.scope]), f.nspname,
                      ($1).departures, taskapi.grantee_name(r.grantee))
        FROM readers r, fit f WHERE NOT r.former OR NOT f.present;
    END;
COMMENT ON FUNCTION taskapi.changes_grants(taskapi.wanted_resource) IS
    'Internal: let those who may read a resource hear of its changes';

-- RESOURCE_changes(page_token, page_size, filter), for GET over /rpc. What roles were granted on one that has to be made again
-- passes on.
CREATE FUNCTION taskapi.changes_statements(wanted taskapi.wanted_resource) RETURNS TABLE (runs_as regrole, statement text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name      CONSTANT text := wanted.resource || '_changes';
    qualified CONSTANT text := format('%I.%I(text, int, jsonb)', wanted.api_schema, name);
    comment   CONSTANT text := format('What happened to %s since: GET /rpc/%s?page_token=TOKEN, with the next_page_token of the'
                                      ' call before; at first without. docs/sync.md', wanted.resource, name);
    present   CONSTANT regprocedure := taskapi.changes_function_of((wanted.former).resource);
    kept      CONSTANT boolean := NOT wanted.remake AND present IS NOT DISTINCT FROM to_regprocedure(qualified);
    grantees  oid[];
BEGIN
    IF present IS NOT NULL AND NOT wanted.remake AND (NOT wanted.changes OR NOT kept) THEN
        RETURN QUERY SELECT p.proowner::regrole, format('DROP FUNCTION %s', present) FROM pg_proc p WHERE p.oid = present;
    END IF;
    IF NOT wanted.changes THEN
        RETURN;
    END IF;
    IF present IS NULL THEN
        grantees := ARRAY(SELECT r FROM taskapi.readers_of((wanted.former).resource) r ORDER BY 1);
    ELSE
        grantees := ARRAY(SELECT DISTINCT a.grantee FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                          WHERE p.oid = present AND a.grantee <> p.proowner ORDER BY 1);
    END IF;
    RETURN QUERY SELECT wanted.creator, format(
        'CREATE OR REPLACE FUNCTION %I.%I(page_token text DEFAULT NULL, page_size int DEFAULT NULL, filter jsonb DEFAULT NULL)'
        ' RETURNS taskapi.changes_result LANGUAGE sql STABLE RETURN taskapi.changes(%L::regclass, $1, $2, $3)',
        wanted.api_schema, name, format('%I.%I', wanted.api_schema, wanted.resource));
    IF present IS NULL OR NOT kept THEN
        IF wanted.creator <> wanted.owner THEN
            RETURN QUERY SELECT wanted.creator, format('ALTER FUNCTION %s OWNER TO %s', qualified, wanted.owner);
        END IF;
        RETURN QUERY SELECT wanted.owner, format('SELECT taskapi.revoke_from_others(''pg_proc'', %L::regprocedure)', qualified);
        RETURN QUERY SELECT wanted.owner, format('GRANT EXECUTE ON FUNCTION %s TO %s', qualified, taskapi.grantee_name(g))
                     FROM unnest(grantees) g;
    END IF;
    IF present IS NULL OR NOT kept OR obj_description(present, 'pg_proc') IS DISTINCT FROM comment THEN
        RETURN QUERY SELECT wanted.owner, format('COMMENT ON FUNCTION %s IS %L', qualified, comment);
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.changes_statements(taskapi.wanted_resource) IS
    'Internal: create the function that tells what changed, or bring it up to date';

-- The index that pages of changes are ranges of; NULL if there is one.
CREATE FUNCTION taskapi.changes_advice(wanted taskapi.wanted_resource) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        WITH columns AS (
            SELECT array_agg(c.name ORDER BY c.place) AS names
            FROM (SELECT 1, taskapi.scope_column(($1).scope) WHERE taskapi.scope_column(($1).scope) IS NOT NULL
                  UNION ALL
                  SELECT 2, 'changed'::name
                  UNION ALL
                  SELECT 2 + k.place::int, k.name FROM unnest(($1).key) WITH ORDINALITY k (name, place)
                  WHERE k.name IS DISTINCT FROM taskapi.scope_column(($1).scope)) c (place, name))
        SELECT format('CREATE INDEX %sON %s (%s)', CASE WHEN t.relkind = 'r' THEN 'CONCURRENTLY ' ELSE '' END, ($1).source,
                      (SELECT string_agg(quote_ident(n), ', ' ORDER BY place) FROM unnest(c.names) WITH ORDINALITY u (n, place)))
        FROM columns c, pg_class t
        WHERE t.oid = ($1).source AND ($1).changes
          AND NOT EXISTS (
              SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
              WHERE i.indrelid = ($1).source AND m.amname = 'btree' AND i.indpred IS NULL AND i.indisvalid
                AND (SELECT array_agg(a.attname ORDER BY k.place)
                     FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place)
                     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                     WHERE k.place <= cardinality(c.names)) = c.names);
    END;
COMMENT ON FUNCTION taskapi.changes_advice(taskapi.wanted_resource) IS
    'Internal: the index that the changes of a resource lack; NULL if one serves';

-- Called by expose() when all is made, as the owner of the registry. Stamps that are there already may be those of another
-- cluster: they are an incarnation of their own.
CREATE FUNCTION taskapi.register_changes(source regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM taskapi.change_source s
    WHERE NOT EXISTS (SELECT FROM taskapi.resource r JOIN pg_class c ON c.oid = r.source WHERE r.source = s.source AND r.changes);
    IF EXISTS (SELECT FROM taskapi.resource r WHERE r.source = $1 AND r.changes)
       AND NOT EXISTS (SELECT FROM taskapi.change_source s WHERE s.source = $1) THEN
        INSERT INTO taskapi.change_source (source, incarnation, system_identifier)
        VALUES ($1, taskapi.next_incarnation($1), (SELECT system_identifier FROM pg_control_system()));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION taskapi.register_changes(regclass) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.register_changes(regclass) IS 'Internal: brings taskapi.change_source up to date with the registry';

CREATE FUNCTION taskapi.next_incarnation(source regclass) RETURNS int
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'taskapi_next_incarnation';
REVOKE ALL ON FUNCTION taskapi.next_incarnation(regclass) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.next_incarnation(regclass) IS
    'Internal: an incarnation above those of all stamps in a table, which is locked against writers until the transaction ends';

-- prune_changes(older_than, batch, written_before): forgets departures of longer ago, at most that many, and remembers up to
-- which stamp. Whoever asks with a token from before that starts over. Returns how many. A table whose departures its owner has
-- spoilt, or keeps locked for 5 seconds, is a WARNING. written_before, the xmax of a snapshot, bounds a run of several calls by
-- what was there when it began; NULL is now.
CREATE FUNCTION taskapi.prune_changes(older_than interval DEFAULT '30 days', batch int DEFAULT 10000,
                                      written_before xid8 DEFAULT NULL) RETURNS bigint
    LANGUAGE C VOLATILE SET lock_timeout = '5s' AS 'MODULE_PATHNAME', 'taskapi_prune_changes';
REVOKE ALL ON FUNCTION taskapi.prune_changes(interval, int, xid8) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.prune_changes(interval, int, xid8) IS
    'Forgets at most batch departures of rows that left longer ago than that; returns how many';

-- sql/install/78_saga.sql
-- Sagas: work of several steps, each in a transaction of its own and maybe in another system, that is done as a whole or
-- compensated. A command to do a step is a message of the outbox whose key is the saga's: so the outbox orders, leases, fences,
-- repeats and buries them, and there is no second engine. What happens next is decided in one place, settle_step(), and
-- published in the same commit. docs/saga.md is for users; the tables are made by create_outbox().
--
-- What touches the tables runs as their owner in a security-restricted operation, through run_as().

CREATE FUNCTION taskapi.require_outbox(OUT schema name, OUT owner regrole) RETURNS record
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT l.schema, l.owner INTO schema, owner FROM taskapi.outbox_location() l;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no outbox in this database'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Call taskapi.create_outbox().';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION taskapi.require_outbox() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.require_outbox() IS 'Internal: where the outbox is; an error if there is none';

-- The steps of a saga with their defaults; invalid_value tells what is wrong with them.
CREATE FUNCTION taskapi.saga_steps(steps jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item  record;
    key   text;
    wrong text;
    names text[] := '{}';
    made  jsonb := '[]';
BEGIN
    IF jsonb_typeof(steps) <> 'array' OR jsonb_array_length(steps) NOT BETWEEN 1 AND 100 THEN
        PERFORM taskapi.raise_problem('invalid_value', 'steps must be an array of 1 to 100 steps.');
    END IF;
    FOR item IN SELECT s.value, s.place FROM jsonb_array_elements(steps) WITH ORDINALITY s (value, place) LOOP
        wrong := CASE
            WHEN jsonb_typeof(item.value) <> 'object' THEN 'is no object'
            WHEN jsonb_typeof(item.value -> 'step') IS DISTINCT FROM 'string' THEN 'has no "step", which is its name'
            WHEN jsonb_typeof(item.value -> 'compensation') NOT IN ('string', 'null') THEN 'has a "compensation" that is no name'
            WHEN jsonb_typeof(item.value -> 'timeout') NOT IN ('string', 'null') THEN 'has a "timeout" that is no interval'
            WHEN item.value ? 'attempts' AND coalesce(item.value ->> 'attempts', '') !~ '^[1-9][0-9]{0,3}$'
                THEN 'has "attempts" that are no number from 1 to 9999'
            WHEN item.value - '{step,compensation,timeout,attempts}'::text[] <> '{}'
                THEN 'has a field that is neither "step" nor "compensation", "timeout" or "attempts"' END;
        IF wrong IS NULL AND item.value ->> 'timeout' IS NOT NULL THEN
            BEGIN
                IF (item.value ->> 'timeout')::interval <= interval '0' THEN
                    wrong := 'has a "timeout" that is not positive';
                END IF;
            EXCEPTION WHEN data_exception THEN
                wrong := 'has a "timeout" that is no interval';
            END;
        END IF;
        IF wrong IS NULL THEN
            FOREACH key IN ARRAY array_remove(ARRAY[item.value ->> 'step', item.value ->> 'compensation'], NULL) LOOP
                wrong := CASE WHEN key !~ '^[!-.0-~]{1,100}$'
                              THEN 'has a name that is not 1 to 100 printable characters of ASCII without spaces and slashes'
                              WHEN key = ANY (names) THEN format('has a name that is there already: %s', key) ELSE wrong END;
                names := names || key;
            END LOOP;
        END IF;
        IF wrong IS NOT NULL THEN
            PERFORM taskapi.raise_problem('invalid_value', format('Step %s %s.', item.place, wrong),
                'Give for each: {"step": "charge", "compensation": "refund", "timeout": "30 s", "attempts": 5}.');
        END IF;
        made := made || jsonb_build_array(jsonb_build_object(
            'step', item.value ->> 'step', 'compensation', item.value ->> 'compensation', 'timeout', item.value ->> 'timeout',
            'attempts', coalesce((item.value ->> 'attempts')::int, 10)));
    END LOOP;
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION taskapi.saga_steps(jsonb) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.saga_steps(jsonb) IS
    'Internal: the steps of a saga with their defaults; a problem if they are not valid';

-- Publishes the command to do, or to compensate, the step at "position" of a saga; returns its number. What the steps before it
-- returned comes along, so that a worker needs nothing else.
CREATE FUNCTION taskapi.publish_command(saga jsonb, "position" int, compensating boolean) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    step    CONSTANT jsonb := saga -> 'steps' -> ("position" - 1);
    outbox  CONSTANT record := taskapi.require_outbox();
    outputs CONSTANT jsonb := taskapi.run_as(outbox.owner, format(
        'SELECT coalesce(pg_catalog.jsonb_object_agg(j.step, j.output), ''{}'') FROM %I.saga_step j'
        ' WHERE j.saga = $1 AND j.outcome = ''done'' AND j.output IS NOT NULL', outbox.schema), saga ->> 'id');
BEGIN
    RETURN taskapi.publish(saga ->> 'name', saga ->> 'id',
        jsonb_build_object('saga', saga ->> 'id',
                           'step', step ->> CASE WHEN compensating THEN 'compensation' ELSE 'step' END,
                           'compensates', CASE WHEN compensating THEN step ->> 'step' END, 'timeout', step ->> 'timeout',
                           'input', saga -> 'input', 'outputs', outputs));
END
$$;
REVOKE ALL ON FUNCTION taskapi.publish_command(jsonb, int, boolean) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.publish_command(jsonb, int, boolean) IS
    'Internal: tells a worker to do, or to compensate, a step of a saga';

-- start_saga(name, id, input, steps)
--
-- Starts a saga in this transaction: its first step is done once that commits. steps are stored with it. The topic of its
-- commands is its name. Errors: invalid_value; already_exists.
CREATE FUNCTION taskapi.start_saga(name text, id text, input jsonb, steps jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    outbox record;
    made   jsonb;
BEGIN
    IF name IS NULL OR id IS NULL OR input IS NULL OR steps IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN name IS NULL THEN 'name' WHEN id IS NULL THEN 'id'
                                                   WHEN input IS NULL THEN 'input' ELSE 'steps' END
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF id !~ '^[!-~]{1,100}$' THEN
        PERFORM taskapi.raise_problem('invalid_value',
            'The id of a saga must be 1 to 100 printable characters of ASCII without spaces.');
    END IF;
    outbox := taskapi.require_outbox();
    made := jsonb_build_object('id', id, 'name', name, 'input', input, 'steps', taskapi.saga_steps(steps));
    IF taskapi.run_as(outbox.owner, format('INSERT INTO %I.saga (id, name, input, steps, state, position, command, slot)'
            ' VALUES ($1, $2, $3, $4, ''running'', 1, 0, $5) ON CONFLICT (id) DO NOTHING RETURNING true', outbox.schema),
            id, name, input, made -> 'steps', taskapi.outbox_slot(id)) IS NULL THEN
        PERFORM taskapi.raise_problem('already_exists', format('There is already a saga %s.', id));
    END IF;
    PERFORM taskapi.run_as(outbox.owner, format('UPDATE %I.saga s SET command = $2 WHERE s.id = $1', outbox.schema),
                           id, taskapi.publish_command(made, 1, false));
END
$$;
REVOKE ALL ON FUNCTION taskapi.start_saga(text, text, jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.start_saga(text, text, jsonb, jsonb) IS
    'Starts work of several steps: [{"step", "compensation", "timeout", "attempts"}]. Each is a message of topic name to a'
    ' worker, who tells settle_step() what became of it. Pattern: saga';

-- What comes after an outcome. "position" NULL: nothing is to be done; the same position as before: this step again.
CREATE FUNCTION taskapi.saga_move(steps jsonb, state text, "position" int, outcome text, given_up boolean,
                                  OUT new_state text, OUT new_position int) RETURNS record
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    new_state := state;
    new_position := "position";
    IF state = 'running' THEN
        IF outcome = 'done' THEN
            new_position := "position" + 1;
            IF new_position > jsonb_array_length(steps) THEN
                new_state := 'completed';
                new_position := NULL;
            END IF;
            RETURN;
        ELSIF outcome = 'unknown' AND NOT given_up THEN
            RETURN;
        END IF;
        new_state := 'compensating';
        -- What failed has done nothing. Of what is unknown nobody can say so, so it is compensated first.
        new_position := CASE WHEN outcome = 'failed' THEN "position" - 1 ELSE "position" END;
    ELSIF outcome = 'done' THEN
        new_state := 'compensating';
        new_position := "position" - 1;
    ELSE
        new_state := CASE WHEN given_up THEN 'stuck' ELSE state END;
        RETURN;
    END IF;
    WHILE new_position > 0 AND steps -> (new_position - 1) ->> 'compensation' IS NULL LOOP
        new_position := new_position - 1;
    END LOOP;
    IF new_position = 0 THEN
        new_state := 'compensated';
        new_position := NULL;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION taskapi.saga_move(jsonb, text, int, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.saga_move(jsonb, text, int, text, boolean) IS 'Internal: what comes after an outcome of a step';

-- settle_step(id, fencing_token, step, outcome, output) -> running | compensating | completed | compensated | retry | stuck
--
-- What became of a step, or of a compensation: it is written down, and what comes next is published, in this transaction. The
-- token is that of the lease under which its message was received. retry and stuck: the message is to be tried again, so it is
-- one of those that settle() is told to have failed; all others: it is done. A step that was settled before changes nothing.
--
-- Errors: lease_lost; not_found; invalid_value for a step that is none of the saga's, or was not handed out.
CREATE FUNCTION taskapi.settle_step(id text, fencing_token bigint, step text, outcome text, output jsonb DEFAULT NULL)
    RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    outbox   record;
    lease    jsonb;
    saga     jsonb;
    place    int;
    undoing  boolean;
    current  boolean;
    given_up boolean;
    move     record;
BEGIN
    IF id IS NULL OR fencing_token IS NULL OR step IS NULL OR outcome IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN id IS NULL THEN 'id' WHEN fencing_token IS NULL THEN 'fencing_token'
                                                   WHEN step IS NULL THEN 'step' ELSE 'outcome' END
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF outcome NOT IN ('done', 'failed', 'unknown') THEN
        PERFORM taskapi.raise_problem('invalid_value', 'outcome must be done, failed or unknown.');
    END IF;
    outbox := taskapi.require_outbox();

    -- The lease first, as settle() does; whoever has it is alone with the saga.
    saga := taskapi.run_as(outbox.owner, format('SELECT pg_catalog.to_jsonb(s) FROM %I.saga s WHERE s.id = $1',
                                                outbox.schema), id);
    IF saga IS NULL THEN
        PERFORM taskapi.raise_problem('not_found', format('There is no saga %s.', id));
    END IF;
    lease := taskapi.run_as(outbox.owner, format(
        'SELECT pg_catalog.to_jsonb(c) || pg_catalog.jsonb_build_object(''max_attempts'', g.max_attempts)'
        ' FROM %1$I.consumer_group g JOIN %1$I.consumer c ON c."group" = g.name AND c.slot = $1'
        ' WHERE c.fencing_token = $2 AND c.owner IS NOT NULL AND (g.topics IS NULL OR $3 = ANY (g.topics)) FOR UPDATE OF c',
        outbox.schema), (saga ->> 'slot')::smallint, fencing_token, saga ->> 'name');
    IF lease IS NULL THEN
        PERFORM taskapi.raise_problem('lease_lost',
            'The lease under which the step was received has ended, or another worker has it.', 'Call taskapi.receive() again.');
    END IF;
    saga := taskapi.run_as(outbox.owner, format('SELECT pg_catalog.to_jsonb(s) FROM %I.saga s WHERE s.id = $1 FOR UPDATE',
                                                outbox.schema), id);

    SELECT s.place, s.value ->> 'compensation' IS NOT DISTINCT FROM settle_step.step INTO place, undoing
    FROM jsonb_array_elements(saga -> 'steps') WITH ORDINALITY s (value, place)
    WHERE settle_step.step IN (s.value ->> 'step', s.value ->> 'compensation');
    IF place IS NULL THEN
        PERFORM taskapi.raise_problem('invalid_value', format('Saga %s has no step %s.', id, step));
    END IF;
    current := saga ->> 'command' IS NOT NULL AND place = (saga ->> 'position')::int
               AND undoing = (saga ->> 'state' <> 'running');
    IF NOT current AND taskapi.run_as(outbox.owner, format(
           'SELECT true FROM %I.saga_step j WHERE j.saga = $1 AND j.step = $2 LIMIT 1', outbox.schema), id, step) IS NOT NULL
    THEN
        RETURN CASE saga ->> 'state' WHEN 'stuck' THEN 'compensating' ELSE saga ->> 'state' END;
    END IF;
    given_up := taskapi.run_as(outbox.owner, format(
        'SELECT (p.attempts IS NOT NULL AND p.attempts + 1 >= $4 OR p.attempts IS NULL AND $4 = 1)::text'
        ' FROM (SELECT) one LEFT JOIN %I.parked p ON p."group" = $1 AND p.seq = $2'
        ' WHERE p.fencing_token = $3 OR p.seq IS NULL AND $2 > $5 AND $2 <= $6', outbox.schema),
        lease ->> 'group', (saga ->> 'command')::bigint, fencing_token, (lease ->> 'max_attempts')::int,
        (lease ->> 'position')::bigint, (lease ->> 'delivered')::bigint)::boolean;
    IF NOT current OR given_up IS NULL THEN
        PERFORM taskapi.raise_problem('invalid_value',
                                      format('Step %s of saga %s was not handed out with this lease.', step, id));
    END IF;

    PERFORM taskapi.run_as(outbox.owner, format(
        'INSERT INTO %1$I.saga_step (saga, n, step, compensates, outcome, output, fencing_token)'
        ' SELECT $1, 1 + (SELECT pg_catalog.count(*) FROM %1$I.saga_step j WHERE j.saga = $1), $2, $3, $4, $5, $6',
        outbox.schema),
        id, step, CASE WHEN undoing THEN saga -> 'steps' -> (place - 1) ->> 'step' END, outcome, output, fencing_token);
    IF outcome = 'unknown' AND NOT undoing THEN
        given_up := given_up OR taskapi.run_as(outbox.owner, format(
            'SELECT pg_catalog.count(*) FROM %I.saga_step j WHERE j.saga = $1 AND j.step = $2 AND j.outcome = ''unknown''',
            outbox.schema), id, step)::int >= (saga -> 'steps' -> (place - 1) ->> 'attempts')::int;
    END IF;
    move := taskapi.saga_move(saga -> 'steps', saga ->> 'state', place, outcome, given_up);
    PERFORM taskapi.run_as(outbox.owner, format(
        'UPDATE %I.saga s SET state = $2, position = coalesce($3, s.position), command = $4, settled_at = pg_catalog.now()'
        ' WHERE s.id = $1', outbox.schema), id, move.new_state, move.new_position,
        CASE WHEN move.new_position IS NULL THEN NULL
             WHEN move.new_position = place AND (move.new_state <> 'running') = undoing THEN (saga ->> 'command')::bigint
             ELSE taskapi.publish_command(saga, move.new_position, move.new_state <> 'running') END);
    RETURN CASE WHEN move.new_state <> 'stuck' AND move.new_position = place AND (move.new_state <> 'running') = undoing
                THEN 'retry' ELSE move.new_state END;
END
$$;
REVOKE ALL ON FUNCTION taskapi.settle_step(text, bigint, text, text, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.settle_step(text, bigint, text, text, jsonb) IS
    'Says what became of a step of a saga, done, failed or unknown, and publishes what comes next. Returns the saga''s state, or'
    ' retry: then, and if it is stuck, tell settle() that the message failed. lease_lost if another worker has its slot';

-- sql/install/80_operations.sql
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

-- sql/install/81_metrics.sql
-- Requests, counted and timed. C: src/metrics/

CREATE FUNCTION taskapi.request_series(OUT method text, OUT route text, OUT status text, OUT requests bigint,
                                       OUT microseconds bigint, OUT buckets bigint[])
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL SAFE ROWS 100 AS 'MODULE_PATHNAME', 'taskapi_request_series';
REVOKE ALL ON FUNCTION taskapi.request_series() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.request_series() IS 'The rows of view request_metrics, in no order';

CREATE FUNCTION taskapi.request_buckets() RETURNS double precision[]
    LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_request_buckets';
REVOKE ALL ON FUNCTION taskapi.request_buckets() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.request_buckets() IS
    'The upper bounds of the buckets of request_metrics, in seconds: powers of two from 64 microseconds, and infinity';

CREATE FUNCTION taskapi.requests_under_way(OUT pid int, OUT method text, OUT route text, OUT started_at timestamptz)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL SAFE ROWS 20 AS 'MODULE_PATHNAME', 'taskapi_requests_under_way';
REVOKE ALL ON FUNCTION taskapi.requests_under_way() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.requests_under_way() IS
    'Requests of this database whose transaction has not ended: who serves them, and since when';

CREATE VIEW taskapi.request_metrics AS
    SELECT s.method, s.route, s.status, s.requests, s.microseconds / 1e6::double precision AS seconds, s.buckets
    FROM taskapi.request_series() s;
REVOKE ALL ON taskapi.request_metrics FROM PUBLIC;
COMMENT ON VIEW taskapi.request_metrics IS
    'Requests of this database since the server started, from pre_request() to the end of the transaction, by COMMIT or'
    ' otherwise';
COMMENT ON COLUMN taskapi.request_metrics.method IS 'The method, or other';
COMMENT ON COLUMN taskapi.request_metrics.route IS
    '/NAME, /NAME/{key} or /rpc/NAME of something that there is, else other: no client can make a row';
COMMENT ON COLUMN taskapi.request_metrics.status IS
    '2xx to 5xx; rolled back: by the layer, without an error, so that the database does not know why';
COMMENT ON COLUMN taskapi.request_metrics.requests IS 'How many';
COMMENT ON COLUMN taskapi.request_metrics.seconds IS 'How long all of them together took';
COMMENT ON COLUMN taskapi.request_metrics.buckets IS
    'How many took at most as long as the bounds of request_buckets(), each counting those before it too';

CREATE VIEW taskapi.request_duration_buckets AS
    SELECT s.method, s.route, s.status, CASE b.le WHEN 'infinity' THEN '+Inf' ELSE b.le::text END AS le,
           s.buckets[b.n] AS requests
    FROM taskapi.request_series() s, ROWS FROM (unnest(taskapi.request_buckets())) WITH ORDINALITY b(le, n);
REVOKE ALL ON taskapi.request_duration_buckets FROM PUBLIC;
COMMENT ON VIEW taskapi.request_duration_buckets IS
    'request_metrics as Prometheus wants a histogram: a row a bucket, cumulative, with its upper bound in seconds as text';
COMMENT ON COLUMN taskapi.request_duration_buckets.method IS 'As in request_metrics';
COMMENT ON COLUMN taskapi.request_duration_buckets.route IS 'As in request_metrics';
COMMENT ON COLUMN taskapi.request_duration_buckets.status IS 'As in request_metrics';
COMMENT ON COLUMN taskapi.request_duration_buckets.le IS 'The upper bound in seconds; +Inf is the last';
COMMENT ON COLUMN taskapi.request_duration_buckets.requests IS 'How many took at most as long';

CREATE VIEW taskapi.request_gauge AS
    SELECT u.method, u.route, count(*) AS requests, min(u.started_at) AS oldest_started_at
    FROM taskapi.requests_under_way() u
    GROUP BY u.method, u.route;
REVOKE ALL ON taskapi.request_gauge FROM PUBLIC;
COMMENT ON VIEW taskapi.request_gauge IS 'Requests of this database that are under way';
COMMENT ON COLUMN taskapi.request_gauge.method IS 'As in request_metrics';
COMMENT ON COLUMN taskapi.request_gauge.route IS 'As in request_metrics';
COMMENT ON COLUMN taskapi.request_gauge.requests IS 'How many';
COMMENT ON COLUMN taskapi.request_gauge.oldest_started_at IS 'When the oldest of them called pre_request()';

-- Pages that no index bounds. C: src/page/page_unbounded.c

CREATE FUNCTION taskapi.unbounded_page_counts(OUT source regclass, OUT order_by text, OUT pages bigint, OUT error bigint,
                                              OUT last_at timestamptz)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL SAFE ROWS 20 AS 'MODULE_PATHNAME', 'taskapi_unbounded_page_counts';
REVOKE ALL ON FUNCTION taskapi.unbounded_page_counts() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.unbounded_page_counts() IS 'The rows of view unbounded_pages, in no order';

-- As the reader, and without an error or a long wait, since it stands in a view of many lines. An order that fills its place
-- may have been cut.
CREATE FUNCTION taskapi.unbounded_page_advice(source regclass, order_by text) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms'
AS $$
BEGIN
    RETURN CASE WHEN octet_length(order_by) < 197 THEN taskapi.index_advice(source, order_by) END;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION taskapi.unbounded_page_advice(regclass, text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.unbounded_page_advice(regclass, text) IS
    'Internal: column advice of view unbounded_pages';

CREATE VIEW taskapi.unbounded_pages AS
    SELECT c.source, c.order_by, c.pages, c.last_at, c.error, taskapi.unbounded_page_advice(c.source, c.order_by) AS advice
    FROM taskapi.unbounded_page_counts() c
    ORDER BY c.pages DESC, c.last_at DESC;
REVOKE ALL ON taskapi.unbounded_pages FROM PUBLIC;
COMMENT ON VIEW taskapi.unbounded_pages IS
    'Pages of this database that no index bounded, since the server started, by what was paged and in which order (bounded)';
COMMENT ON COLUMN taskapi.unbounded_pages.source IS 'The relation that was paged';
COMMENT ON COLUMN taskapi.unbounded_pages.order_by IS 'The order, with its tie-breaker';
COMMENT ON COLUMN taskapi.unbounded_pages.pages IS 'How many';
COMMENT ON COLUMN taskapi.unbounded_pages.last_at IS 'When the last one was';
COMMENT ON COLUMN taskapi.unbounded_pages.error IS 'The most by which pages may be too high';
COMMENT ON COLUMN taskapi.unbounded_pages.advice IS
    'What index_advice(source, order_by) says to the reader: the CREATE INDEX that is missing. NULL if an index bounds the'
    ' order by now, if none can, or if the reader may not read the source';

-- sql/install/85_guard.sql
-- The migration guard. C: src/guard/

CREATE TABLE taskapi.migration_guard (
    refuses    boolean NOT NULL,
    size_bytes bigint  NOT NULL CHECK (size_bytes OPERATOR(pg_catalog.>=) 0)
);
CREATE UNIQUE INDEX migration_guard_once ON taskapi.migration_guard ((true));
REVOKE ALL ON TABLE taskapi.migration_guard FROM PUBLIC;
COMMENT ON TABLE taskapi.migration_guard IS 'What guard_migrations() was told; no row is off';
COMMENT ON COLUMN taskapi.migration_guard.refuses IS 'Is a migration refused, or only warned about?';
COMMENT ON COLUMN taskapi.migration_guard.size_bytes IS 'Smaller tables are not guarded';
SELECT pg_catalog.pg_extension_config_dump('taskapi.migration_guard', '');

CREATE TRIGGER invalidate_cache
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.migration_guard
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.migration_guard ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.migration_guard IS 'A change counts in every session at once';

CREATE FUNCTION taskapi.guard_ddl() RETURNS event_trigger LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_guard_ddl';
REVOKE ALL ON FUNCTION taskapi.guard_ddl() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.guard_ddl() IS 'Internal: what the migration guard says before a statement takes a lock';

CREATE FUNCTION taskapi.guard_rewrite() RETURNS event_trigger LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_guard_rewrite';
REVOKE ALL ON FUNCTION taskapi.guard_rewrite() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.guard_rewrite() IS 'Internal: what the migration guard says of a table that is to be rewritten';

-- guard_migrations(mode, size): warns of, or refuses, migrations that would stop readers or writers of a table of at least
-- that size (as pg_size_bytes() reads it). mode is warn, refuse or off. Event triggers are a superuser's to make; a role
-- turns the guard off for its own session by taskapi.migration_guard. Errors: invalid_parameter_value.
CREATE FUNCTION taskapi.guard_migrations(mode text, size text DEFAULT '64 MB') RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bytes     CONSTANT bigint := pg_size_bytes(size);
BEGIN
    IF mode IS NULL OR mode NOT IN ('warn', 'refuse', 'off') THEN
        RAISE EXCEPTION 'mode must be warn, refuse or off' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF bytes IS NULL OR bytes < 0 THEN
        RAISE EXCEPTION 'size must not be negative' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    LOCK TABLE taskapi.migration_guard IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM taskapi.migration_guard;
    IF mode = 'off' THEN
        DROP EVENT TRIGGER IF EXISTS taskapi_guard_ddl;
        DROP EVENT TRIGGER IF EXISTS taskapi_guard_rewrite;
        RETURN;
    END IF;
    INSERT INTO taskapi.migration_guard VALUES (mode = 'refuse', bytes);
    IF NOT EXISTS (SELECT FROM pg_event_trigger t WHERE t.evtname = 'taskapi_guard_ddl') THEN
        CREATE EVENT TRIGGER taskapi_guard_ddl ON ddl_command_start EXECUTE FUNCTION taskapi.guard_ddl();
    END IF;
    IF NOT EXISTS (SELECT FROM pg_event_trigger t WHERE t.evtname = 'taskapi_guard_rewrite') THEN
        CREATE EVENT TRIGGER taskapi_guard_rewrite ON table_rewrite EXECUTE FUNCTION taskapi.guard_rewrite();
    END IF;
END
$$;
REVOKE ALL ON FUNCTION taskapi.guard_migrations(text, text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.guard_migrations(text, text) IS
    'Warns of, or refuses, migrations that would stop readers or writers of a table of at least that size: warn, refuse or off';

-- sql/install/89_replicated.sql
-- Changes by logical replication. Its apply process fires row triggers, of those that are for it, and no statement triggers
-- but TRUNCATE's: so whatever resets a cache by statement does it by row there, at no cost anywhere else.

DO $$
DECLARE
    t record;
BEGIN
    FOR t IN
        SELECT g.tgrelid::pg_catalog.regclass AS relation,
               pg_catalog.concat_ws(' OR ', CASE WHEN g.tgtype & 4 <> 0 THEN 'INSERT' END,
                                    CASE WHEN g.tgtype & 16 <> 0 THEN 'UPDATE' END,
                                    CASE WHEN g.tgtype & 8 <> 0 THEN 'DELETE' END) AS events
        FROM pg_catalog.pg_trigger g
        WHERE g.tgfoid = 'taskapi.invalidate_cache()'::pg_catalog.regprocedure AND g.tgtype & 1 = 0
    LOOP
        EXECUTE pg_catalog.format('CREATE TRIGGER invalidate_cache_replicated AFTER %s ON %s'
                                  ' FOR EACH ROW EXECUTE FUNCTION taskapi.invalidate_cache()', t.events, t.relation);
        EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE REPLICA TRIGGER invalidate_cache_replicated', t.relation);
        EXECUTE pg_catalog.format('COMMENT ON TRIGGER invalidate_cache_replicated ON %s IS %L', t.relation,
                                  'The same for a change that logical replication brings');
    END LOOP;
END
$$;

-- sql/install/90_privileges.sql
-- Who may use what. Default privileges of whoever creates the extension may have opened anything above to any role, or closed
-- what is everybody's: so all of it is taken from all but its owner first, and then granted by name. What is not named here is
-- the owner's alone.

DO $$
DECLARE
    member record;
    -- They only compute, or tell a caller of its own request, or run as the caller and check what it owns.
    public_functions CONSTANT name[] := ARRAY[
        -- the request
        'request_header', 'request_cookie', 'jwt_claims', 'current_subject', 'current_subject_id', 'require_subject',
        'client_address', 'same_origin', 'session_cookie', 'set_response_header', 'set_response_status', 'raise_problem',
        'problems', 'pre_request', 'jwt_verify', 'read_after',
        -- pure
        'uuidv7', 'uuidv7_timestamp', 'fingerprint', 'one_of', 'check_rate_limit_policy', 'rate_limit_headers',
        'contains', 'overlaps', 'matches', 'is_like', 'match_value', 'index_values',
        -- cursors and pages, which run as the caller
        'cursor', 'cursor_in', 'cursor_out', 'cursor_json', 'cursor_recv', 'cursor_send', 'cursor_eq', 'cursor_ne', 'cursor_lt',
        'cursor_le', 'cursor_gt', 'cursor_ge', 'cursor_cmp', 'cursor_hash', 'cursor_hash_extended', 'cursor_key',
        'cursor_check', 'cursor_encode',
        'cursor_decode', 'cursor_value', 'cursor_support', 'cursor_constructor_support', 'cursor_sortsupport', 'page',
        'resource_page', 'page_rows', 'index_advice',
        -- the change feed, as the caller, who owns the table in expose()
        'changes', 'change_stamp', 'changes_arguments', 'changes_function_of', 'scope_column', 'policy_expression',
        'read_policies', 'departure_columns', 'departure_columns_of', 'has_opaque_policy', 'departures_fit', 'departures_legible',
        'wanted_scopes',
        'check_changes', 'departures_of', 'present_departures', 'wanted_departures', 'departures_statements', 'readers_of',
        'changes_grants', 'changes_statements', 'changes_advice', 'is_stamp', 'told_columns',
        -- a declaration of a function of the caller's own
        'make_idempotent', 'statement_returns',
        -- migrations, as the caller
        'run_ddl', 'expose_online', 'resource_ddl', 'revokes_on', 'own_comments', 'page_function_over',
        'grant_shown_columns', 'column_grants_of',
        -- resources: triggers that an owner attaches, look-ups, and steps of expose() and its kin, which run as their caller
        'resource_write', 'resource_statement', 'resource_touch', 'resource_reference', 'resource_publish',
        'check_publish',
        'insert_arguments', 'insert_conflict',
        'insert_columns', 'insert_columns_support', 'table_default', 'table_default_support',
        'registered_resource', 'resources_of', 'page_function_of', 'page_arguments', 'column_expression', 'is_source',
        'resource_columns', 'shown_columns', 'order_by_columns', 'order_by_canonical', 'check_exposable', 'kept_by_citus',
        'deletion_column', 'other_deletion_column',
        'adoptable_resource', 'want_resource', 'check_owners', 'owned_by_others', 'creator_in', 'check_misfits',
        'resolve_resource', 'expose_plan', 'sql_comment', 'is_own_view', 'relation_named', 'order_by_renamed',
        'needed_columns', 'source_columns', 'column_statements', 'present_view', 'view_columns', 'leaving_columns',
        'drop_statements', 'trigger_statements', 'own_triggers', 'source_trigger_statements', 'rename_statements',
        'cursor_comment', 'dress_statements', 'view_statements', 'page_statements', 'schema_statements',
        'resource_statements', 'new_column_grants', 'revoke_statements', 'remade_grants', 'table_misfits', 'key_misfits',
        'column_misfits', 'misfit_cures', 'free_column', 'trash_notices', 'order_advice', 'owner_notices', 'resource_notices',
        'json_row', 'json_rows',
        'raise_notice', 'raise_no_resource', 'resource_names', 'check_names', 'resource_order', 'resource_triggers',
        'make_resource', 'drop_resource', 'finish_unexpose', 'grants_on', 'free_name', 'holds', 'expose', 'unexpose',
        'resource_grants', 'grant_resource', 'deleted_order', 'key_columns', 'may_read_view', 'some_policy', 'resource_actions',
        'describe_columns', 'run_as', 'owner_of', 'grantee_name', 'revoke_from_others', 'is_stranger', 'check_schema',
        'objects_in', 'check_task_api_schema'];
    missing text;
BEGIN
    FOR member IN
        SELECT d.classid, d.objid FROM pg_depend d
        WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
          AND d.refobjid = (SELECT e.oid FROM pg_extension e WHERE e.extname = 'taskapi')
        UNION ALL
        SELECT 'pg_namespace'::regclass, n.oid FROM pg_namespace n WHERE n.nspname = 'taskapi'
    LOOP
        PERFORM taskapi.revoke_from_others(member.classid, member.objid);
    END LOOP;

    SELECT string_agg(f, ', ') INTO missing FROM unnest(public_functions) f
    WHERE NOT EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = 'taskapi'::regnamespace AND p.proname = f);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'functions that do not exist are to be granted: %', missing USING ERRCODE = 'undefined_function';
    END IF;
    FOR member IN
        SELECT format('GRANT EXECUTE ON ROUTINE %s TO PUBLIC', p.oid::regprocedure) AS grant
        FROM pg_proc p WHERE p.pronamespace = 'taskapi'::regnamespace AND p.proname = ANY (public_functions)
        UNION ALL
        SELECT format('GRANT USAGE ON TYPE %s TO PUBLIC', t.oid::regtype)
        FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
        WHERE t.typnamespace = 'taskapi'::regnamespace AND t.typcategory <> 'A' AND coalesce(c.relkind, 'c') = 'c'
    LOOP
        EXECUTE member.grant;
    END LOOP;
END
$$;
GRANT USAGE ON SCHEMA taskapi TO PUBLIC;
GRANT SELECT ON taskapi.resources TO PUBLIC;

GRANT EXECUTE ON FUNCTION taskapi.counters(), taskapi.outbox_lag_rows(), taskapi.outbox_stats(), taskapi.rate_limit_table(),
    taskapi.rate_limit_denied(), taskapi.request_series(), taskapi.request_buckets(),
    taskapi.requests_under_way(), taskapi.unbounded_page_counts(), taskapi.unbounded_page_advice(regclass, text) TO pg_monitor;
GRANT SELECT ON taskapi.maintenance, taskapi.stats, taskapi.outbox_lag, taskapi.rate_limit_stats, taskapi.rate_limit_denials,
    taskapi.request_metrics, taskapi.request_duration_buckets, taskapi.request_gauge, taskapi.unbounded_pages TO pg_monitor;
