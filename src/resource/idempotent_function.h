/*-------------------------------------------------------------------------
 *
 * idempotent_function.h
 *	  Functions that are called once for each Idempotency-Key.
 *
 * A function is declared so in its own definition, by SET taskapi.idempotent = on,
 * which ALTER FUNCTION and make_idempotent() add.  It stays what it is: its name,
 * arguments, rights and callers do not change, and a dump has the declaration.
 *
 * If a request with a key calls it, the call is made once.  Its result is stored in
 * the ledger in the same transaction, with the status and the headers that it set,
 * and given again to the same request.  The same function called for another
 * reason (from a query within it, by a statement that does not call it alone, or
 * without a request) is an ordinary call.
 *
 * An INSTEAD OF INSERT trigger function is called once for a POST of one row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_IDEMPOTENT_FUNCTION_H
#define TASKAPI_IDEMPOTENT_FUNCTION_H

extern void taskapi_idempotent_function_init(void);

#endif							/* TASKAPI_IDEMPOTENT_FUNCTION_H */
