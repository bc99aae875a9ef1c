/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  One source for PostgreSQL 15 to 19.
 *
 * The rest of the code is written as for the newest server; what an older one
 * lacks is supplied here.  This is the only file that names PG_VERSION_NUM.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_COMPAT_H
#define TASKAPI_COMPAT_H

#include "access/tupdesc.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "nodes/plannodes.h"

#if PG_VERSION_NUM < 150000
#error "taskapi needs PostgreSQL 15 or later"
#endif

/* 16 moved the varlena macros out of postgres.h */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 16 introduced soft errors; before it every error is thrown */
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#else
#define ErrorSaveContext void
#define ereturn(context, dummy_value, ...) \
	do { \
		(void) (context); \
		ereport(ERROR, __VA_ARGS__); \
		return dummy_value; \
	} while (0)
#define errsave(context, ...) \
	do { \
		(void) (context); \
		ereport(ERROR, __VA_ARGS__); \
	} while (0)
#endif

/*
 * 16 has input functions and conversions that tell of bad input without an error.
 * Before it the error is caught, which needs no subtransaction: they only
 * compute.  Memory that they took stays until the context is reset.
 */
#if PG_VERSION_NUM >= 160000
static inline bool
taskapi_input_soft(PGFunction input, char *text, Datum *result)
{
	ErrorSaveContext saved = {T_ErrorSaveContext};

	return DirectInputFunctionCallSafe(input, text, InvalidOid, -1, (Node *) &saved, result);
}

#define taskapi_unicode_to_server(c, bytes) pg_unicode_to_server_noerror(c, bytes)
#else
#define TASKAPI_CATCH_BAD_INPUT(ok, statement) \
	do { \
		MemoryContext context_ = CurrentMemoryContext; \
		PG_TRY(); \
		{ \
			statement; \
		} \
		PG_CATCH(); \
		{ \
			int			code_ = geterrcode(); \
			MemoryContextSwitchTo(context_); \
			if (ERRCODE_TO_CATEGORY(code_) != ERRCODE_DATA_EXCEPTION && \
				ERRCODE_TO_CATEGORY(code_) != ERRCODE_FEATURE_NOT_SUPPORTED && \
				ERRCODE_TO_CATEGORY(code_) != ERRCODE_PROGRAM_LIMIT_EXCEEDED) \
				PG_RE_THROW(); \
			FlushErrorState(); \
			(ok) = false; \
		} \
		PG_END_TRY(); \
	} while (0)

static inline bool
taskapi_input_soft(PGFunction input, char *text, Datum *result)
{
	volatile bool ok = true;

	TASKAPI_CATCH_BAD_INPUT(ok, *result = DirectFunctionCall1(input, CStringGetDatum(text)));
	return ok;
}

static inline bool
taskapi_unicode_to_server(pg_wchar c, unsigned char *bytes)
{
	volatile bool ok = true;

	TASKAPI_CATCH_BAD_INPUT(ok, pg_unicode_to_server(c, bytes));
	return ok;
}
#endif

/* 16 added it, and 17 took Abs() away */
#if PG_VERSION_NUM < 160000
#define i64abs(i) ((int64) llabs(i))
#endif

/* 16 lets the JSON parser's actions fail; 17 takes the lexer's memory as an argument */
#if PG_VERSION_NUM >= 160000
#define TASKAPI_JSON_ACTION JsonParseErrorType
#define TASKAPI_JSON_GO_ON JSON_SUCCESS
#else
#define TASKAPI_JSON_ACTION void
#define TASKAPI_JSON_GO_ON
#endif
#if PG_VERSION_NUM >= 170000
#define taskapi_json_lexer(text, len, encoding) \
	makeJsonLexContextCstringLen(NULL, text, len, encoding, true)
#else
#define taskapi_json_lexer(text, len, encoding) \
	makeJsonLexContextCstringLen(unconstify(char *, text), len, encoding, true)
#endif

/* 17 names dynamic segments; before it shared_memory.c keeps their handles itself */
#if PG_VERSION_NUM >= 170000
#define TASKAPI_HAVE_NAMED_SEGMENTS
#endif

/*
 * The header asks for ICU's headers, which an installation need not have, and
 * for nothing that we use.
 */
#pragma push_macro("USE_ICU")
#undef USE_ICU
#include "utils/pg_locale.h"
#pragma pop_macro("USE_ICU")

/* 18 moved this into the locale object */
#if PG_VERSION_NUM >= 180000
#define taskapi_collate_is_c(collation) (pg_newlocale_from_collation(collation)->collate_is_c)
#else
#define taskapi_collate_is_c(collation) lc_collate_is_c(collation)
#endif

