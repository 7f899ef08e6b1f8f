/*-------------------------------------------------------------------------
 *
 * lexer.c
 *	  The tokens of JSON.
 *
 * json.c says why the server's lexer is not used.  Escapes are checked for all
 * strings, and decoded for those that are wanted.  A string may hold any bytes
 * but control characters; whether they are valid UTF-8 is seen when they become
 * a text of the server (text.c).
 *
 * IDENTIFICATION
 *	  src/json/lexer.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "base/digits.h"
#include "json/lexer.h"
#include "json/text.h"

/* The tokens of one character. */
const uint8 hubspot_punctuation[256] = {
	['{'] = HUBSPOT_TOKEN_OBJECT_START,
	['}'] = HUBSPOT_TOKEN_OBJECT_END,
	['['] = HUBSPOT_TOKEN_ARRAY_START,
	[']'] = HUBSPOT_TOKEN_ARRAY_END,
	[','] = HUBSPOT_TOKEN_COMMA,
	[':'] = HUBSPOT_TOKEN_COLON
};

static bool lex_string(HubspotLexer *lexer);
static bool lex_number(HubspotLexer *lexer);
static inline bool skip_digits(const char **p, const char *end);
static bool lex_word(HubspotLexer *lexer, const char *word,
					 HubspotToken token);
static bool skip_strings(HubspotLexer *lexer);
static bool skip_scalars(HubspotLexer *lexer);
static bool skip_levels(HubspotLexer *lexer, StringInfo stack);
static inline HubspotToken end_of(char open);
static void decode_string(StringInfo out, const char *text, int len);
static int	decode_escape(StringInfo out, const char *text, const char *end);
static pg_wchar hex_escape(const char *text, const char *end);

static inline bool
is_scalar(HubspotToken token)
{
	return token == HUBSPOT_TOKEN_STRING || token == HUBSPOT_TOKEN_NUMBER ||
		token == HUBSPOT_TOKEN_TRUE || token == HUBSPOT_TOKEN_FALSE ||
		token == HUBSPOT_TOKEN_NULL;
}

/* Start on the first token; false if there is none. */
bool
hubspot_lexer_begin(HubspotLexer *lexer, HubspotSlice text)
{
	if (text.data == NULL)
		return false;
	lexer->end = text.data + text.len;
	lexer->token_end = text.data;
	return hubspot_lexer_next(lexer);
}

