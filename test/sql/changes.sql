-- A client that follows the change feed holds what it may see, whatever happens to rows, to itself and to policies.
\set SHOW_CONTEXT never
CREATE ROLE regress_feed_reader;
CREATE ROLE regress_feed_other;
CREATE SCHEMA feed;
CREATE SCHEMA feed_api;
SET client_min_messages = warning;

-- Which groups a reader is in: the one thing that policies ask.
CREATE FUNCTION feed.my_groups() RETURNS int[] LANGUAGE sql STABLE
    RETURN pg_catalog.string_to_array(nullif(pg_catalog.current_setting('feed.groups', true), ''), ',')::int[];
CREATE TABLE feed.item (id int PRIMARY KEY, group_id int NOT NULL, title text, status text NOT NULL DEFAULT 'todo', secret text);
COMMENT ON COLUMN feed.item.secret IS '@private';
ALTER TABLE feed.item ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_group ON feed.item USING (group_id = ANY ((SELECT feed.my_groups())::int[]));
SELECT taskapi.expose('feed.item', 'feed_api', 'items', changes => true, scope => 'group_id = ANY (feed.my_groups())');
CREATE INDEX ON feed.item (group_id, changed, id);
SELECT taskapi.grant_resource('feed_api.items', 'regress_feed_reader', '{read,create,update,delete,restore,purge}');
SELECT taskapi.grant_resource('feed_api.items', 'regress_feed_other', '{read}');
GRANT USAGE ON SCHEMA feed TO regress_feed_reader, regress_feed_other;

-- Nobody sees the stamp; the column and the table of departures are what expose() said.
\d feed.item
\d feed.item_departures
SELECT attname FROM pg_attribute WHERE attrelid = 'feed_api.items'::regclass ORDER BY attnum;
SELECT count(*) FROM taskapi.expose_plan('feed.item') p WHERE p NOT LIKE '--%' AND p NOT LIKE 'CREATE OR REPLACE %';
SELECT resource, changes, scope, changes_function FROM taskapi.resources WHERE api_schema = 'feed_api';
SELECT s.* FROM taskapi.resource_ddl('feed_api.items') s WHERE s LIKE '%_changes%' OR s LIKE '%expose%' ORDER BY 1;

-- The client: what it holds, and its token. It starts over if it is told to.
CREATE TABLE feed.copy (client text, id int, item jsonb, PRIMARY KEY (client, id));
CREATE TABLE feed.client (client text PRIMARY KEY, token text);
GRANT ALL ON feed.copy, feed.client TO regress_feed_reader, regress_feed_other;
CREATE FUNCTION feed.sync(client text, filter jsonb DEFAULT NULL, page_size int DEFAULT 2) RETURNS text LANGUAGE plpgsql
AS $$
DECLARE
    page   taskapi.changes_result;
    mine   text := (SELECT c.token FROM feed.client c WHERE c.client = sync.client);
    said   text := '';
    pages  int := 0;
BEGIN
    LOOP
        BEGIN
            page := feed_api.items_changes(mine, page_size, filter);
        EXCEPTION WHEN SQLSTATE 'PT410' THEN
            mine := NULL;
            DELETE FROM feed.copy c WHERE c.client = sync.client;
            said := said || 'expired ';
            CONTINUE;
        END;
        INSERT INTO feed.copy SELECT sync.client, (i ->> 'id')::int, i - 'cursor' - 'updated_at' FROM jsonb_array_elements(page.items::jsonb) i
            ON CONFLICT ON CONSTRAINT copy_pkey DO UPDATE SET item = excluded.item;
        DELETE FROM feed.copy c USING jsonb_array_elements(page.removed::jsonb) r WHERE c.client = sync.client AND c.id = (r ->> 'id')::int;
        said := said || coalesce((SELECT string_agg('+' || (i ->> 'id'), ' ') || ' ' FROM jsonb_array_elements(page.items::jsonb) i), '')
                     || coalesce((SELECT string_agg('-' || (r ->> 'id'), ' ') || ' ' FROM jsonb_array_elements(page.removed::jsonb) r), '');
        mine := page.next_page_token;
        pages := pages + 1;
        EXIT WHEN NOT page.has_more OR pages > 50;
        said := said || '| ';
    END LOOP;
    INSERT INTO feed.client VALUES (sync.client, mine) ON CONFLICT ON CONSTRAINT client_pkey DO UPDATE SET token = excluded.token;
    RETURN trim(said);
