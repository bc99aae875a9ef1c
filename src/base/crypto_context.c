/*-------------------------------------------------------------------------
 *
 * crypto_context.c
 *	  Contexts of hashes that live as long as the backend (crypto_context.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/resowner.h"

#include "base/compat.h"
#include "base/crypto_context.h"

void *
taskapi_lasting_context(void *(*create) (void), const char *name)
{
	ResourceOwner old = CurrentResourceOwner;
	void	   *volatile context = NULL;

	CurrentResourceOwner = ResourceOwnerCreate(NULL, name);
	PG_TRY();
	{
		context = create();
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = old;
	}
	PG_END_TRY();
	if (context == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	return context;
}
