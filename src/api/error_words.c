/*-------------------------------------------------------------------------
 *
 * error_words.c
 *	  What an error says, to be compared with others.
 *
 * IDENTIFICATION
 *	  src/api/error_words.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "api/error_fields.h"
#include "api/error_words.h"

static void append_without(StringInfo words, const char *text, const char *part);

/*
 * Status, category, subcategory, message and context as one text, palloc'd:
 * all that two errors must have in common to have one cause.  The correlation
 * id, which differs each time, is left out wherever it stands.
 */
char *
hubspot_error_words(const HubspotError *error)
{
	HubspotErrorFields fields;
	StringInfoData words;

	hubspot_read_error_fields(error->object, &fields);
	initStringInfo(&words);
	appendStringInfo(&words, "%d\n%s\n%.*s\n%.*s\n", error->http_status, error->category,
					 fields.sub_category.len, fields.sub_category.data ? fields.sub_category.data : "",
					 fields.context.len, fields.context.data ? fields.context.data : "");
	append_without(&words, fields.message ? fields.message : error->message,
				   error->correlation_id);
	return words.data;
}

/* Append a text, leaving out that part, which may be NULL, wherever it stands. */
static void
append_without(StringInfo words, const char *text, const char *part)
{
	const char *found;

	while (part && part[0] && (found = strstr(text, part)) != NULL)
	{
		appendBinaryStringInfo(words, text, found - text);
		text = found + strlen(part);
	}
	appendStringInfoString(words, text);
}
