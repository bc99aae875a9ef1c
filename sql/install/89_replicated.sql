-- Changes by logical replication. Its apply process fires row triggers, of those that are for it, and no statement triggers
-- but TRUNCATE's: so whatever resets a cache by statement does it by row there, at no cost anywhere else.

DO $$
DECLARE
    t record;
BEGIN
    FOR t IN
        SELECT g.tgrelid::pg_catalog.regclass AS relation,
               pg_catalog.concat_ws(' OR ', CASE WHEN g.tgtype & 4 <> 0 THEN 'INSERT' END,
                                    CASE WHEN g.tgtype & 16 <> 0 THEN 'UPDATE' END,
                                    CASE WHEN g.tgtype & 8 <> 0 THEN 'DELETE' END) AS events
        FROM pg_catalog.pg_trigger g
        WHERE g.tgfoid = 'taskapi.invalidate_cache()'::pg_catalog.regprocedure AND g.tgtype & 1 = 0
    LOOP
        EXECUTE pg_catalog.format('CREATE TRIGGER invalidate_cache_replicated AFTER %s ON %s'
                                  ' FOR EACH ROW EXECUTE FUNCTION taskapi.invalidate_cache()', t.events, t.relation);
        EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE REPLICA TRIGGER invalidate_cache_replicated', t.relation);
        EXECUTE pg_catalog.format('COMMENT ON TRIGGER invalidate_cache_replicated ON %s IS %L', t.relation,
                                  'The same for a change that logical replication brings');
    END LOOP;
END
$$;
