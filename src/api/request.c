/*-------------------------------------------------------------------------
 *
 * request.c
 *	  From structs to JSON, and to the one form, for HubSpot to read.
 *
 * What goes into a batch is ASCII (ids, categories and numbers) or UTF-8 that
 * HubSpot sent, so the encoding of the database doesn't matter.  The texts of
 * labels are converted.
 *
 * IDENTIFICATION
 *	  src/api/request.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "api/endpoint.h"
#include "api/request.h"
#include "base/digits.h"

/* An input has about this many bytes, so that the body seldom has to grow. */
#define USUAL_INPUT_SIZE	128

/* A constant piece of JSON, whose length the compiler knows. */
#define APPEND_LITERAL(body, literal) \
	appendBinaryStringInfo(body, literal, sizeof(literal) - 1)

#define BEFORE_FROM		"{\"from\":{\"id\":"
#define BEFORE_TO		"},\"to\":{\"id\":"
#define BEFORE_TYPES	"},\"types\":"
#define BEFORE_GROUP	"},\"to\":["
#define AFTER_GROUP		"]}"
#define BEFORE_ID		"{\"id\":"
#define ADD_LITERAL(p, literal) \
	(memcpy((p), literal, sizeof(literal) - 1), (p) += sizeof(literal) - 1)

static void encode_types(StringInfo body, const HubspotTypeList *types);
static void encode_input(HubspotBody *body, const HubspotInput *input);
static void encode_grouped(HubspotBody *body, const HubspotInput *input);
static void encode_record(StringInfo text, HubspotSlice id, HubspotSlice after);
static void append_text(StringInfo body, const char *before, const char *text);
static char *add_id(char *p, HubspotSlice id);

/*
 * The path of a request, palloc'd.  It holds the ids of a single input, and
 * where its page begins (after, or no data); the ids of a batch are in the
 * body.
 */
char *
hubspot_request_path(const HubspotEndpoint *endpoint, const char *version,
					 const char *from_type, const char *to_type,
					 const HubspotInput *first, HubspotSlice after)
{
	const char *arguments[4] = {from_type, to_type};
	StringInfoData path;

	if (endpoint->batch_limit == 0)
	{
		arguments[1] = pnstrdup(first->from_id.data, first->from_id.len);
		arguments[2] = to_type;
		arguments[3] = pnstrdup(first->to_id.data, first->to_id.len);
	}
	initStringInfo(&path);
	hubspot_append_path(&path, endpoint, version, arguments);
	if (endpoint->batch_limit == 0 && after.data)
		hubspot_append_cursor(&path, pnstrdup(after.data, after.len));
	return path.data;
}

/* Begin the body of a request of about that many inputs. */
void
hubspot_body_begin(HubspotBody *body, const HubspotEndpoint *endpoint,
				   int ninputs)
{
	memset(body, 0, sizeof(HubspotBody));
	body->endpoint = endpoint;
	initStringInfo(&body->text);
	if (endpoint->batch_limit == 0)
		return;
	enlargeStringInfo(&body->text, ninputs * USUAL_INPUT_SIZE);
	APPEND_LITERAL(&body->text, "{\"inputs\":[");
	initStringInfo(&body->types_json);
}

/*
 * Add an input.  The page that is asked for begins at after, which has no data
 * for the first.
 */
void
hubspot_body_add(HubspotBody *body, const HubspotInput *input,
				 HubspotSlice after)
{
	const HubspotEndpoint *endpoint = body->endpoint;

	if (endpoint->batch_limit == 0)
	{
		if (endpoint->input_shape == HUBSPOT_INPUT_TYPED_PAIR)
			encode_types(&body->text, input->types);
	}
	else if (endpoint->input_shape == HUBSPOT_INPUT_RECORD)
		encode_record(&body->text, input->from_id, after);
	else if (endpoint->input_shape == HUBSPOT_INPUT_GROUP)
		encode_grouped(body, input);
	else
		encode_input(body, input);
}

