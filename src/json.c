/*-------------------------------------------------------------------------
 *
 * json.c
 *	  Reading JSON by declared fields.
 *
 * A reply of thousands of results is read in one pass, without a tree: a
 * table says which fields matter, and the values go straight into a struct.
 * Everything else is skipped, its grammar checked.
 *
 * The server has a JSON parser for its own purposes, which doesn't suit here:
 * it recurses, and throws an error when a reply nests too deeply; it refuses a
 * reply in which any string holds \u0000 or half a surrogate pair, and so
 * would hide all the others; and even its lexer alone, driven from here, takes
 * twice as long as reading and matching with the one below.  (What becomes
 * jsonb is built by the server's own functions.)
 *
 * Nothing here throws an error because of what the text holds: a text that is
 * not JSON is a false result, a value of an unexpected kind is skipped (its
 * field stays as it was), and what cannot be a text in the server's encoding
 * is replaced, by U+FFFD or a question mark.
 *
 * IDs are slices of the text that was read, unless an escape in them had to be
 * decoded; texts and lists are palloc'd in the current memory context.
 *
 * IDENTIFICATION
 *	  src/json.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "json.h"

/*
 * jsonb of more levels is given as a string: the server's own functions
 * recurse over it.
 */
#define MAX_JSONB_DEPTH		200

/* Numbers beyond this are given as strings: numeric has limits of its own. */
#define MAX_NUMBER_LEN		1000
#define MAX_NUMBER_EXPONENT	1000

typedef enum Token
{
	TOKEN_STRING,
	TOKEN_NUMBER,
	TOKEN_TRUE,
	TOKEN_FALSE,
	TOKEN_NULL,
	TOKEN_OBJECT_START,
	TOKEN_OBJECT_END,
	TOKEN_ARRAY_START,
	TOKEN_ARRAY_END,
	TOKEN_COMMA,
	TOKEN_COLON,
	TOKEN_END
} Token;

typedef struct JsonReader
{
	const char *end;			/* of the text */
	Token		token;			/* the current token, ... */
	const char *token_start;	/* ... where it begins ... */
	const char *token_end;		/* ... and ends */
	const char *previous_end;	/* where the one before ends */
	bool		has_escapes;	/* of a string: there are backslashes */
	void	   *state;			/* for the items of lists */
} JsonReader;

static void append_converted(StringInfo out, const char *text, int n);
static bool open_reader(JsonReader *reader, HubspotSlice text, void *state);
static bool next_token(JsonReader *reader);
static bool lex_string(JsonReader *reader);
static bool lex_number(JsonReader *reader);
static bool lex_word(JsonReader *reader, const char *word, Token token);
static bool read_object(JsonReader *reader, const HubspotJsonShape *shape,
						void *target);
static const HubspotJsonField *find_field(const JsonReader *reader,
										  const HubspotJsonShape *shape,
										  int *expected);
static bool read_value(JsonReader *reader, const HubspotJsonField *field,
					   void *target);
static bool read_list(JsonReader *reader, const HubspotJsonShape *shape);
static bool read_texts(JsonReader *reader, List **texts);
static bool read_int(const JsonReader *reader, int32 *result);
static bool skip_value(JsonReader *reader);
static HubspotSlice scalar_slice(const JsonReader *reader);
static HubspotSlice decoded_slice(const JsonReader *reader);
static void decode_string(StringInfo out, const char *text, int len);
static int	decode_escape(StringInfo out, const char *text, const char *end);
static pg_wchar hex_escape(const char *text, const char *end);
static void append_code_point(StringInfo out, pg_wchar code);
static bool build_jsonb(JsonReader *reader, JsonbParseState **builder,
						JsonbValue **result);
static bool jsonb_scalar(const JsonReader *reader, JsonbValue *value);
static bool number_fits(const char *text, int len);

/*
 * Read a JSON object into *target, by shape.  False: the text is not one
 * JSON object and nothing else; what was read until then remains.
 */
