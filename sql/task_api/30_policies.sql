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