/* 18 renamed the kind of a row comparison, knows NOT NULL constraints that do not hold for all rows, and has OLD and NEW */
#if PG_VERSION_NUM >= 180000
#define taskapi_set_row_compare_strategy(expr, strategy) ((expr)->cmptype = (CompareType) (strategy))
#define taskapi_att_is_not_null(tupdesc, attno) \
	(TupleDescCompactAttr(tupdesc, (attno) - 1)->attnullability == ATTNULLABLE_VALID)
#define taskapi_var_is_plain(var) ((var)->varreturningtype == VAR_RETURNING_DEFAULT)
#else
#define taskapi_set_row_compare_strategy(expr, strategy) ((expr)->rctype = (RowCompareType) (strategy))
#define taskapi_att_is_not_null(tupdesc, attno) (TupleDescAttr(tupdesc, (attno) - 1)->attnotnull)
#define taskapi_var_is_plain(var) true
#endif

/* 18 has virtual generated columns, which an index has as their expression */
#if PG_VERSION_NUM >= 180000
#define taskapi_att_is_virtual(att) ((att)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#define taskapi_generation_expression(rel, attno) build_generation_expression(rel, attno)
#else
#define taskapi_att_is_virtual(att) false
#define taskapi_generation_expression(rel, attno) NULL
#endif

/* 18 renamed where the executor keeps what it made of a table's CHECKs, some of which are not enforced or need work of their own */
#if PG_VERSION_NUM >= 180000
#define taskapi_check_states(info) ((info)->ri_CheckConstraintExprs)
static inline bool
taskapi_leaves_checks(const TupleConstr *constr)
{
	for (int i = 0; i < constr->num_check; i++)
	{
		if (!constr->check[i].ccenforced)
			return true;
	}
	return constr->has_generated_virtual;
}
#else
#define taskapi_check_states(info) ((info)->ri_ConstraintExprs)
#define taskapi_leaves_checks(constr) false
#endif

/* What a column of a join, or since 18 of a grouped query, stands for; NULL for columns of anything else */
#if PG_VERSION_NUM >= 180000
#define taskapi_rte_aliases(rte) \
	((rte)->rtekind == RTE_JOIN ? (rte)->joinaliasvars : (rte)->rtekind == RTE_GROUP ? (rte)->groupexprs : NIL)
#else
#define taskapi_rte_aliases(rte) ((rte)->rtekind == RTE_JOIN ? (rte)->joinaliasvars : NIL)
#endif
#define taskapi_rte_alias(rte, attno) \
	((attno) <= list_length(taskapi_rte_aliases(rte)) ? (Node *) list_nth(taskapi_rte_aliases(rte), (attno) - 1) : NULL)

/* 18 names the library and its version in the magic block */
#if PG_VERSION_NUM >= 180000
#define TASKAPI_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "taskapi", .version = TASKAPI_VERSION)
#else
#define TASKAPI_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* 18 spells it as a prefix, as C11 does */
#if PG_VERSION_NUM < 180000
#ifndef pg_noreturn
#define pg_noreturn __attribute__((noreturn))
#endif
#endif

/* 18 makes them itself, with the same guarantee: greater than the one before in this backend */
#if PG_VERSION_NUM >= 180000
#define TASKAPI_HAVE_UUIDV7
#endif

/* 16 added the list of result relations, which none of our updates has */
#if PG_VERSION_NUM >= 160000
#define taskapi_eval_plan_qual_init(epqstate, estate) EvalPlanQualInit(epqstate, estate, NULL, NIL, -1, NIL)
#else
#define taskapi_eval_plan_qual_init(epqstate, estate) EvalPlanQualInit(epqstate, estate, NULL, NIL, -1)
#endif

/* 16 tells apart who has the privileges of a role and who may become it (acl.h) */
#if PG_VERSION_NUM >= 160000
#define taskapi_may_set_role(member, role) member_can_set_role(member, role)
#else
#define taskapi_may_set_role(member, role) is_member_of_role(member, role)
#endif

/* 16 has one function for every class of object */
#if PG_VERSION_NUM >= 160000
#define taskapi_owns_relation(relid, role) object_ownercheck(RelationRelationId, relid, role)
#define taskapi_may_execute(function, role) \
	(object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK)
#else
#define taskapi_owns_relation(relid, role) pg_class_ownercheck(relid, role)
#define taskapi_may_execute(function, role) (pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK)
#endif

/* 16 moved the columns that a statement needs privileges for out of the range table entry */
#if PG_VERSION_NUM >= 160000
#define taskapi_inserted_columns(stmt, rte) \
	((rte)->perminfoindex ? getRTEPermissionInfo((stmt)->permInfos, rte)->insertedCols : NULL)
#define taskapi_updated_columns(stmt, rte) \
	((rte)->perminfoindex ? getRTEPermissionInfo((stmt)->permInfos, rte)->updatedCols : NULL)
