/*-------------------------------------------------------------------------
 *
 * definition.c
 *	  From the JSON of replies about definitions and tokens to structs.
 *
 * These answer one question, with which at most one thing was sent; response.c
 * reads answers about many inputs.
 *
 * IDENTIFICATION
 *	  src/api/definition.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "api/definition.h"
#include "api/error_fields.h"
#include "api/response.h"
#include "json/json.h"

/*
 * Longer than any of HubSpot's words for a refused token, and than any category of types,
 * which stands in a request once for each of its inputs.
 */
#define MAX_CATEGORY_LEN	100

/* How long an access token lives if the answer does not say, in seconds. */
#define USUAL_TOKEN_LIFE	1800

/* An association type among labels or limits. */
typedef struct DefinitionFields
{
	const char *category;
	int32		type_id;
	const char *label;
	HubspotSlice limit;			/* null has no data, unlike 0 */
} DefinitionFields;

typedef struct DefinitionsFields
{
	bool		has_results;
} DefinitionsFields;

static void definition_item(void *state, const void *item, HubspotSlice raw);
static void odd_definition(void *state);
static bool read_limit(HubspotSlice digits, HubspotDefinition *definition);

static const HubspotJsonField definition_fields[] = {
	HUBSPOT_JSON_FIELD("category", HUBSPOT_JSON_TEXT, DefinitionFields, category),
	HUBSPOT_JSON_FIELD("typeId", HUBSPOT_JSON_INT, DefinitionFields, type_id),
	HUBSPOT_JSON_FIELD("label", HUBSPOT_JSON_TEXT, DefinitionFields, label),
	HUBSPOT_JSON_FIELD("userEnforcedMaxToObjectIds", HUBSPOT_JSON_ID, DefinitionFields, limit)
};
static const HubspotJsonShape definition_shape = {
	HUBSPOT_JSON_FIELDS(definition_fields),.item_size = sizeof(DefinitionFields),
	.item = definition_item,.odd = odd_definition
};
static const HubspotJsonField definitions_fields[] = {
	HUBSPOT_JSON_LIST_NOTED_IN("results", &definition_shape, DefinitionsFields, has_results)
};
static const HubspotJsonShape definitions_shape = {
	HUBSPOT_JSON_FIELDS(definitions_fields)
};

/* The state of the callback of definitions. */
typedef struct DefinitionsState
{
	List	   *definitions;
	bool		unreadable;
} DefinitionsState;

/* A high-usage report, before its number is read. */
typedef struct ReportFields
{
	const char *user_id;
	const char *user_email;
	const char *enqueue_time;
} ReportFields;

static const HubspotJsonField report_fields[] = {
	HUBSPOT_JSON_FIELD("userId", HUBSPOT_JSON_TEXT, ReportFields, user_id),
	HUBSPOT_JSON_FIELD("userEmail", HUBSPOT_JSON_TEXT, ReportFields, user_email),
	HUBSPOT_JSON_FIELD("enqueueTime", HUBSPOT_JSON_TEXT, ReportFields, enqueue_time)
};
static const HubspotJsonShape report_shape = {
	HUBSPOT_JSON_FIELDS(report_fields)
};

/* What an envelope that is not about many inputs amounts to. */
typedef struct DoneState
{
	int			nresults;
	HubspotError *error;		/* the first one */
} DoneState;

static void done_result(void *state, const HubspotResult *result);
static void done_error(void *state, HubspotError *error);

/* The answer of the token endpoint: a token, or what it says of a refusal. */
typedef struct TokenFields
{
	HubspotTokenReply token;
	const char *status;
	const char *category;
	const char *message;
	const char *description;
	const char *error;
} TokenFields;

static const HubspotJsonField token_fields[] = {
	HUBSPOT_JSON_FIELD("access_token", HUBSPOT_JSON_TEXT, TokenFields, token.access_token),
	HUBSPOT_JSON_FIELD("refresh_token", HUBSPOT_JSON_TEXT, TokenFields, token.refresh_token),
	HUBSPOT_JSON_FIELD("expires_in", HUBSPOT_JSON_INT, TokenFields, token.expires_in),
	HUBSPOT_JSON_FIELD("status", HUBSPOT_JSON_TEXT, TokenFields, status),
	HUBSPOT_JSON_FIELD("category", HUBSPOT_JSON_TEXT, TokenFields, category),
	HUBSPOT_JSON_FIELD("message", HUBSPOT_JSON_TEXT, TokenFields, message),
	HUBSPOT_JSON_FIELD("error_description", HUBSPOT_JSON_TEXT, TokenFields, description),
	HUBSPOT_JSON_FIELD("error", HUBSPOT_JSON_TEXT, TokenFields, error)
};
static const HubspotJsonShape token_shape = {
	HUBSPOT_JSON_FIELDS(token_fields)
};

static bool is_category(const char *status);

/*
 * Read a successful reply that lists labels or limits: a list of
 * HubspotDefinition, palloc'd.  False: it is not such a list, not all of it, or it
 * lists something that is not an association type.  Nothing is left out, since it
 * would be missed elsewhere.
 */
