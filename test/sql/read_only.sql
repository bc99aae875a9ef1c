-- Where default_transaction_read_only is on, on a server that is no standby, every read is served and every write is refused.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA ro_data;
CREATE SCHEMA ro_api;
CREATE TABLE ro_data.note (id int PRIMARY KEY, body text);
SELECT taskapi.create_outbox('ro_outbox');
SELECT taskapi.expose('ro_data.note', 'ro_api', changes => true, publish => 'note');
SELECT taskapi.create_consumer_group('g', ARRAY['note']) IS NULL AS made;
INSERT INTO ro_api.note SELECT i, 'note ' || i FROM generate_series(1, 5) i;
DELETE FROM ro_api.note WHERE id = 5;
SELECT taskapi.set_secret('jwt', 'a secret that is long enough for HS256 to be happy') > 0 AS set;
SELECT taskapi.jwt_sign('{"sub": "u"}') AS jwt, taskapi.create_api_key('u', scopes => '{read}') AS key, taskapi.create_session('u') AS session \gset
SELECT next_page_token AS page FROM taskapi.page('ro_api.note', page_size => 2) \gset
SELECT next_page_token AS changes FROM ro_api.note_changes() \gset
INSERT INTO taskapi.rate_limit_policy (name, rate, per, burst) VALUES ('ro', 1, '1 hour', 1);

SET default_transaction_read_only = on;
SELECT items -> 0 ->> 'id' AS first, items -> 1 ->> 'id' AS second FROM taskapi.page('ro_api.note', page_size => 2, page_token => :'page');
SELECT json_array_length(items) FROM ro_api.deleted_note_page();
SELECT next_page_token IS NOT NULL AS more FROM ro_api.note_changes(:'changes');
SELECT taskapi.jwt_verify(:'jwt') ->> 'sub' AS sub;
SELECT allowed FROM taskapi.check_rate_limits('{"ro": "x"}');
SELECT allowed FROM taskapi.check_rate_limits('{"ro": "x"}');
SELECT count(*) FROM taskapi.resources WHERE api_schema = 'ro_api';

SET request.method = 'POST';
SET request.headers = '{"idempotency-key": "k"}';
INSERT INTO ro_api.note VALUES (9, 'new');
SET request.headers = '{}';
UPDATE ro_api.note SET body = 'changed';
DELETE FROM ro_api.note;
UPDATE ro_api.deleted_note SET deleted_at = NULL;
SELECT FROM taskapi.idempotency_begin('k', scope => 's');
SELECT taskapi.publish('note', 'k', '1');
SELECT FROM taskapi.receive('g', 'w');
SELECT taskapi.create_api_key('u') IS NULL AS made;
SELECT taskapi.create_session('u') IS NULL AS made;
SELECT taskapi.rotate_secret('jwt');
SELECT taskapi.unexpose('ro_api.note');
CALL taskapi.maintain();
RESET request.method;
RESET request.headers;
RESET default_transaction_read_only;
SELECT id, body, version FROM ro_api.note ORDER BY id;

DELETE FROM taskapi.rate_limit_policy WHERE name = 'ro';
DELETE FROM taskapi.secret WHERE purpose = 'jwt';
DELETE FROM taskapi.api_key;
DELETE FROM taskapi.session;
DROP SCHEMA ro_api, ro_data CASCADE;
DROP SCHEMA ro_outbox CASCADE;
