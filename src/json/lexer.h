/*-------------------------------------------------------------------------
 *
 * lexer.h
 *	  The tokens of JSON.
 *
 * IDENTIFICATION
 *	  src/json/lexer.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_JSON_LEXER_H
#define HUBSPOT_JSON_LEXER_H

#include "port/pg_bitutils.h"

#include "hubspot.h"

typedef enum HubspotToken
{
	HUBSPOT_TOKEN_NONE,
	HUBSPOT_TOKEN_STRING,
	HUBSPOT_TOKEN_NUMBER,
	HUBSPOT_TOKEN_TRUE,
	HUBSPOT_TOKEN_FALSE,
	HUBSPOT_TOKEN_NULL,
	HUBSPOT_TOKEN_OBJECT_START,
	HUBSPOT_TOKEN_OBJECT_END,
	HUBSPOT_TOKEN_ARRAY_START,
	HUBSPOT_TOKEN_ARRAY_END,
	HUBSPOT_TOKEN_COMMA,
	HUBSPOT_TOKEN_COLON,
	HUBSPOT_TOKEN_END
} HubspotToken;

typedef struct HubspotLexer
{
	const char *end;			/* of the text */
	HubspotToken token;			/* the current token */
	const char *token_start;	/* where the current token begins */
	const char *token_end;		/* where the current token ends */
	const char *previous_end;	/* where the token before it ends */
	bool		has_escapes;	/* the current token, a string, has
								 * backslashes */
} HubspotLexer;

/* The tokens of one character. */
extern const uint8 hubspot_punctuation[256];

extern bool hubspot_lexer_begin(HubspotLexer *lexer, HubspotSlice text);
extern bool hubspot_lex_token(HubspotLexer *lexer);
extern bool hubspot_lexer_skip_container(HubspotLexer *lexer);
extern HubspotSlice hubspot_lexer_decode(const HubspotLexer *lexer);

/*
 * Go to the next token, which is HUBSPOT_TOKEN_END at the end of the text.  False:
 * what stands there does not begin a token.  Most tokens are punctuation without
 * white space before it.
 */
static inline bool
hubspot_lexer_next(HubspotLexer *lexer)
{
	const char *p = lexer->token_end;

	if (p < lexer->end &&
		hubspot_punctuation[(unsigned char) *p] != HUBSPOT_TOKEN_NONE)
	{
		lexer->token = hubspot_punctuation[(unsigned char) *p];
		lexer->previous_end = lexer->token_start = p;
		lexer->token_end = p + 1;
		return true;
	}
	return hubspot_lex_token(lexer);
}

/*
 * If what comes next is this key, which is given with its quotes and its colon,
 * go to that colon; otherwise stay.
 */
static inline bool
hubspot_lexer_take_key(HubspotLexer *lexer, const char *key, int len)
{
	const char *p = lexer->token_end;

	if (lexer->end - p < len || !hubspot_same_bytes(p, key, len))
		return false;
	lexer->token = HUBSPOT_TOKEN_COLON;
	lexer->token_end = p + len;
	lexer->token_start = lexer->previous_end = lexer->token_end - 1;
	return true;
}

/*
 * Which of eight bytes ends or interrupts the plain part of a string?  The
 * lowest bit that is set is in the first of them, seen from the low end.
 */
static inline uint64
hubspot_special_bytes(uint64 bytes)
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

/* The end of the plain part of a string. */
static inline const char *
hubspot_skip_plain(const char *p, const char *end)
{
	while (end - p >= 8)
	{
		uint64		bytes;
		uint64		special;

		memcpy(&bytes, p, 8);
		special = hubspot_special_bytes(bytes);
		if (special != 0)
		{
#ifdef WORDS_BIGENDIAN
			break;
#else
			return p + pg_rightmost_one_pos64(special) / 8;
#endif
		}
		p += 8;
	}
	while (p < end && *p != '"' && *p != '\\' && (unsigned char) *p >= ' ')
		p++;
	return p;
}

/*
 * If what comes next is a string without an escape, without white space around it, set
 * its text and go on to what follows it; otherwise stay.
 */
static inline bool
hubspot_lexer_take_string(HubspotLexer *lexer, HubspotSlice *text)
{
	const char *start = lexer->token_end + 1;
	const char *end;

	if (lexer->end - start < 1 || start[-1] != '"')
		return false;
	end = hubspot_skip_plain(start, lexer->end);
	if (lexer->end - end < 2 || *end != '"' ||
		hubspot_punctuation[(unsigned char) end[1]] == HUBSPOT_TOKEN_NONE)
		return false;
	text->data = start;
	text->len = end - start;
	lexer->token = hubspot_punctuation[(unsigned char) end[1]];
	lexer->token_start = lexer->previous_end = end + 1;
	lexer->token_end = end + 2;
	return true;
}

/* Skip a value, checking its grammar; false: it isn't well-formed. */
static inline bool
hubspot_lexer_skip_value(HubspotLexer *lexer)
{
	switch (lexer->token)
	{
		case HUBSPOT_TOKEN_STRING:
		case HUBSPOT_TOKEN_NUMBER:
		case HUBSPOT_TOKEN_TRUE:
		case HUBSPOT_TOKEN_FALSE:
		case HUBSPOT_TOKEN_NULL:
			return hubspot_lexer_next(lexer);
		case HUBSPOT_TOKEN_OBJECT_START:
		case HUBSPOT_TOKEN_ARRAY_START:
			return hubspot_lexer_skip_container(lexer);
		default:
			return false;
	}
}

/* The current token's text as it came, without the quotes of a string. */
static inline HubspotSlice
hubspot_lexer_scalar(const HubspotLexer *lexer)
{
	int			quote = (lexer->token == HUBSPOT_TOKEN_STRING) ? 1 : 0;
	HubspotSlice slice;

	slice.data = lexer->token_start + quote;
	slice.len = lexer->token_end - lexer->token_start - 2 * quote;
	return slice;
}

/* Likewise, with its escapes decoded. */
static inline HubspotSlice
hubspot_lexer_decoded(const HubspotLexer *lexer)
{
	if (lexer->token == HUBSPOT_TOKEN_STRING && lexer->has_escapes)
		return hubspot_lexer_decode(lexer);
	return hubspot_lexer_scalar(lexer);
}

#endif							/* HUBSPOT_JSON_LEXER_H */