END
$$;
-- What differs between the copy and what the reader sees now.
CREATE FUNCTION feed.differs(client text, filter text DEFAULT 'true') RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$
        SELECT concat_ws(' ', coalesce(c.id, i.id), CASE WHEN c.id IS NULL THEN 'missing' WHEN i.id IS NULL THEN 'ghost' ELSE 'stale' END)
        FROM (SELECT * FROM feed.copy WHERE client = %L) c
        FULL JOIN (SELECT id, to_jsonb(x) - 'cursor' - 'updated_at' AS item FROM feed_api.items x WHERE %s) i ON i.id = c.id
        WHERE c.item IS DISTINCT FROM i.item ORDER BY 1 $q$, client, filter);
END
$$;

SET feed.groups = '1,2';
INSERT INTO feed.item (id, group_id, title) SELECT i, 1 + i % 3, 'item ' || i FROM generate_series(1, 9) i;
SET ROLE regress_feed_reader;
SELECT feed.sync('all');
SELECT feed.sync('todo', '{"status": "todo"}');
SELECT feed.sync('one', '{"group_id": 1}', 100);
SELECT feed.differs('all'), feed.differs('todo', 'status = ''todo'''), feed.differs('one', 'group_id = 1');
-- nothing new: nothing, and no more
SELECT feed.sync('all'), feed.sync('todo', '{"status": "todo"}'), feed.sync('one', '{"group_id": 1}');

-- Changed, deleted, restored, purged; through the resource.
UPDATE feed_api.items SET title = 'changed' WHERE id = 1;
UPDATE feed_api.items SET status = 'done' WHERE id = 3;
DELETE FROM feed_api.items WHERE id = 4;
DELETE FROM feed_api.items WHERE id = 6;
SELECT feed.sync('all'), feed.sync('todo', '{"status": "todo"}'), feed.sync('one', '{"group_id": 1}');
SELECT feed.differs('all'), feed.differs('todo', 'status = ''todo'''), feed.differs('one', 'group_id = 1');
UPDATE feed_api.deleted_items SET deleted_at = NULL WHERE id = 4;
DELETE FROM feed_api.deleted_items WHERE id = 6;
SELECT feed.sync('all'), feed.sync('todo', '{"status": "todo"}'), feed.sync('one', '{"group_id": 1}');
SELECT feed.differs('all'), feed.differs('todo', 'status = ''todo'''), feed.differs('one', 'group_id = 1');

-- Moved to another group that one sees, to one that one does not see, and back; with another key; round the resource.
UPDATE feed_api.items SET group_id = 2 WHERE id = 3;
SELECT feed.sync('all'), feed.sync('todo', '{"status": "todo"}'), feed.sync('one', '{"group_id": 1}');
RESET ROLE;
UPDATE feed.item SET group_id = 3 WHERE id = 3;
UPDATE feed.item SET id = 40 WHERE id = 4;
DELETE FROM feed.item WHERE id = 7;
INSERT INTO feed.item VALUES (10, 2, 'new');
SET ROLE regress_feed_reader;
SELECT feed.sync('all'), feed.sync('todo', '{"status": "todo"}'), feed.sync('one', '{"group_id": 1}');
RESET ROLE;
UPDATE feed.item SET group_id = 1 WHERE id = 3;
DELETE FROM feed.item WHERE id = 10;
INSERT INTO feed.item VALUES (10, 2, 'new again');
SET ROLE regress_feed_reader;
SELECT feed.sync('all'), feed.sync('todo', '{"status": "todo"}'), feed.sync('one', '{"group_id": 1}');
SELECT feed.differs('all'), feed.differs('todo', 'status = ''todo'''), feed.differs('one', 'group_id = 1');

-- What was never his to see is not told: departures of another group, of rows that were deleted before he came, of before he came.
RESET ROLE;
DELETE FROM feed.item WHERE id = 2;
SET ROLE regress_feed_reader;
SELECT feed.sync('all');
DELETE FROM feed_api.items WHERE id = 9;
SET ROLE regress_feed_other;
SET feed.groups = '1';
SELECT feed.sync('newcomer');
RESET ROLE;
DELETE FROM feed.item WHERE id = 9;
SET ROLE regress_feed_other;
SELECT feed.sync('newcomer');
SET ROLE regress_feed_reader;
SET feed.groups = '1,2';
SELECT feed.sync('all'), feed.differs('all');

