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
