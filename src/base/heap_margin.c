/*-------------------------------------------------------------------------
 *
 * heap_margin.c
 *	  How much free memory a backend keeps at the end of its heap.
 *
 * A request takes about 350 kB for parsing, planning and execution, and frees them.  glibc gives what is free at the end
 * of the heap back to the kernel from 128 kB on: so every request would ask for it again, with two or three calls of
 * brk() and the page faults that follow, which is 3 % of a POST.
 *
 * glibc raises that threshold by itself, to twice the size of the largest block that it had mapped apart and was given
 * back (mallopt(3), M_MMAP_THRESHOLD).  A backend that has once sorted something or returned a long value is in that
 * state.  So one such block is allocated and freed here.  mallopt() would be glibc's alone, and would overrule what an
 * operator sets by MALLOC_TRIM_THRESHOLD_; this does not.  Other allocators take no notice of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/heap_margin.h"

/* Above glibc's initial threshold of 128 kB, from which on blocks are mapped apart. */
#define MAPPED_BLOCK_SIZE ((Size) 256 * 1024)

void
taskapi_heap_margin_init(void)
{
	pfree(MemoryContextAlloc(TopMemoryContext, MAPPED_BLOCK_SIZE));
}
