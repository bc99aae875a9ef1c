/*-------------------------------------------------------------------------
 *
 * hex.h
 *	  A hexadecimal digit.  A header without a .c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_HEX_H
#define TASKAPI_HEX_H

/* Its value; -1 for any other character. */
static inline int
taskapi_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

#endif							/* TASKAPI_HEX_H */
