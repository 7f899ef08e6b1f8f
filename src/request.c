/*-------------------------------------------------------------------------
 *
 * request.c
 *	  Structs to JSON, and to the one form, for HubSpot to read.
 *
 * What goes into a batch is ASCII (ids, categories and numbers) or UTF-8 that
 * HubSpot sent, so the encoding of the database doesn't matter.  The texts of
 * labels are converted.
 *
 * IDENTIFICATION
 *	  src/request.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "endpoint.h"
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
	encoder->group.data = NULL;
}

#define BEFORE_FROM		"{\"from\":{\"id\":"
#define BEFORE_TO		"},\"to\":{\"id\":"
#define BEFORE_TYPES	"},\"types\":"
#define BEFORE_GROUP	"},\"to\":["
#define AFTER_GROUP		"]}"
#define BEFORE_ID		"{\"id\":"
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

/* Add an input to those of its from_id, if that is the last one's, too. */
void
hubspot_encode_grouped(HubspotEncoder *encoder, const HubspotInput *input)
{
	StringInfo	body = &encoder->body;
	HubspotSlice from_id = input->from_id;
	char	   *p;

	/* each character of an id may need an escape */
	enlargeStringInfo(body, sizeof(BEFORE_FROM BEFORE_GROUP AFTER_GROUP) +
					  2 * (from_id.len + input->to_id.len) + 20);
	p = body->data + body->len;
	if (encoder->group.data && encoder->group.len == from_id.len &&
		memcmp(encoder->group.data, from_id.data, from_id.len) == 0)
		*p++ = ',';
	else
	{
		if (encoder->group.data)
		{
			ADD_LITERAL(p, AFTER_GROUP);
			*p++ = ',';
		}
		ADD_LITERAL(p, BEFORE_FROM);
		p = add_id(p, from_id);
		ADD_LITERAL(p, BEFORE_GROUP);
		encoder->group = from_id;
	}
	ADD_LITERAL(p, BEFORE_ID);
	p = add_id(p, input->to_id);
	*p++ = '}';
	body->len = p - body->data;
}

/* Add a record, and where the page of its associations begins, if any. */
void
hubspot_encode_record(HubspotEncoder *encoder, HubspotSlice id,
					  HubspotSlice after)
{
	StringInfo	body = &encoder->body;
	char	   *p;

	enlargeStringInfo(body, sizeof(BEFORE_ID) + 2 * id.len + 10);
	p = body->data + body->len;
	if (p[-1] != '[')
		*p++ = ',';
	ADD_LITERAL(p, BEFORE_ID);
	p = add_id(p, id);
	body->len = p - body->data;
	if (after.data)
	{
		/* in UTF-8, as it came; only ASCII needs an escape */
		APPEND_LITERAL(body, ",\"after\":");
		escape_json(body, pnstrdup(after.data, after.len));
	}
	appendStringInfoChar(body, '}');
}

void
hubspot_encode_end(HubspotEncoder *encoder)
{
	if (encoder->group.data)
		APPEND_LITERAL(&encoder->body, AFTER_GROUP);
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

static void append_text(StringInfo body, const char *before, const char *text);

/* A new label; inverse_label may be NULL. */
char *
hubspot_encode_label_create(const char *label, const char *name,
							const char *inverse_label)
{
	StringInfoData body;

	initStringInfo(&body);
	append_text(&body, "{\"label\":", label);
	append_text(&body, ",\"name\":", name);
	append_text(&body, ",\"inverseLabel\":", inverse_label);
	appendStringInfoChar(&body, '}');
	return body.data;
}

/* Other words for a label; inverse_label may be NULL. */
char *
hubspot_encode_label_update(int32 type_id, const char *label,
							const char *inverse_label)
{
	StringInfoData body;

	initStringInfo(&body);
	appendStringInfo(&body, "{\"associationTypeId\":%d", type_id);
	append_text(&body, ",\"label\":", label);
	append_text(&body, ",\"inverseLabel\":", inverse_label);
	appendStringInfoChar(&body, '}');
	return body.data;
}

/* One limit; max_to_ids is 0 where it is to be removed. */
char *
hubspot_encode_limit(const char *category, int32 type_id, int32 max_to_ids)
{
	StringInfoData body;

	initStringInfo(&body);
	append_text(&body, "{\"inputs\":[{\"category\":", category);
	appendStringInfo(&body, ",\"typeId\":%d", type_id);
	if (max_to_ids > 0)
		appendStringInfo(&body, ",\"maxToObjectIds\":%d", max_to_ids);
	appendStringInfoString(&body, "}]}");
	return body.data;
}

/* A text of SQL as one of JSON, in UTF-8; nothing if there is none. */
static void
append_text(StringInfo body, const char *before, const char *text)
{
	if (text == NULL)
		return;
	appendStringInfoString(body, before);
	escape_json(body, pg_server_to_any(text, strlen(text), PG_UTF8));
}

/*
 * Append the form that asks for an access token.  The arguments are secrets,
 * so the body is, too.
 */
void
hubspot_encode_refresh(StringInfo body, const char *client_id,
					   const char *client_secret, const char *refresh_token)
{
	APPEND_LITERAL(body, "grant_type=refresh_token&client_id=");
	hubspot_append_encoded(body, client_id);
	APPEND_LITERAL(body, "&client_secret=");
	hubspot_append_encoded(body, client_secret);
	APPEND_LITERAL(body, "&refresh_token=");
	hubspot_append_encoded(body, refresh_token);
}
