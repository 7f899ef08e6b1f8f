/*-------------------------------------------------------------------------
 *
 * record.c
 *	  Records with their properties: the JSON of requests for them, and of the replies.
 *
 * Keys are in their normal form (key.c), so both ways are UTF-8.  A reply does not repeat
 * what was asked for: the values of a record tell by which keys it was found.
 *
 * IDENTIFICATION
 *	  src/api/record.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/json.h"

#include "api/envelope.h"
#include "api/error.h"
#include "api/object_type.h"
#include "api/record.h"
#include "base/closest.h"
#include "json/json.h"
#include "json/lexer.h"

/* A member of the error objects that we make. */
#define CANDIDATES			"candidates"

/* A property that all records have, to be asked for where no other is wanted. */
#define RECORD_ID			"hs_object_id"

/* How many records a page may have, which is the most that HubSpot gives. */
#define PAGE_SIZE			"200"

/* About how many bytes a key takes in a body, so that this seldom has to grow. */
#define USUAL_KEY_SIZE		48

/* More errors than this say nothing new about a hundred keys. */
#define MAX_ERRORS			300

/* A record of a reply. */
typedef struct RecordFields
{
	HubspotSlice id;
	HubspotSlice properties;
} RecordFields;

/* A reply with many records. */
typedef struct EnvelopeFields
{
	HubspotEnvelopeFields own;
	HubspotSlice total;
	bool		listed;			/* there is a list of results */
} EnvelopeFields;

/* The state of the callbacks of a reply's items. */
typedef struct ReplyState
{
	const HubspotRecordSink *sink;
	const HubspotHttpReply *reply;
	const char *correlation_id;
	int			nerrors;
	bool		odd;			/* it has items that cannot be read */
	HubspotRecordModels models;
	HubspotRecord like;			/* that is like one of them */
} ReplyState;

static void record_item(void *state, const void *item, HubspotSlice raw);
static int	take_like(void *state, HubspotSlice text);
static void give_record(ReplyState *reply, const HubspotRecord *record);
static void error_item(void *state, const void *item, HubspotSlice raw);
static void odd_item(void *state);

static const HubspotJsonField record_fields[] = {
	HUBSPOT_JSON_FIELD("id", HUBSPOT_JSON_ID, RecordFields, id),
	HUBSPOT_JSON_FIELD("properties", HUBSPOT_JSON_RAW, RecordFields, properties)
};
static const HubspotJsonShape record_shape = {
	HUBSPOT_JSON_FIELDS(record_fields),.item_size = sizeof(RecordFields),
	.item = record_item,.odd = odd_item,.take = take_like
};

/* An error is read as a whole, by error.c. */
static const HubspotJsonShape error_shape = {
	.item = error_item,.odd = odd_item
};
static const HubspotJsonField envelope_fields[] = {
	HUBSPOT_JSON_FIELD("total", HUBSPOT_JSON_RAW, EnvelopeFields, total),
	HUBSPOT_JSON_LIST_NOTED_IN("results", &record_shape, EnvelopeFields, listed),
	HUBSPOT_JSON_NESTED("errors", HUBSPOT_JSON_LIST, &error_shape),
	HUBSPOT_ENVELOPE_FIELDS(EnvelopeFields, own)
};
static const HubspotJsonShape envelope_shape = {
	HUBSPOT_JSON_FIELDS(envelope_fields)
};

/* The definition of a property. */
typedef struct PropertyFields
{
	const char *name;
} PropertyFields;

/* The state of the callbacks of such definitions. */
typedef struct PropertiesState
{
	List	   *names;
	bool		unreadable;
} PropertiesState;

typedef struct PropertiesFields
{
	HubspotEnvelopeFields own;
} PropertiesFields;

static void property_item(void *state, const void *item, HubspotSlice raw);
static void odd_property(void *state);

static const HubspotJsonField property_fields[] = {
	HUBSPOT_JSON_FIELD("name", HUBSPOT_JSON_TEXT, PropertyFields, name)
};
static const HubspotJsonShape property_shape = {
	HUBSPOT_JSON_FIELDS(property_fields),.item_size = sizeof(PropertyFields),
	.item = property_item,.odd = odd_property
};
static const HubspotJsonField properties_fields[] = {
	HUBSPOT_JSON_NESTED("results", HUBSPOT_JSON_LIST, &property_shape),
	HUBSPOT_ENVELOPE_FIELDS(PropertiesFields, own)
};
static const HubspotJsonShape properties_shape = {
	HUBSPOT_JSON_FIELDS(properties_fields)
};

static void append_properties(StringInfo body, const HubspotObjectType *type);
static void append_values(StringInfo body, const HubspotSlice *values, int nvalues,
						  const char *before, const char *after);