-- Another scope is told, and narrowed to a group that is the same it is not.
SET feed.groups = '1';
SELECT feed.sync('all'), feed.sync('one', '{"group_id": 1}');
SET feed.groups = '1,2,3';
SELECT feed.sync('all'), feed.sync('one', '{"group_id": 1}');
SET feed.groups = '2';
SELECT feed.sync('one', '{"group_id": 1}');
SET feed.groups = '1,2';
SELECT feed.sync('all'), feed.sync('todo', '{"status": "todo"}'), feed.sync('one', '{"group_id": 1}');
SELECT feed.differs('all'), feed.differs('todo', 'status = ''todo'''), feed.differs('one', 'group_id = 1');

-- All that changes what is seen and no row ends the history; what does not, does not.
RESET ROLE;
CREATE FUNCTION feed.as_reader() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text;
BEGIN
    SET LOCAL ROLE regress_feed_reader;
    said := feed.sync('all', NULL, 100);
    said := concat_ws(' ', said, (SELECT string_agg(d, ' ') FROM feed.differs('all') d));
    RESET ROLE;
    RETURN said;
END
$$;
SELECT feed.as_reader();
CREATE POLICY todo_only ON feed.item AS RESTRICTIVE USING (status <> 'done');
SELECT feed.as_reader();
-- the departures are under the former policies: whoever asks when a row has left starts over
DELETE FROM feed.item WHERE id = 1;
SELECT feed.as_reader();
SELECT taskapi.expose('feed.item', 'feed_api');
SELECT feed.as_reader();
DELETE FROM feed.item WHERE id = 10;
SELECT feed.as_reader();
UPDATE feed.item SET status = 'done' WHERE id = 5;
SELECT feed.as_reader();
ALTER POLICY todo_only ON feed.item USING (true);
SELECT feed.as_reader();
DROP POLICY todo_only ON feed.item;
SELECT taskapi.expose('feed.item', 'feed_api');
SELECT feed.as_reader();
ALTER TABLE feed.item DISABLE TRIGGER zz_taskapi_change;
SELECT feed.as_reader();
UPDATE feed.item SET title = 'without a stamp';
ALTER TABLE feed.item ENABLE ALWAYS TRIGGER zz_taskapi_change;
SELECT feed.as_reader();
ALTER TABLE feed.item ADD COLUMN extra int DEFAULT 5;
SELECT feed.as_reader();
SELECT taskapi.expose('feed.item', 'feed_api');
SELECT feed.as_reader();
VACUUM feed.item;
ANALYZE feed.item;
SELECT feed.as_reader();
TRUNCATE feed.item;
INSERT INTO feed.item (id, group_id) VALUES (1, 1);
SELECT feed.as_reader();

-- Departures are pruned; only who needs them starts over.
DELETE FROM feed.item WHERE id = 1;
INSERT INTO feed.item (id, group_id) VALUES (2, 1);
SELECT taskapi.prune_changes('1 hour'), taskapi.prune_changes('-1 hour'), taskapi.prune_changes('-1 hour');
SELECT feed.as_reader();
INSERT INTO feed.item (id, group_id) VALUES (3, 1);
SELECT feed.as_reader();

-- A subscriber of logical replication stamps too.
SET session_replication_role = replica;
UPDATE feed.item SET title = 'replicated' WHERE id = 3;
RESET session_replication_role;
SELECT feed.as_reader();

-- A client may begin with what is to come.
SET ROLE regress_feed_reader;
SELECT items, removed, has_more FROM feed_api.items_changes('latest') \gset latest_
SELECT next_page_token AS latest FROM feed_api.items_changes('latest') \gset
UPDATE feed_api.items SET title = 'later' WHERE id = 2;
SELECT json_array_length(items), removed, has_more FROM feed_api.items_changes(:'latest');

-- READ ONLY, and in a transaction that has written: that is told again, in case it does not commit.
BEGIN READ ONLY;
SELECT json_array_length(items), removed, has_more FROM feed_api.items_changes(:'latest');
COMMIT;
BEGIN;
UPDATE feed_api.items SET title = 'own' WHERE id = 3;
SELECT json_array_length(items) AS items, next_page_token AS own FROM feed_api.items_changes(:'latest') \gset own_
SELECT :own_items;
COMMIT;
SELECT json_array_length(items) FROM feed_api.items_changes(:'own_own');

