/*-------------------------------------------------------------------------
 *
 * number.h
 *	  How long a number of JSON is when it is written out.
 *
 * jsonb keeps 1e131071 in 8 bytes, and its text has 131072 digits.  Whoever writes a client's number out asks first.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_NUMBER_H
#define TASKAPI_NUMBER_H

#include "utils/numeric.h"

/* The digits of a finite number's text, before and after its point, without writing it. */
extern int	taskapi_number_digits(Numeric number);

#endif							/* TASKAPI_NUMBER_H */
