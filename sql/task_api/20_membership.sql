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
