/*-------------------------------------------------------------------------
 *
 * request.c
 *	  Structs to JSON, for HubSpot to read.
 *
 * Everything that goes in here is ASCII (ids, categories and numbers), so the
 * encoding of the database doesn't matter.
 *
 * IDENTIFICATION
 *	  src/request.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/json.h"

#include "request.h"

/* An input has about this many bytes, so that the body seldom has to grow. */
#define USUAL_INPUT_SIZE	128

static char *add_id(char *p, HubspotSlice id);

/* A constant piece of JSON, whose length the compiler knows. */
#define APPEND_LITERAL(body, literal) \
	appendBinaryStringInfo(body, literal, sizeof(literal) - 1)

/* The types of a pair, as an array. */
void
hubspot_encode_types(StringInfo body, const HubspotTypeList *types)
{
	char		digits[12];

	appendStringInfoChar(body, '[');
	for (int i = 0; i < types->ntypes; i++)
	{
		if (i > 0)
			appendStringInfoChar(body, ',');
		APPEND_LITERAL(body, "{\"associationCategory\":");
		escape_json(body, types->types[i].category);
		APPEND_LITERAL(body, ",\"associationTypeId\":");
		appendBinaryStringInfo(body, digits,
							   pg_ltoa(types->types[i].type_id, digits));
		appendStringInfoChar(body, '}');
	}
	appendStringInfoChar(body, ']');
}

/* Begin the body of a batch of about that many inputs. */
void
hubspot_encode_begin(HubspotEncoder *encoder, int ninputs)
{
	initStringInfo(&encoder->body);
	enlargeStringInfo(&encoder->body, ninputs * USUAL_INPUT_SIZE);
	APPEND_LITERAL(&encoder->body, "{\"inputs\":[");
	initStringInfo(&encoder->types_json);
	encoder->types = NULL;
}

#define BEFORE_FROM		"{\"from\":{\"id\":"
#define BEFORE_TO		"},\"to\":{\"id\":"
#define BEFORE_TYPES	"},\"types\":"
#define ADD_LITERAL(p, literal) \
	(memcpy(p, literal, sizeof(literal) - 1), p += sizeof(literal) - 1)

/* Add an input; most have the types of the one before. */
void
hubspot_encode_input(HubspotEncoder *encoder, const HubspotInput *input)
{
	StringInfo	body = &encoder->body;
	char	   *p;

	if (input->types && input->types != encoder->types)
	{
		resetStringInfo(&encoder->types_json);
		hubspot_encode_types(&encoder->types_json, input->types);
		encoder->types = input->types;
	}

	/* each character of an id may need an escape */
	enlargeStringInfo(body, sizeof(BEFORE_FROM BEFORE_TO BEFORE_TYPES) +
					  2 * (input->from_id.len + input->to_id.len) +
					  encoder->types_json.len + 10);
	p = body->data + body->len;
	if (p[-1] != '[')
		*p++ = ',';
	ADD_LITERAL(p, BEFORE_FROM);
	p = add_id(p, input->from_id);
	ADD_LITERAL(p, BEFORE_TO);
	p = add_id(p, input->to_id);
	if (input->types)
	{
		ADD_LITERAL(p, BEFORE_TYPES);
		memcpy(p, encoder->types_json.data, encoder->types_json.len);
		p += encoder->types_json.len;
	}
	else
		*p++ = '}';
	*p++ = '}';
	body->len = p - body->data;
}

void
hubspot_encode_end(HubspotEncoder *encoder)
{
	APPEND_LITERAL(&encoder->body, "]}");
	pfree(encoder->types_json.data);
}

/* Ids are printable ASCII, so only two characters need an escape. */
static char *
add_id(char *p, HubspotSlice id)
{
	*p++ = '"';
	for (int i = 0; i < id.len; i++)
	{
		if (id.data[i] == '"' || id.data[i] == '\\')
			*p++ = '\\';
		*p++ = id.data[i];
	}
	*p++ = '"';
	return p;
}