bool
hubspot_json_read(HubspotSlice text, const HubspotJsonShape *shape,
				  void *target, void *state)
{
	JsonReader	reader;

	return open_reader(&reader, text, state) &&
		reader.token == TOKEN_OBJECT_START &&
		read_object(&reader, shape, target) &&
		reader.token == TOKEN_END;
}

/*
 * Give each member of an object to member(): its name decoded, its value as
 * it came.  For objects whose keys say something.  Not an object: no call.
 */
void
hubspot_json_each_member(HubspotSlice object, void *state,
						 void (*member) (void *state, HubspotSlice name,
										 HubspotSlice value))
{
	JsonReader	reader;

	if (!open_reader(&reader, object, state) ||
		reader.token != TOKEN_OBJECT_START || !next_token(&reader))
		return;
	while (reader.token == TOKEN_STRING)
	{
		HubspotSlice name = decoded_slice(&reader);
		HubspotSlice value;

		if (!next_token(&reader) || reader.token != TOKEN_COLON ||
			!next_token(&reader))
			break;
		value.data = reader.token_start;
		if (!skip_value(&reader))
			break;
		value.len = reader.previous_end - value.data;
		member(state, name, value);
		if (reader.token != TOKEN_COMMA || !next_token(&reader))
			break;
	}
}

/*
 * The strings and numbers of an array, or the one that the value itself is,
 * as a list of char *.
 */
List *
hubspot_json_texts(HubspotSlice value)
{
	JsonReader	reader;
	List	   *texts = NIL;

	if (open_reader(&reader, value, NULL))
	{
		if (reader.token == TOKEN_ARRAY_START)
			(void) read_texts(&reader, &texts);
		else if (reader.token == TOKEN_STRING ||
				 reader.token == TOKEN_NUMBER)
		{
			HubspotSlice slice = decoded_slice(&reader);

			texts = list_make1(hubspot_text_from_utf8(slice.data, slice.len));
		}
	}
	return texts;
}

/*
 * A text from outside as jsonb: as the value that it is, or, where it is not
 * JSON or nests too deeply for the server, as a jsonb string of the text.
 * NULL if there is no text.
 */
Jsonb *
hubspot_json_to_jsonb(HubspotSlice text)
{
	JsonReader	reader;
	JsonbParseState *builder = NULL;
	JsonbValue	scalar;
	JsonbValue *value = &scalar;
	bool		built;

	if (text.data == NULL || text.len == 0)
		return NULL;
	built = open_reader(&reader, text, NULL) &&
		build_jsonb(&reader, &builder, &value) &&
		reader.token == TOKEN_END;
	if (!built)
	{
		value = &scalar;
		scalar.type = jbvString;
		scalar.val.string.val = hubspot_text_from_utf8(text.data, text.len);
		scalar.val.string.len = strlen(scalar.val.string.val);
	}
	return JsonbValueToJsonb(value);
}

/*
 * UTF-8 from outside as a C string in the server's encoding, palloc'd.  What
 * is not valid, or does not exist in that encoding, is replaced.
 */
char *
hubspot_text_from_utf8(const char *text, size_t len)
{
	const char *end = text + len;
	StringInfoData out;

	initStringInfo(&out);
	while (text < end)
	{
		const char *ascii = text;
		int			n;

		while (text < end && *text != '\0' && !IS_HIGHBIT_SET(*text))
			text++;
		appendBinaryStringInfo(&out, ascii, text - ascii);
		if (text == end)
			break;
		n = pg_encoding_verifymbchar(PG_UTF8, text, end - text);
		append_converted(&out, text, n);
		text += Max(n, 1);
	}
	return out.data;
}

