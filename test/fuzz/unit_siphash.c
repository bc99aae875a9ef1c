/*
 * SipHash: the published vectors of SipHash-2-4 with 128 bits of output.
 *
 * The key is 00 01 .. 0f, the nth message is the first n bytes of 00 01 02 ...; the digest is little-endian, as its authors print it.
 */
#include "postgres.h"

#include "base/siphash.h"

#undef printf

static const char *const vectors[] = {
	"a3817f04ba25a8e66df67214c7550293", "da87c1d86b99af44347659119b22fc45", "8177228da4a45dc7fca38bdef60affe4",
	"9c70b60c5267a94e5f33b6b02985ed51", "f88164c12d9c8faf7d0f6e7c7bcd5579", "1368875980776f8854527a07690e9627",
	"14eeca338b208613485ea0308fd7a15e", "a1f1ebbed8dbc153c0b84aa61ff08239", "3b62a9ba6258f5610f83e264f31497b4",
	"264499060ad9baabc47f8b02bb6d71ed", "00110dc378146956c95447d3f3d0fbba", "0151c568386b6677a2b4dc6f81e5dc18",
	"d626b266905ef35882634df68532c125", "9869e247e9c08b10d029934fc4b952f7", "31fcefac66d7de9c7ec7485fe4494902",
	"5493e99933b0a8117e08ec0f97cfc3d9"};

int
main(void)
{
	TaskapiSipHashKey key = {UINT64CONST(0x0706050403020100), UINT64CONST(0x0f0e0d0c0b0a0908)};
	unsigned char message[lengthof(vectors)];
	int			failed = 0;

	for (int i = 0; i < lengthof(vectors); i++)
	{
		uint64		halves[2];
		char		hex[33];

		message[i] = (unsigned char) i;
		siphash128(key, message, i, &halves[1], &halves[0]);
		for (int j = 0; j < 16; j++)
			sprintf(hex + 2 * j, "%02x", (unsigned) (halves[j / 8] >> (8 * (j % 8))) & 0xFF);
		if (strcmp(hex, vectors[i]) != 0)
		{
			printf("the digest of %d bytes is %s, not %s\n", i, hex, vectors[i]);
			failed++;
		}
	}
	return failed > 0;
}