bool
hubspot_read_definitions(const HubspotHttpReply *reply, List **definitions)
{
	DefinitionsFields fields = {false};
	DefinitionsState state = {NIL, false};
	bool		read;

	read = hubspot_json_read(hubspot_reply_body(reply), &definitions_shape, &fields, &state);
	*definitions = state.definitions;
	return read && fields.has_results && !state.unreadable && hubspot_list_problem(reply) == NULL;
}

static void
definition_item(void *state, const void *item, HubspotSlice raw)
{
	DefinitionsState *definitions = state;
	const DefinitionFields *fields = item;
	HubspotDefinition *definition = palloc0(sizeof(HubspotDefinition));

	definition->type.category = fields->category;
	definition->type.type_id = fields->type_id;
	definition->type.label = fields->label;
	if (fields->category == NULL || strlen(fields->category) > MAX_CATEGORY_LEN ||
		fields->type_id < 1 ||
		!read_limit(fields->limit, definition))
		definitions->unreadable = true;
	definitions->definitions = lappend(definitions->definitions, definition);
}

static void
odd_definition(void *state)
{
	((DefinitionsState *) state)->unreadable = true;
}

/* False: there is a limit, but it is not a number from 0 to 2^31 - 1. */
static bool
read_limit(HubspotSlice digits, HubspotDefinition *definition)
{
	int64		value = 0;

	if (digits.data == NULL)
		return true;
	for (int i = 0; i < digits.len; i++)
	{
		if (!isdigit((unsigned char) digits.data[i]))
			return false;
		value = value * 10 + (digits.data[i] - '0');
		if (value > PG_INT32_MAX)
			return false;
	}
	definition->has_limit = true;
	definition->max_to_ids = (int32) value;
	return digits.len > 0;
}

/*
 * Read a successful reply that tells of a report.  False: it does not tell of
 * one.
 */
bool
hubspot_read_report(const HubspotHttpReply *reply, HubspotReport *report)
{
	ReportFields fields = {0};
	char	   *end;

	if (!hubspot_json_read(hubspot_reply_body(reply), &report_shape, &fields, NULL) ||
		fields.user_id == NULL || fields.enqueue_time == NULL)
		return false;
	errno = 0;
	report->user_id = strtoll(fields.user_id, &end, 10);
	report->user_email = fields.user_email;
	report->enqueue_time = fields.enqueue_time;
	return errno == 0 && end > fields.user_id && *end == '\0';
}

/*
 * Is an operation done, to which HubSpot has replied successfully, with an
 * envelope or without a body?  *error is what went wrong nevertheless, as the
 * reply says, or NULL.
 */
HubspotDone
hubspot_read_done(const HubspotHttpReply *reply, HubspotError **error)
{
	DoneState	state = {0};
	HubspotReplySink sink = {.state = &state,.result = done_result,
	.error = done_error,.max_errors = 1};
	HubspotEnvelope envelope;
	bool		read;

	read = hubspot_read_reply(reply, HUBSPOT_REPLY_SILENT, &sink, &envelope);
	if (state.error == NULL && read &&
		(envelope.canceled || envelope.nerrors > 0))
		state.error = hubspot_item_error(reply, hubspot_reply_body(reply),
										 hubspot_correlation_id(reply));
	*error = state.error;
	if (reply->status == HUBSPOT_NO_CONTENT)
		return HUBSPOT_DONE;
	if (reply->body_len == 0 && reply->status != HUBSPOT_ACCEPTED)
		return HUBSPOT_DONE_OR_NOT;
	if (!read)
		return HUBSPOT_NOT_DONE;
	if (envelope.complete || state.nresults > 0)
		return HUBSPOT_DONE;
	return envelope.status == NULL && !envelope.is_error && reply->status != HUBSPOT_ACCEPTED ?
		HUBSPOT_DONE_OR_NOT : HUBSPOT_NOT_DONE;
}

static void
done_result(void *state, const HubspotResult *result)
{
	((DoneState *) state)->nresults++;
}

static void
done_error(void *state, HubspotError *error)
{
	DoneState  *done = state;

	if (done->error == NULL)
		done->error = error;
}

/*
 * Read the answer of the token endpoint, which is a token or a refusal; the
 * texts are palloc'd.  False: it holds no token.
 */
bool
hubspot_read_token(const HubspotHttpReply *reply, HubspotTokenReply *token)
{
	TokenFields fields = {.token.expires_in = USUAL_TOKEN_LIFE};

	if (reply->failure != HUBSPOT_HTTP_OK ||
		!hubspot_json_read(hubspot_reply_body(reply), &token_shape, &fields, NULL))
	{
		memset(token, 0, sizeof(*token));
		return false;
	}
	*token = fields.token;
	if (is_category(fields.status))
		token->word = fields.status;
	else if (is_category(fields.category))
		token->word = fields.category;
	token->reason = !hubspot_says_nothing(fields.message) ? fields.message :
		!hubspot_says_nothing(fields.description) ? fields.description :
		!hubspot_says_nothing(fields.error) ? fields.error : NULL;
	return hubspot_reply_is_success(reply) && token->access_token;
}

/*
 * Is a status HubSpot's word for what went wrong?  That is in capitals, other
 * uses are not.
 */
static bool
is_category(const char *status)
{
	return status && isupper((unsigned char) status[0]) &&
		strlen(status) <= MAX_CATEGORY_LEN &&
		status[strspn(status, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}
