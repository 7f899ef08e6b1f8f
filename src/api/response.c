/*-------------------------------------------------------------------------
 *
 * response.c
 *	  From the JSON of replies about inputs to structs.
 *
 * Each kind of answer is a table of the fields that matter in it.  Nothing is
 * taken for granted: every field may be missing or of another kind, unknown
 * ones may come, and the caller is told if it is not JSON at all.
 *
 * IDENTIFICATION
 *	  src/api/response.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "api/envelope.h"
#include "api/response.h"
#include "api/result_model.h"
#include "base/shown.h"
#include "json/json.h"

/* Room for the associations of one record, at first. */
#define FIRST_ASSOCIATIONS	16

/* A result: with both ids and a type, or with both ids and labels. */
static const HubspotJsonField result_from_fields[] = {
	HUBSPOT_JSON_FIELD("id", HUBSPOT_JSON_ID, HubspotResult, from_id)
};
static const HubspotJsonShape result_from_shape = {
	HUBSPOT_JSON_FIELDS(result_from_fields)
};
static const HubspotJsonField result_to_fields[] = {
	HUBSPOT_JSON_FIELD("id", HUBSPOT_JSON_ID, HubspotResult, to_id)
};
static const HubspotJsonShape result_to_shape = {
	HUBSPOT_JSON_FIELDS(result_to_fields)
};
static const HubspotJsonField result_spec_fields[] = {
	HUBSPOT_JSON_FIELD("associationCategory", HUBSPOT_JSON_ID, HubspotResult, category),
	HUBSPOT_JSON_FIELD("associationTypeId", HUBSPOT_JSON_INT, HubspotResult, type_id)
};
static const HubspotJsonShape result_spec_shape = {
	HUBSPOT_JSON_FIELDS(result_spec_fields)
};

#define PAIR_FIELDS \
	HUBSPOT_JSON_UNWANTED("fromObjectTypeId"), \
	HUBSPOT_JSON_FIELD("fromObjectId", HUBSPOT_JSON_ID, HubspotResult, from_id), \
	HUBSPOT_JSON_UNWANTED("toObjectTypeId"), \
	HUBSPOT_JSON_FIELD("toObjectId", HUBSPOT_JSON_ID, HubspotResult, to_id), \
	HUBSPOT_JSON_FIELD("labels", HUBSPOT_JSON_RAW, HubspotResult, labels)

static void result_item(void *state, const void *item, HubspotSlice raw);
static int	take_known(void *state, HubspotSlice text);

static const HubspotJsonField result_fields[] = {
	PAIR_FIELDS,
	HUBSPOT_JSON_NESTED("from", HUBSPOT_JSON_OBJECT, &result_from_shape),
	HUBSPOT_JSON_NESTED("to", HUBSPOT_JSON_OBJECT, &result_to_shape),
	HUBSPOT_JSON_NESTED("associationSpec", HUBSPOT_JSON_OBJECT, &result_spec_shape)
};
static const HubspotJsonShape result_shape = {
	HUBSPOT_JSON_FIELDS(result_fields),.item_size = sizeof(HubspotResult),.item = result_item,
	.take = take_known
};

/*
 * A record with its associations: types within associated records within
 * records.
 */
typedef struct TypeFields
{
	HubspotSlice category;
	HubspotSlice label;
	int32		type_id;
} TypeFields;

typedef struct OtherFields
{
	HubspotSlice to_id;
} OtherFields;

static void type_item(void *state, const void *item, HubspotSlice raw);
static void other_item(void *state, const void *item, HubspotSlice raw);
static void odd_association(void *state);
static void record_item(void *state, const void *item, HubspotSlice raw);