/* hubspot_lexer_next(), where no punctuation follows at once. */
bool
hubspot_lex_token(HubspotLexer *lexer)
{
	const char *p = lexer->token_end;

	lexer->previous_end = lexer->token_start = p;
	if (p < lexer->end && *p == '"')
		return lex_string(lexer);
	while (p < lexer->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	lexer->token_start = p;
	lexer->token_end = p + 1;
	if (p == lexer->end)
	{
		lexer->token = HUBSPOT_TOKEN_END;
		lexer->token_end = p;
		return true;
	}
	switch (*p)
	{
		case '"':
			return lex_string(lexer);
		case 't':
			return lex_word(lexer, "true", HUBSPOT_TOKEN_TRUE);
		case 'f':
			return lex_word(lexer, "false", HUBSPOT_TOKEN_FALSE);
		case 'n':
			return lex_word(lexer, "null", HUBSPOT_TOKEN_NULL);
		default:
			lexer->token = hubspot_punctuation[(unsigned char) *p];
			return lexer->token != HUBSPOT_TOKEN_NONE || lex_number(lexer);
	}
}

static bool
lex_string(HubspotLexer *lexer)
{
	const char *p = lexer->token_start + 1;
	const char *end = lexer->end;

	lexer->token = HUBSPOT_TOKEN_STRING;
	lexer->has_escapes = false;
	for (;;)
	{
		p = hubspot_skip_plain(p, end);
		if (p == end || (unsigned char) *p < ' ')
			return false;
		if (*p == '"')
		{
			lexer->token_end = p + 1;
			return true;
		}

		/* an escape */
		lexer->has_escapes = true;
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
lex_number(HubspotLexer *lexer)
{
	const char *p = lexer->token_start;
	const char *end = lexer->end;
	const char *digits;

	if (*p == '-')
		p++;
	digits = p;
	if (!skip_digits(&p, end) || (*digits == '0' && p - digits > 1))
		return false;
	if (p < end && *p == '.')
	{
		p++;
		if (!skip_digits(&p, end))
			return false;
	}
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if (!skip_digits(&p, end))
			return false;
	}
	lexer->token = HUBSPOT_TOKEN_NUMBER;
	lexer->token_end = p;
	return true;
}

/* Go to the end of some digits; false: there are none. */
static inline bool
skip_digits(const char **p, const char *end)
{
	const char *start = *p;

	*p = hubspot_skip_digits(start, end);
	return *p > start;
}

static bool
lex_word(HubspotLexer *lexer, const char *word, HubspotToken token)
{
	size_t		len = strlen(word);

	lexer->token = token;
	lexer->token_end = lexer->token_start + len;
	return (size_t) (lexer->end - lexer->token_start) >= len &&
		memcmp(lexer->token_start, word, len) == 0;
}

/*
 * Skip an object or array of any depth, checking its grammar, without
 * recursion: the stack has a character for each level that is open.
 */
bool
hubspot_lexer_skip_container(HubspotLexer *lexer)
{
	HubspotLexer start;
	StringInfoData stack;
	char		end = (lexer->token == HUBSPOT_TOKEN_OBJECT_START) ? '}' : ']';
	bool		well_formed;

	/*
	 * most are empty, lists of texts, or objects of scalars: these need no
	 * stack
	 */
	if (lexer->token_end < lexer->end && *lexer->token_end == end)
	{
		(void) hubspot_lexer_next(lexer);
		return hubspot_lexer_next(lexer);
	}
	start = *lexer;
	if (lexer->token == HUBSPOT_TOKEN_ARRAY_START ? skip_strings(lexer) : skip_scalars(lexer))
		return true;
	*lexer = start;
	initStringInfo(&stack);
	well_formed = skip_levels(lexer, &stack);
	pfree(stack.data);
	return well_formed;
}

/* Skip an array of strings.  False: it holds something else. */
static bool
skip_strings(HubspotLexer *lexer)
{
	do
	{
		CHECK_FOR_INTERRUPTS();
		if (!hubspot_lexer_next(lexer) || lexer->token != HUBSPOT_TOKEN_STRING ||
			!hubspot_lexer_next(lexer))
			return false;
	} while (lexer->token == HUBSPOT_TOKEN_COMMA);
	return lexer->token == HUBSPOT_TOKEN_ARRAY_END && hubspot_lexer_next(lexer);
}

/* Skip an object of members that are neither objects nor arrays.  False: some are. */
static bool
skip_scalars(HubspotLexer *lexer)
{
	do
	{
		CHECK_FOR_INTERRUPTS();
		if (!hubspot_lexer_next(lexer) || lexer->token != HUBSPOT_TOKEN_STRING ||
			!hubspot_lexer_next(lexer) || lexer->token != HUBSPOT_TOKEN_COLON ||
			!hubspot_lexer_next(lexer) || !is_scalar(lexer->token) ||
			!hubspot_lexer_next(lexer))
			return false;
	} while (lexer->token == HUBSPOT_TOKEN_COMMA);
	return lexer->token == HUBSPOT_TOKEN_OBJECT_END && hubspot_lexer_next(lexer);
}

/* Skip until the stack, which is empty at the start, is empty again. */
static bool
skip_levels(HubspotLexer *lexer, StringInfo stack)
{
	bool		value_due = true;

	for (;;)
	{
		HubspotToken token = lexer->token;
		char		open = stack->len > 0 ? stack->data[stack->len - 1] : '\0';
		bool		first = false;

		CHECK_FOR_INTERRUPTS();

		if (value_due && (token == HUBSPOT_TOKEN_OBJECT_START ||
						  token == HUBSPOT_TOKEN_ARRAY_START))
		{
			open = (token == HUBSPOT_TOKEN_OBJECT_START) ? '{' : '[';
			appendStringInfoChar(stack, open);
			first = true;
		}
		else if (value_due)
		{
			if (!is_scalar(token))
				return false;
		}
		else if (token == end_of(open))
			stack->len--;
		else if (token != HUBSPOT_TOKEN_COMMA)
			return false;

		if (!hubspot_lexer_next(lexer))
			return false;
		if (stack->len == 0)
			return true;

		/* what may come next: an end, a comma, or (after those) a value */
		open = stack->data[stack->len - 1];
		if (first && lexer->token == end_of(open))
		{
			value_due = false;
			continue;
		}
		value_due = first || (!value_due && token == HUBSPOT_TOKEN_COMMA);
		if (value_due && open == '{' &&
			(lexer->token != HUBSPOT_TOKEN_STRING || !hubspot_lexer_next(lexer) ||
			 lexer->token != HUBSPOT_TOKEN_COLON || !hubspot_lexer_next(lexer)))
			return false;
	}
}

/* The token that ends the container that began with this character. */
static inline HubspotToken
end_of(char open)
{
	return open == '{' ? HUBSPOT_TOKEN_OBJECT_END : HUBSPOT_TOKEN_ARRAY_END;
}

/* hubspot_lexer_decoded(), of a string that has escapes. */
HubspotSlice
hubspot_lexer_decode(const HubspotLexer *lexer)
{
	HubspotSlice slice = hubspot_lexer_scalar(lexer);
	StringInfoData out;

	hubspot_text_begin(&out, slice.len);
	decode_string(&out, slice.data, slice.len);
	slice.data = out.data;
	slice.len = out.len;
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
	pg_wchar	code;

	if (text[1] != 'u')
	{
		const char *name = strchr(names, text[1]);

		appendStringInfoChar(out, name ? values[name - names] : text[1]);
		return 2;
	}
	code = hex_escape(text, end);
	if (is_utf16_surrogate_first(code))
	{
		pg_wchar	second = hex_escape(text + 6, end);

		if (is_utf16_surrogate_second(second))
		{
			hubspot_text_append_code_point(out, surrogate_pair_to_codepoint(code, second));
			return 12;
		}
	}

	/* no text of the server can hold NUL or half a surrogate pair */
	if (code == 0 || is_utf16_surrogate_first(code) ||
		is_utf16_surrogate_second(code))
		code = 0xFFFD;
	hubspot_text_append_code_point(out, code);
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