/* Append one character of UTF-8, or a replacement if n says it isn't valid. */
static void
append_converted(StringInfo out, const char *text, int n)
{
	int			encoding = GetDatabaseEncoding();
	Oid			proc = InvalidOid;
	unsigned char buffer[MAX_CONVERSION_GROWTH * 8];

	if (encoding == PG_UTF8)
	{
		if (n > 0)
			appendBinaryStringInfo(out, text, n);
		else
			append_code_point(out, 0xFFFD);
		return;
	}
	if (n > 0 && encoding != PG_SQL_ASCII)
		proc = FindDefaultConversionProc(PG_UTF8, encoding);
	if (OidIsValid(proc) &&
		pg_do_encoding_conversion_buf(proc, PG_UTF8, encoding,
									  (unsigned char *) unconstify(char *, text),
									  n, buffer, sizeof(buffer), true) == n)
		appendStringInfoString(out, (char *) buffer);
	else
		appendStringInfoChar(out, '?');
}

/* Start on the first token; false if there is none. */
static bool
open_reader(JsonReader *reader, HubspotSlice text, void *state)
{
	if (text.data == NULL)
		return false;
	reader->end = text.data + text.len;
	reader->token_end = text.data;
	reader->state = state;
	return next_token(reader);
}

/*
 * Go to the next token, which is TOKEN_END at the end of the text.  False:
 * what stands there begins none.
 */
static bool
next_token(JsonReader *reader)
{
	const char *p = reader->token_end;

	reader->previous_end = p;
	while (p < reader->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	reader->token_start = p;
	reader->token_end = p + 1;
	if (p == reader->end)
	{
		reader->token = TOKEN_END;
		reader->token_end = p;
		return true;
	}
	switch (*p)
	{
		case '"':
			return lex_string(reader);
		case '{':
			reader->token = TOKEN_OBJECT_START;
			return true;
		case '}':
			reader->token = TOKEN_OBJECT_END;
			return true;
		case '[':
			reader->token = TOKEN_ARRAY_START;
			return true;
		case ']':
			reader->token = TOKEN_ARRAY_END;
			return true;
		case ',':
			reader->token = TOKEN_COMMA;
			return true;
		case ':':
			reader->token = TOKEN_COLON;
			return true;
		case 't':
			return lex_word(reader, "true", TOKEN_TRUE);
		case 'f':
			return lex_word(reader, "false", TOKEN_FALSE);
		case 'n':
			return lex_word(reader, "null", TOKEN_NULL);
		default:
			return lex_number(reader);
	}
}

/* Does any of the eight bytes end or interrupt the plain part of a string? */
static inline bool
has_special_byte(uint64 bytes)
{
	const uint64 ones = UINT64CONST(0x0101010101010101);
	const uint64 highs = ones * 0x80;
	uint64		quotes = bytes ^ (ones * '"');
	uint64		backslashes = bytes ^ (ones * '\\');

	/* a byte below n borrows; that of a zero byte is the one below 1 */
	return (((quotes - ones) & ~quotes) |
			((backslashes - ones) & ~backslashes) |
			((bytes - ones * ' ') & ~bytes)) & highs;
}

static bool
lex_string(JsonReader *reader)
{
	const char *p = reader->token_start + 1;
	const char *end = reader->end;

	reader->token = TOKEN_STRING;
	reader->has_escapes = false;
	for (;;)
	{
		uint64		bytes;

		while (end - p >= 8 &&
			   (memcpy(&bytes, p, 8), !has_special_byte(bytes)))
			p += 8;
		while (p < end && *p != '"' && *p != '\\' && (unsigned char) *p >= ' ')
			p++;
		if (p == end || (unsigned char) *p < ' ')
			return false;
		if (*p == '"')
		{
			reader->token_end = p + 1;
			return true;
		}

		/* an escape */
		reader->has_escapes = true;
		if (end - p < 2)
			return false;
		if (p[1] == 'u')
		{
			if (end - p < 6)
				return false;
			for (int i = 2; i < 6; i++)
			{
				if (!isxdigit((unsigned char) p[i]))
					return false;
			}
			p += 6;
		}
		else if (p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) != NULL)
			p += 2;
		else
			return false;
	}
}

