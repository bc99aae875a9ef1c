/*-------------------------------------------------------------------------
 *
 * base64url.h
 *	  The URL-safe base64 of RFC 4648, section 5, without padding.
 *
 * Strict: one text per byte string.  Padding, white space, the characters of
 * plain base64 ('+', '/') and trailing bits that are not zero are refused, so
 * that no token has a second spelling.  Pure functions, no allocation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_BASE64URL_H
#define TASKAPI_BASE64URL_H

/* Characters for "len" bytes, and (at most) bytes for "len" characters. */
#define TASKAPI_BASE64URL_ENCODED_LEN(len) (((len) / 3) * 4 + (((len) % 3) ? (len) % 3 + 1 : 0))
#define TASKAPI_BASE64URL_DECODED_LEN(len) (((len) / 4) * 3 + (((len) % 4) ? (len) % 4 - 1 : 0))

/* Writes exactly the encoded length, no NUL; returns it. */
extern int	taskapi_base64url_encode(const uint8 *src, int len, char *dst);

/* Returns how many bytes were written, or -1 for anything that encode does not write. */
extern int	taskapi_base64url_decode(const char *src, int len, uint8 *dst);

#endif							/* TASKAPI_BASE64URL_H */
