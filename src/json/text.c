/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Texts from outside, in the encoding of the server.
 *
 * HubSpot's texts are UTF-8, or should be.  A text of the server must be valid in
 * the encoding of the database and has no NUL, so what cannot be such a text is
 * replaced: by U+FFFD where the encoding has it, and by a question mark
 * elsewhere.  Nothing here throws because of what a text holds.
 *
 * IDENTIFICATION
 *	  src/json/text.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/catalog_access.h"
#include "json/text.h"

static void append_converted(StringInfo out, const char *text, int n);
static bool is_ascii(const char *text, int len);
static FmgrInfo *find_conversion(void);
static FmgrInfo *find_other_conversion(void);
static bool look_up_conversion(FmgrInfo *conversion, int from, int to);

/*
 * UTF-8 from outside as a C string in the server's encoding, palloc'd.  A
 * character that is not valid, or does not exist in that encoding, is replaced.
 */
char *
hubspot_text_from_utf8(const char *text, size_t len)
{
	const char *end = text + len;
	StringInfoData out;

	hubspot_text_begin(&out, len);
	while (text < end)
	{
		const char *ascii = text;
		int			n;

		while (text < end && *text != '\0' && !IS_HIGHBIT_SET(*text))
			text++;
		appendBinaryStringInfo(&out, ascii, text - ascii);
		if (text == end)
			break;
		CHECK_FOR_INTERRUPTS();
		n = pg_encoding_verifymbchar(PG_UTF8, text, end - text);
		append_converted(&out, text, n);
		text += Max(n, 1);
	}
	return out.data;
}

/* Append a character by its number in Unicode, in UTF-8. */
void
hubspot_text_append_code_point(StringInfo out, pg_wchar code)
{
	unsigned char utf8[8];

	unicode_to_utf8(code, utf8);
	appendBinaryStringInfo(out, (char *) utf8, pg_utf_mblen(utf8));
}

/* Append one character of UTF-8, or a replacement if n says it isn't valid. */
static void
append_converted(StringInfo out, const char *text, int n)
{
	int			encoding = GetDatabaseEncoding();
	FmgrInfo   *conversion = NULL;
	char		buffer[MAX_CONVERSION_GROWTH * 8];

	if (encoding == PG_UTF8)
	{
		if (n > 0)
			appendBinaryStringInfo(out, text, n);
		else
			hubspot_text_append_code_point(out, 0xFFFD);
		return;
	}
	if (n > 0 && encoding != PG_SQL_ASCII)
		conversion = find_conversion();
	if (conversion &&
		DatumGetInt32(FunctionCall6(conversion, Int32GetDatum(PG_UTF8),
									Int32GetDatum(encoding),
									CStringGetDatum(text),
									CStringGetDatum(buffer), Int32GetDatum(n),
									BoolGetDatum(true))) == n)
		appendStringInfoString(out, buffer);
	else
		appendStringInfoChar(out, '?');
}

/*
 * A text of the server in UTF-8: itself, or a palloc'd copy.  False: it has something
 * that is not a character, or cannot be converted.
 */
bool
hubspot_text_to_utf8(const char *text, int len, const char **utf8, int *utf8_len)
{
	int			encoding = GetDatabaseEncoding();
	FmgrInfo   *conversion;
	char	   *converted;

	*utf8 = text;
	*utf8_len = len;
	if (encoding == PG_UTF8 || is_ascii(text, len))
		return true;
	if (encoding == PG_SQL_ASCII)
		return pg_encoding_verifymbstr(PG_UTF8, text, len) == len;
	conversion = find_other_conversion();
	if (conversion == NULL)
		return false;
	converted = palloc(len * MAX_CONVERSION_GROWTH + 1);
	*utf8 = converted;
	if (DatumGetInt32(FunctionCall6(conversion, Int32GetDatum(encoding),
									Int32GetDatum(PG_UTF8), CStringGetDatum(text),
									CStringGetDatum(converted), Int32GetDatum(len),
									BoolGetDatum(true))) != len)
		return false;
	*utf8_len = strlen(converted);
	return true;
}

/* ASCII is the same in all encodings that a server may have. */
static bool
is_ascii(const char *text, int len)
{
	for (int i = 0; i < len; i++)
	{
		if (IS_HIGHBIT_SET(text[i]))
			return false;
	}
	return true;
}

/* The conversion from UTF-8 to the server's encoding, or NULL. */
static FmgrInfo *
find_conversion(void)
{
	static FmgrInfo conversion;
	static bool looked_up = false;

	if (!looked_up)
		looked_up = look_up_conversion(&conversion, PG_UTF8, GetDatabaseEncoding());
	return OidIsValid(conversion.fn_oid) ? &conversion : NULL;
}

/* The conversion from the server's encoding to UTF-8, or NULL. */
static FmgrInfo *
find_other_conversion(void)
{
	static FmgrInfo conversion;
	static bool looked_up = false;

	if (!looked_up)
		looked_up = look_up_conversion(&conversion, GetDatabaseEncoding(), PG_UTF8);
	return OidIsValid(conversion.fn_oid) ? &conversion : NULL;
}

/*
 * Look up a conversion, once a session for each.  True: that has been done, even if there
 * is none.
 */
static bool
look_up_conversion(FmgrInfo *conversion, int from, int to)
{
	HubspotCatalogAccess access = hubspot_begin_catalog_access();
	Oid			proc = FindDefaultConversionProc(from, to);

	if (OidIsValid(proc))
		fmgr_info_cxt(proc, conversion, TopMemoryContext);
	hubspot_end_catalog_access(access);
	return true;
}