#define taskapi_selected_columns(stmt, rte) \
	((rte)->perminfoindex ? getRTEPermissionInfo((stmt)->permInfos, rte)->selectedCols : NULL)
#define taskapi_query_inserted_columns(query, rte) \
	((rte)->perminfoindex ? getRTEPermissionInfo((query)->rteperminfos, rte)->insertedCols : NULL)
#define taskapi_query_selected_columns(query, rte) \
	((rte)->perminfoindex ? getRTEPermissionInfo((query)->rteperminfos, rte)->selectedCols : NULL)
#else
#define taskapi_inserted_columns(stmt, rte) ((rte)->insertedCols)
#define taskapi_updated_columns(stmt, rte) ((rte)->updatedCols)
#define taskapi_selected_columns(stmt, rte) ((rte)->selectedCols)
#define taskapi_query_inserted_columns(query, rte) ((rte)->insertedCols)
#define taskapi_query_selected_columns(query, rte) ((rte)->selectedCols)
#endif

/* 17 moved the number that a backend gives its transaction; include storage/proc.h */
#if PG_VERSION_NUM >= 170000
#define taskapi_local_transaction() (MyProc->vxid.lxid)
#else
#define taskapi_local_transaction() (MyProc->lxid)
#endif

/* 18 took an argument of the executor's away */
#if PG_VERSION_NUM >= 180000
#define TASKAPI_EXECUTE_ONCE_PARAM
#define TASKAPI_EXECUTE_ONCE_ARG
#define TASKAPI_EXECUTE_AGAIN_ARG
#else
#define TASKAPI_EXECUTE_ONCE_PARAM , bool execute_once
#define TASKAPI_EXECUTE_ONCE_ARG , execute_once
#define TASKAPI_EXECUTE_AGAIN_ARG , false
#endif

/* 18 has foreign keys that are not enforced, and foreign keys over periods */
#if PG_VERSION_NUM >= 180000
#define taskapi_constraint_is_enforced(con) ((con)->conenforced)
#define taskapi_constraint_has_period(con) ((con)->conperiod)
#else
#define taskapi_constraint_is_enforced(con) true
#define taskapi_constraint_has_period(con) false
#endif

/* 18 took away what says that a query is executed once */
#if PG_VERSION_NUM >= 180000
#define TASKAPI_EXECUTOR_RUN_PARAMETERS QueryDesc *queryDesc, ScanDirection direction, uint64 count
#define TASKAPI_EXECUTOR_RUN_ARGUMENTS queryDesc, direction, count
#else
#define TASKAPI_EXECUTOR_RUN_PARAMETERS QueryDesc *queryDesc, ScanDirection direction, uint64 count, bool execute_once
#define TASKAPI_EXECUTOR_RUN_ARGUMENTS queryDesc, direction, count, execute_once
#endif

/* 19 wants a row type that is made column by column to be finished */
#if PG_VERSION_NUM >= 190000
#define taskapi_finish_tupdesc(desc) TupleDescFinalize(desc)
#else
#define taskapi_finish_tupdesc(desc) ((void) 0)
#endif

/* 19 tells the planner's hook what EXPLAIN wants, and lets no hook of the parser change how a query's id is made */
#if PG_VERSION_NUM >= 190000
#define TASKAPI_JUMBLE_STATE const JumbleState
#define TASKAPI_PLANNER_PARAM , struct ExplainState *es
#define TASKAPI_PLANNER_ARG , es
#define taskapi_plan_query(query, text, options, params) pg_plan_query(query, text, options, params, NULL)
#else
#define TASKAPI_JUMBLE_STATE JumbleState
#define TASKAPI_PLANNER_PARAM
#define TASKAPI_PLANNER_ARG
#define taskapi_plan_query(query, text, options, params) pg_plan_query(query, text, options, params)
#endif

/* 19 has a hook for every kind of relation instead of the one for what the catalog tells of a table */
#if PG_VERSION_NUM >= 190000
#define TASKAPI_HAVE_SIMPLE_REL_HOOK
#endif

/*
 * 19 has the relations that a statement writes to as a set.  The next of them, as a place in the range table; 0 after
 * the last.  *place is 0 before the first call.
 */
static inline int
taskapi_next_result_relation(const PlannedStmt *stmt, int *place)
{
#if PG_VERSION_NUM >= 190000
	*place = bms_next_member(stmt->resultRelationRelids, *place);
	return Max(*place, 0);
#else
	return *place < list_length(stmt->resultRelations) ? list_nth_int(stmt->resultRelations, (*place)++) : 0;
#endif
}

