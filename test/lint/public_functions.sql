-- What anybody may execute: functions that only compute, or tell a caller about its own request. All else is granted by name.
SELECT p.oid::regprocedure || ' may be executed by PUBLIC'
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE has_function_privilege('public', p.oid, 'EXECUTE')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
                        AND d.refobjid <> (SELECT oid FROM pg_extension WHERE extname = 'taskapi'))
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND NOT (n.nspname = 'taskapi' AND p.proname = ANY (ARRAY[
        -- the request
        'request_header', 'request_cookie', 'jwt_claims', 'current_subject', 'current_subject_id', 'require_subject', 'client_address',
        'same_origin', 'session_cookie', 'set_response_header', 'set_response_status', 'raise_problem', 'problems', 'pre_request', 'jwt_verify',
        -- pure
        'uuidv7', 'uuidv7_timestamp', 'fingerprint', 'one_of', 'check_rate_limit_policy', 'rate_limit_headers',
        -- cursors and pages, which run as the caller
        'cursor', 'cursor_in', 'cursor_out', 'cursor_json', 'cursor_recv', 'cursor_send', 'cursor_eq', 'cursor_ne', 'cursor_lt', 'cursor_le', 'cursor_gt', 'cursor_ge',
        'cursor_cmp', 'cursor_hash', 'cursor_hash_extended', 'cursor_key', 'cursor_encode', 'cursor_decode', 'cursor_value', 'cursor_support', 'cursor_sortsupport', 'page', 'page_rows', 'index_advice',
        -- resources: triggers that an owner attaches, and what checks that its caller owns what it changes
        'resource_write', 'resource_statement', 'resource_touch', 'resource_soft_delete', 'resource_reference', 'resource_columns',
        'registered_resource', 'resource_page_function', 'is_source', 'register_resource', 'unregister_resource', 'order_by_columns', 'order_by_canonical', 'check_exposable',
        'add_resource_columns', 'make_resource_view', 'dress_resource_view', 'set_resource_triggers', 'set_source_triggers', 'expose', 'unexpose', 'grant_resource',
        -- limits
        'rate_limit', 'rate_limit_peek', 'check_rate_limits', 'enforce_rate_limits', 'rate_limit_status']))
ORDER BY 1;
