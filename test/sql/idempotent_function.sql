-- A function that is declared idempotent is called once for each Idempotency-Key, whatever its result looks like.
SET taskapi.read_after_wait = -1;      -- its header differs in each transaction
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_caller;
CREATE SCHEMA once;
GRANT USAGE ON SCHEMA once TO regress_caller;
CREATE TABLE once.charge (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item text, amount numeric, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION once.pay(item text, amount numeric DEFAULT 1.5, at timestamptz DEFAULT clock_timestamp()) RETURNS once.charge LANGUAGE sql SECURITY DEFINER AS
    $$ INSERT INTO once.charge (item, amount, at) VALUES ($1, $2, $3) RETURNING * $$;
CREATE FUNCTION once.count() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT count(*) FROM once.charge $$;
CREATE FUNCTION once.number(item text) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$ DECLARE n int; BEGIN INSERT INTO once.charge (item) VALUES (number.item) RETURNING id INTO n; RETURN n; END $$;
CREATE FUNCTION once.nothing(item text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO once.charge (item) VALUES (nothing.item); END $$;
CREATE FUNCTION once.is_null(item text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO once.charge (item) VALUES (is_null.item); RETURN NULL; END $$;
CREATE FUNCTION once.body(json) RETURNS json LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO once.charge (item) SELECT $1 ->> 'item'; RETURN E'{"made":  [1.50] }'; END $$;
CREATE FUNCTION once.made(item text, OUT id int, OUT at timestamptz) LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO once.charge (item) VALUES (made.item) RETURNING charge.id, charge.at INTO id, at; END $$;
CREATE FUNCTION once.several(items text[]) RETURNS SETOF once.charge LANGUAGE sql SECURITY DEFINER AS $$ INSERT INTO once.charge (item) SELECT unnest(items) RETURNING * $$;
CREATE FUNCTION once.listed(items text[]) RETURNS TABLE (n bigint, item text) LANGUAGE plpgsql SECURITY DEFINER AS
    $$ BEGIN INSERT INTO once.charge (item) SELECT unnest(items); RETURN QUERY SELECT u.n, u.i FROM unnest(items) WITH ORDINALITY u (i, n); END $$;
CREATE FUNCTION once.numbers(items text[]) RETURNS SETOF int LANGUAGE plpgsql SECURITY DEFINER AS
    $$ BEGIN FOR i IN 1 .. cardinality(items) LOOP INSERT INTO once.charge (item) VALUES (items[i]); RETURN NEXT i; END LOOP; END $$;
CREATE FUNCTION once.answer(item text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    INSERT INTO once.charge (item) VALUES (answer.item);
    PERFORM taskapi.set_response_status(202), taskapi.set_response_header('Location', '/charge?id=eq.' || (SELECT max(id) FROM once.charge)); END $$;
CREATE FUNCTION once.fail(item text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO once.charge (item) VALUES (fail.item); PERFORM taskapi.raise_problem('forbidden'); END $$;
CREATE FUNCTION once.echo(anyelement) RETURNS anyelement LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO once.charge (item) VALUES ($1::text); RETURN $1; END $$;
CREATE FUNCTION once.within(item text) RETURNS int LANGUAGE sql AS $$ SELECT once.number(item) + once.number(item) $$;
SELECT taskapi.make_idempotent(p.oid::regprocedure) FROM pg_proc p WHERE pronamespace = 'once'::regnamespace AND proname NOT IN ('count', 'within') \g /dev/null
SELECT proconfig FROM pg_proc WHERE proname = 'pay' AND pronamespace = 'once'::regnamespace;

CREATE FUNCTION public.request(function text, key text, subject text DEFAULT 'alice', method text DEFAULT 'POST', path text DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('request.method', method, true), set_config('request.path', coalesce(path, '/rpc/' || function), true), set_config('response.headers', '', true),
           set_config('request.jwt.claims', json_strip_nulls(json_build_object('sub', subject))::text, true), set_config('response.status', '', true),
           set_config('request.headers', json_strip_nulls(json_build_object('idempotency-key', key))::text, true), taskapi.current_subject(); -- which loads the library
$$;
SET ROLE regress_caller;
-- Each result twice; the second time nothing is done.
BEGIN;
SELECT public.request('pay', 'k') \g /dev/null
CREATE TEMP TABLE first AS SELECT * FROM once.pay('book', 2.50);
SELECT current_setting('response.headers');
SELECT pg_sleep(0.01) \g /dev/null
SELECT p.id, p.item, p.amount, p = f AS same FROM once.pay(item => 'book', amount => 2.5) p, first f;
SELECT current_setting('response.headers');
SELECT (once.pay('book', 2.5)).amount;
SELECT once.count();
SAVEPOINT a;
SELECT once.pay('book', 3);
ROLLBACK TO a;
SELECT once.pay('other', 2.5);
ROLLBACK TO a;
COMMIT;
BEGIN;
SELECT public.request('number', 'k') \g /dev/null
SELECT once.number('n');
SELECT once.number('n');
SELECT public.request('nothing', 'k') \g /dev/null
SELECT once.nothing('n');
SELECT once.nothing('n');
SELECT public.request('is_null', 'k') \g /dev/null
SELECT once.is_null('n') IS NULL AS null;
SELECT once.is_null('n') IS NULL AS null;
SELECT public.request('body', 'k') \g /dev/null
SELECT once.body('{"item": "x", "n": 1.0}');
SELECT once.body('{"n": 1, "item":   "x"}');
SELECT public.request('made', 'k') \g /dev/null
SELECT id, at IS NOT NULL AS at FROM once.made('m');
SELECT id, at IS NOT NULL AS at FROM once.made('m');
SELECT (once.made('m')).id;
SELECT public.request('several', 'k') \g /dev/null
SELECT id, item FROM once.several('{a,b}');
SELECT id, item FROM once.several('{a,b}');
SELECT (once.several('{a,b}')).item;
SELECT public.request('listed', 'k') \g /dev/null
SELECT * FROM once.listed('{c,d,e}');
SELECT * FROM once.listed('{c,d,e}') LIMIT 2;
SELECT public.request('listed', 'none') \g /dev/null
SELECT * FROM once.listed('{}');
SELECT * FROM once.listed('{}');
SELECT public.request('numbers', 'k') \g /dev/null
SELECT once.numbers('{f,g}');
SELECT once.numbers('{f,g}');
SELECT * FROM once.numbers('{f,g}');
SELECT public.request('echo', 'k') \g /dev/null
SELECT once.echo('[5:6]={1,2}'::int[]);
SELECT once.echo('[5:6]={1,2}'::int[]);
COMMIT;
SELECT once.count();

-- Status and headers that the function set come again.
BEGIN;
SELECT public.request('answer', 'k') \g /dev/null
SELECT once.answer('x');
SELECT current_setting('response.status'), current_setting('response.headers');
SELECT public.request('answer', 'k') \g /dev/null
SELECT once.answer('x');
SELECT current_setting('response.status'), current_setting('response.headers');
COMMIT;

-- What fails leaves no key; another caller's key is another; without a subject there is none.
BEGIN;
SELECT public.request('fail', 'k') \g /dev/null
SELECT once.fail('x');
ROLLBACK;
BEGIN;
SELECT public.request('number', 'k', 'bob') \g /dev/null
SELECT once.number('n') > 2 AS new;
SELECT public.request('number', 'k', NULL) \g /dev/null
SELECT once.number('n');
ROLLBACK;

-- A key is for one call, and for what the request asks for.
BEGIN;
SELECT public.request('number', 'twice') \g /dev/null
SELECT once.number(i) FROM unnest('{a,b}'::text[]) i;
ROLLBACK;
BEGIN;
SELECT public.request('within', 'k') \g /dev/null
SELECT taskapi.pre_request();
SELECT once.within('w') > 0 AS made;
-- nothing has heeded the key, and the client is told
SELECT e -> 'Idempotency-Key' AS key FROM json_array_elements(current_setting('response.headers')::json) e WHERE e ->> 'Idempotency-Key' IS NOT NULL;
SELECT public.request('number', 'heeded') \g /dev/null
SELECT taskapi.pre_request();
SELECT once.number('n') > 0 AS made;
SELECT e -> 'Idempotency-Key' AS key FROM json_array_elements(current_setting('response.headers')::json) e WHERE e ->> 'Idempotency-Key' IS NOT NULL;
SELECT once.count();
SELECT public.request('x', 'k', method => 'GET') \g /dev/null
SELECT once.number('n') = once.number('n') AS same;
ROLLBACK;
-- A server of one's own has paths of its own; a statement that does something else as well is none that calls the function.
BEGIN;
SELECT public.request('', 'own', path => '/orders/7/pay') \g /dev/null
SELECT once.number('own') AS n \gset
SELECT once.number('own') = :n AS same;
CREATE TEMP TABLE other (n int);
INSERT INTO other SELECT once.number('own') FROM generate_series(1, 2);
SELECT count(DISTINCT n) FROM other;
ROLLBACK;
-- Outside a request, and without a key.
SELECT once.number('n') = once.number('n') AS same;
BEGIN;
SELECT public.request('number', NULL) \g /dev/null
SELECT once.number('n') = once.number('n') AS same;
SET LOCAL taskapi.require_idempotency_key = on;
SELECT once.number('n');
ROLLBACK;

-- The declaration is the function's own, and the owner's to make.
SELECT taskapi.make_idempotent('once.pay(text, numeric, timestamptz)', false);
RESET ROLE;
SELECT taskapi.make_idempotent('once.pay(text, numeric, timestamptz)', false);
SELECT proconfig FROM pg_proc WHERE proname = 'pay' AND pronamespace = 'once'::regnamespace;
CREATE FUNCTION once.stable() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE FUNCTION once.unknown() RETURNS record LANGUAGE plpgsql AS $$ BEGIN RETURN ROW(1); END $$;
CREATE PROCEDURE once.procedure() LANGUAGE plpgsql AS $$ BEGIN END $$;
SELECT taskapi.make_idempotent('once.stable()');
SELECT taskapi.make_idempotent('once.unknown()');
SELECT taskapi.make_idempotent('once.procedure()');
SELECT taskapi.make_idempotent(0);
ALTER FUNCTION once.unknown() SET taskapi.idempotent = on;
BEGIN;
SELECT public.request('unknown', 'k') \g /dev/null
SELECT once.unknown();
ROLLBACK;
SELECT scope, key, status, headers, body::text ~ '\[2|made' AS x FROM taskapi.idempotency_key ORDER BY scope, key;

DROP SCHEMA once CASCADE;
DROP FUNCTION public.request;
DROP TABLE first;
DROP ROLE regress_caller;
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