-- Bad input is refused by name.
\set VERBOSITY sqlstate
SELECT feed_api.items_changes('nonsense');
SELECT feed_api.items_changes(:'latest', -1);
SELECT feed_api.items_changes(:'latest', filter => '{"nothing": 1}');
SELECT feed_api.items_changes(:'latest', filter => '{"status": "todo"}');
SELECT feed_api.items_changes((SELECT next_page_token FROM feed_api.items_page(page_size => 1)));
SET ROLE regress_feed_other;
SELECT feed_api.items_changes(:'latest');
RESET ROLE;
SELECT feed_api.items_changes(:'latest');
SELECT taskapi.changes('feed.item');
SELECT taskapi.changes('feed_api.deleted_items');
SELECT taskapi.changes(NULL);
REVOKE SELECT ON feed_api.items FROM regress_feed_other;
SET ROLE regress_feed_other;
SELECT taskapi.changes('feed_api.items');
RESET ROLE;
\set VERBOSITY default

-- What does not fit is said by expose(), and changes nothing.
CREATE TABLE feed.odd (id int PRIMARY KEY, changed timestamptz);
SELECT taskapi.expose('feed.odd', 'feed_api', changes => true);
CREATE UNLOGGED TABLE feed.fast (id int PRIMARY KEY);
SELECT taskapi.expose('feed.fast', 'feed_api', changes => true);
CREATE TABLE feed.plain (id int PRIMARY KEY);
SELECT taskapi.expose('feed.plain', 'feed_api', changes => true, scope => 'nothing = ANY (feed.my_groups())');
\set VERBOSITY terse
SELECT taskapi.expose('feed.plain', 'feed_api', changes => true, scope => 'feed.nothing()');
\set VERBOSITY default
SELECT taskapi.expose('feed.plain', 'feed_api', changes => true);
SELECT json_array_length(items), has_more FROM feed_api.plain_changes();

-- Turned off, all of it goes but the column; turned on again, old tokens are of another history.
SELECT next_page_token AS plain FROM feed_api.plain_changes('latest') \gset
SELECT taskapi.expose('feed.plain', 'feed_api', changes => false);
\d feed.plain
SELECT to_regclass('feed.plain_departures'), to_regproc('feed_api.plain_changes'), (SELECT count(*) FROM taskapi.change_source WHERE source = 'feed.plain'::regclass);
INSERT INTO feed.plain VALUES (1);
SELECT taskapi.expose('feed.plain', 'feed_api', changes => true);
SELECT incarnation FROM taskapi.change_source WHERE source = 'feed.plain'::regclass;
\set VERBOSITY sqlstate
SELECT feed_api.plain_changes(:'plain');
\set VERBOSITY default
SELECT json_array_length(items), has_more FROM feed_api.plain_changes();
SELECT taskapi.unexpose('feed_api.plain');
SELECT to_regclass('feed.plain_departures');
-- whose resource was dropped by hand, also if that has been forgotten, or is exposed again
SELECT taskapi.expose('feed.plain', 'feed_api', changes => true);
DROP VIEW feed_api.plain, feed_api.deleted_plain CASCADE;
SELECT taskapi.unexpose('feed.plain');
SELECT count(*) FROM pg_class WHERE relname LIKE 'plain_departures%' AND relkind = 'r';
SELECT taskapi.expose('feed.plain', 'feed_api', changes => true);
DROP VIEW feed_api.plain, feed_api.deleted_plain CASCADE;
SELECT taskapi.forget_dropped_resources();
SELECT taskapi.expose('feed.plain', 'feed_api', changes => true);
SELECT array_agg(relname) FROM pg_class WHERE relname LIKE 'plain_departures%' AND relkind = 'r';
DROP VIEW feed_api.plain, feed_api.deleted_plain CASCADE;
SELECT taskapi.forget_dropped_resources();
SELECT taskapi.unexpose('feed.plain');
SELECT count(*) FROM pg_class WHERE relname LIKE 'plain_departures%' AND relkind = 'r';

