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