static bool
lex_number(JsonReader *reader)
{
	const char *p = reader->token_start;
	const char *end = reader->end;
	const char *digits;

#define SKIP_DIGITS() \
	for (digits = p; p < end && *p >= '0' && *p <= '9'; p++)

	if (*p == '-')
		p++;
	SKIP_DIGITS();
	if (p == digits || (*digits == '0' && p - digits > 1))
		return false;
	if (p < end && *p == '.')
	{
		p++;
		SKIP_DIGITS();
		if (p == digits)
			return false;
	}
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		SKIP_DIGITS();
		if (p == digits)
			return false;
	}
#undef SKIP_DIGITS
	reader->token = TOKEN_NUMBER;
	reader->token_end = p;
	return true;
}

static bool
lex_word(JsonReader *reader, const char *word, Token token)
{
	size_t		len = strlen(word);

	reader->token = token;
	reader->token_end = reader->token_start + len;
	return (size_t) (reader->end - reader->token_start) >= len &&
		memcmp(reader->token_start, word, len) == 0;
}

/*
 * The functions below begin on the first token of what they read and end on
 * the one after it.
 */
static bool
read_object(JsonReader *reader, const HubspotJsonShape *shape, void *target)
{
	int			expected = 0;

	if (!next_token(reader))
		return false;
	if (reader->token == TOKEN_OBJECT_END)
		return next_token(reader);
	for (;;)
	{
		const HubspotJsonField *field;

		if (reader->token != TOKEN_STRING)
			return false;
		field = find_field(reader, shape, &expected);
		if (!next_token(reader) || reader->token != TOKEN_COLON ||
			!next_token(reader))
			return false;
		if (field ? !read_value(reader, field, target) : !skip_value(reader))
			return false;
		if (reader->token == TOKEN_OBJECT_END)
			return next_token(reader);
		if (reader->token != TOKEN_COMMA || !next_token(reader))
			return false;
	}
}

/*
 * The declared field that the current token names, or NULL.  Objects tend to
 * have their fields in one order, so the search begins after the last hit.
 */
static const HubspotJsonField *
find_field(const JsonReader *reader, const HubspotJsonShape *shape,
		   int *expected)
{
	HubspotSlice name = decoded_slice(reader);

	for (int i = 0, n = *expected; i < shape->nfields; i++)
	{
		const HubspotJsonField *field = &shape->fields[n];

		if (++n == shape->nfields)
			n = 0;
		if (field->name_len == name.len &&
			memcmp(field->name, name.data, name.len) == 0)
		{
			*expected = n;
			return field;
		}
	}
	return NULL;
}

static bool
read_value(JsonReader *reader, const HubspotJsonField *field, void *target)
{
	void	   *member = (char *) target + field->offset;
	Token		token = reader->token;
	bool		scalar = (token == TOKEN_STRING ||
						  token == TOKEN_NUMBER);

	switch (field->kind)
	{
		case HUBSPOT_JSON_ID:
			if (scalar)
				*(HubspotSlice *) member = decoded_slice(reader);
			break;
		case HUBSPOT_JSON_INT:
			if (scalar)
				(void) read_int(reader, (int32 *) member);
			break;
		case HUBSPOT_JSON_TEXT:
			if (scalar)
			{
				HubspotSlice slice = decoded_slice(reader);

				*(char **) member = hubspot_text_from_utf8(slice.data, slice.len);
			}
			break;
		case HUBSPOT_JSON_TEXTS:
			if (token == TOKEN_ARRAY_START)
				return read_texts(reader, (List **) member);
			break;
		case HUBSPOT_JSON_OBJECT:
			/* nesting is bounded by that of the declared shapes */
			if (token == TOKEN_OBJECT_START)
				return read_object(reader, field->shape, target);
			break;
		case HUBSPOT_JSON_LIST:
			if (token == TOKEN_ARRAY_START)
				return read_list(reader, field->shape);
			break;
		case HUBSPOT_JSON_RAW:
			{
				HubspotSlice raw;

				raw.data = reader->token_start;
				if (!skip_value(reader))
					return false;
				raw.len = reader->previous_end - raw.data;
				*(HubspotSlice *) member = raw;
				return true;
			}
	}
	return skip_value(reader);
}

