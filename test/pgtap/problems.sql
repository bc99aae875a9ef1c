-- Bad input to the task API: the problem that a client gets inside an HTTP request, with its status, and what a driver
-- gets outside one. Nothing is changed by any of it.
\set ON_ERROR_STOP on
\set QUIET on
BEGIN;
\ir lib/board.sql

CREATE TEMP TABLE bad (n int GENERATED ALWAYS AS IDENTITY, what text, status int, code text, sqlstate text, statement text);
INSERT INTO bad (what, status, code, sqlstate, statement) VALUES
    ('a missing title', 400, 'invalid_value', '23502', 'INSERT INTO {api}.tasks (project_id) VALUES ({project})'),
    ('a blank title', 400, 'invalid_value', '23514', 'INSERT INTO {api}.tasks (project_id, title) VALUES ({project}, '' '')'),
    ('an over-long title', 400, 'invalid_value', '23514', 'INSERT INTO {api}.tasks (project_id, title) VALUES ({project}, repeat(''x'', 501))'),
    ('an unknown status', 400, 'invalid_value', '23514', 'UPDATE {api}.tasks SET status = ''finished'' WHERE id = {task}'),
    ('status null', 400, 'invalid_value', '23502', 'UPDATE {api}.tasks SET status = NULL WHERE id = {task}'),
    ('an unknown role', 400, 'invalid_value', '23514', 'UPDATE {api}.members SET role = ''boss'' WHERE project_id = {project} AND account_id = {extra}'),
    ('too high a priority', 400, 'invalid_value', '23514', 'UPDATE {api}.tasks SET priority = 101 WHERE id = {task}'),
    ('an address that is none', 400, 'invalid_value', '23514', 'UPDATE {api}.users SET email = ''nowhere'' WHERE id = {owner}'),
    ('a member without consent', 403, 'forbidden', 'PT403', 'INSERT INTO {api}.members (project_id, account_id) VALUES ({project}, {stranger})'),
    ('an invitation for nobody', 400, 'invalid_value', '23514', 'INSERT INTO {api}.invitations (project_id) VALUES ({project})'),
    ('an invitation to an address that is none', 400, 'invalid_value', '23514', 'INSERT INTO {api}.invitations (project_id, email) VALUES ({project}, ''nowhere'')'),
    ('an invitation twice', 409, 'already_exists', '23505', 'INSERT INTO {api}.invitations (project_id, account_id) VALUES ({project}, {stranger}), ({project}, {stranger})'),
    ('an invitation to a project of others', 403, 'forbidden', 'PT403', 'INSERT INTO {api}.invitations (project_id, account_id) VALUES (''00000000-0000-7000-8000-000000000000'', {stranger})'),
    ('an invitation that is none', 404, 'not_found', 'PT404', 'SELECT * FROM {api}.accept_invitation(''tai_x'')'),
    ('an invitation of no kind', 400, 'invalid_value', '23514', 'SELECT * FROM {api}.accept_invitation()'),
    ('a token that confirms no address', 404, 'not_found', 'PT404', 'SELECT * FROM {api}.confirm_email(''tae_x'')'),
    ('a token that resets no password', 404, 'not_found', 'PT404', 'SELECT {api}.reset_password(''tap_x'', ''x'')'),
    ('mail to no address', 400, 'invalid_value', '23514', 'SELECT {api}.request_password_reset(''nowhere'')'),
    ('a circle of subtasks', 400, 'invalid_value', '23514', 'UPDATE {api}.tasks SET parent_id = {subtask} WHERE id = {task}'),
    ('a parent in another project', 409, 'invalid_reference', '23503', 'UPDATE {api}.tasks SET parent_id = {task of gone project} WHERE id = {task}'),
    ('a position that is none', 400, 'invalid_value', '23514', 'UPDATE {api}.tasks SET position = ''0'' WHERE id = {task}'),
    ('a move behind nothing', 409, 'invalid_reference', '23503', 'SELECT * FROM {api}.move_task({task}, after => ''00000000-0000-7000-8000-000000000000'')'),
    ('a move of nothing', 404, 'not_found', 'PT404', 'SELECT * FROM {api}.move_task(''00000000-0000-7000-8000-000000000000'')'),
    ('a comment without words', 400, 'invalid_value', '23514', 'INSERT INTO {api}.comments (task_id, body) VALUES ({task}, '' '')'),
    ('a comment on nothing', 403, 'forbidden', 'PT403', 'INSERT INTO {api}.comments (task_id, body) VALUES (''00000000-0000-7000-8000-000000000000'', ''x'')'),
    ('an assignee who is no member', 409, 'invalid_reference', '23503', 'UPDATE {api}.tasks SET assignee_id = {stranger} WHERE id = {task}'),
    ('an id twice', 409, 'already_exists', '23505', 'INSERT INTO {api}.tasks (id, project_id, title) VALUES ({task}, {project}, ''x'')'),
    ('an assignee who is nobody', 409, 'invalid_reference', '23503', 'UPDATE {api}.tasks SET assignee_id = ''00000000-0000-7000-8000-000000000000'' WHERE id = {task}'),
    ('a project of others', 403, 'forbidden', 'PT403', 'INSERT INTO {api}.tasks (project_id, title) VALUES (''00000000-0000-7000-8000-000000000000'', ''x'')'),
    ('an id for oneself', 403, 'forbidden', 'PT403', 'UPDATE {api}.users SET id = ''00000000-0000-7000-8000-000000000000'' WHERE id = {owner}'),
    ('a stale version', 412, 'version_conflict', 'PT412', 'UPDATE {api}.tasks SET title = ''x'', version = 7 WHERE id = {task}'),
    ('the last owner', 409, 'has_dependents', 'PT409', 'DELETE FROM {api}.members WHERE project_id = {project} AND account_id = {owner}'),
    ('a restore of more than deleted_at', 400, 'invalid_value', '23514', 'UPDATE {api}.deleted_tasks SET deleted_at = now() WHERE id = {gone task}'),
    ('a negative page size', 400, 'invalid_page_size', '22023', 'SELECT * FROM {api}.my_tasks(-1)'),
    ('a token that is none', 400, 'invalid_cursor', '22P02', 'SELECT * FROM {api}.my_tasks(1, ''AAAA'')'),
    -- what PostgreSQL says of itself, which PostgREST answers with 400
    ('a number that is none', 400, 'invalid_value', '22P02', 'INSERT INTO {api}.tasks (project_id, title, priority) SELECT {project}, title, priority FROM json_populate_record(NULL::{api}.tasks, ''[BRACE]"title": "x", "priority": "high"[ECARB]'')'),
    ('a NUL byte', 400, 'invalid_value', '22P05', 'INSERT INTO {api}.tasks (project_id, title) SELECT {project}, title FROM json_populate_record(NULL::{api}.tasks, ''[BRACE]"title": "a\u0000b"[ECARB]'')'),
    ('a day that is none', NULL, '22008', '22008', 'UPDATE {api}.tasks SET due_date = ''2026-02-30'' WHERE id = {task}');

