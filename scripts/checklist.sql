-- scripts/checklist.sql: what is still to be done before an API goes live, a row each. docs/guides/going-live.md says more.
--     psql -X -q -At -F ': ' -d app -v layer=authenticator -f scripts/checklist.sql
-- layer is the role that the layer logs in as. A superuser runs it; it changes nothing.
\set ON_ERROR_STOP on
LOAD 'taskapi';     -- which makes its settings known to a session that has called nothing of it
WITH
    layer AS (SELECT * FROM pg_roles WHERE rolname = :'layer'),
    api_role AS (SELECT r.rolname, a.name FROM taskapi.api_role a JOIN pg_roles r ON r.oid = a.role),
    -- what is set for a session of a role in this database
    setting AS (
        SELECT r.rolname, split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value
        FROM pg_roles r JOIN pg_db_role_setting s ON s.setrole IN (0, r.oid)
            AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())), unnest(s.setconfig) c),
    finding (place, subject, finding) AS (
        SELECT 1, 'layer', format('there is no role %I; say which one by -v layer=ROLE', :'layer') WHERE NOT EXISTS (SELECT FROM layer)
        UNION ALL SELECT 1, rolname, 'a superuser serves the API: row-level security does not hold for it' FROM layer WHERE rolsuper
        UNION ALL SELECT 1, rolname, 'it has BYPASSRLS' FROM layer WHERE rolbypassrls
        UNION ALL SELECT 1, rolname, 'it inherits the rights of the roles that it may become: ALTER ROLE ' || quote_ident(rolname) || ' NOINHERIT'
            FROM layer WHERE rolinherit
        UNION ALL SELECT 1, rolname, 'it has no CONNECTION LIMIT, so it can take the connections of everybody else' FROM layer WHERE rolconnlimit < 0
        UNION ALL SELECT 1, l.rolname, 'it may become the superuser ' || r.rolname FROM layer l, pg_roles r
            WHERE r.rolsuper AND r.oid <> l.oid AND pg_has_role(l.oid, r.oid, 'member') AND NOT l.rolsuper
        UNION ALL SELECT 2, 'roles', 'SELECT taskapi.set_api_roles(ANONYMOUS, AUTHENTICATED) was not called' WHERE (SELECT count(*) FROM api_role) < 2
        UNION ALL SELECT 2, a.rolname, 'the role ' || l.rolname || ' cannot become it' FROM api_role a, layer l
            WHERE NOT pg_has_role(l.oid, (SELECT oid FROM pg_roles WHERE rolname = a.rolname), 'member')
        UNION ALL SELECT 3, r.rolname, 'no statement_timeout is set' FROM (SELECT rolname FROM layer UNION SELECT rolname FROM api_role) r
            WHERE current_setting('statement_timeout') = '0' AND NOT EXISTS (SELECT FROM setting s WHERE s.rolname = r.rolname AND s.name = 'statement_timeout' AND s.value <> '0')
        UNION ALL SELECT 3, rolname, 'no idle_in_transaction_session_timeout is set' FROM layer l
            WHERE current_setting('idle_in_transaction_session_timeout') = '0'
                AND NOT EXISTS (SELECT FROM setting s WHERE s.rolname = l.rolname AND s.name = 'idle_in_transaction_session_timeout')
        UNION ALL SELECT 3, rolname, 'jit is on, which costs more than it saves in a page' FROM layer l
            WHERE current_setting('jit')::boolean AND NOT EXISTS (SELECT FROM setting s WHERE s.rolname = l.rolname AND s.name = 'jit' AND NOT s.value::boolean)
        UNION ALL SELECT 4, 'secret', 'no JWT secret of yours is set: SELECT taskapi.set_secret(''jwt'', ...)'
            WHERE NOT EXISTS (SELECT FROM taskapi.secret WHERE purpose = 'jwt' AND NOT initial)
        UNION ALL SELECT 4, 'pgcrypto', 'it is missing: passwords and log-ins need it' WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pgcrypto')
        UNION ALL SELECT 5, 'addresses', 'taskapi.trusted_proxy_hops is 0: no limit by address applies'
            WHERE current_setting('taskapi.trusted_proxy_hops') = '0'
        UNION ALL SELECT 5, 'log', 'refusals are logged in full (taskapi.log_refusals)' FROM layer l
            WHERE current_setting('taskapi.log_refusals') = 'full' AND NOT EXISTS (SELECT FROM setting s WHERE s.rolname = l.rolname AND s.name = 'taskapi.log_refusals')
        UNION ALL SELECT 6, 'maintain', coalesce('it ran last at ' || (SELECT finished_at FROM taskapi.maintenance), 'it has not run yet')
            WHERE NOT EXISTS (SELECT FROM taskapi.maintenance WHERE finished_at > now() - interval '1 hour')
        UNION ALL SELECT 7, r.resource::text, taskapi.index_advice(r.resource, r.order_by) FROM taskapi.resource r
            WHERE taskapi.index_advice(r.resource, r.order_by) IS NOT NULL
        UNION ALL SELECT 7, r.deleted_resource::text, taskapi.index_advice(r.deleted_resource, o.deleted_order_by)
            FROM taskapi.resource r, LATERAL (SELECT format('%I DESC', r.deleted_at_column) AS deleted_order_by) o
            WHERE r.deleted_resource IS NOT NULL AND taskapi.index_advice(r.deleted_resource, o.deleted_order_by) IS NOT NULL
        UNION ALL SELECT 8, r.resource::text, 'table ' || r.source || ' has no row-level security: its rows are for all who may read' FROM taskapi.resource r JOIN pg_class c ON c.oid = r.source
            WHERE NOT c.relrowsecurity)
SELECT subject, finding FROM finding ORDER BY place, subject, finding;
