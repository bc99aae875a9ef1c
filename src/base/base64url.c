/*-------------------------------------------------------------------------
 *
 * base64url.c
 *	  RFC 4648, section 5, without padding and without leniency.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/base64url.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* The value of each 7-bit character; -1 is none. */
static const int8 values[128] = {
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, -1,
	52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1,
	-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
	15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, 63,
	-1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1
};

int
taskapi_base64url_encode(const uint8 *src, int len, char *dst)
{
	char	   *out = dst;

	for (; len >= 3; src += 3, len -= 3)
	{
		uint32		v = (src[0] << 16) | (src[1] << 8) | src[2];

		*out++ = alphabet[v >> 18];
		*out++ = alphabet[(v >> 12) & 63];
		*out++ = alphabet[(v >> 6) & 63];
		*out++ = alphabet[v & 63];
	}
	if (len > 0)
	{
		uint32		v = (src[0] << 16) | (len == 2 ? src[1] << 8 : 0);

		*out++ = alphabet[v >> 18];
		*out++ = alphabet[(v >> 12) & 63];
		if (len == 2)
			*out++ = alphabet[(v >> 6) & 63];
	}
	return out - dst;
}

int
taskapi_base64url_decode(const char *src, int len, uint8 *dst)
{
	uint8	   *out = dst;
	uint32		v = 0;
	int			bits = 0;

	/* one character alone holds no byte */
	if (len % 4 == 1)
		return -1;

	for (int i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) src[i];
		int			value = c < 128 ? values[c] : -1;

		if (value < 0)
			return -1;
		v = (v << 6) | value;
		bits += 6;
		if (bits >= 8)
		{
			bits -= 8;
			*out++ = (v >> bits) & 0xff;
			v &= (1 << bits) - 1;
		}
	}

	/* what is left over must be zero, else another text would decode to the same */
	return v == 0 ? out - dst : -1;
}
