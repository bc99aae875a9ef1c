-- Who is told what, by role and event: whoever could see a row is told that it went, and nobody learns of one that was never his to see.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_told;
CREATE SCHEMA told;
CREATE FUNCTION told.my_groups() RETURNS int[] LANGUAGE sql STABLE
    RETURN pg_catalog.string_to_array(nullif(pg_catalog.current_setting('told.groups', true), ''), ',')::int[];
-- the policy takes names with the table, in a sub-select, so that its copy has to name another one; it asks a private column too
CREATE TABLE told.item (a int, "B" text COLLATE "C", group_id int, hidden boolean NOT NULL DEFAULT false, title text, PRIMARY KEY (a, "B"));
COMMENT ON COLUMN told.item.hidden IS '@private';
ALTER TABLE told.item ENABLE ROW LEVEL SECURITY;
CREATE POLICY "of group" ON told.item USING (EXISTS (SELECT FROM unnest(told.my_groups()) g WHERE g = item.group_id));
CREATE POLICY shown ON told.item AS RESTRICTIVE FOR SELECT TO regress_told USING (NOT hidden);
SELECT taskapi.expose('told.item', 'told', 'items', changes => true, scope => 'group_id = ANY (told.my_groups())');
SELECT taskapi.grant_resource('told.items', 'regress_told', '{read,create,update,delete,read_deleted,restore,purge}');
SELECT p.polname, p.polpermissive, p.polcmd, pg_get_expr(p.polqual, p.polrelid) AS asks FROM pg_policy p WHERE p.polrelid = 'told.item_departures'::regclass ORDER BY 1;

