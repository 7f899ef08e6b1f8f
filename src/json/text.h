/*-------------------------------------------------------------------------
 *
 * text.h
 *	  Texts from outside, in the encoding of the server.
 *
 * IDENTIFICATION
 *	  src/json/text.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_JSON_TEXT_H
#define HUBSPOT_JSON_TEXT_H

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

extern char *hubspot_text_from_utf8(const char *text, size_t len);
extern bool hubspot_text_to_utf8(const char *text, int len, const char **utf8,
								 int *utf8_len);
extern void hubspot_text_append_code_point(StringInfo out, pg_wchar code);

/*
 * As initStringInfo, for a text of about that length, since there may be many.
 */
static inline void
hubspot_text_begin(StringInfo text, size_t len)
{
	text->data = palloc(len + 1);
	text->maxlen = len + 1;
	text->len = 0;
	text->cursor = 0;
	text->data[0] = '\0';
}

#endif							/* HUBSPOT_JSON_TEXT_H */
