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