CREATE TABLE told.client (client text PRIMARY KEY, groups text, token text);
INSERT INTO told.client VALUES ('member', '1'), ('member of both', '1,2'), ('outsider', '3'), ('nobody', '');
-- What a client is told since it asked last, or in its first walk.
CREATE FUNCTION told.ask(who text, first boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    c    told.client := (SELECT c FROM told.client c WHERE c.client = who);
    page taskapi.changes_result;
BEGIN
    PERFORM set_config('told.groups', c.groups, true);
    SET LOCAL ROLE regress_told;
    page := told.items_changes(CASE WHEN first THEN '' ELSE coalesce(c.token, 'latest') END, 1000);
    RESET ROLE;
    UPDATE told.client SET token = page.next_page_token WHERE client = who AND NOT first;
    RETURN concat_ws(' ', (SELECT string_agg(concat('+', i ->> 'a', i ->> 'B', '=', i ->> 'title'), ' ') FROM json_array_elements(page.items) i),
                     (SELECT string_agg(concat('-', r ->> 'a', r ->> 'B'), ' ') FROM json_array_elements(page.removed) r));
END
$$;
CREATE TABLE told.event (n int GENERATED ALWAYS AS IDENTITY, event text, statements text[]);
INSERT INTO told.event (event, statements) VALUES
    ('created',                   ARRAY[$s$INSERT INTO told.item VALUES (2, 'x', 1, false, 'new')$s$]),
    ('changed',                   ARRAY[$s$UPDATE told.item SET title = 'changed' WHERE a = 1$s$]),
    ('moved to 2',                ARRAY[$s$UPDATE told.item SET group_id = 2 WHERE a = 1$s$]),
    ('moved to 3',                ARRAY[$s$UPDATE told.item SET group_id = 3 WHERE a = 1$s$]),
    ('moved to nowhere',          ARRAY[$s$UPDATE told.item SET group_id = NULL WHERE a = 1$s$]),
    ('moved away and back',       ARRAY[$s$UPDATE told.item SET group_id = 3 WHERE a = 1$s$, $s$UPDATE told.item SET group_id = 1 WHERE a = 1$s$]),
    ('hidden',                    ARRAY[$s$UPDATE told.item SET hidden = true WHERE a = 1$s$]),
    ('hidden and shown',          ARRAY[$s$UPDATE told.item SET hidden = true WHERE a = 1$s$, $s$UPDATE told.item SET hidden = false WHERE a = 1$s$]),
    ('another key',               ARRAY[$s$UPDATE told.item SET "B" = 'y' WHERE a = 1$s$]),
    ('deleted softly',            ARRAY[$s$DELETE FROM told.items WHERE a = 1$s$]),
    ('deleted and restored',      ARRAY[$s$DELETE FROM told.items WHERE a = 1$s$, $s$UPDATE told.deleted_items SET deleted_at = NULL WHERE a = 1$s$]),
    ('deleted and purged',        ARRAY[$s$DELETE FROM told.items WHERE a = 1$s$, $s$DELETE FROM told.deleted_items WHERE a = 1$s$]),
    ('deleted round the view',    ARRAY[$s$DELETE FROM told.item WHERE a = 1$s$]),
    ('deleted and made again',    ARRAY[$s$DELETE FROM told.item WHERE a = 1$s$, $s$INSERT INTO told.item VALUES (1, 'x', 1, false, 'again')$s$]),
    ('made again for others',     ARRAY[$s$DELETE FROM told.item WHERE a = 1$s$, $s$INSERT INTO told.item VALUES (1, 'x', 3, false, 'again')$s$]),
    ('came and went',             ARRAY[$s$INSERT INTO told.item VALUES (3, 'z', 1, false, 'short')$s$, $s$DELETE FROM told.item WHERE a = 3$s$]),
    ('of others, deleted',        ARRAY[$s$DELETE FROM told.item WHERE a = 9$s$]),
    ('of others, moved to 1',     ARRAY[$s$UPDATE told.item SET group_id = 1 WHERE a = 9$s$]),
    ('of others, hidden, deleted', ARRAY[$s$DELETE FROM told.item WHERE a = 8$s$]);

-- Each event on its own: rows as at first, clients in step, then what each is told, and what a client is told that comes after.
CREATE PROCEDURE told.run() LANGUAGE plpgsql AS $$
DECLARE
    e told.event;
    s text;
    answers text[];
BEGIN
    FOR e IN SELECT * FROM told.event ORDER BY n LOOP
        FOR apart IN 0 .. 1 LOOP
            CONTINUE WHEN apart = 1 AND cardinality(e.statements) = 1;
            DELETE FROM told.item;
            INSERT INTO told.item VALUES (1, 'x', 1, false, 'first'), (9, 'x', 3, false, 'of others'), (8, 'x', 3, true, 'hidden');
            COMMIT;
            PERFORM told.ask(client) FROM told.client;
            COMMIT;
            PERFORM set_config('told.groups', '1,2,3', false);
            FOREACH s IN ARRAY e.statements LOOP
                EXECUTE s;
                IF apart = 1 THEN
                    COMMIT;
                END IF;
            END LOOP;
            COMMIT;
            answers := ARRAY(SELECT told.ask(client) FROM told.client ORDER BY client COLLATE "C");
            INSERT INTO told.answer SELECT e.n, apart, e.event, answers[1], answers[2], answers[4], answers[3], told.ask('member', true);
            COMMIT;
            PERFORM told.ask(client) FROM told.client;
            UPDATE told.client SET groups = groups;
            COMMIT;
        END LOOP;
    END LOOP;
END
$$;
CREATE TABLE told.answer (n int, apart int, event text, member text, both_groups text, outsider text, nobody text, newcomer text);
CALL told.run();
SELECT event, CASE apart WHEN 1 THEN 'apart' END AS in, member, both_groups, outsider, nobody, newcomer FROM told.answer ORDER BY n, apart;

-- A row that was deleted softly is purged: who was told of the deletion is told nothing, and who came afterwards learns no key.
DELETE FROM told.item;
INSERT INTO told.item VALUES (1, 'x', 1, false, 'first');
SELECT told.ask(client) IS NOT NULL AS in_step FROM told.client ORDER BY client COLLATE "C" LIMIT 1;
UPDATE told.client SET token = NULL WHERE client = 'member of both';
SELECT told.ask('member');
SET told.groups = '1';
DELETE FROM told.items;
SELECT told.ask('member'), told.ask('member of both');
DELETE FROM told.deleted_items;
SELECT told.ask('member'), told.ask('member of both');
-- what stands in the table itself is under the policies too, and its keys only
SET ROLE regress_told;
SELECT a, "B" FROM told.item_departures WHERE group_id <> 1;
SELECT hidden FROM told.item_departures;
RESET ROLE;
DROP SCHEMA told CASCADE;
SELECT taskapi.forget_dropped_resources();
DROP ROLE regress_told;
