-- A small stand-in for PostgREST: it turns a request into the transaction that PostgREST would run (role, GUCs,
-- taskapi.pre_request(), one statement), and prints request and answer.

CREATE SCHEMA demo;
CREATE TABLE demo.person (name text PRIMARY KEY, id uuid);
CREATE TEMP TABLE answer (status int, headers jsonb, body json);

-- Rows as an aligned table.
CREATE FUNCTION demo.as_table(body json) RETURNS SETOF text LANGUAGE sql AS $$
    WITH cell AS (
        SELECT r.line, c.place, c.key,
               CASE WHEN length(v.value) > 44 AND v.value !~ '^[-0-9a-f]{36}$' THEN left(v.value, 43) || '…' ELSE v.value END AS value
        FROM json_array_elements(body) WITH ORDINALITY r (item, line)
        CROSS JOIN LATERAL json_each_text(r.item) WITH ORDINALITY c (key, value, place)
        CROSS JOIN LATERAL (SELECT coalesce(replace(c.value, E'\n', ' '), '-')) v (value)
    ), width AS (
        SELECT place, key, greatest(length(key), max(length(value))) AS width, bool_and(value ~ '^(-?[0-9.]+|-)$') AS numeric
        FROM cell GROUP BY place, key
    )
    SELECT rtrim(string_agg(CASE WHEN numeric THEN lpad(key, width) ELSE rpad(key, width) END, '  ' ORDER BY place)) FROM width
    UNION ALL
    SELECT string_agg(repeat('-', width), '  ' ORDER BY place) FROM width
    UNION ALL
    (SELECT rtrim(string_agg(CASE WHEN w.numeric THEN lpad(c.value, w.width) ELSE rpad(c.value, w.width) END, '  ' ORDER BY place))
     FROM cell c JOIN width w USING (place, key) GROUP BY c.line ORDER BY c.line)
$$;

-- The statement of a request: what PostgREST makes of method, path and query, as far as this story needs it.
CREATE FUNCTION demo.statement(method text, path text, query text, body json) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    resource text := split_part(path, '/', 2);
    args     text[] := '{}';
    filters  text[] := '{}';
    columns  text := '*';
    tail     text := '';
    names    text[];
    k text; v text; part text;
BEGIN
    IF resource = 'rpc' THEN
        resource := split_part(path, '/', 3);
        SELECT p.proargnames INTO names FROM pg_proc p WHERE p.pronamespace = 'api'::regnamespace AND p.proname = resource;
        SELECT array_agg(format('%I => %L', e.key, e.value)) INTO args FROM json_each_text(coalesce(body, '{}')) e;
        args := coalesce(args, '{}');
    END IF;
    FOREACH part IN ARRAY string_to_array(query, '&') LOOP
        k := split_part(part, '=', 1);
        v := substr(part, length(k) + 2);
        IF k = 'select' THEN
            columns := regexp_replace(v, '([a-z_*]+)', 't.\1', 'g');
        ELSIF k = 'order' THEN
            SELECT ' ORDER BY ' || string_agg(replace(replace(replace(o, '.desc', ' DESC'), '.asc', ' ASC'), '.nullslast', ' NULLS LAST'), ', ')
            INTO tail FROM unnest(string_to_array(regexp_replace(v, '(^|,)', '\1t.', 'g'), ',')) o;
        ELSIF k = 'limit' THEN
            tail := tail || ' LIMIT ' || v::int;
        ELSIF k = ANY (names) THEN
            args := args || format('%I => %L', k, v);
        ELSE
            filters := filters || CASE split_part(v, '.', 1)
                WHEN 'is' THEN format('t.%I IS %s', k, split_part(v, '.', 2))
                WHEN 'in' THEN format('t.%I = ANY (%L)', k, '{' || substr(v, 5, length(v) - 5) || '}')
                ELSE format('t.%I %s %L', k,
                    (ARRAY['=', '<>', '>', '>=', '<', '<='])[array_position(ARRAY['eq', 'neq', 'gt', 'gte', 'lt', 'lte'], split_part(v, '.', 1))],
                    substr(v, strpos(v, '.') + 1)) END;
        END IF;
    END LOOP;
    part := CASE WHEN cardinality(filters) > 0 THEN ' WHERE ' || array_to_string(filters, ' AND ') ELSE '' END;
    IF names IS NOT NULL OR path LIKE '/rpc/%' THEN
        RETURN format('SELECT coalesce(json_agg(x), ''[]'') FROM (SELECT %s FROM api.%I(%s) t%s%s) x', columns, resource, array_to_string(args, ', '), part, tail);
    ELSIF method = 'GET' THEN
        RETURN format('SELECT coalesce(json_agg(x), ''[]'') FROM (SELECT %s FROM api.%I t%s%s) x', columns, resource, part, tail);
    ELSIF method = 'DELETE' THEN
        RETURN format('WITH t AS (DELETE FROM api.%I t%s RETURNING *) SELECT coalesce(json_agg(x), ''[]'') FROM (SELECT %s FROM t) x', resource, part, columns);
    END IF;
    SELECT string_agg(quote_ident(key), ', ' ORDER BY key) INTO k
    FROM (SELECT DISTINCT json_object_keys(e) AS key
          FROM json_array_elements(CASE json_typeof(body) WHEN 'array' THEN body ELSE json_build_array(body) END) e) keys;
    v := format('json_populate_recordset(NULL::api.%I, %L)', resource, CASE json_typeof(body) WHEN 'array' THEN body ELSE json_build_array(body) END);
    IF method = 'POST' THEN
        RETURN format('WITH t AS (INSERT INTO api.%I (%s) SELECT %s FROM %s RETURNING *) SELECT coalesce(json_agg(x), ''[]'') FROM (SELECT %s FROM t) x', resource, k, k, v, columns);
    END IF;
    RETURN format('WITH t AS (UPDATE api.%I t SET (%s) = ROW(%s) FROM %s b%s RETURNING t.*) SELECT coalesce(json_agg(x), ''[]'') FROM (SELECT %s FROM t) x',
                  resource, k, regexp_replace(k, '([^ ,]+)', 'b.\1', 'g'), v, part, columns);
