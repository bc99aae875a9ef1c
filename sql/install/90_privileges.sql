-- Who may use what. Default privileges of whoever creates the extension may have opened anything above to any role, or closed
-- what is everybody's: so all of it is taken from all but its owner first, and then granted by name. What is not named here is
-- the owner's alone.

DO $$
DECLARE
    member record;
    -- They only compute, or tell a caller of its own request, or run as the caller and check what it owns.
    public_functions CONSTANT name[] := ARRAY[
        -- the request
        'request_header', 'request_cookie', 'jwt_claims', 'current_subject', 'current_subject_id', 'require_subject',
        'client_address', 'same_origin', 'session_cookie', 'set_response_header', 'set_response_status', 'raise_problem',
        'problems', 'pre_request', 'jwt_verify', 'read_after',
        -- pure
        'uuidv7', 'uuidv7_timestamp', 'fingerprint', 'one_of', 'check_rate_limit_policy', 'rate_limit_headers',
        'contains', 'overlaps', 'matches', 'is_like', 'match_value', 'index_values',
        -- cursors and pages, which run as the caller
        'cursor', 'cursor_in', 'cursor_out', 'cursor_json', 'cursor_recv', 'cursor_send', 'cursor_eq', 'cursor_ne', 'cursor_lt',
        'cursor_le', 'cursor_gt', 'cursor_ge', 'cursor_cmp', 'cursor_hash', 'cursor_hash_extended', 'cursor_key',
        'cursor_check', 'cursor_encode',
        'cursor_decode', 'cursor_value', 'cursor_support', 'cursor_constructor_support', 'cursor_sortsupport', 'page',
        'resource_page', 'page_rows', 'index_advice',
        -- the change feed, as the caller, who owns the table in expose()
        'changes', 'change_stamp', 'changes_arguments', 'changes_function_of', 'scope_column', 'policy_expression',
        'read_policies', 'departure_columns', 'departure_columns_of', 'has_opaque_policy', 'departures_fit', 'departures_legible',
        'wanted_scopes',
        'check_changes', 'departures_of', 'present_departures', 'wanted_departures', 'departures_statements', 'readers_of',
        'changes_grants', 'changes_statements', 'changes_advice', 'is_stamp', 'told_columns',
        -- a declaration of a function of the caller's own
        'make_idempotent', 'statement_returns',
        -- migrations, as the caller
        'run_ddl', 'expose_online', 'resource_ddl', 'revokes_on', 'own_comments', 'page_function_over',
        'grant_shown_columns', 'column_grants_of',
        -- resources: triggers that an owner attaches, look-ups, and steps of expose() and its kin, which run as their caller
        'resource_write', 'resource_statement', 'resource_touch', 'resource_reference', 'resource_publish',
        'check_publish',
        'insert_arguments', 'insert_conflict',
        'insert_columns', 'insert_columns_support', 'table_default', 'table_default_support',
        'registered_resource', 'resources_of', 'page_function_of', 'page_arguments', 'column_expression', 'is_source',
        'resource_columns', 'shown_columns', 'order_by_columns', 'order_by_canonical', 'check_exposable', 'kept_by_citus',
        'deletion_column', 'other_deletion_column',
        'adoptable_resource', 'want_resource', 'check_owners', 'owned_by_others', 'creator_in', 'check_misfits',
        'resolve_resource', 'expose_plan', 'sql_comment', 'is_own_view', 'relation_named', 'order_by_renamed',
        'needed_columns', 'source_columns', 'column_statements', 'present_view', 'view_columns', 'leaving_columns',
        'drop_statements', 'trigger_statements', 'own_triggers', 'source_trigger_statements', 'rename_statements',
        'cursor_comment', 'dress_statements', 'view_statements', 'page_statements', 'schema_statements',
        'resource_statements', 'new_column_grants', 'revoke_statements', 'remade_grants', 'table_misfits', 'key_misfits',
        'column_misfits', 'misfit_cures', 'free_column', 'trash_notices', 'order_advice', 'owner_notices', 'resource_notices',
        'json_row', 'json_rows',
        'raise_notice', 'raise_no_resource', 'resource_names', 'check_names', 'resource_order', 'resource_triggers',
        'make_resource', 'drop_resource', 'finish_unexpose', 'grants_on', 'free_name', 'holds', 'expose', 'unexpose',
        'resource_grants', 'grant_resource', 'deleted_order', 'key_columns', 'may_read_view', 'some_policy', 'resource_actions',
        'describe_columns', 'run_as', 'owner_of', 'grantee_name', 'revoke_from_others', 'is_stranger', 'check_schema',
        'objects_in', 'check_task_api_schema'];
    missing text;
BEGIN
    FOR member IN
        SELECT d.classid, d.objid FROM pg_depend d
        WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
          AND d.refobjid = (SELECT e.oid FROM pg_extension e WHERE e.extname = 'taskapi')
        UNION ALL
        SELECT 'pg_namespace'::regclass, n.oid FROM pg_namespace n WHERE n.nspname = 'taskapi'
    LOOP
        PERFORM taskapi.revoke_from_others(member.classid, member.objid);
    END LOOP;

    SELECT string_agg(f, ', ') INTO missing FROM unnest(public_functions) f
    WHERE NOT EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = 'taskapi'::regnamespace AND p.proname = f);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'functions that do not exist are to be granted: %', missing USING ERRCODE = 'undefined_function';
    END IF;
    FOR member IN
        SELECT format('GRANT EXECUTE ON ROUTINE %s TO PUBLIC', p.oid::regprocedure) AS grant
        FROM pg_proc p WHERE p.pronamespace = 'taskapi'::regnamespace AND p.proname = ANY (public_functions)
        UNION ALL
        SELECT format('GRANT USAGE ON TYPE %s TO PUBLIC', t.oid::regtype)
        FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
        WHERE t.typnamespace = 'taskapi'::regnamespace AND t.typcategory <> 'A' AND coalesce(c.relkind, 'c') = 'c'
    LOOP
        EXECUTE member.grant;
    END LOOP;
END
$$;
GRANT USAGE ON SCHEMA taskapi TO PUBLIC;
GRANT SELECT ON taskapi.resources TO PUBLIC;

GRANT EXECUTE ON FUNCTION taskapi.counters(), taskapi.outbox_lag_rows(), taskapi.outbox_stats(), taskapi.rate_limit_table(),
    taskapi.rate_limit_denied(), taskapi.request_series(), taskapi.request_buckets(),
    taskapi.requests_under_way(), taskapi.unbounded_page_counts(), taskapi.unbounded_page_advice(regclass, text) TO pg_monitor;
GRANT SELECT ON taskapi.maintenance, taskapi.stats, taskapi.outbox_lag, taskapi.rate_limit_stats, taskapi.rate_limit_denials,
    taskapi.request_metrics, taskapi.request_duration_buckets, taskapi.request_gauge, taskapi.unbounded_pages TO pg_monitor;