static const HubspotJsonField type_fields[] = {
	HUBSPOT_JSON_FIELD("category", HUBSPOT_JSON_ID, TypeFields, category),
	HUBSPOT_JSON_FIELD("typeId", HUBSPOT_JSON_INT, TypeFields, type_id),
	HUBSPOT_JSON_FIELD("label", HUBSPOT_JSON_ID, TypeFields, label)
};
static const HubspotJsonShape type_shape = {
	HUBSPOT_JSON_FIELDS(type_fields),.item_size = sizeof(TypeFields),.item = type_item,
	.odd = odd_association
};
static const HubspotJsonField other_fields[] = {
	HUBSPOT_JSON_FIELD("toObjectId", HUBSPOT_JSON_ID, OtherFields, to_id),
	HUBSPOT_JSON_NESTED("associationTypes", HUBSPOT_JSON_LIST, &type_shape)
};
static const HubspotJsonShape other_shape = {
	HUBSPOT_JSON_FIELDS(other_fields),.item_size = sizeof(OtherFields),.item = other_item,
	.odd = odd_association
};
static const HubspotJsonField record_fields[] = {
	HUBSPOT_JSON_NESTED("from", HUBSPOT_JSON_OBJECT, &result_from_shape),
	HUBSPOT_JSON_LIST_NOTED_IN("to", &other_shape, HubspotResult, listed),
	HUBSPOT_JSON_FIELD("paging", HUBSPOT_JSON_RAW, HubspotResult, paging)
};
static const HubspotJsonShape record_shape = {
	HUBSPOT_JSON_FIELDS(record_fields),.item_size = sizeof(HubspotResult),.item = record_item,
	.take = take_known
};

/* The associations of one record, which the answer does not name. */
static const HubspotJsonField page_fields[] = {
	HUBSPOT_JSON_LIST_NOTED_IN("results", &other_shape, HubspotResult, listed),
	HUBSPOT_JSON_FIELD("paging", HUBSPOT_JSON_RAW, HubspotResult, paging)
};
static const HubspotJsonShape page_shape = {
	HUBSPOT_JSON_FIELDS(page_fields)
};

/* The answer to one labelled pair, bare or wrapped. */
static const HubspotJsonField bare_pair_fields[] = {PAIR_FIELDS};
static const HubspotJsonShape bare_pair_shape = {
	HUBSPOT_JSON_FIELDS(bare_pair_fields)
};
static const HubspotJsonField pair_fields[] = {
	PAIR_FIELDS,
	HUBSPOT_JSON_NESTED("entity", HUBSPOT_JSON_OBJECT, &bare_pair_shape)
};
static const HubspotJsonShape pair_shape = {
	HUBSPOT_JSON_FIELDS(pair_fields)
};

/* The envelope of a batch. */
typedef struct EnvelopeFields
{
	HubspotEnvelopeFields own;
} EnvelopeFields;

static void error_item(void *state, const void *item, HubspotSlice raw);
static void odd_error(void *state);

/* An error, which error.c reads as a whole. */
static const HubspotJsonShape error_item_shape = {
	.item = error_item,.odd = odd_error
};

#define OUTCOME_FIELDS \
	HUBSPOT_ENVELOPE_FIELDS(EnvelopeFields, own), \
	HUBSPOT_JSON_NESTED("errors", HUBSPOT_JSON_LIST, &error_item_shape)
#define ENVELOPE_FIELDS(item_shape) \
	OUTCOME_FIELDS, \
	HUBSPOT_JSON_NESTED("results", HUBSPOT_JSON_LIST, item_shape)

static const HubspotJsonField outcome_fields[] = {OUTCOME_FIELDS};
static const HubspotJsonShape outcome_shape = {
	HUBSPOT_JSON_FIELDS(outcome_fields)
};
static const HubspotJsonField envelope_fields[] = {ENVELOPE_FIELDS(&result_shape)};
static const HubspotJsonShape envelope_shape = {
	HUBSPOT_JSON_FIELDS(envelope_fields)
};
static const HubspotJsonField records_fields[] = {ENVELOPE_FIELDS(&record_shape)};
static const HubspotJsonShape records_shape = {
	HUBSPOT_JSON_FIELDS(records_fields)
};

/* The state of the callbacks of an envelope's items. */
typedef struct EnvelopeState
{
	const HubspotReplySink *sink;
	const HubspotHttpReply *reply;
	const char *correlation_id; /* of the reply, or NULL */
	int			nerrors;
	int			nodd;			/* errors that cannot be read */
	HubspotResultModels models;

	/* the associations of the record that is being read */
	HubspotAssociation *associations;
	int			nassociations;
	int			max_associations;	/* for how many there is room */
	int			first_of_other; /* the first of the associated record that is
								 * being read */
	bool		unreadable;		/* one of them cannot be read */
} EnvelopeState;

static bool tells_of_failure(const EnvelopeFields *fields,
							 const EnvelopeState *state);
static int	count_errors(const EnvelopeFields *fields,
						 const EnvelopeState *state);
static void ignore_result(void *state, const HubspotResult *result);
static void first_error(void *state, HubspotError *error);
static void add_association(EnvelopeState *envelope,
							const HubspotAssociationType *type);