static void append_string(StringInfo body, HubspotSlice text);
static void take_candidates(void *state, HubspotSlice name, HubspotSlice value);

/*
 * The body of a request for records by their keys or, if the type has no property, by
 * their ids; palloc'd.
 */
char *
hubspot_encode_records_read(const HubspotObjectType *type, const HubspotSlice *keys,
							int nkeys, size_t *len)
{
	StringInfoData body;

	initStringInfo(&body);
	enlargeStringInfo(&body, nkeys * USUAL_KEY_SIZE);
	appendStringInfoChar(&body, '{');
	if (type->property)
		appendStringInfo(&body, "\"idProperty\":\"%s\",", type->property);
	append_properties(&body, type);
	appendStringInfoString(&body, ",\"propertiesWithHistory\":[],\"inputs\":[");
	append_values(&body, keys, nkeys, "{\"id\":", "}");
	appendStringInfoString(&body, "]}");
	*len = body.len;
	return body.data;
}

/*
 * The body of a search for the records whose property has one of these values, palloc'd.
 * The values are in lower case, as in HubSpot's index.
 */
char *
hubspot_encode_records_search(const HubspotObjectType *type, const HubspotSlice *values,
							  int nvalues, size_t *len)
{
	StringInfoData body;

	initStringInfo(&body);
	enlargeStringInfo(&body, nvalues * USUAL_KEY_SIZE);
	appendStringInfo(&body, "{\"filterGroups\":[{\"filters\":[{\"propertyName\":\"%s\",\"operator\":\"IN\",\"values\":[",
					 type->property);
	append_values(&body, values, nvalues, "", "");
	appendStringInfoString(&body, "]}]}],");
	append_properties(&body, type);
	appendStringInfoString(&body, ",\"sorts\":[\"hs_object_id\"],\"limit\":" PAGE_SIZE ",\"after\":\"0\"}");
	*len = body.len;
	return body.data;
}

/*
 * Which property is wanted of records that are listed: the one whose values are to be
 * known, or one that tells nothing more.  By default they would come with several.
 */
const char *
hubspot_listed_property(const HubspotObjectType *type)
{
	return type->shows ? type->shows : RECORD_ID;
}

/* Append which properties of each record are wanted. */
static void
append_properties(StringInfo body, const HubspotObjectType *type)
{
	char		separator;
	const char *secondary = hubspot_secondary_property(type, &separator);

	appendStringInfoString(body, "\"properties\":[");
	if (type->property)
		appendStringInfo(body, "\"%s\"", type->property);
	else
		appendStringInfo(body, "\"%s\"", type->shows ? type->shows : HUBSPOT_MERGED_IDS);
	if (secondary)
		appendStringInfo(body, ",\"%s\"", secondary);
	appendStringInfoChar(body, ']');
}

static void
append_values(StringInfo body, const HubspotSlice *values, int nvalues,
			  const char *before, const char *after)
{
	for (int i = 0; i < nvalues; i++)
	{
		if (i > 0)
			appendStringInfoChar(body, ',');
		appendStringInfoString(body, before);
		append_string(body, values[i]);
		appendStringInfoString(body, after);
	}
}

/* Append a JSON string.  Few texts need an escape, which is seen faster than it is made. */
static void
append_string(StringInfo body, HubspotSlice text)
{
	char		copy[HUBSPOT_NORMAL_SIZE + 1];
	const char *end = text.data + text.len;

	if (hubspot_skip_plain(text.data, end) == end)
	{
		appendStringInfoChar(body, '"');
		appendBinaryStringInfo(body, text.data, text.len);
		appendStringInfoChar(body, '"');
		return;
	}
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	escape_json(body, copy);
}

/*
 * Read a successful reply; its items go to the sink as they are read.  False: it is not
 * JSON of that shape, whatever the sink has been given by then.
 */
bool
hubspot_read_records(const HubspotHttpReply *reply, const HubspotRecordSink *sink,
					 HubspotRecordsReply *records)
{
	EnvelopeFields fields = {0};
	ReplyState	state = {.sink = sink,.reply = reply,.like.type = sink->type};

	memset(records, 0, sizeof(*records));
	if (!hubspot_json_read(hubspot_reply_body(reply), &envelope_shape, &fields, &state))
		return false;
	records->total = hubspot_read_count(fields.total);
	records->has_more = hubspot_read_paging(fields.own.paging, &records->after);
	records->whole = fields.listed && !state.odd &&
		!hubspot_envelope_is_error(&fields.own) && hubspot_envelope_is_complete(&fields.own) &&
		hubspot_read_count(fields.own.nerrors) <= state.nerrors && state.nerrors <= MAX_ERRORS;
	return fields.listed || state.nerrors > 0;
}

