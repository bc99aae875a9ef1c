-- A write is made exactly if If-Match, the version in the body and If-None-Match all hold; ETag; PUT.
SET taskapi.read_after_wait = -1;      -- its header differs in each transaction
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA precondition_data;
CREATE TABLE precondition_data.item (id int PRIMARY KEY, title text NOT NULL DEFAULT 'untitled', note text);
SELECT taskapi.expose('precondition_data.item', 'precondition_api', 'items');
INSERT INTO precondition_api.items SELECT g, 'title', 'note' FROM generate_series(1, 5) g;

-- A request: its method and headers, the statement that a layer makes of it, and the answer: problem or rows, and headers.
CREATE FUNCTION precondition_data.request(method text, headers json, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    message text;
    detail text;
BEGIN
    PERFORM set_config('request.method', method, true), set_config('request.headers', headers::text, true),
            set_config('response.headers', '', true);
    BEGIN
        EXECUTE format('WITH source AS (%s RETURNING id, title, note, version)
                        SELECT concat_ws('' '', (SELECT string_agg(source::text, '' '' ORDER BY id) FROM source),
                                         nullif(current_setting(''response.headers'', true), ''''))', statement) INTO answer;
    EXCEPTION WHEN SQLSTATE 'PGRST' THEN
        GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
        answer := (detail::json ->> 'status') || ' ' || (message::json ->> 'code') || ' ' || (detail::json ->> 'headers');
    END;
    PERFORM set_config('request.method', '', true), set_config('request.headers', '', true);
    RETURN answer;
END
$$;
SET search_path = precondition_data, precondition_api, public;

-- Nothing asked: ETag of a single row, none of several or none.
SELECT request('POST', '{}', $$INSERT INTO items (id) VALUES (6)$$);
SELECT request('POST', '{}', $$INSERT INTO items (id) VALUES (7), (8), (9)$$);
SELECT request('PATCH', '{}', $$UPDATE items SET note = 'a' WHERE id = 1$$);
SELECT request('PATCH', '{}', $$UPDATE items SET note = 'a' WHERE id IN (2, 3)$$);
SELECT request('PATCH', '{}', $$UPDATE items SET note = 'a' WHERE id = 99$$);

-- If-Match: one, a list, any, weak, malformed.
SELECT request('PATCH', '{"if-match": "\"2\""}', $$UPDATE items SET note = 'b' WHERE id = 1$$);
SELECT request('PATCH', '{"if-match": "\"2\""}', $$UPDATE items SET note = 'c' WHERE id = 1$$);
SELECT request('PATCH', '{"if-match": " \"x,y\" , ,\"3\" "}', $$UPDATE items SET note = 'd' WHERE id = 1$$);
SELECT request('PATCH', '{"if-match": "*"}', $$UPDATE items SET note = 'e' WHERE id = 1$$);
SELECT request('PATCH', '{"if-match": "W/\"5\""}', $$UPDATE items SET note = 'f' WHERE id = 1$$);
SELECT request('PATCH', '{"if-match": "W/\"5\", \"5\""}', $$UPDATE items SET note = 'f' WHERE id = 1$$);
SELECT request('PATCH', '{"if-match": "6"}', $$UPDATE items SET note = 'g' WHERE id = 1$$);
SELECT request('PATCH', '{"if-match": "\"6"}', $$UPDATE items SET note = 'g' WHERE id = 1$$);
SELECT request('PATCH', '{"if-match": ""}', $$UPDATE items SET note = 'g' WHERE id = 1$$);
-- What is not there matches nothing, not even "*".
SELECT request('PATCH', '{"if-match": "*"}', $$UPDATE items SET note = 'g' WHERE id = 99$$);
SELECT request('DELETE', '{"if-match": "\"1\""}', $$DELETE FROM items WHERE id = 99$$);
-- Of several rows all must match, else none is written.
SELECT request('PATCH', '{"if-match": "\"2\", \"1\""}', $$UPDATE items SET note = 'h' WHERE id IN (2, 4)$$);
SELECT request('PATCH', '{"if-match": "\"3\""}', $$UPDATE items SET note = 'i' WHERE id IN (2, 4)$$);
SELECT id, note, version FROM items WHERE id IN (2, 4) ORDER BY id;
-- A change that is none checks too.
SELECT request('PATCH', '{"if-match": "\"2\""}', $$UPDATE items SET note = note WHERE id = 2$$);
SELECT request('PATCH', '{"if-match": "\"3\""}', $$UPDATE items SET note = note WHERE id = 2$$);
-- On methods that it is not about, it says nothing.
SELECT request('POST', '{"if-match": "\"9\""}', $$INSERT INTO items (id) VALUES (10)$$);

-- The version in the body.
SELECT request('PATCH', '{}', $$UPDATE items SET note = 'j', version = 1 WHERE id = 5$$);
SELECT request('PATCH', '{}', $$UPDATE items SET note = 'k', version = 1 WHERE id = 5$$);
SELECT request('PATCH', '{}', $$UPDATE items SET version = 1 WHERE id = 5$$);
SELECT request('PATCH', '{}', $$UPDATE items SET version = 2 WHERE id = 99$$);
SELECT request('PATCH', '{"if-match": "\"2\""}', $$UPDATE items SET note = 'l', version = 1 WHERE id = 5$$);

-- A version that no row has is refused, and satisfies nothing.
SELECT request('PATCH', '{}', $$UPDATE items SET note = 'l', version = NULL WHERE id = 5$$);
SELECT request('PATCH', '{}', $$UPDATE items SET note = 'l', version = -1 WHERE id = 5$$);
SELECT request('PATCH', '{"if-match": "\"2\""}', $$UPDATE items SET note = 'l', version = NULL WHERE id = 5$$);
SELECT request('PATCH', '{}', $$UPDATE items SET note = 'l', version = 0 WHERE id = 5$$);

-- If-None-Match: a list compares weakly, and any row that is there matches "*".
SELECT request('PATCH', '{"if-none-match": "\"1\", W/\"2\""}', $$UPDATE items SET note = 'p' WHERE id = 5$$);
SELECT request('PATCH', '{"if-none-match": "\"2\""}', $$UPDATE items SET note = 'p' WHERE id = 5$$);
SELECT request('PATCH', '{"if-none-match": "*"}', $$UPDATE items SET note = 'p' WHERE id = 5$$);
SELECT request('PATCH', '{"if-none-match": "2"}', $$UPDATE items SET note = 'p' WHERE id = 5$$);
SELECT request('PATCH', '{"if-none-match": "*"}', $$UPDATE items SET note = 'p' WHERE id = 99$$);
SELECT request('DELETE', '{"if-none-match": "\"2\""}', $$DELETE FROM items WHERE id = 5$$);
SELECT request('DELETE', '{"if-none-match": "*"}', $$DELETE FROM items WHERE id = 5$$);
SELECT request('PUT', '{"if-none-match": "W/\"2\""}', $$INSERT INTO items (id) VALUES (5) ON CONFLICT (id) DO UPDATE SET id = excluded.id$$);
SELECT request('PATCH', '{"if-match": "\"1\"", "if-none-match": "*"}', $$UPDATE items SET note = 'p' WHERE id = 5$$);
SELECT request('PATCH', '{"if-match": "\"2\"", "if-none-match": "\"1\", \"3\""}', $$UPDATE items SET note = note WHERE id = 5$$);
SELECT request('PATCH', '{"if-none-match": ""}', $$UPDATE items SET note = note WHERE id = 5$$);

-- Why it does not hold, where to read the row again is no help.
CREATE FUNCTION precondition_data.reason(headers json, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
BEGIN
    PERFORM set_config('request.method', 'PATCH', true), set_config('request.headers', headers::text, true);
    EXECUTE statement;
    RETURN 'made';
EXCEPTION WHEN SQLSTATE 'PGRST' THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
    RETURN concat_ws(E'\n', message::json ->> 'details', message::json ->> 'hint');
END
$$;
SELECT reason(h, $$UPDATE items SET note = 'q' WHERE id = 5$$)
FROM (VALUES ('{"if-match": "\"1\""}'::json), ('{"if-match": "2"}'), ('{"if-match": "W/\"2\""}'), ('{"if-match": "\"1\", 2"}'),
             ('{"if-none-match": "*"}'), ('{"if-none-match": "W/\"2\""}'), ('{"if-none-match": "2"}')) v (h);

-- DELETE, and on the deleted rows.
SELECT request('DELETE', '{"if-match": "\"1\""}', $$DELETE FROM items WHERE id = 5$$);
SELECT request('DELETE', '{"if-match": "\"2\""}', $$DELETE FROM items WHERE id = 5$$);
SELECT request('PATCH', '{"if-match": "\"2\""}', $$UPDATE deleted_items SET deleted_at = NULL WHERE id = 5$$);
SELECT request('PATCH', '{"if-match": "\"3\""}', $$UPDATE deleted_items SET deleted_at = NULL WHERE id = 5$$);
SELECT request('DELETE', '{}', $$DELETE FROM items WHERE id = 5$$);
SELECT request('DELETE', '{"if-match": "\"3\""}', $$DELETE FROM deleted_items WHERE id = 5$$);
SELECT request('DELETE', '{"if-match": "\"5\""}', $$DELETE FROM deleted_items WHERE id = 5$$);

-- PUT: replaces or creates; what is left out is at its default.
SELECT request('PUT', '{}', $$INSERT INTO items (id, note) VALUES (1, 'put') ON CONFLICT (id) DO UPDATE SET id = excluded.id, note = excluded.note$$);
SELECT request('PUT', '{}', $$INSERT INTO items (id, note) VALUES (20, 'new') ON CONFLICT (id) DO UPDATE SET id = excluded.id, note = excluded.note$$);
SELECT request('PUT', '{"if-match": "\"6\""}', $$INSERT INTO items (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = excluded.id$$);
SELECT request('PUT', '{"if-match": "\"7\""}', $$INSERT INTO items (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = excluded.id$$);
SELECT request('PUT', '{"if-match": "*"}', $$INSERT INTO items (id) VALUES (21) ON CONFLICT (id) DO UPDATE SET id = excluded.id$$);
SELECT request('PUT', '{"if-none-match": "*"}', $$INSERT INTO items (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = excluded.id$$);
SELECT request('PUT', '{}', $$INSERT INTO items (id, version) VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET id = excluded.id$$);
SELECT request('PUT', '{}', $$INSERT INTO items (id, version) VALUES (1, 8) ON CONFLICT (id) DO UPDATE SET id = excluded.id$$);

-- Required.
SET taskapi.require_if_match = on;
SELECT request('PATCH', '{}', $$UPDATE items SET note = 'm' WHERE id = 1$$);
SELECT request('DELETE', '{}', $$DELETE FROM items WHERE id = 1$$);
SELECT request('PUT', '{}', $$INSERT INTO items (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = excluded.id$$);
SELECT request('PUT', '{}', $$INSERT INTO items (id) VALUES (30) ON CONFLICT (id) DO UPDATE SET id = excluded.id$$);
SELECT request('PATCH', '{}', $$UPDATE items SET note = 'm', version = 8 WHERE id = 1$$);
SELECT request('PATCH', '{"if-match": "*"}', $$UPDATE items SET note = 'n' WHERE id = 1$$);
SELECT request('POST', '{}', $$INSERT INTO items (id) VALUES (31)$$);
UPDATE items SET note = 'outside a request' WHERE id = 1 RETURNING version;
RESET taskapi.require_if_match;

-- What has no version matches nothing but "*".
SELECT taskapi.expose('precondition_data.item', 'precondition_api', 'plain', soft_delete => false, versioned => false);
SELECT request('PATCH', '{"if-match": "\"11\""}', $$UPDATE plain SET note = 'o' WHERE id = 1$$);
SELECT request('PATCH', '{"if-match": "*"}', $$UPDATE plain SET note = 'o' WHERE id = 1$$);

SELECT request('PATCH', '{"if-none-match": "\"12\""}', $$UPDATE plain SET note = 'r' WHERE id = 1$$);
SELECT request('PATCH', '{"if-none-match": "*"}', $$UPDATE plain SET note = 'r' WHERE id = 1$$);
SELECT reason('{"if-match": "\"12\""}', $$UPDATE plain SET note = 'r' WHERE id = 1$$);

RESET search_path;
DROP SCHEMA precondition_api, precondition_data CASCADE;
