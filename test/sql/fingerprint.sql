-- Equal JSON values have one fingerprint, different ones have different ones.

CREATE FUNCTION same(a text, b text) RETURNS bool LANGUAGE sql AS
$$ SELECT taskapi.fingerprint(a::jsonb) = taskapi.fingerprint(b::jsonb) $$;

SELECT length(taskapi.fingerprint('{}'));
SELECT taskapi.fingerprint(NULL) IS NULL AS strict;

-- Every value of a group means the same; no value means the same as one of another group.
CREATE TEMP TABLE value (grp int, j jsonb);
INSERT INTO value SELECT g, j::jsonb FROM (VALUES
    (1, '1'), (1, '1.0'), (1, '1e0'), (1, '10e-1'), (1, '0.1e1'), (1, ' 1 '),
    (2, '-1'), (2, '-1.000'),
    (3, '0'), (3, '0.00'), (3, '-0'), (3, '0e5'),
    (4, '1e20'), (4, '100000000000000000000'), (4, '100000000000000000000.000'),
    (5, '1e-20'), (5, '0.00000000000000000001'),
    (6, '10000'), (6, '1e4'),
    (7, '1.0001'), (7, '10001e-4'),
    (8, '"1"'), (9, '[1]'), (9, '[1.0]'), (10, '[[1]]'), (11, '{"1":1}'),
    (12, 'true'), (13, 'false'), (14, 'null'), (15, '"true"'), (16, '"null"'), (17, '[null]'),
    (18, '{}'), (19, '[]'), (20, '""'), (21, '[{}]'), (22, '[[]]'), (23, '[""]'), (24, '{"":""}'), (25, '{"":null}'),
    (26, '{"a":1,"b":2}'), (26, '{ "b" : 2.0, "a" : 1 }'), (26, '{"a":7,"b":2,"a":1}'),
    (27, '{"b":1,"a":2}'), (28, '[1,2]'), (29, '[2,1]'), (30, '[1,[2]]'), (31, '[[1],2]'), (32, '[[1,2]]'),
    (33, '{"aa":{"b":1},"c":2}'), (33, '{"c":2,"aa":{"b":1}}'), (34, '{"aa":{"b":1,"c":2}}'),
    (35, '["a","b"]'), (36, '["ab",""]'), (37, '["","ab"]'), (38, '["ab"]'), (39, '["as","b"]'),
    (40, '{"a":"b"}'), (41, '["a","b",null]'), (42, '{"a":"b","c":"d"}'), (43, '{"a":{"c":"d"}}'),
    (44, '"\u00e9"'), (44, '"é"'), (45, '"e\u0301"'), (46, '"\n"'), (46, '"\u000a"'), (47, '"\\n"'),
    (48, '123456789012345678901234567890.5'), (49, '123456789012345678901234567890.6'),
    (50, '0.5'), (50, '5e-1'), (51, '5'), (52, '50'), (53, '500000000'), (54, '0.0005'), (54, '5e-4')) v(g, j);

SELECT a.j, b.j FROM value a, value b WHERE (a.grp = b.grp) <> (taskapi.fingerprint(a.j) = taskapi.fingerprint(b.j));
SELECT count(DISTINCT grp) = count(DISTINCT taskapi.fingerprint(j)) AS one_each FROM value;

-- The form in storage does not count: compressed, out of line, or with a display scale from arithmetic.
CREATE TEMP TABLE stored (j jsonb);
INSERT INTO stored SELECT jsonb_agg(jsonb_build_object('n', i, 's', repeat('x', 50))) FROM generate_series(1, 5000) i;
SELECT taskapi.fingerprint(j) = taskapi.fingerprint(j::text::jsonb) AS same FROM stored;
SELECT same(to_jsonb(1.50 + 1.50)::text, '3') AS sum, same(to_jsonb(10::numeric / 4)::text, '2.5') AS quotient;

-- A change anywhere in a large value is seen, at every distance from the digest's buffer boundaries.
SELECT count(DISTINCT taskapi.fingerprint(jsonb_build_array(repeat('a', 4000 + i), i))),
       count(DISTINCT taskapi.fingerprint(jsonb_build_array(repeat('a', 4000 + i), 0)))
FROM generate_series(0, 300) i;

-- A short text may be a long number; that costs nothing.
SELECT count(DISTINCT taskapi.fingerprint(j)) FROM
    (SELECT ('[' || string_agg('1e' || (100000 + i), ',') || ']')::jsonb AS j FROM generate_series(1, 1000) i) s;

-- Deep nesting is the parser's to refuse; what it lets in gets a fingerprint.
SELECT length(taskapi.fingerprint((repeat('[', 3000) || repeat(']', 3000))::jsonb));
SELECT same(repeat('[', 3000) || repeat(']', 3000), repeat('[', 2999) || repeat(']', 2999)) AS same;
\set VERBOSITY sqlstate
SELECT taskapi.fingerprint((repeat('[', 1000000) || repeat(']', 1000000))::jsonb);
\set VERBOSITY default

-- The canonical form is a promise: stored fingerprints outlive an upgrade.
SELECT encode(taskapi.fingerprint(j), 'hex') FROM (VALUES
    (1, '{"amount": 1.50, "to": ["é", null, true], "note": {}}'::jsonb), (2, '-12345.678'), (3, '"x"')) v(n, j) ORDER BY n;
SELECT taskapi.fingerprint('"x"') = sha256('\x730000000178') AS string,
       taskapi.fingerprint('[true,1]') = sha256('\x410000000274640001000000000001') AS array,
       taskapi.fingerprint('{"bb":false,"a":null}') =
           sha256('\x4f000000027300000001616e7300000002626266') AS object;

DROP FUNCTION same(text, text);
