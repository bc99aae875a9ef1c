-- Search and labels. Yours once created; see 10_tables.sql.
--
--   GET /rpc/tasks_search?query=login "blank page" -safari err*      words, phrases, words that must not be there, beginnings
--   GET /tasks?labels=cs.{bug}, ?labels=ov.{bug,ui}                  all of these labels, one of these
--
-- What is searched is in the columns "search" of task and comment, and in the GIN indexes of 10_tables.sql. The configuration
-- "simple" takes words as they are, in any language; whoever wants stems changes it there and in words_of().

-- Under row-level security only a leakproof operator bounds an index scan, and these are. In the API's schema they are found
-- ahead of the server's, which are for arrays of any type.
CREATE OPERATOR @api@.@> (LEFTARG = text[], RIGHTARG = text[], FUNCTION = taskapi.contains,
                          RESTRICT = contsel, JOIN = contjoinsel);
CREATE OPERATOR @api@.&& (LEFTARG = text[], RIGHTARG = text[], FUNCTION = taskapi.overlaps, COMMUTATOR = OPERATOR(@api@.&&),
                          RESTRICT = contsel, JOIN = contjoinsel);
COMMENT ON OPERATOR @api@.@> (text[], text[]) IS 'contains, bounded by an index under row-level security';
COMMENT ON OPERATOR @api@.&& (text[], text[]) IS 'overlaps, bounded by an index under row-level security';

CREATE FUNCTION @data@.words_of(query text) RETURNS tsquery
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    words     tsquery;
    beginning tsquery;
    word      text;
    lexeme    text;
