/*-------------------------------------------------------------------------
 *
 * number.c
 *	  How long a number of JSON is when it is written out (number.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bswap.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "base/number.h"

int
taskapi_number_digits(Numeric number)
{
	/* numeric_send's form: count of digits, weight, sign and display scale, 2 bytes each, then the digits to base 10000 */
	bytea	   *sent = DatumGetByteaP(DirectFunctionCall1(numeric_send, NumericGetDatum(number)));
	uint16		fields[5] = {0};
	int			weight;
	int			first;
	int			result;

	memcpy(fields, VARDATA(sent), Min(sizeof(fields), VARSIZE(sent) - VARHDRSZ));
	pfree(sent);
	weight = (int16) pg_ntoh16(fields[1]);
	first = pg_ntoh16(fields[4]);
	result = pg_ntoh16(fields[3]);
	if (weight < 0)
		return result + 1;
	return result + 4 * weight + (first >= 1000 ? 4 : first >= 100 ? 3 : first >= 10 ? 2 : 1);
}
