/*-------------------------------------------------------------------------
 *
 * lexer.h
 *	  The tokens of JSON.
 *
 * IDENTIFICATION
 *	  src/lexer.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_LEXER_H
#define HUBSPOT_LEXER_H

#include "hubspot_assoc.h"

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
	HubspotToken token;			/* the current token, ... */
	const char *token_start;	/* ... where it begins ... */
	const char *token_end;		/* ... and ends */
	const char *previous_end;	/* where the one before ends */
	bool		has_escapes;	/* of a string: there are backslashes */
} HubspotLexer;

/* The tokens of one character. */
extern const uint8 hubspot_punctuation[256];

extern bool hubspot_lexer_begin(HubspotLexer *lexer, HubspotSlice text);
extern bool hubspot_lex_token(HubspotLexer *lexer);
extern bool hubspot_lexer_skip_value(HubspotLexer *lexer);
extern HubspotSlice hubspot_lexer_scalar(const HubspotLexer *lexer);
extern HubspotSlice hubspot_lexer_decoded(const HubspotLexer *lexer);
extern char *hubspot_text_from_utf8(const char *text, size_t len);

/* As hubspot_lex_token; most tokens are punctuation after no white space. */
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

#endif							/* HUBSPOT_LEXER_H */
