/*-------------------------------------------------------------------------
 *
 * server.c
 *	  Memory, errors and encodings of a server, without a server.
 *
 * Memory comes from malloc, one block an allocation, so that AddressSanitizer
 * sees every overrun; a memory context is a list of its blocks.  NULL is that of a
 * run, in which the run's other contexts are too, unless they were given to
 * TopMemoryContext.  Text is UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <setjmp.h>
#include <signal.h>

#include "mb/pg_wchar.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/compat.h"
#include "http/problem.h"
#include "server.h"

typedef struct Block
{
	struct Block *next;
	struct Block *prev;
	size_t		size;
	size_t		padding;		/* keeps the payload aligned to 16 */
} Block;

MemoryContext CurrentMemoryContext = NULL;
static MemoryContextData lasting_context;
MemoryContext TopMemoryContext = &lasting_context;
sigjmp_buf *PG_exception_stack = NULL;
ErrorContextCallback *error_context_stack = NULL;
volatile sig_atomic_t InterruptPending = false;
ResourceOwner CurrentResourceOwner = NULL;

typedef struct Context
{
	MemoryContextData header;
	MemoryContext parent;
	struct Context *next;
	Block		blocks;
} Context;

static Block blocks = {&blocks, &blocks, 0, 0};
static Context *contexts = NULL;
static Block lasting = {&lasting, &lasting, 0, 0};	/* of TopMemoryContext: never freed by itself */
static int	error_sqlstate;
static ErrorData error_data;

static void *
allocate_in(Block *list, size_t size, bool zero)
{
	Block	   *block;

	if (!AllocSizeIsValid(size))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("invalid memory alloc request size %zu", size)));
	block = zero ? calloc(1, sizeof(Block) + size) : malloc(sizeof(Block) + size);
	if (block == NULL)
		abort();
	block->size = size;
	block->next = list->next;
	block->prev = list;
	list->next->prev = block;
	list->next = block;
	return block + 1;
}

static Block *
list_of(MemoryContext context)
{
	if (context == NULL)
		return &blocks;
	return context == TopMemoryContext ? &lasting : &((Context *) context)->blocks;
}

static void *
allocate(size_t size, bool zero)
{
	return allocate_in(list_of(CurrentMemoryContext), size, zero);
}

void *
palloc(Size size)
{
	return allocate(size, false);
}

void *
palloc0(Size size)
{
	return allocate(size, true);
}

void *
palloc_extended(Size size, int flags)
{
	return allocate(size, (flags & MCXT_ALLOC_ZERO) != 0);
}

void *
MemoryContextAlloc(MemoryContext context, Size size)
{
	return allocate_in(list_of(context), size, false);
}

void *
MemoryContextAllocZero(MemoryContext context, Size size)
{
	return allocate_in(list_of(context), size, true);
}

void *
MemoryContextAllocZeroAligned(MemoryContext context, Size size)
{
	return allocate_in(list_of(context), size, true);
}

char *
MemoryContextStrdup(MemoryContext context, const char *string)
{
	return pstrdup(string);
}

void
pfree(void *pointer)
{
	Block	   *block = (Block *) pointer - 1;

	block->next->prev = block->prev;
	block->prev->next = block->next;
	free(block);
}

void *
repalloc(void *pointer, Size size)
{
	void	   *copy = palloc(size);

	memcpy(copy, pointer, Min(size, ((Block *) pointer - 1)->size));
	pfree(pointer);
	return copy;
}

char *
pstrdup(const char *in)
{
	return pnstrdup(in, strlen(in));
}

char *
pnstrdup(const char *in, Size len)
{
	char	   *out;

	len = strnlen(in, len);
	out = palloc(len + 1);
	memcpy(out, in, len);
	out[len] = '\0';
	return out;
}

/* The library's own psprintf() is a frontend's, whose memory nobody here would free. */
size_t
pvsnprintf(char *buf, size_t len, const char *fmt, va_list args)
{
	int			n = vsnprintf(buf, len, fmt, args);

	if (n < 0)
		abort();
	return n < len ? n : (size_t) n + 1;
}

char *
psprintf(const char *fmt,...)
{
	size_t		len = 128;

	for (;;)
	{
		char	   *result = palloc(len);
		va_list		args;
		size_t		need;

		va_start(args, fmt);
		need = pvsnprintf(result, len, fmt, args);
		va_end(args);
		if (need < len)
			return result;
		pfree(result);
		len = need;
	}
}

static void
free_blocks(Block *list)
{
	while (list->next != list)
		pfree(list->next + 1);
}

MemoryContext
AllocSetContextCreateInternal(MemoryContext parent, const char *name, Size min_size, Size init_size, Size max_size)
{
	Context    *context = calloc(1, sizeof(Context));

	if (context == NULL)
		abort();
	context->parent = parent;
	context->next = contexts;
	context->blocks.next = context->blocks.prev = &context->blocks;
	contexts = context;
	return &context->header;
}

void
MemoryContextReset(MemoryContext context)
{
	free_blocks(list_of(context));
}

