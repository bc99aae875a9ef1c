/*-------------------------------------------------------------------------
 *
 * shared_memory.c
 *	  Areas of shared memory that know their layout (shared_memory.h).
 *
 * From 17 on the server keeps names of segments itself (dsm_registry.h).  Before
 * it a handle in a struct of the main segment stands for a name; AddinShmemInitLock
 * guards it.
 *
 * Lock order: AddinShmemInitLock or the lock of the server's registry, then
 * whatever "init" takes.  The spinlock of the table of areas is held for a search
 * of at most MAX_AREAS names, with nothing taken inside.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"

#include "base/compat.h"
#include "base/shared_memory.h"

#ifdef TASKAPI_HAVE_NAMED_SEGMENTS
#include "storage/dsm_registry.h"
#endif

#define MAX_AREAS		15
#define TABLE_NAME		"taskapi areas"
#define TABLE_MAGIC		0x7461736b
#define HEADER_MAGIC	0x61706921
#define HEADER_SIZE		128		/* keeps the area on cache lines of its own */

/*
 * What each area has been agreed to be.  This struct is the agreement of all
 * releases: it never changes, neither in size nor in the meaning of a byte.
 */
typedef struct AreaTable
{
	uint32		magic;			/* TABLE_MAGIC when it is ready */
	slock_t		lock;
	uint32		nareas;
	struct
	{
		char		name[TASKAPI_AREA_NAME_LEN];
		uint32		layout;
		uint32		unused;
		uint64		size;
	}			area[MAX_AREAS];
} AreaTable;

/* In front of each area */
typedef struct AreaHeader
{
	uint32		magic;
	uint32		layout;
	uint64		size;
} AreaHeader;

StaticAssertDecl(sizeof(AreaHeader) <= HEADER_SIZE, "the header fits");

/* The area that is being made: the server passes its callback a pointer and nothing else */
static const TaskapiArea *making = NULL;

static AreaTable *area_table(void);
static void agree(const TaskapiArea *area);
pg_noreturn static void refuse(const TaskapiArea *area);
static void init_area(void *ptr TASKAPI_SEGMENT_PARAM);
static void *named_segment(const char *name, Size size, void (*init) (void *ptr TASKAPI_SEGMENT_PARAM));

uint32
taskapi_layout(const uint32 *facts, int n)
{
	return hash_bytes((const unsigned char *) facts, n * sizeof(uint32));
}

void *
taskapi_area(const TaskapiArea *area)
{
	char		name[64];
	AreaHeader *header;

	Assert(strlen(area->name) < TASKAPI_AREA_NAME_LEN);
	agree(area);

	snprintf(name, sizeof(name), "taskapi %s %08x", area->name, area->layout);
	making = area;
	header = named_segment(name, HEADER_SIZE + area->size, init_area);
	if (header->magic != HEADER_MAGIC || header->layout != area->layout || header->size != area->size)
		refuse(area);
	return (char *) header + HEADER_SIZE;
}

/*
 * Enter the area into the table, or compare it with what is there.
 */
static void
agree(const TaskapiArea *area)
{
	AreaTable  *table = area_table();
	bool		same = false;
	uint32		i;

	SpinLockAcquire(&table->lock);
	for (i = 0; i < table->nareas; i++)
	{
		if (strncmp(table->area[i].name, area->name, TASKAPI_AREA_NAME_LEN) == 0)
			break;
	}
	if (i < table->nareas)
		same = table->area[i].layout == area->layout && table->area[i].size == area->size;
	else if (i < MAX_AREAS)
	{
		strlcpy(table->area[i].name, area->name, TASKAPI_AREA_NAME_LEN);
		table->area[i].layout = area->layout;
		table->area[i].size = area->size;
		table->nareas++;
		same = true;
	}
	SpinLockRelease(&table->lock);

	if (!same)
		refuse(area);
}

static void
refuse(const TaskapiArea *area)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("shared memory of the server was laid out by another version of taskapi"),
			 errdetail("The layout of area \"%s\" differs from that of this library.", area->name),
			 errhint("Restart the server to use the installed library.")));
}

static void
init_area(void *ptr TASKAPI_SEGMENT_PARAM)
{
	AreaHeader *header = ptr;

	/* Memory that is allocated in advance (min_dynamic_shared_memory) may have been used before */
	memset(ptr, 0, HEADER_SIZE + making->size);
	making->init((char *) ptr + HEADER_SIZE);
	header->layout = making->layout;
	header->size = making->size;
	header->magic = HEADER_MAGIC;
}

static void
init_area_table(void *ptr TASKAPI_SEGMENT_PARAM)
{
	AreaTable  *table = ptr;

	memset(table, 0, sizeof(AreaTable));
	SpinLockInit(&table->lock);
	table->magic = TABLE_MAGIC;
}

void *
taskapi_map_segment(dsm_handle handle, Size *size)
{
	/* an earlier try may have mapped it and then failed */
	dsm_segment *segment = dsm_find_mapping(handle);

	if (segment == NULL)
		segment = dsm_attach(handle);
	if (segment == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not map dynamic shared memory segment")));
	dsm_pin_mapping(segment);
	*size = dsm_segment_map_length(segment);
	return dsm_segment_address(segment);
}

#ifdef TASKAPI_HAVE_NAMED_SEGMENTS

static AreaTable *
area_table(void)
{
	static AreaTable *table = NULL;

	if (table == NULL)
		table = named_segment(TABLE_NAME, sizeof(AreaTable), init_area_table);
	return table;
}

static void *
named_segment(const char *name, Size size, void (*init) (void *ptr TASKAPI_SEGMENT_PARAM))
{
	bool		found;

	return taskapi_named_segment(name, size, init, &found);
}

#else

static AreaTable *
area_table(void)
{
	static AreaTable *table = NULL;

	if (table == NULL)
	{
		AreaTable  *shared;
		bool		found;

		LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
		shared = ShmemInitStruct(TABLE_NAME, sizeof(AreaTable), &found);
		if (!found)
			init_area_table(shared);
		LWLockRelease(AddinShmemInitLock);
		table = shared;
	}
	return table;
}

static void *
named_segment(const char *name, Size size, void (*init) (void *ptr TASKAPI_SEGMENT_PARAM))
{
	dsm_handle *handle;
	void	   *result;
	Size		mapped;
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	handle = ShmemInitStruct(name, sizeof(dsm_handle), &found);
	if (!found)
		*handle = DSM_HANDLE_INVALID;
	if (*handle == DSM_HANDLE_INVALID)
	{
		dsm_segment *segment = dsm_create(size, 0);

		result = dsm_segment_address(segment);
		init(result);
		dsm_pin_segment(segment);
		dsm_pin_mapping(segment);
		*handle = dsm_segment_handle(segment);
	}
	else
		result = taskapi_map_segment(*handle, &mapped);
	LWLockRelease(AddinShmemInitLock);
	return result;
}

#endif							/* TASKAPI_HAVE_NAMED_SEGMENTS */