/* The body as JSON, palloc'd, or NULL if the request has none. */
char *
hubspot_body_end(HubspotBody *body, size_t *len)
{
	if (body->group.data)
		APPEND_LITERAL(&body->text, AFTER_GROUP);
	if (body->endpoint->batch_limit > 0)
	{
		APPEND_LITERAL(&body->text, "]}");
		pfree(body->types_json.data);
	}
	*len = body->text.len;
	if (*len > 0)
		return body->text.data;
	pfree(body->text.data);
	return NULL;
}

/* The types of a pair, as an array. */
static void
encode_types(StringInfo body, const HubspotTypeList *types)
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

/* Add an input; most have the types of the one before. */
static void
encode_input(HubspotBody *body, const HubspotInput *input)
{
	StringInfo	text = &body->text;
	char	   *p;

	if (input->types && input->types != body->types)
	{
		resetStringInfo(&body->types_json);
		encode_types(&body->types_json, input->types);
		body->types = input->types;
	}

	/* each character of an id may need an escape */
	enlargeStringInfo(text, sizeof(BEFORE_FROM BEFORE_TO BEFORE_TYPES) +
					  2 * (input->from_id.len + input->to_id.len) +
					  body->types_json.len + 10);
	p = text->data + text->len;
	if (p[-1] != '[')
		*p++ = ',';
	ADD_LITERAL(p, BEFORE_FROM);
	p = add_id(p, input->from_id);
	ADD_LITERAL(p, BEFORE_TO);
	p = add_id(p, input->to_id);
	if (input->types)
	{
		ADD_LITERAL(p, BEFORE_TYPES);
		memcpy(p, body->types_json.data, body->types_json.len);
		p += body->types_json.len;
	}
	else
		*p++ = '}';
	*p++ = '}';
	text->len = p - text->data;
}

/* Add an input to the group of its from_id, if the last one has the same. */
static void
encode_grouped(HubspotBody *body, const HubspotInput *input)
{
	StringInfo	text = &body->text;
	HubspotSlice from_id = input->from_id;
	char	   *p;

	/* each character of an id may need an escape */
	enlargeStringInfo(text, sizeof(BEFORE_FROM BEFORE_GROUP AFTER_GROUP) +
					  2 * (from_id.len + input->to_id.len) + 20);
	p = text->data + text->len;
	if (body->group.data && hubspot_same_id(body->group, from_id))
		*p++ = ',';
	else
	{
		if (body->group.data)
		{
			ADD_LITERAL(p, AFTER_GROUP);
			*p++ = ',';
		}
		ADD_LITERAL(p, BEFORE_FROM);
		p = add_id(p, from_id);
		ADD_LITERAL(p, BEFORE_GROUP);
		body->group = from_id;
	}
	ADD_LITERAL(p, BEFORE_ID);
	p = add_id(p, input->to_id);
	*p++ = '}';
	text->len = p - text->data;
}

/* Add a record, and where the page of its associations begins, if any. */
static void
encode_record(StringInfo text, HubspotSlice id, HubspotSlice after)
{
	char	   *p;

	enlargeStringInfo(text, sizeof(BEFORE_ID) + 2 * id.len + 10);
	p = text->data + text->len;
	if (p[-1] != '[')
		*p++ = ',';
	ADD_LITERAL(p, BEFORE_ID);
	p = add_id(p, id);
	text->len = p - text->data;
	if (after.data)
	{
		/* in UTF-8, as it came; only ASCII needs an escape */
		APPEND_LITERAL(text, ",\"after\":");
		escape_json(text, pnstrdup(after.data, after.len));
	}
	appendStringInfoChar(text, '}');
}

/* Ids are printable ASCII, so only two characters need an escape. */
static char *
add_id(char *p, HubspotSlice id)
{
	*p++ = '"';
	if (hubspot_all_digits(id.data, id.len))
		p = hubspot_copy_bytes(p, id.data, id.len);
	else
	{
		for (int i = 0; i < id.len; i++)
		{
			if (id.data[i] == '"' || id.data[i] == '\\')
				*p++ = '\\';
			*p++ = id.data[i];
		}
	}
	*p++ = '"';
	return p;
}

/* A new label; an empty one means none, and inverse_label may be NULL. */
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

/* New words for a label; inverse_label may be NULL. */
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

/* A limit; max_to_ids is 0 if it is to be removed. */
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

/* Append a text of SQL as a JSON string, in UTF-8; nothing if it is NULL. */
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
