/*-------------------------------------------------------------------------
 *
 * siphash.h
 *	  SipHash-2-4 with 128 bits of output: a keyed hash for short inputs.
 *
 * Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF"
 * (2012), and the authors' reference for the 128-bit variant.  Without the key
 * nobody can construct inputs that collide.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_SIPHASH_H
#define TASKAPI_SIPHASH_H

#include "port/pg_bswap.h"

typedef struct TaskapiSipHashKey
{
	uint64		k0;
	uint64		k1;
} TaskapiSipHashKey;

static inline uint64
siphash_rotate(uint64 x, int n)
{
	return (x << n) | (x >> (64 - n));
}

static inline void
siphash_rounds(uint64 *v, int n)
{
	while (n-- > 0)
	{
		v[0] += v[1];
		v[1] = siphash_rotate(v[1], 13) ^ v[0];
		v[0] = siphash_rotate(v[0], 32);
		v[2] += v[3];
		v[3] = siphash_rotate(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = siphash_rotate(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = siphash_rotate(v[1], 17) ^ v[2];
		v[2] = siphash_rotate(v[2], 32);
	}
}

/* "n" bytes, as a little-endian number; the same on every platform */
static inline uint64
siphash_load(const unsigned char *p, int n)
{
	uint64		x = 0;

	if (n == 8)
	{
		memcpy(&x, p, 8);
#ifdef WORDS_BIGENDIAN
		x = pg_bswap64(x);
#endif
		return x;
	}
	for (int i = 0; i < n; i++)
		x |= (uint64) p[i] << (8 * i);
	return x;
}

static inline void
siphash128(TaskapiSipHashKey key, const void *data, size_t len, uint64 *high, uint64 *low)
{
	const unsigned char *p = data;
	size_t		rest = len;
	uint64		v[4];
	uint64		m;

	v[0] = key.k0 ^ UINT64CONST(0x736f6d6570736575);
	v[1] = key.k1 ^ UINT64CONST(0x646f72616e646f6d) ^ 0xee;
	v[2] = key.k0 ^ UINT64CONST(0x6c7967656e657261);
	v[3] = key.k1 ^ UINT64CONST(0x7465646279746573);

	for (; rest >= 8; rest -= 8, p += 8)
	{
		m = siphash_load(p, 8);
		v[3] ^= m;
		siphash_rounds(v, 2);
		v[0] ^= m;
	}
	m = siphash_load(p, (int) rest) | ((uint64) len << 56);
	v[3] ^= m;
	siphash_rounds(v, 2);
	v[0] ^= m;

	v[2] ^= 0xee;
	siphash_rounds(v, 4);
	*low = v[0] ^ v[1] ^ v[2] ^ v[3];
	v[1] ^= 0xdd;
	siphash_rounds(v, 4);
	*high = v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif							/* TASKAPI_SIPHASH_H */
