-- A message published in a transaction of its own.
BEGIN;
:zero
SELECT taskapi.publish('changed', 'item ' || :n, '{"id": 1, "event": "updated", "version": 2}') AS number \gset
:dump
COMMIT;
SELECT 1 / (count(*) = 1)::int FROM outbox.message WHERE seq = :number;
