-- The same row into a plain table of that form: what publish() is compared with.
BEGIN;
:zero
INSERT INTO data.message (slot, topic, key, payload) VALUES (1, 'changed', 'item ' || :n, '{"id": 1, "event": "updated", "version": 2}') RETURNING seq AS number \gset
:dump
COMMIT;
SELECT 1 / (count(*) = 1)::int FROM data.message WHERE seq = :number;
