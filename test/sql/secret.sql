-- Signing keys: made at CREATE EXTENSION, rotated, retired, shared, replaced by a restored dump's, read by nobody.
\set SHOW_CONTEXT never
SELECT purpose, key_id, length(secret), retired_at IS NULL AS live, initial FROM taskapi.secret ORDER BY purpose;
SELECT count(DISTINCT secret) FROM taskapi.secret;

-- rotation counts up and leaves the old key
SELECT taskapi.rotate_secret('cursor');
SELECT taskapi.rotate_secret('cursor');
SELECT taskapi.rotate_secret('webhook');
SELECT key_id, retired_at IS NULL AS live, initial FROM taskapi.secret WHERE purpose = 'cursor' ORDER BY key_id;

-- retiring keeps at least one
SELECT taskapi.retire_secret('cursor', 1);
SELECT taskapi.retire_secret('cursor', 3);
SELECT taskapi.retire_secret('cursor', 2);
SELECT taskapi.retire_secret('webhook', 1);
SELECT taskapi.retire_secret('cursor', 9);
SELECT taskapi.retire_secret('cursor', NULL);
SELECT taskapi.retire_secret(NULL, 1);
SELECT key_id, retired_at IS NULL AS live FROM taskapi.secret WHERE purpose = 'cursor' ORDER BY key_id;

-- retiring twice does not move the date
UPDATE taskapi.secret SET retired_at = '2026-01-01 00:00+00' WHERE purpose = 'cursor' AND key_id = 1;
SELECT taskapi.retire_secret('cursor', 1);
SELECT retired_at = '2026-01-01 00:00+00' AS kept FROM taskapi.secret WHERE purpose = 'cursor' AND key_id = 1;

-- a shared secret; setting it again changes nothing
SELECT taskapi.set_secret('jwt', 'reallyreallyreallyreallyverysafe');
SELECT taskapi.set_secret('jwt', 'reallyreallyreallyreallyverysafe');
SELECT encode(secret, 'escape') FROM taskapi.secret WHERE purpose = 'jwt' AND key_id = 2;
SELECT taskapi.set_secret('jwt', 'short');
SELECT taskapi.set_secret('jwt', NULL);
SELECT taskapi.set_secret('jwt', repeat('x', 1025));
SELECT taskapi.set_secret('JWT', repeat('x', 32));
SELECT taskapi.rotate_secret('no such purpose!');
SELECT taskapi.rotate_secret('');
SELECT taskapi.rotate_secret(NULL);
SELECT taskapi.random_secret(0);
SELECT taskapi.random_secret(1025);
SELECT length(taskapi.random_secret(1)), length(taskapi.random_secret(1024)),
       taskapi.random_secret(32) = taskapi.random_secret(32) AS same;

-- a restored dump: its initial key takes the place of the one that CREATE EXTENSION made, its others are added
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
COPY taskapi.secret (purpose, key_id, secret, created_at, retired_at, initial) FROM stdin;
cursor	1	\\x0101010101010101010101010101010101010101010101010101010101010101	2026-01-01 00:00:00+00	2026-02-01 00:00:00+00	t
cursor	2	\\x0202020202020202020202020202020202020202020202020202020202020202	2026-01-02 00:00:00+00	\N	f
\.
SELECT purpose, key_id, left(encode(secret, 'hex'), 4) AS secret, retired_at IS NULL AS live, initial FROM taskapi.secret WHERE purpose = 'cursor' ORDER BY 2;
-- whereas an ordinary insert never takes the place of a key
INSERT INTO taskapi.secret (purpose, key_id, secret) VALUES ('cursor', 1, decode(repeat('03', 32), 'hex'));
SELECT left(encode(secret, 'hex'), 4) AS secret FROM taskapi.secret WHERE purpose = 'cursor' AND key_id = 1;

-- only the owner reads keys or makes them
CREATE ROLE regress_secret_reader;
SET ROLE regress_secret_reader;
SELECT * FROM taskapi.secret;
SELECT taskapi.random_secret(32);
SELECT taskapi.rotate_secret('cursor');
SELECT taskapi.set_secret('cursor', repeat('x', 32));
SELECT taskapi.retire_secret('cursor', 2);
SELECT taskapi.add_secret('cursor', repeat('x', 32)::bytea);
RESET ROLE;
-- one who may rotate need not be able to read
GRANT EXECUTE ON FUNCTION taskapi.rotate_secret(text) TO regress_secret_reader;
SET ROLE regress_secret_reader;
SELECT taskapi.rotate_secret('cursor');
SELECT * FROM taskapi.secret;
RESET ROLE;
DROP OWNED BY regress_secret_reader;
DROP ROLE regress_secret_reader;
DROP EXTENSION taskapi;
CREATE EXTENSION taskapi;