/* An array of objects; elements that are none are skipped. */
static bool
read_list(JsonReader *reader, const HubspotJsonShape *shape)
{
	void	   *item = palloc(shape->item_size);

	if (!next_token(reader))
		return false;
	if (reader->token == TOKEN_ARRAY_END)
		return next_token(reader);
	for (;;)
	{
		if (reader->token == TOKEN_OBJECT_START)
		{
			HubspotSlice raw;

			raw.data = reader->token_start;
			memset(item, 0, shape->item_size);
			if (!read_object(reader, shape, item))
				return false;
			raw.len = reader->previous_end - raw.data;
			shape->item(reader->state, item, raw);
		}
		else if (!skip_value(reader))
			return false;
		if (reader->token == TOKEN_ARRAY_END)
		{
			pfree(item);
			return next_token(reader);
		}
		if (reader->token != TOKEN_COMMA || !next_token(reader))
			return false;
	}
}

/* An array of strings or numbers; elements that are none are skipped. */
static bool
read_texts(JsonReader *reader, List **texts)
{
	if (!next_token(reader))
		return false;
	if (reader->token == TOKEN_ARRAY_END)
		return next_token(reader);
	for (;;)
	{
		if (reader->token == TOKEN_STRING ||
			reader->token == TOKEN_NUMBER)
		{
			HubspotSlice slice = decoded_slice(reader);

			*texts = lappend(*texts,
							 hubspot_text_from_utf8(slice.data, slice.len));
		}
		if (!skip_value(reader))
			return false;
		if (reader->token == TOKEN_ARRAY_END)
			return next_token(reader);
		if (reader->token != TOKEN_COMMA || !next_token(reader))
			return false;
	}
}

/* The current token as an int32; false, and *result as it was, if it's none. */
static bool
read_int(const JsonReader *reader, int32 *result)
{
	HubspotSlice digits = scalar_slice(reader);
	int64		value = 0;
	int			i;
	bool		negative = (digits.len > 0 && digits.data[0] == '-');

	for (i = negative ? 1 : 0; i < digits.len; i++)
	{
		if (!isdigit((unsigned char) digits.data[i]))
			return false;
		value = value * 10 + (digits.data[i] - '0');
		if (value > (int64) PG_INT32_MAX + 1)
			return false;
	}
	if (negative)
		value = -value;
	if (digits.len == (negative ? 1 : 0) || value > PG_INT32_MAX)
		return false;
	*result = (int32) value;
	return true;
}

/*
 * Skip a value of any depth, checking its grammar, without recursion: the
 * stack has a character for each level that is open.
 */
static bool
skip_value(JsonReader *reader)
{
	StringInfoData stack;
	bool		value_due = true;

	switch (reader->token)
	{
		case TOKEN_STRING:
		case TOKEN_NUMBER:
		case TOKEN_TRUE:
		case TOKEN_FALSE:
		case TOKEN_NULL:
			return next_token(reader);
		case TOKEN_OBJECT_START:
		case TOKEN_ARRAY_START:
			break;
		default:
			return false;
	}

	initStringInfo(&stack);
	for (;;)
	{
		Token		token = reader->token;
		char		open = stack.len > 0 ? stack.data[stack.len - 1] : '\0';
		bool		first = false;

		if (value_due && (token == TOKEN_OBJECT_START ||
						  token == TOKEN_ARRAY_START))
		{
			open = (token == TOKEN_OBJECT_START) ? '{' : '[';
			appendStringInfoChar(&stack, open);
			first = true;
		}
		else if (value_due)
		{
			if (token != TOKEN_STRING && token != TOKEN_NUMBER &&
				token != TOKEN_TRUE && token != TOKEN_FALSE &&
				token != TOKEN_NULL)
				break;
		}
		else if (token == (open == '{' ? TOKEN_OBJECT_END :
						   TOKEN_ARRAY_END))
			stack.len--;
		else if (token != TOKEN_COMMA)
			break;

		if (!next_token(reader))
			break;
		if (stack.len == 0)
		{
			pfree(stack.data);
			return true;
		}

		/* what may follow: an end, a comma, or (after those) a value */
		open = stack.data[stack.len - 1];
		if (first && reader->token == (open == '{' ? TOKEN_OBJECT_END :
									   TOKEN_ARRAY_END))
		{
			value_due = false;
			continue;
		}
		value_due = first || (!value_due && token == TOKEN_COMMA);
		if (value_due && open == '{')
		{
			if (reader->token != TOKEN_STRING || !next_token(reader) ||
				reader->token != TOKEN_COLON || !next_token(reader))
				break;
		}
	}
	pfree(stack.data);
	return false;
}

