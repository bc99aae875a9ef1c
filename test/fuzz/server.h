/*-------------------------------------------------------------------------
 *
 * server.h
 *	  As much of a server as the pure parts of the library need, for fuzzing.
 *
 * A target is one function from bytes to nothing.  It runs inside run_protected(),
 * which returns false where an error was thrown: that is a valid outcome for any
 * input.  What is not: a crash, a sanitizer's report, a leak of control, or an
 * error without an SQLSTATE of its own (the harness aborts on that).  All that was
 * palloc'd during a run is freed after it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FUZZ_SERVER_H
#define TASKAPI_FUZZ_SERVER_H

typedef void (*fuzz_body) (const uint8 *data, size_t size);

extern bool run_protected(fuzz_body body, const uint8 *data, size_t size);

/* A NUL-terminated palloc'd copy of the input, cut at its first NUL byte. */
extern char *input_text(const uint8 *data, size_t size);

/* Abort with a message: a property does not hold. */
#define PROPERTY(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "property violated: %s (%s:%d)\n", #condition, __FILE__, __LINE__); \
			abort(); \
		} \
	} while (0)

#endif							/* TASKAPI_FUZZ_SERVER_H */
