-- A table whose changes are told, and clients that follow it. Read by the tests of the change feed.
CREATE EXTENSION IF NOT EXISTS taskapi;
CREATE SCHEMA feed;
CREATE FUNCTION feed.my_groups() RETURNS int[] LANGUAGE sql STABLE
    RETURN pg_catalog.string_to_array(nullif(pg_catalog.current_setting('feed.groups', true), ''), ',')::int[];
CREATE TABLE feed.item (id int PRIMARY KEY, group_id int NOT NULL, title text, updated_at timestamptz NOT NULL DEFAULT now());
ALTER TABLE feed.item ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_group ON feed.item USING (group_id = ANY ((SELECT feed.my_groups())::int[]));
SET client_min_messages = warning;
SELECT taskapi.expose('feed.item', 'feed_api', 'items', changes => true, scope => 'group_id = ANY (feed.my_groups())');
CREATE INDEX ON feed.item (group_id, changed, id);
CREATE ROLE feed_reader;
SELECT taskapi.grant_resource('feed_api.items', 'feed_reader', '{read,create,update,delete,restore,purge}');
GRANT USAGE ON SCHEMA feed TO feed_reader;

-- What a client holds, and its token. It is written with the page that it is of, so that a crash takes both back or neither.
CREATE TABLE feed.copy (client text, id int, title text, group_id int, version int, PRIMARY KEY (client, id));
CREATE TABLE feed.client (client text PRIMARY KEY, token text, expired int NOT NULL DEFAULT 0);
GRANT ALL ON feed.copy, feed.client TO feed_reader;

CREATE FUNCTION feed.apply(client text, page taskapi.changes_result) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO feed.copy SELECT apply.client, i.id, i.title, i.group_id, i.version
        FROM json_to_recordset(page.items) i (id int, title text, group_id int, version int)
        ON CONFLICT ON CONSTRAINT copy_pkey DO UPDATE SET title = excluded.title, group_id = excluded.group_id, version = excluded.version;
    DELETE FROM feed.copy c USING json_to_recordset(page.removed) r (id int) WHERE c.client = apply.client AND c.id = r.id;
    INSERT INTO feed.client VALUES (client, page.next_page_token)
        ON CONFLICT ON CONSTRAINT client_pkey DO UPDATE SET token = excluded.token;
    RETURN concat_ws(' ', (SELECT string_agg('+' || (i ->> 'id'), ' ') FROM json_array_elements(page.items) i),
                     (SELECT string_agg('-' || (r ->> 'id'), ' ') FROM json_array_elements(page.removed) r));
END
$$;

-- One walk. It runs in the transaction that writes the copy.
CREATE FUNCTION feed.sync(client text, filter jsonb DEFAULT NULL, page_size int DEFAULT 7) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    page taskapi.changes_result;
    said text := '';
BEGIN
    FOR pages IN 1 .. 200 LOOP
        BEGIN
            page := feed_api.items_changes((SELECT c.token FROM feed.client c WHERE c.client = sync.client), page_size, filter);
        EXCEPTION WHEN SQLSTATE 'PT410' THEN
            DELETE FROM feed.copy c WHERE c.client = sync.client;
            UPDATE feed.client c SET token = NULL, expired = c.expired + 1 WHERE c.client = sync.client;
            said := said || 'expired ';
            CONTINUE;
        END;
        said := concat_ws(' ', said, feed.apply(client, page));
        EXIT WHEN NOT page.has_more;
    END LOOP;
    RETURN trim(said);
END
$$;

-- What differs between the copy and what the reader sees.
CREATE FUNCTION feed.differs(client text, groups int[]) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', coalesce(c.id, i.id), CASE WHEN c.id IS NULL THEN 'missing' WHEN i.id IS NULL THEN 'ghost' ELSE 'stale' END), ', ')
    FROM (SELECT id, title, group_id, version FROM feed.copy WHERE copy.client = $1) c
    FULL JOIN (SELECT id, title, group_id, version FROM feed.item WHERE deleted_at IS NULL AND group_id = ANY ($2)) i ON i.id = c.id
    WHERE (c.*) IS DISTINCT FROM (i.*)
$$;
