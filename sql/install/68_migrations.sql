-- Migrations: changes of a table that has resources, while they are served.

-- run_ddl(command, lock_timeout, give_up_after): runs a command that takes strong locks, as the caller and under the caller's
-- settings. A try waits for a lock for lock_timeout, so nobody waits longer behind it; if the lock is not to be had, its
-- transaction is rolled back, which gives back what it locked, and after a pause (up to ten times lock_timeout, of random length)
-- comes the next, until give_up_after has passed. A NOTICE says how many tries it took and how long locks were held.
--
-- Errors: 2D000 in a transaction block or a function, or for BEGIN, COMMIT and their kin; 42601 for none or several commands;
-- 25001 for what cannot run in a transaction, such as CREATE INDEX CONCURRENTLY; 55P03 after the last try. Any other error of
-- the command's ends it at once.
CREATE PROCEDURE taskapi.run_ddl(command text, lock_timeout interval DEFAULT '100 ms', give_up_after interval DEFAULT '5 min')
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_run_ddl';
COMMENT ON PROCEDURE taskapi.run_ddl(text, interval, interval) IS
    'Runs a command that takes strong locks, in tries that wait shortly, so that no queue forms behind it';

-- expose_online(source, ..., lock_timeout, give_up_after): expose() as run_ddl() runs it. It has no search_path of its own, since a
-- procedure that has any setting cannot end a transaction.
CREATE PROCEDURE taskapi.expose_online(source regclass, api_schema name DEFAULT NULL, resource name DEFAULT NULL,
                                       order_by text DEFAULT NULL, soft_delete boolean DEFAULT NULL,
                                       versioned boolean DEFAULT NULL, idempotent boolean DEFAULT NULL,
                                       lock_timeout interval DEFAULT '100 ms', give_up_after interval DEFAULT '5 min')
    LANGUAGE plpgsql
AS $$
BEGIN
    CALL taskapi.run_ddl(
        pg_catalog.format('SELECT taskapi.expose(%s::pg_catalog.oid, %L, %L, %L, %L, %L, %L)', source::pg_catalog.oid, api_schema,
                          resource, order_by, soft_delete, versioned, idempotent),
        lock_timeout, give_up_after);
END
$$;
COMMENT ON PROCEDURE taskapi.expose_online(regclass, name, name, text, boolean, boolean, boolean, interval, interval) IS
    'expose() for a table that is in use: in tries that wait shortly for locks, each a transaction of its own';
