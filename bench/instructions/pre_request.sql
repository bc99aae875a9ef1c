-- What runs before a request that comes with an API key.
SELECT json_build_object('x-api-key', key, 'accept', '*/*', 'host', 'localhost') AS headers FROM public.credential \gset
BEGIN READ ONLY;
SELECT public.request('GET', '/item', :'headers'), set_config('request.jwt.claims', '', true), set_config('role', 'counted_anonymous', true);
:zero
SELECT taskapi.pre_request();
:dump
SELECT 1 / (current_user = 'counted_user')::int;
COMMIT;
