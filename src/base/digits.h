/*-------------------------------------------------------------------------
 *
 * digits.h
 *	  Is a text all digits, and where do they end?
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

#include "port/pg_bitutils.h"

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

/* The end of the digits that a text begins with. */
static inline const char *
hubspot_skip_digits(const char *p, const char *end)
{
	const uint64 ones = UINT64CONST(0x0101010101010101);

	while (end - p >= 8)
	{
		uint64		bytes;
		uint64		others;

		memcpy(&bytes, p, 8);
		bytes ^= ones * '0';

		/* what is no digit sets its high bit; only bytes after it may err */
		others = (bytes | (bytes + ones * 0x76)) & (ones * 0x80);
		if (others != 0)
		{
#ifdef WORDS_BIGENDIAN
			break;
#else
			return p + pg_rightmost_one_pos64(others) / 8;
#endif
		}
		p += 8;
	}
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

#endif							/* HUBSPOT_BASE_DIGITS_H */