/*
 * Read a successful reply; its items go to the sink as they are read, valid
 * during the call only.  False: it is not JSON of that shape, even if the sink
 * was given something by then.
 */
bool
hubspot_read_reply(const HubspotHttpReply *reply, HubspotReplyShape shape,
				   const HubspotReplySink *sink,
				   HubspotEnvelope *envelope)
{
	EnvelopeFields fields = {0};
	EnvelopeState state = {.sink = sink,.reply = reply};
	HubspotResult pair = {0};
	HubspotResult page = {0};
	HubspotSlice after;
	bool		read = false;

	switch (shape)
	{
		case HUBSPOT_REPLY_ENVELOPE:
		case HUBSPOT_REPLY_SILENT:
			read = hubspot_json_read(hubspot_reply_body(reply), &envelope_shape,
									 &fields, &state);
			break;
		case HUBSPOT_REPLY_RECORDS:
			read = hubspot_json_read(hubspot_reply_body(reply), &records_shape,
									 &fields, &state);
			break;
		case HUBSPOT_REPLY_PAIR:
			read = hubspot_json_read(hubspot_reply_body(reply), &pair_shape, &pair, NULL);
			if (read)
				sink->result(sink->state, &pair);
			break;
		case HUBSPOT_REPLY_PAGE:
			read = hubspot_json_read(hubspot_reply_body(reply), &page_shape, &page, &state) &&
				page.listed;
			if (read)
				read = hubspot_json_read(hubspot_reply_body(reply), &outcome_shape,
										 &fields, &state);
			if (read && !tells_of_failure(&fields, &state))
				record_item(&state, &page, hubspot_reply_body(reply));
			break;
		case HUBSPOT_REPLY_DEFINITIONS:
		case HUBSPOT_REPLY_REPORT:
		case HUBSPOT_REPLY_FOUND:
		case HUBSPOT_REPLY_PROPERTIES:
		case HUBSPOT_REPLY_USAGE:
			elog(ERROR, "unexpected shape of a reply: %d", (int) shape);
	}
	envelope->status = hubspot_envelope_status(&fields.own);
	envelope->canceled = (envelope->status && strcmp(envelope->status, HUBSPOT_CANCELED) == 0);
	envelope->complete = (envelope->status && strcmp(envelope->status, HUBSPOT_COMPLETE) == 0);
	envelope->nerrors = count_errors(&fields, &state);
	envelope->is_error = hubspot_envelope_is_error(&fields.own);
	envelope->has_more = hubspot_read_paging(fields.own.paging, &after);
	if (state.associations)
		pfree(state.associations);
	return read;
}

/* Does a list say anything but that it is complete? */
static bool
tells_of_failure(const EnvelopeFields *fields, const EnvelopeState *state)
{
	return !hubspot_envelope_is_complete(&fields->own) ||
		hubspot_envelope_is_error(&fields->own) || count_errors(fields, state) > 0;
}

static int
count_errors(const EnvelopeFields *fields, const EnvelopeState *state)
{
	return Max(hubspot_read_count(fields->own.nerrors), state->nerrors + state->nodd);
}

static void
result_item(void *state, const void *item, HubspotSlice raw)
{
	EnvelopeState *envelope = state;

	hubspot_models_learn(&envelope->models, item, raw);
	envelope->sink->result(envelope->sink->state, item);
}

/* An association or a record that differs from one that was read in its ids only. */
static int
take_known(void *state, HubspotSlice text)
{
	EnvelopeState *envelope = state;
	int			len;
	const HubspotResult *result = hubspot_models_take(&envelope->models, text, &len);

	if (result)
		envelope->sink->result(envelope->sink->state, result);
	return len;
}

/* Add a type of the association that is being read, whose to_id comes later. */
static void
type_item(void *state, const void *item, HubspotSlice raw)
{
	const TypeFields *fields = item;
	EnvelopeState *envelope = state;

	CHECK_FOR_INTERRUPTS();
	if (fields->type_id < 1 || fields->category.data == NULL)
		envelope->unreadable = true;
	else
		add_association(envelope,
						hubspot_types_get(envelope->sink->types, fields->category,
										  fields->type_id, fields->label));
}

/* The associated record; without an id, it is unknown which one it is. */
static void
other_item(void *state, const void *item, HubspotSlice raw)
{
	HubspotSlice to_id = ((const OtherFields *) item)->to_id;
	EnvelopeState *envelope = state;

	if (to_id.data == NULL || hubspot_id_problem(to_id.data, to_id.len) != NULL)
	{
		envelope->nassociations = envelope->first_of_other;
		envelope->unreadable = true;
	}
	else if (envelope->nassociations == envelope->first_of_other)
		add_association(envelope, NULL);
	for (int i = envelope->first_of_other; i < envelope->nassociations; i++)
		envelope->associations[i].to_id = to_id;
	envelope->first_of_other = envelope->nassociations;
}