/* The current token's text, without a string's quotes, as it came. */
static HubspotSlice
scalar_slice(const JsonReader *reader)
{
	HubspotSlice slice;

	slice.data = reader->token_start;
	slice.len = reader->token_end - slice.data;
	if (reader->token == TOKEN_STRING)
	{
		slice.data++;
		slice.len -= 2;
	}
	return slice;
}

/* Likewise, with its escapes decoded. */
static HubspotSlice
decoded_slice(const JsonReader *reader)
{
	HubspotSlice slice = scalar_slice(reader);

	if (reader->token == TOKEN_STRING && reader->has_escapes)
	{
		StringInfoData out;

		initStringInfo(&out);
		decode_string(&out, slice.data, slice.len);
		slice.data = out.data;
		slice.len = out.len;
	}
	return slice;
}

/* The lexer has checked that the escapes are well-formed. */
static void
decode_string(StringInfo out, const char *text, int len)
{
	const char *end = text + len;

	while (text < end)
	{
		const char *escape = memchr(text, '\\', end - text);

		if (escape == NULL)
			escape = end;
		appendBinaryStringInfo(out, text, escape - text);
		text = escape;
		if (text + 1 < end)
			text += decode_escape(out, text, end);
		else
			break;
	}
}

/* One escape, from its backslash; returns its length. */
static int
decode_escape(StringInfo out, const char *text, const char *end)
{
	static const char names[] = "bfnrt";
	static const char values[] = "\b\f\n\r\t";
	const char *name;
	pg_wchar	code;

	if (text[1] != 'u')
	{
		name = strchr(names, text[1]);
		appendStringInfoChar(out, name ? values[name - names] : text[1]);
		return 2;
	}
	code = hex_escape(text, end);
	if (is_utf16_surrogate_first(code))
	{
		pg_wchar	second = hex_escape(text + 6, end);

		if (is_utf16_surrogate_second(second))
		{
			append_code_point(out, surrogate_pair_to_codepoint(code, second));
			return 12;
		}
	}

	/* half a pair, and NUL, can be in no text of the server */
	if (code == 0 || is_utf16_surrogate_first(code) ||
		is_utf16_surrogate_second(code))
		code = 0xFFFD;
	append_code_point(out, code);
	return 6;
}

/* The number of a \uXXXX at text, or 0 if none is there. */
static pg_wchar
hex_escape(const char *text, const char *end)
{
	pg_wchar	code = 0;

	if (end - text < 6 || text[0] != '\\' || text[1] != 'u')
		return 0;
	for (int i = 2; i < 6; i++)
	{
		int			c = tolower((unsigned char) text[i]);

		code = code * 16 + (isdigit(c) ? c - '0' : c - 'a' + 10);
	}
	return code;
}

static void
append_code_point(StringInfo out, pg_wchar code)
{
	unsigned char utf8[8];

	unicode_to_utf8(code, utf8);
	appendBinaryStringInfo(out, (char *) utf8, pg_utf_mblen(utf8));
}

/*
 * A value of any kind.  Containers are built with the builder's own stack,
 * so this needs none.
 */
