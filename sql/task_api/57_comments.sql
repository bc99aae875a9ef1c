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