static void
record_item(void *state, const void *item, HubspotSlice raw)
{
	ReplyState *reply = state;
	const RecordFields *fields = item;
	HubspotRecord record = {.id = fields->id,.type = reply->sink->type,.properties = fields->properties};

	hubspot_record_models_learn(&reply->models, &record, raw);
	give_record(reply, &record);
}

/* A record that differs from one that was read in its strings only. */
static int
take_like(void *state, HubspotSlice text)
{
	ReplyState *reply = state;
	int			len = hubspot_record_models_take(&reply->models, text, &reply->like);

	if (len > 0)
		give_record(reply, &reply->like);
	return len;
}

/* If the id of a record cannot be used, it is left out, and the reply is not whole. */
static void
give_record(ReplyState *reply, const HubspotRecord *record)
{
	if (record->id.data == NULL ||
		hubspot_id_problem(record->id.data, record->id.len) != NULL)
		reply->odd = true;
	else
		reply->sink->record(reply->sink->state, record);
}

static void
error_item(void *state, const void *item, HubspotSlice raw)
{
	ReplyState *reply = state;

	if (reply->nerrors++ >= MAX_ERRORS)
		return;
	if (reply->correlation_id == NULL)
		reply->correlation_id = hubspot_correlation_id(reply->reply);
	reply->sink->error(reply->sink->state,
					   hubspot_item_error(reply->reply, raw, reply->correlation_id));
}

static void
odd_item(void *state)
{
	((ReplyState *) state)->odd = true;
}

/*
 * The error object of a key that is not the key of a single record, palloc'd: the ids of
 * the records that may have been meant, and how many there are.
 */
char *
hubspot_encode_candidates(const HubspotSlice *ids, int nids, int64 total, bool more)
{
	StringInfoData object;

	initStringInfo(&object);
	appendStringInfoString(&object, "{\"" CANDIDATES "\":[");
	append_values(&object, ids, nids, "", "");
	appendStringInfo(&object, "],\"total\":" INT64_FORMAT "%s}", total,
					 more ? ",\"more\":true" : "");
	return object.data;
}

/* The candidates in the error of a key: a list of char *, palloc'd. */
List *
hubspot_error_candidates(const HubspotError *error)
{
	List	   *ids = NIL;

	if (error->object.data && (error->verdict == HUBSPOT_VERDICT_NO_RECORD ||
							   error->verdict == HUBSPOT_VERDICT_MANY_RECORDS))
		hubspot_json_each_member(error->object, &ids, take_candidates);
	return ids;
}

static void
take_candidates(void *state, HubspotSlice name, HubspotSlice value)
{
	if (name.len == (int) strlen(CANDIDATES) && memcmp(name.data, CANDIDATES, name.len) == 0)
		*(List **) state = hubspot_json_texts(value, PG_INT32_MAX);
}

/*
 * Read a successful reply that lists the properties of an object type: their names, a list
 * of char *, palloc'd.  False: it is not such a list, or not all of it; each type has some.
 */
bool
hubspot_read_property_names(const HubspotHttpReply *reply, List **names)
{
	PropertiesFields fields = {0};
	PropertiesState state = {NIL, false};
	HubspotSlice after;
	bool		read;

	read = hubspot_json_read(hubspot_reply_body(reply), &properties_shape, &fields, &state);
	*names = state.names;
	return read && state.names != NIL && !state.unreadable && hubspot_envelope_is_complete(&fields.own) &&
		!hubspot_envelope_is_error(&fields.own) && hubspot_read_count(fields.own.nerrors) == 0 &&
		!hubspot_read_paging(fields.own.paging, &after);
}

/*
 * What is wrong with a property if those of its object type have these names, palloc'd: it
 * is not among them; NULL: it is.
 */
char *
hubspot_property_problem(const List *names, const char *property)
{
	HubspotClosest closest = {.name = property};
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), property) == 0)
			return NULL;
		hubspot_closest_try(&closest, lfirst(lc));
	}
	return psprintf(closest.found ?
					"there is no property \"%s\"; did you mean \"%s\"?" :
					"there is no property \"%s\"",
					property, closest.found);
}

static void
property_item(void *state, const void *item, HubspotSlice raw)
{
	PropertiesState *properties = state;
	const PropertyFields *fields = item;

	if (fields->name)
		properties->names = lappend(properties->names, unconstify(char *, fields->name));
	else
		properties->unreadable = true;
}

static void
odd_property(void *state)
{
	((PropertiesState *) state)->unreadable = true;
}
