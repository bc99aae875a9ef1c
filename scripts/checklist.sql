-- scripts/checklist.sql: what is still to be done before an API goes live, a row each. docs/guides/going-live.md says more.
--     psql -X -q -At -F ': ' -d app -v layer=authenticator -f scripts/checklist.sql
-- layer is the role that the layer logs in as, authenticator unless it is said. A superuser runs it; it changes nothing.
\set ON_ERROR_STOP on
\if :{?layer}
\else
    \set layer authenticator
\endif
LOAD 'taskapi';     -- which makes its settings known to a session that has called nothing of it
WITH
    layer AS (SELECT * FROM pg_roles WHERE rolname = :'layer'),
    api_role AS (SELECT r.oid, r.rolname FROM taskapi.api_role a JOIN pg_roles r ON r.oid = a.role),
    serving AS (SELECT rolname FROM layer UNION SELECT rolname FROM api_role),
    -- what is set for a session of a role in this database
    setting AS (
        SELECT r.rolname, split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value
        FROM pg_roles r
            JOIN pg_db_role_setting s ON s.setrole IN (0, r.oid)
                AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())),
            unnest(s.setconfig) c),
    finding (place, subject, finding) AS (
        SELECT 1, 'layer', format('there is no role %I; say which one by -v layer=ROLE', :'layer')
        WHERE NOT EXISTS (SELECT FROM layer)
        UNION ALL
        SELECT 1, rolname, 'a superuser serves the API: row-level security does not hold for it' FROM layer WHERE rolsuper
        UNION ALL
        SELECT 1, rolname, 'it has BYPASSRLS' FROM layer WHERE rolbypassrls
        UNION ALL
        SELECT 1, rolname, format('it has the rights of all roles that it may become: ALTER ROLE %I NOINHERIT', rolname)
        FROM layer WHERE rolinherit
        UNION ALL
        SELECT 1, rolname, 'it has no CONNECTION LIMIT, so it can take all connections of the server'
        FROM layer WHERE rolconnlimit < 0
        UNION ALL
        SELECT 1, l.rolname, 'it may become the superuser ' || r.rolname
        FROM layer l JOIN pg_roles r ON r.rolsuper AND r.oid <> l.oid AND pg_has_role(l.oid, r.oid, 'member')
        WHERE NOT l.rolsuper
        UNION ALL
        SELECT 2, 'roles', 'SELECT taskapi.set_api_roles(ANONYMOUS, AUTHENTICATED) was not called'
        WHERE (SELECT count(*) FROM api_role) < 2
        UNION ALL
        SELECT 2, a.rolname, format('the role %s cannot become it', l.rolname)
        FROM api_role a, layer l WHERE NOT pg_has_role(l.oid, a.oid, 'member')
        UNION ALL
        SELECT 3, r.rolname, 'no statement_timeout is set' FROM serving r
        WHERE current_setting('statement_timeout') = '0'
            AND NOT EXISTS (SELECT FROM setting s WHERE s.rolname = r.rolname AND s.name = 'statement_timeout' AND s.value <> '0')
        UNION ALL
        SELECT 3, rolname, 'no idle_in_transaction_session_timeout is set' FROM layer l
        WHERE current_setting('idle_in_transaction_session_timeout') = '0'
            AND NOT EXISTS (
                SELECT FROM setting s
                WHERE s.rolname = l.rolname AND s.name = 'idle_in_transaction_session_timeout' AND s.value <> '0')
        UNION ALL
        SELECT 3, rolname, 'jit is on, which costs more than it saves in a page' FROM layer l
        WHERE current_setting('jit')::boolean
            AND NOT EXISTS (SELECT FROM setting s WHERE s.rolname = l.rolname AND s.name = 'jit' AND NOT s.value::boolean)
        UNION ALL
        SELECT 4, 'secret', 'no JWT secret of yours is set: SELECT taskapi.set_secret(''jwt'', ...)'
        WHERE NOT EXISTS (SELECT FROM taskapi.secret WHERE purpose = 'jwt' AND NOT initial AND retired_at IS NULL)
        UNION ALL
        SELECT 4, 'pgcrypto', 'it is missing: passwords need it'
        WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pgcrypto')
        UNION ALL
        SELECT 5, 'addresses', 'taskapi.trusted_proxy_hops is 0: no limit by address applies'
        WHERE current_setting('taskapi.trusted_proxy_hops') = '0'
        UNION ALL
        SELECT 5, 'log', 'refusals are logged in full (taskapi.log_refusals)'
        WHERE current_setting('taskapi.log_refusals') = 'full'
        UNION ALL
        SELECT 6, 'maintain', coalesce('it ran last at ' || (SELECT finished_at FROM taskapi.maintenance), 'it has not run yet')
        WHERE NOT EXISTS (SELECT FROM taskapi.maintenance WHERE finished_at > now() - interval '1 hour')
        UNION ALL
        SELECT 7, r.resource::text, a.index
        FROM taskapi.resource r, taskapi.index_advice(r.resource, r.order_by) a (index) WHERE a.index IS NOT NULL
        UNION ALL
        SELECT 7, r.deleted_resource::text, a.index
        FROM taskapi.resource r, taskapi.index_advice(r.deleted_resource, format('%I DESC', r.deleted_at_column)) a (index)
        WHERE r.deleted_resource IS NOT NULL AND a.index IS NOT NULL
        UNION ALL
        SELECT 8, r.resource::text, format('table %s has no row-level security: its rows are for all who may read', r.source)
        FROM taskapi.resource r JOIN pg_class c ON c.oid = r.source
        WHERE NOT c.relrowsecurity)
SELECT subject, finding FROM finding ORDER BY place, subject, finding;
