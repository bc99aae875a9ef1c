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
@task_api@
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