/*
 * Something that is not an object stands where an association or its type
 * should be.
 */
static void
odd_association(void *state)
{
	((EnvelopeState *) state)->unreadable = true;
}

static void
add_association(EnvelopeState *envelope, const HubspotAssociationType *type)
{
	if (envelope->nassociations == envelope->max_associations)
	{
		envelope->max_associations = Max(2 * envelope->max_associations,
										 FIRST_ASSOCIATIONS);
		if (envelope->associations == NULL)
			envelope->associations = palloc(sizeof(HubspotAssociation) *
											envelope->max_associations);
		else
			envelope->associations = repalloc_huge(envelope->associations,
												   sizeof(HubspotAssociation) *
												   envelope->max_associations);
	}
	envelope->associations[envelope->nassociations++].type = type;
}

/*
 * A record; its associations are those that were read within it.  Without a
 * list of them, the answer does not say that there are none.
 */
static void
record_item(void *state, const void *item, HubspotSlice raw)
{
	EnvelopeState *envelope = state;
	HubspotResult result = *(const HubspotResult *) item;
	Size		size = sizeof(HubspotAssociation) * envelope->nassociations;

	if (envelope->unreadable)
		result.problem = "HubSpot's answer has an association that cannot be read";
	if (hubspot_read_paging(result.paging, &result.after) && result.after.data == NULL)
		result.problem = "HubSpot's answer does not say where the next page is";
	result.nassociations = envelope->nassociations;
	if (size > 0)
		result.associations = memcpy(palloc_extended(size, MCXT_ALLOC_HUGE),
									 envelope->associations, size);
	envelope->nassociations = envelope->first_of_other = 0;
	envelope->unreadable = false;
	if (!result.listed)
		return;
	hubspot_models_learn(&envelope->models, &result, raw);
	envelope->sink->result(envelope->sink->state, &result);
}

static void
error_item(void *state, const void *item, HubspotSlice raw)
{
	EnvelopeState *envelope = state;

	/* further errors can say nothing new about that many inputs */
	if (envelope->nerrors++ >= envelope->sink->max_errors)
		return;
	if (envelope->correlation_id == NULL)
		envelope->correlation_id = hubspot_correlation_id(envelope->reply);
	envelope->sink->error(envelope->sink->state,
						  hubspot_item_error(envelope->reply, raw,
											 envelope->correlation_id));
}

static void
odd_error(void *state)
{
	((EnvelopeState *) state)->nodd++;
}

/*
 * What is wrong with a successful reply that should list all that there is of something,
 * palloc'd: it tells of a failure, or has further pages, which nobody would ask for.  NULL:
 * nothing of that kind.
 */
const char *
hubspot_list_problem(const HubspotHttpReply *reply)
{
	const HubspotError *error = NULL;
	HubspotReplySink sink = {.state = &error,.result = ignore_result,.error = first_error,.max_errors = 1};
	HubspotEnvelope envelope;

	if (!hubspot_read_reply(reply, HUBSPOT_REPLY_SILENT, &sink, &envelope))
		return NULL;
	if (envelope.is_error && error == NULL)
		error = hubspot_item_error(reply, hubspot_reply_body(reply), NULL);
	if (error)
		return psprintf("the answer tells of a failure: %s", error->message);
	if (envelope.nerrors > 0)
		return "the answer tells of a failure";
	if (envelope.status && !envelope.complete)
		return psprintf("the status of the answer is %s", hubspot_shown(envelope.status));
	return envelope.has_more ? "the answer is the first of several pages" : NULL;
}

static void
ignore_result(void *state, const HubspotResult *result)
{
}

static void
first_error(void *state, HubspotError *error)
{
	const HubspotError **first = state;

	if (*first == NULL)
		*first = error;
}

/*
 * The error of a successful reply that is not what was asked for, palloc'd: what the reply
 * says of that itself, or else the given reason.
 */
HubspotError *
hubspot_unreadable_reply(const HubspotHttpReply *reply, const char *reason)
{
	const char *problem = hubspot_list_problem(reply);

	return hubspot_unconfirmed(reply, problem ? problem : reason);
}
