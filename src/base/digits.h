/*-------------------------------------------------------------------------
 *
 * digits.h
 *	  Is a text all digits?
 *
 * Nearly all ids are, and such an id needs no closer look.  So this is asked of
 * each id, more than once.
 *
 * IDENTIFICATION
 *	  src/base/digits.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_DIGITS_H
#define HUBSPOT_BASE_DIGITS_H

/* Eight bytes: the high half of each is 3, and remains so with 6 added. */
static inline bool
hubspot_eight_digits(const char *text)
{
	const uint64 ones = UINT64CONST(0x0101010101010101);
	uint64		bytes;

	memcpy(&bytes, text, 8);
	return (bytes & (ones * 0xF0)) == ones * 0x30 &&
		((bytes + ones * 6) & (ones * 0xF0)) == ones * 0x30;
}

/* A text of any length, even an empty one. */
static inline bool
hubspot_all_digits(const char *text, int len)
{
	const char *end = text + len;

	if (len >= 8)
	{
		for (; end - text > 8; text += 8)
		{
			if (!hubspot_eight_digits(text))
				return false;
		}
		/* these eight may overlap with those before */
		return hubspot_eight_digits(end - 8);
	}
	for (; text < end; text++)
	{
		if (*text < '0' || *text > '9')
			return false;
	}
	return true;
}

#endif							/* HUBSPOT_BASE_DIGITS_H */