-- What comes of it, inside and outside a request: code or SQLSTATE, and status.
CREATE FUNCTION pg_temp.outcome(http bool, statement text, claims text DEFAULT NULL, headers text DEFAULT '',
                                OUT code text, OUT status int, OUT detail_code text) LANGUAGE plpgsql AS $$
DECLARE
    said text;
    more text;
BEGIN
    SELECT replace(replace(string_agg(coalesce(quote_literal(pg_temp.id(part)), quote_literal(pg_temp.made(part)), replace(part, 'api', 'board_api')), '' ORDER BY place),
                   '[BRACE]', '{'), '[ECARB]', '}')
    INTO statement FROM regexp_split_to_table(statement, '[{}]') WITH ORDINALITY p (part, place);
    BEGIN
        PERFORM set_config('request.method', CASE WHEN http THEN CASE left(statement, 6) WHEN 'SELECT' THEN 'GET' WHEN 'INSERT' THEN 'POST' WHEN 'UPDATE' THEN 'PATCH' ELSE 'DELETE' END ELSE '' END, true),
                set_config('request.headers', headers, true),
                set_config('request.jwt.claims', coalesce(claims, json_build_object('sub', pg_temp.id('owner'))::text), true),
                set_config('role', 'regress_authenticated', true);
        EXECUTE statement;
        code := 'no problem';
        PERFORM set_config('role', 'none', true);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, said = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL;
        IF code = 'PGRST' THEN
            code := said::json ->> 'code';
            status := more::json ->> 'status';
            IF more::json -> 'headers' IS NULL THEN
                code := code || ', whose headers PostgREST would miss';
            END IF;
        ELSIF more LIKE '{%' THEN
            detail_code := more::json ->> 'code';
            status := more::json ->> 'status';
        END IF;
    END;
END
$$;
SELECT pg_temp.attempt('owner', 'DELETE', 'DELETE FROM {api}.tasks WHERE id = {gone task}', true) \g /dev/null
CREATE FUNCTION pg_temp.everything() RETURNS text LANGUAGE sql AS $$
    SELECT md5(concat((SELECT json_agg(a ORDER BY id) FROM board.account a), (SELECT json_agg(p ORDER BY id) FROM board.project p),
                      (SELECT json_agg(m ORDER BY project_id, account_id) FROM board.membership m), (SELECT json_agg(t ORDER BY id) FROM board.task t),
                      (SELECT json_agg(i ORDER BY id) FROM board.invitation i)))
$$;
SELECT pg_temp.everything() AS before \gset

SELECT plan((SELECT count(*)::int FROM bad) * 2 + 8);
SELECT is(format('%s %s', o.code, o.status), format('%s %s', bad.code, bad.status), bad.what || ', over HTTP')
FROM bad, LATERAL pg_temp.outcome(true, bad.statement) o ORDER BY n;
SELECT is(format('%s %s', o.code, o.status), format('%s %s', bad.sqlstate, bad.status), bad.what || ', over a connection')
FROM bad, LATERAL pg_temp.outcome(false, bad.statement) o ORDER BY n;

-- A caller who cannot be told
SELECT is(format('%s %s', o.code, o.status), 'unauthenticated 401', what)
FROM (VALUES ('a subject that is no uuid', '{"sub": "olivia"}'), ('claims that are no JSON', 'sub=olivia'), ('claims that are a list', '[1]'), ('a subject that is a number', '{"sub": 42}')) c (what, claims),
     LATERAL pg_temp.outcome(true, 'SELECT * FROM {api}.tasks', claims) o;
SELECT is((pg_temp.outcome(true, 'INSERT INTO {api}.projects (name) VALUES (''x'')', '{"sub": "olivia"}')).code, 'unauthenticated', 'nor do they create anything');
SELECT is((pg_temp.outcome(true, 'SELECT * FROM {api}.tasks', '{}')).code, 'no problem', 'no subject at all sees');
SELECT is((pg_temp.outcome(true, 'UPDATE {api}.tasks SET title = ''x'' WHERE id = {task}', NULL, 'if-match: x')).code, 'invalid_value', 'headers that are no JSON are not passed over in a write');

SELECT is(pg_temp.everything(), :'before', 'nothing was changed');
SELECT * FROM finish();
ROLLBACK;