static bool
build_jsonb(JsonReader *reader, JsonbParseState **builder, JsonbValue **result)
{
	int			depth = 0;
	bool		in_object[MAX_JSONB_DEPTH + 1];

	for (;;)
	{
		Token		token = reader->token;
		JsonbValue	value;

		CHECK_FOR_INTERRUPTS();
		switch (token)
		{
			case TOKEN_OBJECT_START:
			case TOKEN_ARRAY_START:
				if (++depth > MAX_JSONB_DEPTH)
					return false;
				in_object[depth] = (token == TOKEN_OBJECT_START);
				(void) pushJsonbValue(builder, in_object[depth] ?
									  WJB_BEGIN_OBJECT : WJB_BEGIN_ARRAY, NULL);
				if (!next_token(reader))
					return false;
				/* an end may follow at once, else the first key or value */
				if (reader->token == (in_object[depth] ? TOKEN_OBJECT_END :
									  TOKEN_ARRAY_END))
					break;
				goto key;
			default:
				if (!jsonb_scalar(reader, &value))
					return false;
				if (depth == 0)
				{
					**result = value;
					return next_token(reader);
				}
				(void) pushJsonbValue(builder, in_object[depth] ?
									  WJB_VALUE : WJB_ELEM, &value);
				if (!next_token(reader))
					return false;
		}

		/* after a value: close what ends here */
		while (reader->token == (in_object[depth] ? TOKEN_OBJECT_END :
								 TOKEN_ARRAY_END))
		{
			*result = pushJsonbValue(builder, in_object[depth] ?
									 WJB_END_OBJECT : WJB_END_ARRAY, NULL);
			depth--;
			if (!next_token(reader))
				return false;
			if (depth == 0)
				return true;
		}
		if (reader->token != TOKEN_COMMA || !next_token(reader))
			return false;

key:
		if (in_object[depth])
		{
			if (reader->token != TOKEN_STRING ||
				!jsonb_scalar(reader, &value))
				return false;
			(void) pushJsonbValue(builder, WJB_KEY, &value);
			if (!next_token(reader) || reader->token != TOKEN_COLON ||
				!next_token(reader))
				return false;
		}
	}
}

/* The current token as a scalar of jsonb; false if it is none. */
static bool
jsonb_scalar(const JsonReader *reader, JsonbValue *value)
{
	HubspotSlice slice = decoded_slice(reader);

	switch (reader->token)
	{
		case TOKEN_NULL:
			value->type = jbvNull;
			return true;
		case TOKEN_TRUE:
		case TOKEN_FALSE:
			value->type = jbvBool;
			value->val.boolean = (reader->token == TOKEN_TRUE);
			return true;
		case TOKEN_NUMBER:
			if (number_fits(slice.data, slice.len))
			{
				Datum		number;

				number = DirectFunctionCall3(numeric_in,
											 CStringGetDatum(pnstrdup(slice.data, slice.len)),
											 ObjectIdGetDatum(InvalidOid),
											 Int32GetDatum(-1));
				value->type = jbvNumeric;
				value->val.numeric = DatumGetNumeric(number);
				return true;
			}
			/* FALLTHROUGH */
		case TOKEN_STRING:
			value->type = jbvString;
			value->val.string.val = hubspot_text_from_utf8(slice.data, slice.len);
			value->val.string.len = strlen(value->val.string.val);
			return true;
		default:
			return false;
	}
}

/* Can numeric hold it for sure? */
static bool
number_fits(const char *text, int len)
{
	int			exponent = 0;
	int			i;

	if (len > MAX_NUMBER_LEN)
		return false;
	for (i = 0; i < len && text[i] != 'e' && text[i] != 'E'; i++)
		;
	for (i++; i < len; i++)
	{
		if (!isdigit((unsigned char) text[i]))
			continue;
		exponent = exponent * 10 + (text[i] - '0');
		if (exponent > MAX_NUMBER_EXPONENT)
			return false;
	}
	return true;
}
