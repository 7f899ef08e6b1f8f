/*-------------------------------------------------------------------------
 *
 * jsonb.c
 *	  A JSON text from outside as jsonb.
 *
 * The server's own input function would refuse a text that nests too deeply,
 * or in which any string holds \u0000 or half a surrogate pair, by an ERROR.  So
 * the text is read by the extension's lexer, which replaces such characters, and
 * built by the functions that the server's input function uses, too.
 *
 * IDENTIFICATION
 *	  src/json/jsonb.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "json/jsonb.h"
#include "json/lexer.h"
#include "json/text.h"

/*
 * JSON of more levels becomes a string: the server's own functions recurse
 * over jsonb.
 */
#define MAX_DEPTH		200

/* Numbers beyond this are given as strings: numeric has limits of its own. */
#define MAX_NUMBER_LEN		1000
#define MAX_NUMBER_EXPONENT	1000

/*
 * How much memory the server needs to build a container or another value of
 * jsonb, keys included; and how much it may need for a text: a fixed amount,
 * and more for each byte.  HubSpot's lists of associations, its densest
 * answers, need 17 times their size.
 */
#define OBJECT_MEMORY			600
#define ARRAY_MEMORY			220
#define SCALAR_MEMORY			48
#define ENOUGH_MEMORY			(16 * 1024 * 1024)
#define MEMORY_PER_BYTE			18

/* A value that is being built, and where in it the lexer is. */
typedef struct JsonbBuilder
{
	HubspotLexer lexer;
	JsonbParseState *state;		/* the server's, with a stack of its own */
	int			depth;			/* containers that are open */
	bool		in_object[MAX_DEPTH + 1];	/* whether each, from 1, is an
											 * object */
	JsonbValue	scalar;			/* the value, if it is not a container */
	JsonbValue *result;			/* the value, when it is complete */
} JsonbBuilder;

static bool is_affordable(HubspotSlice text);
static bool build(JsonbBuilder *builder);
static bool open_container(JsonbBuilder *builder);
static bool close_containers(JsonbBuilder *builder);
static HubspotToken end_of_container(const JsonbBuilder *builder);
static bool push_key(JsonbBuilder *builder);
static bool read_scalar(const HubspotLexer *lexer, JsonbValue *value);
static bool number_fits(const char *text, int len);

/*
 * A text from outside as jsonb: as the value that it is, or, where it is not
 * JSON, nests too deeply or has too many values for the server, as a jsonb string
 * of the text.  NULL if there is no text.
 */
Jsonb *
hubspot_json_to_jsonb(HubspotSlice text)
{
	MemoryContext context;
	MemoryContext old;
	JsonbBuilder builder = {0};
	Jsonb	   *result;

	if (text.data == NULL || text.len == 0)
		return NULL;
	context = AllocSetContextCreate(CurrentMemoryContext, "hubspot_assoc jsonb",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	if (!(is_affordable(text) &&
		  hubspot_lexer_begin(&builder.lexer, text) &&
		  build(&builder) &&
		  builder.lexer.token == HUBSPOT_TOKEN_END))
	{
		MemoryContextReset(context);
		builder.result = &builder.scalar;
		builder.scalar.type = jbvString;
		builder.scalar.val.string.val = hubspot_text_from_utf8(text.data, text.len);
		builder.scalar.val.string.len = strlen(builder.scalar.val.string.val);
	}
	MemoryContextSwitchTo(old);
	result = JsonbValueToJsonb(builder.result);
	MemoryContextDelete(context);
	return result;
}

/*
 * Would building the jsonb take no more memory than it takes for HubSpot's own
 * answers?  An array of millions of zeros takes a hundred times its size.
 */
static bool
is_affordable(HubspotSlice text)
{
	const int64 most = ENOUGH_MEMORY + MEMORY_PER_BYTE * (int64) text.len;
	int64		memory = 0;
	HubspotLexer lexer;

	if (!hubspot_lexer_begin(&lexer, text))
		return false;
	while (lexer.token != HUBSPOT_TOKEN_END && memory <= most)
	{
		CHECK_FOR_INTERRUPTS();
		if (lexer.token == HUBSPOT_TOKEN_OBJECT_START)
			memory += OBJECT_MEMORY;
		else if (lexer.token == HUBSPOT_TOKEN_ARRAY_START)
			memory += ARRAY_MEMORY;
		else if (lexer.token != HUBSPOT_TOKEN_COMMA && lexer.token != HUBSPOT_TOKEN_COLON &&
				 lexer.token != HUBSPOT_TOKEN_OBJECT_END &&
				 lexer.token != HUBSPOT_TOKEN_ARRAY_END)
			memory += SCALAR_MEMORY;
		if (!hubspot_lexer_next(&lexer))
			return false;
	}
	return memory <= most;
}

/*
 * Build the value on whose first token the lexer is, and go to the token after
 * it.  The server's functions have a stack for the containers, so nothing
 * recurses here.  False: the text is not JSON, or nests too deeply.
 */
static bool
build(JsonbBuilder *builder)
{
	HubspotLexer *lexer = &builder->lexer;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (lexer->token == HUBSPOT_TOKEN_OBJECT_START ||
			lexer->token == HUBSPOT_TOKEN_ARRAY_START)
		{
			if (!open_container(builder))
				return false;
			if (lexer->token != end_of_container(builder))
			{
				if (builder->in_object[builder->depth] && !push_key(builder))
					return false;
				continue;		/* with the first value in it */
			}
		}
		else
		{
			JsonbValue	value;

			if (!read_scalar(lexer, &value) || !hubspot_lexer_next(lexer))
				return false;
			if (builder->depth == 0)
			{
				builder->scalar = value;
				builder->result = &builder->scalar;
				return true;
			}
			(void) pushJsonbValue(&builder->state,
								  builder->in_object[builder->depth] ?
								  WJB_VALUE : WJB_ELEM, &value);
		}

		if (!close_containers(builder))
			return false;
		if (builder->depth == 0)
			return true;
		if (lexer->token != HUBSPOT_TOKEN_COMMA || !hubspot_lexer_next(lexer) ||
			(builder->in_object[builder->depth] && !push_key(builder)))
			return false;
	}
}

