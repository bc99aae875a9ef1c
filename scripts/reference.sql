-- docs/reference.md, from the catalog and the comments in it, so that it cannot go stale (make lint compares):
--   scripts/psql -X -At -q -f scripts/reference.sql > docs/reference.md
SET client_min_messages = warning;
LOAD 'taskapi';
\pset format unaligned
\pset tuples_only on

-- The topics, in the order in which a reader meets them, and the functions and relations of each. What no pattern takes is Others.
CREATE TEMP TABLE topic (place int GENERATED ALWAYS AS IDENTITY, title text, pattern text, page text);
INSERT INTO topic (title, pattern, page) VALUES
    ('Resources', '^(expose|expose_plan|expose_online|unexpose|grant_resource|resource_ddl|resources|run_ddl|purge_deleted|create_task_api|insert_columns|table_default|statement_returns)$', 'expose.md'),
    ('Pages', '^(page|page_rows|index_advice|unbounded_pages.*)$', 'cursors.md'),
    ('Cursors', '^cursor', 'cursors.md'),
    ('Filters under row-level security', '^(contains|overlaps|matches|is_like|one_of|index_values)', 'filters.md'),
    ('Changes', '^(change|prune_changes)', 'sync.md'),
    ('Idempotency', 'idempoten|^fingerprint$', 'idempotency.md'),
    ('Rate limits', 'rate_limit|^charge_login$', 'rate-limits.md'),
    ('Requests and answers', '^(pre_request|request_header|request_cookie|client_address|same_origin|jwt_claims|current_subject|current_subject_id|require_subject|set_response_header|set_response_status|read_after|session_cookie)$', 'request-path.md'),
    ('Problems', '^(raise_problem|problems)$', 'errors.md'),
    ('Authentication', '^(jwt_|api_key|create_api_key|create_my_api_key|revoke_my_api_key|create_session|end_my_session|my_|set_secret|rotate_secret|retire_secret|secret|set_api_roles|api_role|hash_password|verify_password|bcrypt|block_subject|unblock_subject|blocked_subject|revoke_credentials|session|flush_api_key_usage|purge_sessions|random_secret|list_)', 'security.md'),
    ('The outbox', '^(create_outbox|publish|create_consumer_group|drop_consumer_group|receive|extend_lease|settle|redrive|discard|outbox_|message|debezium)', 'outbox.md'),
    ('Sagas', 'saga|^settle_step$', 'saga.md'),
    ('Operations', '^(maintain|maintenance|migration_guard|grant_maintain|stats|counters|request_metrics|request_gauge|request_buckets|request_duration_buckets|requests_under_way|run_as|guard_)', 'operations.md'),
    ('Identifiers', '^uuidv7', NULL),
    ('Others', '', NULL);

-- What a client or an administrator calls. Comments say what is internal; triggers and the support of types are none either.
CREATE TEMP VIEW entry AS
SELECT (SELECT min(place) FROM topic WHERE e.name ~ pattern) AS topic, e.*
FROM (
    SELECT p.proname::text AS name, 1 AS kind,
           format('%s%s(%s)%s', CASE WHEN p.prokind = 'p' THEN 'CALL ' END, p.proname,
                  regexp_replace(regexp_replace(pg_get_function_arguments(p.oid), ' DEFAULT (''[^'']*''|[^,:)]+)(::[a-z_ ]+(\[\])?)?', ' = \1', 'g'), '\mIN ', '', 'g'),
                  CASE WHEN p.prokind <> 'p' THEN ' → ' || replace(pg_get_function_result(p.oid), 'taskapi.', '') END) AS signature,
           obj_description(p.oid, 'pg_proc') AS comment,
           CASE WHEN has_function_privilege('public', p.oid, 'EXECUTE') THEN 'any role' ELSE 'roles granted it' END AS who
    FROM pg_proc p
    WHERE p.pronamespace = 'taskapi'::regnamespace AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype)
      AND NOT 'internal'::regtype = ANY (p.proargtypes::oid[])
      AND obj_description(p.oid, 'pg_proc') !~ '^(Internal|Planner support|Input|Output|Binary|Implementation of|Hash support|Sort support|Page order|The rows of view|What .* share)'
    UNION ALL
    SELECT c.relname, 2, CASE c.relkind WHEN 'v' THEN 'view ' ELSE 'table ' END || c.relname || ' ('
               || (SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) || ')',
           obj_description(c.oid, 'pg_class'),
           CASE WHEN has_table_privilege('public', c.oid, 'SELECT') THEN 'any role'
                WHEN has_table_privilege('pg_monitor', c.oid, 'SELECT') THEN 'members of `pg_monitor`' ELSE 'roles granted it' END
    FROM pg_class c
    WHERE c.relnamespace = 'taskapi'::regnamespace AND c.relkind IN ('r', 'v') AND obj_description(c.oid, 'pg_class') !~ '^Internal'
) e;
-- A cell of a table in Markdown.
CREATE FUNCTION pg_temp.cell(t text) RETURNS text LANGUAGE sql AS $$ SELECT replace(replace(t, '|', '\|'), E'\n', ' ') $$;

