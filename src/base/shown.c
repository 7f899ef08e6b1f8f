/*-------------------------------------------------------------------------
 *
 * shown.c
 *	  A user's value in a message: no more of it than people read.
 *
 * An argument may be a gigabyte long.  A message that repeats it takes several
 * times that memory, and is logged as well.
 *
 * IDENTIFICATION
 *	  src/base/shown.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "base/shown.h"

/* How many bytes of a value are shown: enough to recognize it. */
#define MAX_SHOWN	100

/*
 * A value as a message shows it: the whole value, or its beginning and dots;
 * palloc'd.
 */
const char *
hubspot_shown(const char *text)
{
	/* a few bytes more, so that the last character is whole */
	size_t		len = strnlen(text, MAX_SHOWN + MAX_MULTIBYTE_CHAR_LEN);

	if (len <= MAX_SHOWN)
		return text;
	return psprintf("%.*s...", pg_mbcliplen(text, len, MAX_SHOWN), text);
}
