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
