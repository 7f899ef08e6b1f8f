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

#include "digits.h"
#include "endpoint.h"
#include "request.h"

/* The body of a batch, while inputs are added to it. */
typedef struct Encoder
{
	StringInfoData body;
	const HubspotTypeList *types;	/* those of the last input ... */
	StringInfoData types_json;	/* ... as JSON */
	HubspotSlice group;			/* from_id of the group that is open, if any */
} Encoder;

/* An input has about this many bytes, so that the body seldom has to grow. */
#define USUAL_INPUT_SIZE	128

static void encode_types(StringInfo body, const HubspotTypeList *types);
static void encode_begin(Encoder *encoder, int ninputs);
static void encode_input(Encoder *encoder, const HubspotInput *input);
static void encode_grouped(Encoder *encoder, const HubspotInput *input);
static void encode_record(Encoder *encoder, HubspotSlice id,
						  HubspotSlice after);
static void encode_end(Encoder *encoder);
static void append_text(StringInfo body, const char *before, const char *text);
static char *add_id(char *p, HubspotSlice id);

/* A constant piece of JSON, whose length the compiler knows. */
#define APPEND_LITERAL(body, literal) \
	appendBinaryStringInfo(body, literal, sizeof(literal) - 1)

/*
 * The path of a request, palloc'd.  The ids of a single input stand in it, those
 * of a batch in the body.
 */
char *
hubspot_request_path(const HubspotEndpoint *endpoint, const char *version,
					 const char *from_type, const char *to_type,
					 const HubspotUnit *first)
{
	const char *arguments[4] = {from_type, to_type};
	HubspotSlice after = hubspot_unit_next_page(first);
	StringInfoData path;

	if (endpoint->batch_limit == 0)
	{
		arguments[1] = pnstrdup(first->input.from_id.data, first->input.from_id.len);
		arguments[2] = to_type;
		arguments[3] = pnstrdup(first->input.to_id.data, first->input.to_id.len);
	}
	initStringInfo(&path);
	hubspot_append_path(&path, endpoint, version, arguments);
	if (endpoint->batch_limit == 0 && after.data)
		hubspot_append_cursor(&path, pnstrdup(after.data, after.len));
	return path.data;
}

/* The body of a request, palloc'd, or NULL if it has none. */
char *
hubspot_request_body(const HubspotEndpoint *endpoint, HubspotUnit **units,
					 int nunits, size_t *len)
{
	Encoder		encoder;

	if (endpoint->batch_limit == 0)
	{
		if (endpoint->input_shape != HUBSPOT_INPUT_TYPED_PAIR)
			return NULL;
		initStringInfo(&encoder.body);
		encode_types(&encoder.body, units[0]->input.types);
	}
	else
	{
		encode_begin(&encoder, nunits);
		for (int i = 0; i < nunits; i++)
		{
			const HubspotUnit *unit = units[i];

			if (endpoint->input_shape == HUBSPOT_INPUT_RECORD)
				encode_record(&encoder, unit->input.from_id,
							  hubspot_unit_next_page(unit));
			else if (endpoint->input_shape == HUBSPOT_INPUT_GROUP)
				encode_grouped(&encoder, &unit->input);
			else
				encode_input(&encoder, &unit->input);
		}
		encode_end(&encoder);
	}
	*len = encoder.body.len;
	return encoder.body.data;
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

/* Begin the body of a batch of about that many inputs. */
static void
encode_begin(Encoder *encoder, int ninputs)
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
	(memcpy((p), literal, sizeof(literal) - 1), (p) += sizeof(literal) - 1)

/* Add an input; most have the types of the one before. */
static void
encode_input(Encoder *encoder, const HubspotInput *input)
{
	StringInfo	body = &encoder->body;
	char	   *p;

	if (input->types && input->types != encoder->types)
	{
		resetStringInfo(&encoder->types_json);
		encode_types(&encoder->types_json, input->types);
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
static void
encode_grouped(Encoder *encoder, const HubspotInput *input)
{
	StringInfo	body = &encoder->body;
	HubspotSlice from_id = input->from_id;
	char	   *p;

	/* each character of an id may need an escape */
	enlargeStringInfo(body, sizeof(BEFORE_FROM BEFORE_GROUP AFTER_GROUP) +
					  2 * (from_id.len + input->to_id.len) + 20);
	p = body->data + body->len;
	if (encoder->group.data && hubspot_same_id(encoder->group, from_id))
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
static void
encode_record(Encoder *encoder, HubspotSlice id,
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

static void
encode_end(Encoder *encoder)
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
	if (hubspot_all_digits(id.data, id.len))
	{
		memcpy(p, id.data, id.len);
		p += id.len;
	}
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