BEGIN
    IF query IS NULL OR length(query) > 1000 THEN
        PERFORM taskapi.raise_problem('invalid_value', 'query has at most 1000 characters.');
    END IF;
    words := websearch_to_tsquery('simple', regexp_replace(query, '(^|\s)[^\s"]+\*(?=\s|$)', ' ', 'g'));
    FOR word IN SELECT m[1] FROM regexp_matches(query, '(?:^|\s)([^\s"]+)\*(?=\s|$)', 'g') m LOOP
        -- the parser may divide it, or find nothing in it
        beginning := '';
        FOREACH lexeme IN ARRAY tsvector_to_array(to_tsvector('simple', word)) LOOP
            beginning := beginning && format('''%s'':*', replace(replace(lexeme, '\', '\\'), '''', ''''''))::tsquery;
        END LOOP;
        words := words && CASE WHEN word LIKE '-%' THEN !! beginning ELSE beginning END;
    END LOOP;
    IF numnode(words) NOT BETWEEN 1 AND 99 THEN
        PERFORM taskapi.raise_problem('invalid_value', 'query has 1 to 50 words.');
    END IF;
    RETURN words;
END
$body$;
COMMENT ON FUNCTION @data@.words_of(text) IS
    'What a client searches for: as websearch_to_tsquery() has it, and word* for words that begin so. Problem: invalid_value';

-- The tasks whose title and description match, or one of whose comments does; as the owner of the tables, within the caller's
-- projects. Newest first: of one project in the order of an index or from the GIN index, as the planner finds a word rare or
-- not. By rank: all that match are ranked.
CREATE FUNCTION @data@.my_matching_tasks(words tsquery, project_id uuid, by_rank boolean, page_size int, after_rank real,
                                         after_created_at timestamptz, after_id uuid)
    RETURNS TABLE (id uuid, rank real)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    mine  CONSTANT uuid[] := @data@.my_project_ids();
    scope CONSTANT text   := CASE WHEN project_id IS NULL THEN 'ANY ($1)' ELSE '$2' END;
BEGIN
    -- It also sees to it that a row of another project has no error to cause.
    IF taskapi.match_value(words) IS NULL OR project_id <> ALL (mine) THEN
        RETURN;
    ELSIF by_rank THEN
        RETURN QUERY EXECUTE format($query$
            SELECT f.id, max(f.rank)
            FROM (SELECT t.id, ts_rank(t.search, $3) AS rank
                  FROM @data@.task t
                  WHERE t.project_id = %1$s AND t.deleted_at IS NULL AND t.search @@ $3
                  UNION ALL
                  SELECT c.task_id, ts_rank(c.search, $3)
                  FROM @data@.comment c JOIN @data@.task t ON t.id = c.task_id
                  WHERE c.project_id = %1$s AND c.deleted_at IS NULL AND c.search @@ $3 AND t.deleted_at IS NULL) f
            GROUP BY f.id HAVING (max(f.rank), f.id) < ($5, $7)
            ORDER BY 2 DESC, 1 DESC LIMIT $4 $query$, scope)
            USING mine, project_id, words, page_size, after_rank, after_created_at, after_id;
    ELSE
        RETURN QUERY EXECUTE format($query$
            SELECT f.id, NULL::real
            FROM ((SELECT t.id, t.created_at
                   FROM @data@.task t
                   WHERE t.project_id = %1$s AND t.deleted_at IS NULL AND t.search @@ $3 AND (t.created_at, t.id) < ($6, $7)
                   ORDER BY t.created_at DESC, t.id DESC LIMIT $4)
                  UNION
                  SELECT t.id, t.created_at
                  FROM @data@.comment c JOIN @data@.task t ON t.id = c.task_id
                  WHERE c.project_id = %1$s AND c.deleted_at IS NULL AND c.search @@ $3
                    AND t.deleted_at IS NULL AND (t.created_at, t.id) < ($6, $7)) f
            ORDER BY f.created_at DESC, f.id DESC LIMIT $4 $query$, scope)
            USING mine, project_id, words, page_size, after_rank, after_created_at, after_id;
    END IF;
END
$body$;
COMMENT ON FUNCTION @data@.my_matching_tasks(tsquery, uuid, boolean, int, real, timestamptz, uuid) IS
    'The ids of the tasks of the caller''s projects that match, after the given place; for tasks_search()';

CREATE FUNCTION @api@.tasks_search(query text, project_id uuid DEFAULT NULL, by_rank boolean DEFAULT false,
                                   page_size int DEFAULT NULL, page_token text DEFAULT NULL)
    RETURNS TABLE (rank real, cursor taskapi.cursor, task @api@.tasks)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
DECLARE
    after taskapi.cursor;
    size  int;
    words tsquery;
BEGIN
    IF taskapi.current_subject() IS NULL THEN
        RETURN;
    END IF;
    after := nullif(page_token, '');
    size := coalesce(nullif(page_size, 0), coalesce(current_setting('taskapi.default_page_size', true), '50')::int);
    IF size < 0 THEN
        PERFORM taskapi.raise_problem('invalid_page_size', format('page_size is %s.', size));
    END IF;
    size := least(size, coalesce(current_setting('taskapi.max_page_size', true), '1000')::int);
    words := @data@.words_of(query);
    -- A cursor of another order: cursor_mismatch.
    IF by_rank THEN
        PERFORM taskapi.cursor_check(after, 'rank DESC, id DESC', true, NULL::real, NULL::uuid);
        RETURN QUERY
        SELECT m.rank, taskapi.cursor('rank DESC, id DESC', m.rank, m.id), t
        FROM @data@.my_matching_tasks(words, project_id, true, size,
                                      coalesce(taskapi.cursor_value(after, 1, NULL::real), 'infinity'), NULL,
                                      coalesce(taskapi.cursor_value(after, 2, NULL::uuid),
                                               'ffffffff-ffff-ffff-ffff-ffffffffffff')) m
        JOIN @api@.tasks t ON t.id = m.id
        ORDER BY m.rank DESC, m.id DESC;
    ELSE
        PERFORM taskapi.cursor_check(after, 'created_at DESC, id DESC', true, NULL::timestamptz, NULL::uuid);
        RETURN QUERY
        SELECT m.rank, t.cursor, t
        FROM @data@.my_matching_tasks(words, project_id, false, size, NULL,
                                      coalesce(taskapi.cursor_value(after, 1, NULL::timestamptz), 'infinity'),
                                      coalesce(taskapi.cursor_value(after, 2, NULL::uuid),
                                               'ffffffff-ffff-ffff-ffff-ffffffffffff')) m
        JOIN @api@.tasks t ON t.id = m.id
        ORDER BY t.created_at DESC, t.id DESC;
    END IF;
END
$body$;
COMMENT ON FUNCTION @api@.tasks_search(text, uuid, boolean, int, text) IS
    'Tasks in which, or in a comment on which, words occur: newest first, or the best first with by_rank=true, then '
    '&page_token=CURSOR, the column cursor of the last row. An empty page is the end';
