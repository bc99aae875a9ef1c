-- One check of a rate limit.
BEGIN READ ONLY;
:zero
SELECT allowed FROM taskapi.rate_limit('somebody', 1000000, '1 second') \gset
:dump
COMMIT;
SELECT 1 / (:'allowed')::bool::int;