/* Open the container on whose start the lexer is, and go on from there. */
static bool
open_container(JsonbBuilder *builder)
{
	bool		is_object = (builder->lexer.token == HUBSPOT_TOKEN_OBJECT_START);

	if (++builder->depth > MAX_DEPTH)
		return false;
	builder->in_object[builder->depth] = is_object;
	(void) pushJsonbValue(&builder->state,
						  is_object ? WJB_BEGIN_OBJECT : WJB_BEGIN_ARRAY, NULL);
	return hubspot_lexer_next(&builder->lexer);
}

/* After a value in a container: close all of them that end here. */
static bool
close_containers(JsonbBuilder *builder)
{
	while (builder->depth > 0 &&
		   builder->lexer.token == end_of_container(builder))
	{
		bool		is_object = builder->in_object[builder->depth];

		builder->result = pushJsonbValue(&builder->state,
										 is_object ? WJB_END_OBJECT : WJB_END_ARRAY,
										 NULL);
		builder->depth--;
		if (!hubspot_lexer_next(&builder->lexer))
			return false;
	}
	return true;
}

/* The token that ends the innermost container that is open. */
static HubspotToken
end_of_container(const JsonbBuilder *builder)
{
	return builder->in_object[builder->depth] ? HUBSPOT_TOKEN_OBJECT_END :
		HUBSPOT_TOKEN_ARRAY_END;
}

/* The key of a member and its colon. */
static bool
push_key(JsonbBuilder *builder)
{
	HubspotLexer *lexer = &builder->lexer;
	JsonbValue	key;

	if (lexer->token != HUBSPOT_TOKEN_STRING || !read_scalar(lexer, &key))
		return false;
	(void) pushJsonbValue(&builder->state, WJB_KEY, &key);
	return hubspot_lexer_next(lexer) && lexer->token == HUBSPOT_TOKEN_COLON &&
		hubspot_lexer_next(lexer);
}

/* The current token as a scalar of jsonb.  False: it is not a scalar. */
static bool
read_scalar(const HubspotLexer *lexer, JsonbValue *value)
{
	HubspotSlice slice = hubspot_lexer_decoded(lexer);

	switch (lexer->token)
	{
		case HUBSPOT_TOKEN_NULL:
			value->type = jbvNull;
			return true;
		case HUBSPOT_TOKEN_TRUE:
		case HUBSPOT_TOKEN_FALSE:
			value->type = jbvBool;
			value->val.boolean = (lexer->token == HUBSPOT_TOKEN_TRUE);
			return true;
		case HUBSPOT_TOKEN_NUMBER:
			if (number_fits(slice.data, slice.len))
			{
				char	   *text = pnstrdup(slice.data, slice.len);
				Datum		number;

				number = DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											 ObjectIdGetDatum(InvalidOid),
											 Int32GetDatum(-1));
				value->type = jbvNumeric;
				value->val.numeric = DatumGetNumeric(number);
				pfree(text);
				return true;
			}
			/* FALLTHROUGH */
		case HUBSPOT_TOKEN_STRING:
			value->type = jbvString;
			value->val.string.val = hubspot_text_from_utf8(slice.data, slice.len);
			value->val.string.len = strlen(value->val.string.val);
			return true;
		default:
			return false;
	}
}

/* Is the number certain to fit into numeric? */
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