-- A partitioned table is one feed: a row that moves to another partition is the same row, and a partition that comes or goes ends
-- the history.
CREATE TABLE feed.part (id int PRIMARY KEY, group_id int, title text) PARTITION BY RANGE (id);
CREATE TABLE feed.part_low PARTITION OF feed.part FOR VALUES FROM (0) TO (100);
CREATE TABLE feed.part_high (title text, group_id int, id int NOT NULL);
ALTER TABLE feed.part ATTACH PARTITION feed.part_high FOR VALUES FROM (100) TO (200);
ALTER TABLE feed.part ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_group ON feed.part USING (group_id = ANY (feed.my_groups()));
SELECT taskapi.expose('feed.part', 'feed_api', 'parts', changes => true, scope => 'group_id = ANY (feed.my_groups())');
SELECT taskapi.grant_resource('feed_api.parts', 'regress_feed_reader', '{read}');
SELECT tgrelid::regclass, tgenabled FROM pg_trigger WHERE tgname = 'zz_taskapi_change' AND tgrelid::regclass::text LIKE 'feed.part%' ORDER BY 1;
INSERT INTO feed.part (id, group_id, title) VALUES (1, 1, 'a'), (101, 1, 'b'), (2, 2, 'c');
SET feed.groups = '1';
SET ROLE regress_feed_reader;
SELECT json_array_length(items) AS items, next_page_token AS part FROM feed_api.parts_changes() \gset part_
RESET ROLE;
UPDATE feed.part SET id = id + 150 WHERE id < 3;
UPDATE feed.part SET group_id = 2 WHERE id = 101;
SET ROLE regress_feed_reader;
SELECT :part_items, items -> 0 ->> 'id' AS item, json_array_length(items), removed FROM feed_api.parts_changes(:'part_part');
RESET ROLE;
CREATE TABLE feed.part_new PARTITION OF feed.part FOR VALUES FROM (200) TO (300);
\set VERBOSITY sqlstate
SET ROLE regress_feed_reader;
SELECT feed_api.parts_changes(:'part_part');
RESET ROLE;
\set VERBOSITY default

-- A key that is spelled in another way, though it is equal: the client knows a text by its spelling, and a number by its value.
CREATE TABLE feed.rate (per numeric, every interval, note text, PRIMARY KEY (per, every));
SELECT taskapi.expose('feed.rate', 'feed_api', 'rates', changes => true);
INSERT INTO feed.rate VALUES (1.0, '1 day', 'a'), (2.0, '1 day', 'b'), (3.0, '1 day', 'c'), (4.0, '1 day', 'd');
SELECT next_page_token AS rate FROM feed_api.rates_changes() \gset
UPDATE feed.rate SET every = '24 hours' WHERE per = 1;
UPDATE feed.rate SET per = 2.00 WHERE per = 2;
BEGIN;
DELETE FROM feed.rate WHERE per = 3;
INSERT INTO feed.rate VALUES (3.0, '24 hours', 'c');
COMMIT;
UPDATE feed.rate SET note = 'e' WHERE per = 4;
SELECT i ->> 'per' AS per, i ->> 'every' AS every, removed
FROM feed_api.rates_changes(:'rate'), json_array_elements(items) i ORDER BY 1;

-- Values of a scope that are equal are one, however they are spelled, and no setting of a session makes them others.
CREATE FUNCTION feed.my_tenants() RETURNS SETOF numeric LANGUAGE sql STABLE
    RETURN pg_catalog.unnest(pg_catalog.string_to_array(pg_catalog.current_setting('feed.tenants', true), ',')::numeric[]);
CREATE FUNCTION feed.my_days() RETURNS date[] LANGUAGE sql STABLE RETURN ARRAY['2026-02-01', '2026-02-01', NULL]::date[];
CREATE TABLE feed.bill (id int PRIMARY KEY, tenant numeric NOT NULL, day date NOT NULL DEFAULT '2026-02-01');
ALTER TABLE feed.bill ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON feed.bill USING (tenant IN (SELECT feed.my_tenants()));
SELECT taskapi.expose('feed.bill', 'feed_api', 'bills', changes => true, scope => 'tenant = ANY (ARRAY(SELECT feed.my_tenants()))');
SELECT taskapi.expose('feed.bill', 'feed_api', 'days', changes => true, scope => 'day = ANY (feed.my_days())');
SELECT taskapi.grant_resource('feed_api.bills', 'regress_feed_reader'), taskapi.grant_resource('feed_api.days', 'regress_feed_reader');
INSERT INTO feed.bill VALUES (1, 1), (2, 1.00), (3, 2), (4, 3);
SET feed.tenants = '1,1.0,2.00';
SET ROLE regress_feed_reader;
SELECT i ->> 'id' AS id FROM feed_api.bills_changes() c, json_array_elements(c.items) i;
SELECT f.tenant, (SELECT string_agg(i ->> 'id', ' ') FROM json_array_elements(c.items) i) AS ids
FROM unnest('{1,1.000,2,2.0,3}'::text[]) f (tenant), feed_api.bills_changes(filter => jsonb_build_object('tenant', f.tenant)) c;
SELECT next_page_token AS days FROM feed_api.days_changes() \gset
SET DateStyle = 'German';
SELECT items, has_more FROM feed_api.days_changes(:'days');
RESET DateStyle;
RESET ROLE;

DROP SCHEMA feed, feed_api CASCADE;
SELECT taskapi.forget_dropped_resources();
DROP ROLE regress_feed_reader, regress_feed_other;