END
$$;

-- One request, as PostgREST would run it. The RateLimit headers, which are in every answer, are shown on demand.
CREATE FUNCTION demo.request(who text, request text, body json DEFAULT NULL, headers json DEFAULT '{}', limits bool DEFAULT false) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    method  text := split_part(request, ' ', 1);
    path    text := split_part(split_part(request, ' ', 2), '?', 1);
    query   text := split_part(request, '?', 2);
    person  uuid := (SELECT p.id FROM demo.person p WHERE p.name = who);
    cookies json := (SELECT json_object(array_agg(split_part(c, '=', 1)), array_agg(substr(c, strpos(c, '=') + 1)))
                     FROM regexp_split_to_table(headers ->> 'cookie', '; *') c);
    status  int;
    answers jsonb;
    rows    json;
    code text; said text; more text; advice text;
    line    text;
BEGIN
    RETURN NEXT '';
    RETURN NEXT rpad(CASE WHEN person IS NULL THEN who ELSE who || '''s token' END, 16) || regexp_replace(request, '([A-Za-z0-9_-]{16})[A-Za-z0-9_-]{38,}', '\1…');
    FOR line IN SELECT initcap(key) || ': ' || value FROM json_each_text(headers) LOOP
        RETURN NEXT repeat(' ', 16) || CASE WHEN length(line) > 90 THEN left(line, 89) || '…' ELSE line END;
    END LOOP;
    IF body IS NOT NULL THEN
        RETURN NEXT repeat(' ', 16) || replace(body::text, '" : ', '": ');
    END IF;
    BEGIN
        PERFORM set_config('search_path', 'api', true),
                set_config('request.method', method, true), set_config('request.path', path, true),
                set_config('request.headers', headers::text, true), set_config('request.cookies', coalesce(cookies, '{}')::text, true),
                set_config('request.jwt.claims', CASE WHEN person IS NULL THEN '{"role": "anonymous"}'
                    ELSE json_build_object('sub', person, 'role', 'authenticated')::text END, true),
                set_config('response.headers', '', true), set_config('response.status', '', true);
        line := demo.statement(method, path, query, body);
        IF method = 'GET' THEN SET LOCAL transaction_read_only = on; END IF;
        PERFORM set_config('role', CASE WHEN person IS NULL THEN 'anonymous' ELSE 'authenticated' END, true);
        PERFORM taskapi.pre_request();
        EXECUTE line INTO rows;
        status := coalesce(nullif(current_setting('response.status'), '')::int, CASE WHEN method = 'POST' AND path NOT LIKE '/rpc/%' THEN 201 ELSE 200 END);
        answers := nullif(current_setting('response.headers'), '')::jsonb;
        PERFORM set_config('role', 'none', true), set_config('search_path', 'public', true);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, said = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL, advice = PG_EXCEPTION_HINT;
        IF code = 'PGRST' THEN
            status := more::json ->> 'status';
            answers := (SELECT jsonb_agg(jsonb_build_object(h.key, h.value)) FROM jsonb_each_text(more::jsonb -> 'headers') h);
            rows := said::json;
        ELSE
            status := CASE WHEN code = '42501' AND person IS NULL THEN 401 WHEN code = '42501' THEN 403 WHEN code LIKE '22%' OR code LIKE '23%' THEN 400 ELSE 500 END;
            rows := json_build_object('code', code, 'message', said, 'details', nullif(more, ''), 'hint', nullif(advice, ''));
        END IF;
    END;
    DELETE FROM pg_temp.answer;
    INSERT INTO pg_temp.answer VALUES (status, answers, rows);
    SELECT string_agg(h.key || ': ' || CASE WHEN length(h.value) > 100 THEN left(h.value, 99) || '…' ELSE h.value END, E'\n' || repeat(' ', 16))
    INTO line FROM jsonb_array_elements(answers) a CROSS JOIN LATERAL jsonb_each_text(a) h WHERE limits OR h.key NOT LIKE 'RateLimit%';
    RETURN NEXT rtrim(rpad('    ' || status, 16) || coalesce(line, CASE WHEN rows::text = '[]' THEN '[]' END, ''));
    IF line IS NOT NULL AND rows::text = '[]' THEN
        RETURN NEXT repeat(' ', 16) || '[]';
    END IF;
    IF json_typeof(rows) = 'object' THEN
        RETURN QUERY SELECT repeat(' ', 16) || to_json(key) || ': ' || value FROM json_each(rows) WHERE value::text <> 'null';
    ELSIF json_array_length(rows) > 0 THEN
        RETURN QUERY SELECT repeat(' ', 16) || t FROM demo.as_table(rows) t;
    END IF;
    IF status >= 500 THEN
        RAISE EXCEPTION '% failed: %', request, rows;
    END IF;
END
$$;
