-- Who may do what. Nothing is PUBLIC's; grant_api() gives the two roles what they need, and no more: an anonymous
-- caller may log in, everybody else may what row-level security leaves them.

REVOKE ALL ON FUNCTION
    @data@.my_project_ids(text), @data@.my_peer_ids(), @data@.my_newest_task_ids(int, timestamptz, uuid),
    @data@.add_first_owner(), @data@.keep_an_owner(), @data@.replace_removed_member(),
    @data@.set_creator(), @data@.set_created_at(), @data@.set_completed_at(),
    @data@.create_account(text, text, text), @data@.set_password(uuid, text), @data@.end_logins(),
    @data@.log_in(), @data@.log_out(), @data@.create_api_key(), @data@.revoke_api_key(), @data@.refuse_update(),
    @api@.cursor_by_due_date(@api@.tasks), @api@.cursor_by_priority(@api@.tasks), @api@.cursor_by_updated_at(@api@.tasks),
    @api@.my_tasks(int, text)
FROM PUBLIC;

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

    FOREACH name IN ARRAY ARRAY['projects', 'members', 'tasks'] LOOP
        PERFORM taskapi.grant_resource(format('%I.%I', api, name)::regclass, authenticated, '{read,create,update,delete,restore,purge}');
    END LOOP;
    -- Accounts are created by create_account() alone.
    PERFORM taskapi.grant_resource(format('%I.users', api)::regclass, authenticated, '{read,update,delete,restore,purge}');

    EXECUTE format('GRANT INSERT (email, password) ON %I.sessions TO %s, %s', api, anonymous, authenticated);
    -- To see the answer to one's own log-in. What GET would ask for, an anonymous caller may not execute.
    EXECUTE format('GRANT SELECT (id, created_at, expires_at, user_agent, address, current, email, password) ON %I.sessions TO %s', api, anonymous);
    EXECUTE format('GRANT SELECT, DELETE ON %I.sessions TO %s', api, authenticated);
    EXECUTE format('GRANT SELECT, INSERT (name, scopes, expires_at), DELETE ON %I.api_keys TO %s', api, authenticated);
    PERFORM taskapi.set_api_roles(anonymous, authenticated);

    -- What the policies call, the computed fields, and the lists.
    FOREACH name IN ARRAY ARRAY['my_project_ids', 'my_peer_ids', 'my_newest_task_ids'] LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %I.%I TO %s', data, name, authenticated);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['cursor_by_due_date', 'cursor_by_priority', 'cursor_by_updated_at', 'my_tasks'] LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %I.%I TO %s', api, name, authenticated);
    END LOOP;
END
$body$;
REVOKE ALL ON FUNCTION @data@.grant_api(regrole, regrole) FROM PUBLIC;
COMMENT ON FUNCTION @data@.grant_api(regrole, regrole) IS
    'Grants the two roles what they need for the API, and nothing else: anonymous may log in';