void
MemoryContextSetParent(MemoryContext context, MemoryContext parent)
{
	((Context *) context)->parent = parent;
}

void
MemoryContextDelete(MemoryContext context)
{
	Context   **link = &contexts;

	MemoryContextReset(context);
	while (&(*link)->header != context)
		link = &(*link)->next;
	*link = (*link)->next;
	free(context);
}

static void
free_all(void)
{
	Context    *next;

	CurrentMemoryContext = NULL;
	for (Context *context = contexts; context; context = next)
	{
		next = context->next;
		if (context->parent != TopMemoryContext)
			MemoryContextDelete(&context->header);
	}
	free_blocks(&blocks);
}

/* Errors: the parts of elog.c that ereport() expands to */

bool
errstart(int elevel, const char *domain)
{
	error_sqlstate = ERRCODE_INTERNAL_ERROR;
	error_data.elevel = elevel;
	return elevel >= ERROR;
}

bool
errstart_cold(int elevel, const char *domain)
{
	return errstart(elevel, domain);
}

void
errfinish(const char *filename, int lineno, const char *funcname)
{
	if (error_sqlstate == ERRCODE_INTERNAL_ERROR)
	{
		fprintf(stderr, "error without an errcode of its own at %s:%d\n", filename, lineno);
		abort();
	}
	if (PG_exception_stack == NULL)
		abort();
	siglongjmp(*PG_exception_stack, 1);
}

int
errcode(int sqlerrcode)
{
	error_sqlstate = sqlerrcode;
	return 0;
}

static int
format_message(const char *fmt, va_list args)
{
	/* Formatting it has the sanitizers look at every argument */
	char		buf[256];

	vsnprintf(buf, sizeof(buf), fmt, args);
	return 0;
}

#define MESSAGE_FUNCTION(name) \
int \
name(const char *fmt,...) \
{ \
	va_list		args; \
	va_start(args, fmt); \
	format_message(fmt, args); \
	va_end(args); \
	return 0; \
}

MESSAGE_FUNCTION(errmsg)
MESSAGE_FUNCTION(errmsg_internal)
MESSAGE_FUNCTION(errdetail)
MESSAGE_FUNCTION(errdetail_internal)
MESSAGE_FUNCTION(errhint)

int
geterrcode(void)
{
	return error_sqlstate;
}

ErrorData *
CopyErrorData(void)
{
	ErrorData  *copy = palloc(sizeof(ErrorData));

	*copy = error_data;
	copy->sqlerrcode = error_sqlstate;
	return copy;
}

void
FlushErrorState(void)
{
}

void
pg_re_throw(void)
{
	if (PG_exception_stack == NULL)
		abort();
	siglongjmp(*PG_exception_stack, 1);
}

ResourceOwner
ResourceOwnerCreate(ResourceOwner parent, const char *name)
{
	return NULL;
}

void
check_stack_depth(void)
{
}

void
ProcessInterrupts(void)
{
}

int
GetDatabaseEncoding(void)
{
	return PG_UTF8;
}

const char *
GetDatabaseEncodingName(void)
{
	return "UTF8";
}

int
pg_mblen(const char *mbstr)
{
	return pg_utf_mblen((const unsigned char *) mbstr);
}

bool
pg_verify_mbstr(int encoding, const char *mbstr, int len, bool noError)
{
	return pg_encoding_verifymbstr(encoding, mbstr, len) == len;
}

void
pg_unicode_to_server(pg_wchar c, unsigned char *s)
{
	abort();
}

char *
pg_any_to_server(const char *s, int len, int encoding)
{
	return unconstify(char *, s);
}

char *
pg_server_to_any(const char *s, int len, int encoding)
{
	return unconstify(char *, s);
}

List *
lappend(List *list, void *datum)
{
	if (list == NIL)
	{
		list = palloc0(offsetof(List, initial_elements));
		list->type = T_List;
	}
	if (list->length == list->max_length)
	{
		list->max_length = Max(4, 2 * list->max_length);
		list->elements = list->elements ? repalloc(list->elements, list->max_length * sizeof(ListCell)) :
			palloc(list->max_length * sizeof(ListCell));
	}
	list->elements[list->length++].ptr_value = datum;
	return list;
}

/* A problem is an error with a code of its own; its details are formatted, nothing more. */
void
taskapi_problem(TaskapiProblem problem, List *headers, const char *hint, const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	format_message(fmt, args);
	va_end(args);
	pg_re_throw();
}

void
taskapi_problem_soft(Node *escontext, TaskapiProblem problem, const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	format_message(fmt, args);
	va_end(args);
	if (escontext == NULL)
		pg_re_throw();
}

bool
run_protected(fuzz_body body, const uint8 *data, size_t size)
{
	sigjmp_buf	jump;
	volatile bool ok = true;

	if (sigsetjmp(jump, 0) == 0)
	{
		PG_exception_stack = &jump;
		body(data, size);
	}
	else
		ok = false;
	PG_exception_stack = NULL;
	free_all();
	return ok;
}

char *
input_text(const uint8 *data, size_t size)
{
	return pnstrdup((const char *) data, size);
}