SELECT E'# Reference\n\n'
    'Made from the catalog by `scripts/reference.sql`, and compared with it by `make lint`. Everything is in schema `taskapi`. "Whom it is\n'
    'granted" is the owner alone until it is granted by name.\n';
SELECT format(E'- [%s](#%s)', title, replace(lower(title), ' ', '-')) FROM topic WHERE place IN (SELECT topic FROM entry) ORDER BY place;
SELECT E'- [Problems and their statuses](#problems-and-their-statuses)\n- [Settings](#settings)\n- [What an action on a resource grants](#what-an-action-on-a-resource-grants)\n';

SELECT format(E'## %s\n\n%s| | what it does | who may use it |\n| --- | --- | --- |\n%s\n', t.title,
              'More in [' || replace(t.page, '.md', '') || '](' || t.page || E').\n\n',
              (SELECT string_agg(format('| `%s` | %s | %s |', pg_temp.cell(signature), pg_temp.cell(comment), who), E'\n' ORDER BY kind, name COLLATE "C", signature COLLATE "C")
               FROM entry e WHERE e.topic = t.place))
FROM topic t WHERE EXISTS (SELECT FROM entry e WHERE e.topic = t.place) ORDER BY t.place;

SELECT E'## Problems and their statuses\n\n'
    'What each means, and what a client does about it: [errors](errors.md). Inside a request the answer has the status; anywhere else the error has\n'
    'the SQLSTATE.\n\n| problem | status | SQLSTATE | message |\n| --- | --- | --- | --- |\n'
    || string_agg(format('| `%s` | %s | %s | %s |', problem, status, sqlstate, title), E'\n' ORDER BY status, problem COLLATE "C") || E'\n'
FROM taskapi.problems();

SELECT E'## Settings\n\n| setting | default | what it does | who may set it |\n| --- | --- | --- | --- |\n'
    || string_agg(format('| `%s` | %s | %s | %s |', name,
                         coalesce(nullif(current_setting(name), ''), '(empty)'),
                         pg_temp.cell(short_desc || coalesce(' ' || extra_desc, '')),
                         CASE context WHEN 'user' THEN 'any user' WHEN 'superuser' THEN 'superusers' WHEN 'sighup' THEN 'the configuration file'
                                      WHEN 'postmaster' THEN 'the configuration file, at the start' ELSE context END),
                  E'\n' ORDER BY name COLLATE "C") || E'\n'
FROM pg_settings WHERE name LIKE 'taskapi.%';

-- As resource_grants() has it for a resource with everything.
CREATE TABLE public.item (id int PRIMARY KEY, text text);
CREATE SCHEMA api;
DO $$ BEGIN PERFORM taskapi.expose('public.item', 'api', 'items'); END $$;
SELECT E'## What an action on a resource grants\n\n'
    'For resource `api.items` over table `public.item`, on the table and the views and functions made for it; rows are the business of the\n'
    'table''s policies, as ever.\n\n| action | grants |\n| --- | --- |\n'
    || string_agg(format('| `%s` | %s |', a, g), E'\n' ORDER BY place)
FROM unnest(ARRAY['read', 'read_deleted', 'create', 'update', 'delete', 'restore', 'purge']) WITH ORDINALITY a (a, place),
     LATERAL (SELECT string_agg('`' || privilege || '` on `' || relation || '`', ', ') AS g FROM taskapi.resource_grants((SELECT r FROM taskapi.resource r LIMIT 1), a) x) g;
