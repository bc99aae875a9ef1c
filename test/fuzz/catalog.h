/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  A catalog of types and collations without a server, for fuzzing: the built-in
 *	  types that keys are made of, and a few of a schema "public" with OIDs of their own.
 *
 * A numeric is its binary send form, normalized as the server does.  Types without an
 * encoding of ours send and receive their bytes, refusing what does not fit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FUZZ_CATALOG_H
#define TASKAPI_FUZZ_CATALOG_H

/* Types of schema public: four bytes by value, six by reference, and a varlena. */
#define FUZZ_MOOD_OID	16500
#define FUZZ_PLACE_OID	16501
#define FUZZ_WORDS_OID	16502

#endif							/* TASKAPI_FUZZ_CATALOG_H */
