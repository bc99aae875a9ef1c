-- Who may do what. Yours once created; see 10_tables.sql. Nothing is PUBLIC's; grant_api() gives the two roles what they need,
-- and no more: an anonymous caller may log in, everybody else may what row-level security leaves them.

REVOKE ALL ON FUNCTION
    @data@.my_project_ids(text), @data@.my_peer_ids(), @data@.my_newest_task_ids(int, timestamptz, uuid),
    @data@.add_first_owner(), @data@.keep_an_owner(), @data@.keep_member(), @data@.end_membership(),
    @data@.end_invitations(), @data@.leave_projects(), @data@.set_creator(), @data@.set_created_at(), @data@.set_completed_at(),
    @data@.create_account(text, text, text), @data@.set_password(uuid, text), @data@.end_logins(),
    @data@.set_pending_email(), @data@.create_email_token(uuid, interval), @data@.create_invitation(), @data@.refuse_member(),
    @data@.log_in(), @data@.log_out(), @data@.create_api_key(), @data@.revoke_api_key(), @data@.refuse_update(),
    @api@.cursor_by_due_date(@api@.tasks), @api@.cursor_by_priority(@api@.tasks), @api@.cursor_by_updated_at(@api@.tasks),
    @api@.my_tasks(int, text), @api@.confirm_email(text), @api@.accept_invitation(text, uuid)
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

    FOREACH name IN ARRAY ARRAY['projects', 'tasks'] LOOP
        PERFORM taskapi.grant_resource(format('%I.%I', api, name)::regclass, authenticated, '{read,create,update,delete,restore,purge}');
    END LOOP;
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
    EXECUTE format('GRANT SELECT (id, created_at, expires_at, user_agent, address, current, email, password) ON %I.sessions TO %s', api, anonymous);
    EXECUTE format('GRANT SELECT, DELETE ON %I.sessions TO %s', api, authenticated);
    EXECUTE format('GRANT SELECT, INSERT (name, scopes, expires_at), DELETE ON %I.api_keys TO %s', api, authenticated);
    EXECUTE format('GRANT SELECT ON %I.me TO %s', api, authenticated);
    EXECUTE format('GRANT SELECT, INSERT (project_id, email, account_id, role, expires_at), DELETE ON %I.invitations TO %s', api, authenticated);
    EXECUTE format('GRANT SELECT (id, project_id, email, account_id, role, inviter_id, project_name, inviter_name, created_at, expires_at), DELETE'
                   ' ON %I.invitation TO %s', data, authenticated);
    PERFORM taskapi.set_api_roles(anonymous, authenticated);

    -- What the policies call, the computed fields, and the lists.
    FOREACH name IN ARRAY ARRAY['my_project_ids', 'my_peer_ids', 'my_newest_task_ids'] LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %I.%I TO %s', data, name, authenticated);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['cursor_by_due_date', 'cursor_by_priority', 'cursor_by_updated_at', 'my_tasks', 'confirm_email', 'accept_invitation'] LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %I.%I TO %s', api, name, authenticated);
    END LOOP;
END
$body$;
REVOKE ALL ON FUNCTION @data@.grant_api(regrole, regrole) FROM PUBLIC;
COMMENT ON FUNCTION @data@.grant_api(regrole, regrole) IS
    'Grants the two roles what they need for the API, and nothing else: anonymous may log in';
