/*-------------------------------------------------------------------------
 *
 * shown.c
 *	  Somebody's value in a message: no more of it than anybody reads.
 *
 * An argument may have a gigabyte.  A message that repeats it takes that memory
 * several times, and comes to the log.
 *
 * IDENTIFICATION
 *	  src/base/shown.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "base/shown.h"

/* Bytes of a value, enough to know it again. */
#define MAX_SHOWN	100

/* A value as a message shows it: itself, or its beginning and dots; palloc'd. */
const char *
hubspot_shown(const char *text)
{
	/* a few more, so that the last character is whole */
	size_t		len = strnlen(text, MAX_SHOWN + MAX_MULTIBYTE_CHAR_LEN);

	if (len <= MAX_SHOWN)
		return text;
	return psprintf("%.*s...", pg_mbcliplen(text, len, MAX_SHOWN), text);
}