#if PG_VERSION_NUM >= 190000
#define taskapi_writes(stmt) (!bms_is_empty((stmt)->resultRelationRelids))
#else
#define taskapi_writes(stmt) ((stmt)->resultRelations != NIL)
#endif

/* 19 keeps the state and the result of building jsonb in one struct */
#if PG_VERSION_NUM >= 190000
#define TaskapiJsonbState JsonbInState
#define taskapi_push_jsonb(state, token, value) pushJsonbValue(state, token, value)
#else
typedef struct TaskapiJsonbState
{
	struct JsonbValue *result;
	struct JsonbParseState *parseState;
} TaskapiJsonbState;
#define taskapi_push_jsonb(state, token, value) \
	((void) ((state)->result = pushJsonbValue(&(state)->parseState, token, value)))
#endif

/* 19 gives options to a scan and to a deletion */
#if PG_VERSION_NUM >= 190000
#define taskapi_table_beginscan(rel, snapshot) table_beginscan(rel, snapshot, 0, NULL, SO_NONE)
#define taskapi_table_tuple_delete(rel, tid, cid, snapshot, wait, failure) \
	table_tuple_delete(rel, tid, cid, 0, snapshot, InvalidSnapshot, wait, failure)
#else
#define taskapi_table_beginscan(rel, snapshot) table_beginscan(rel, snapshot, 0, NULL)
#define taskapi_table_tuple_delete(rel, tid, cid, snapshot, wait, failure) \
	table_tuple_delete(rel, tid, cid, snapshot, InvalidSnapshot, wait, failure, false)
#endif

/* 19 keeps the name of a tranche in shared memory, so that no backend else registers it */
#if PG_VERSION_NUM >= 190000
#define taskapi_new_tranche_id(name) LWLockNewTrancheId(name)
#define taskapi_register_tranche(id, name) ((void) (id))
#else
#define taskapi_new_tranche_id(name) LWLockNewTrancheId()
#define taskapi_register_tranche(id, name) LWLockRegisterTranche(id, name)
#endif

/* 19 passes an argument on to what initializes a named segment */
#if PG_VERSION_NUM >= 190000
#define TASKAPI_SEGMENT_PARAM , void *arg
#define taskapi_named_segment(name, size, init, found) GetNamedDSMSegment(name, size, init, found, NULL)
#else
#define TASKAPI_SEGMENT_PARAM
#define taskapi_named_segment(name, size, init, found) GetNamedDSMSegment(name, size, init, found)
#endif

/* 19 wants the attribute; gcc and clang take it before */
#ifndef pg_fallthrough
#define pg_fallthrough __attribute__((fallthrough))
#endif

/*
 * Before 16 a walker is declared without parameters, which C23 takes for none.
 */
#if PG_VERSION_NUM < 160000
#define TASKAPI_WALKER(walker) ((bool (*) ()) (void (*) (void)) (walker))
#define TASKAPI_MUTATOR(mutator) ((Node *(*) ()) (void (*) (void)) (mutator))
#else
#define TASKAPI_WALKER(walker) (walker)
#define TASKAPI_MUTATOR(mutator) (mutator)
#endif

/* 17 counts backends from 0 and calls it the number of a process */
#if PG_VERSION_NUM >= 170000
#define taskapi_backend_number() MyProcNumber
#else
#define taskapi_backend_number() (MyBackendId - 1)
#endif

/* 18 has NOT NULL constraints that are NOT VALID, and foreign keys of partitioned tables that are */
#if PG_VERSION_NUM >= 180000
#define TASKAPI_NOT_NULL_NOT_VALID true
#define TASKAPI_PARTITIONED_NOT_VALID true
#define taskapi_constraint_is_enforced_node(constraint) ((constraint)->is_enforced)
#else
#define TASKAPI_NOT_NULL_NOT_VALID false
#define TASKAPI_PARTITIONED_NOT_VALID false
#define taskapi_constraint_is_enforced_node(constraint) true
#endif

/* 16 lets others find a setting by its name */
#if PG_VERSION_NUM >= 160000
#define TASKAPI_HAVE_FIND_OPTION
#endif

/* 18 counts index searches, 19 takes flags; a macro, so that only its user needs genam.h */
#if PG_VERSION_NUM >= 190000
#define taskapi_index_beginscan(table, index, snapshot, nkeys) \
	index_beginscan(table, index, snapshot, NULL, nkeys, 0, SO_NONE)
#elif PG_VERSION_NUM >= 180000
#define taskapi_index_beginscan(table, index, snapshot, nkeys) \
	index_beginscan(table, index, snapshot, NULL, nkeys, 0)
#else
#define taskapi_index_beginscan(table, index, snapshot, nkeys) \
	index_beginscan(table, index, snapshot, nkeys, 0)
#endif

#endif							/* TASKAPI_COMPAT_H */
