/*-------------------------------------------------------------------------
 *
 * fuzz_response.c
 *	  The reading of answers, of every shape.
 *
 * Input: a line of the shape's and the encoding's letters, then an answer as
 * fuzz_reply() reads it.  Shapes: e(nvelope), s(ilent), r(ecords), p(air),
 * (pa)g(e), d(efinitions), (repor)t, (do)n(e), (to)k(en), f(ailure), j(sonb),
 * (single member)m.
 *
 * IDENTIFICATION
 *	  test/fuzz/fuzz_response.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "fuzz.h"

#include "api/definition.h"
#include "api/response.h"
#include "json/json.h"
#include "json/jsonb.h"

/* The most errors that are told apart here. */
#define MAX_ERRORS	5

/* Levels of jsonb that are built, from jsonb.c; more are a string. */
#define MAX_DEPTH	200

/* What came of an answer. */
typedef struct Seen
{
	int			nresults;
	int			nerrors;
	bool		records;
	StringInfoData said;		/* all that the results say */
} Seen;

static void
say(Seen *seen, HubspotSlice slice)
{
	appendStringInfo(&seen->said, "%d ", slice.data ? slice.len : -1);
	if (slice.data)
		appendBinaryStringInfo(&seen->said, slice.data, slice.len);
}

static void
take_result(void *state, const HubspotResult *result)
{
	Seen	   *seen = state;

	seen->nresults++;
	say(seen, result->from_id);
	say(seen, result->to_id);
	say(seen, result->category);
	say(seen, result->after);
	appendStringInfo(&seen->said, "%d %d %s %d", result->type_id, result->listed,
					 result->problem ? result->problem : "", result->nassociations);
	fuzz_check_slice(result->from_id);
	fuzz_check_slice(result->to_id);
	fuzz_check_slice(result->category);
	fuzz_check_slice(result->labels);
	fuzz_check_slice(result->after);
	fuzz_check_slice(result->paging);
	fuzz_check(result->nassociations == 0 || seen->records);
	for (int i = 0; i < result->nassociations; i++)
	{
		const HubspotAssociation *association = &result->associations[i];

		say(seen, association->to_id);

		/* it becomes a text of SQL as it is */
		fuzz_check(association->to_id.len > 0);
		for (int j = 0; j < association->to_id.len; j++)
			fuzz_check(association->to_id.data[j] > ' ' && association->to_id.data[j] <= '~');
		if (association->type)
		{
			fuzz_check(association->type->type_id > 0);
			fuzz_check_text(association->type->category);
			if (association->type->label)
				fuzz_check_text(association->type->label);
			appendStringInfo(&seen->said, " %s %d %s", association->type->category,
							 association->type->type_id,
							 association->type->label ? association->type->label : "");
		}
	}
	if (result->labels.data)
	{
		List	   *texts = hubspot_json_texts(result->labels, PG_INT32_MAX);
		ListCell   *lc;

		foreach(lc, texts)
		{
			fuzz_check_text(lfirst(lc));
			appendStringInfo(&seen->said, " %s", (char *) lfirst(lc));
		}
	}
}

static void
take_error(void *state, HubspotError *error)
{
	((Seen *) state)->nerrors++;
	fuzz_check_error(error);
}

/* Does it tell of a failure? */
static bool
is_failure(const HubspotEnvelope *envelope)
{
	return envelope->nerrors > 0 || envelope->is_error ||
		(envelope->status && !envelope->complete);
}

static bool
read_reply(const HubspotHttpReply *reply, HubspotReplyShape shape, HubspotTypeSet *types,
		   Seen *seen, HubspotEnvelope *envelope)
{
	HubspotReplySink sink = {seen, take_result, take_error, MAX_ERRORS, types};

	memset(seen, 0, sizeof(*seen));
	seen->records = (shape == HUBSPOT_REPLY_RECORDS || shape == HUBSPOT_REPLY_PAGE);
	initStringInfo(&seen->said);
	return hubspot_read_reply(reply, shape, &sink, envelope);
}

static void
read_inputs(const HubspotHttpReply *reply, HubspotReplyShape shape, FuzzJson json)
{
	HubspotTypeSet *types = hubspot_types_create(CurrentMemoryContext);
	HubspotEnvelope envelope;
	Seen		seen;
	bool		read = read_reply(reply, shape, types, &seen, &envelope);

	/* an answer is readable if it is an object, and a page if it has a list */
	fuzz_check(!read || json == FUZZ_JSON_OBJECT);
	fuzz_check(read || json != FUZZ_JSON_OBJECT || shape == HUBSPOT_REPLY_PAGE);
	fuzz_check(seen.nerrors <= MAX_ERRORS);
	fuzz_check(seen.nerrors <= envelope.nerrors);
	fuzz_check(!(envelope.canceled && envelope.complete));
	if (envelope.status)
		fuzz_check_text(envelope.status);

	/* a page that tells of a failure is none */
	if (shape == HUBSPOT_REPLY_PAIR)
		fuzz_check(seen.nresults == (read ? 1 : 0) && seen.nerrors == 0);
	else if (shape == HUBSPOT_REPLY_PAGE)
		fuzz_check(seen.nresults == (read && !is_failure(&envelope) ? 1 : 0));

	/* a result that is like another one says what it says alone */
	if (read)
	{
		HubspotHttpReply other;
		HubspotEnvelope again;
		Seen		alone;

		fuzz_spread(reply, &other);
		fuzz_check(read_reply(&other, shape, types, &alone, &again));
		fuzz_check(alone.nresults == seen.nresults && alone.nerrors == seen.nerrors);
		fuzz_check(strcmp(alone.said.data, seen.said.data) == 0);
	}
}

static void
read_definitions(const HubspotHttpReply *reply, FuzzJson json)
{
	List	   *definitions;
	bool		read = hubspot_read_definitions(reply, &definitions);
	ListCell   *lc;

	fuzz_check(!read || json == FUZZ_JSON_OBJECT);
	fuzz_check(!read || hubspot_list_problem(reply) == NULL);
	foreach(lc, definitions)
	{
		const HubspotDefinition *definition = lfirst(lc);

		fuzz_check(!read || (definition->type.category && definition->type.type_id > 0));
		fuzz_check(!definition->has_limit || definition->max_to_ids >= 0);
		if (definition->type.category)
			fuzz_check_text(definition->type.category);
		if (definition->type.label)
			fuzz_check_text(definition->type.label);
	}
}

static void
read_token(const HubspotHttpReply *reply, FuzzJson json)
{
	HubspotTokenReply token;
	bool		read = hubspot_read_token(reply, &token);
	HubspotError *error = hubspot_token_error(reply, token.word, token.reason, 2);

	fuzz_check(!read || (json == FUZZ_JSON_OBJECT && fuzz_reply_is_success(reply)));
	fuzz_check(!read || token.access_token != NULL);
	if (token.access_token)
		fuzz_check_text(token.access_token);
	if (token.refresh_token)
		fuzz_check_text(token.refresh_token);
	if (token.word)
		fuzz_check(token.word[strspn(token.word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0');
	fuzz_check_error(error);
	fuzz_check(error->verdict == HUBSPOT_VERDICT_NO_TOKEN);
	fuzz_check(error->object.data == NULL);
}

static void
take_header(void *state, HubspotSlice name, HubspotSlice value)
{
	const HubspotHttpReply *reply = state;

	fuzz_check(name.data >= reply->headers && value.data >= name.data + name.len);
	fuzz_check(value.data + value.len <= reply->headers + reply->headers_len);
	fuzz_check(memchr(name.data, ':', name.len) == NULL);
	fuzz_check(memchr(name.data, '\n', value.data + value.len - name.data) == NULL);
}

/* What a reply means before its body is read for its own sake. */
static void
read_failure(const HubspotHttpReply *reply)
{
	HubspotError *error = hubspot_reply_error(reply, 3);
	HubspotError *copy;
	int64		wait;
	bool		asked;
	HubspotAdvice once = hubspot_reply_advice(reply, false, &wait, &asked);
	HubspotAdvice advice = hubspot_reply_advice(reply, true, &wait, &asked);

	fuzz_check(wait >= 0 && wait <= INT64CONST(10000000000000));
	fuzz_check(!asked || wait > 0);
	fuzz_check((advice != HUBSPOT_PARK && advice != HUBSPOT_PARK_SECOND) || wait > 0);

	/* what may not be repeated is never tried more than what may */
	fuzz_check(once == advice || (once == HUBSPOT_FINAL && advice == HUBSPOT_RETRY));
	fuzz_check(!hubspot_reply_is_success(reply) || advice == HUBSPOT_FINAL);
	fuzz_check(hubspot_reply_is_success(reply) == fuzz_reply_is_success(reply));
	(void) hubspot_reply_is_expired(reply);
	hubspot_each_header(reply, unconstify(HubspotHttpReply *, reply), take_header);

	fuzz_check_error(error);
	fuzz_check(strlen(error->message) <= 1100 || reply->failure != HUBSPOT_HTTP_OK);
	fuzz_check(error->verdict != HUBSPOT_VERDICT_UNREACHED || reply->failure != HUBSPOT_HTTP_OK ||
			   reply->status == 421 || reply->status == 425);
	fuzz_check(hubspot_is_unconfirmed(error->verdict) == (strcmp(error->category, HUBSPOT_UNCONFIRMED) == 0));
	copy = hubspot_copy_error(error);
	fuzz_check_error(copy);
	fuzz_check(copy->object.len == error->object.len);
	fuzz_check_error(hubspot_item_error(reply, hubspot_reply_body(reply), NULL));
}

static void
take_member(void *state, HubspotSlice name, HubspotSlice value)
{
	int			depth;

	(*(int *) state)++;
	fuzz_check_slice(name);

	/* a value is one, whatever follows it */
	fuzz_check(value.len > 0);
	fuzz_check(fuzz_json(value.data, value.len, &depth) != FUZZ_NO_JSON);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	FuzzInput	input = {(const char *) data, (const char *) data + size};
	HubspotSlice line = fuzz_line(&input);
	int			shape = fuzz_choice(&line, "esrpgdtnkfjm");
	HubspotHttpReply reply;
	HubspotError *error;
	HubspotReport report;
	FuzzJson	json;
	int			depth;
	int			nmembers = 0;

	fuzz_begin(fuzz_choice(&line, "ULA"));
	fuzz_reply(&input, &reply);
	json = fuzz_json(reply.body, reply.body_len, &depth);
	switch (shape)
	{
		case 'e':
			read_inputs(&reply, HUBSPOT_REPLY_ENVELOPE, json);
			break;
		case 's':
			read_inputs(&reply, HUBSPOT_REPLY_SILENT, json);
			break;
		case 'r':
			read_inputs(&reply, HUBSPOT_REPLY_RECORDS, json);
			break;
		case 'p':
			read_inputs(&reply, HUBSPOT_REPLY_PAIR, json);
			break;
		case 'g':
			read_inputs(&reply, HUBSPOT_REPLY_PAGE, json);
			break;
		case 'd':
			read_definitions(&reply, json);
			break;
		case 't':
			if (hubspot_read_report(&reply, &report))
			{
				fuzz_check(json == FUZZ_JSON_OBJECT);
				fuzz_check_text(report.enqueue_time);
				if (report.user_email)
					fuzz_check_text(report.user_email);
			}
			break;
		case 'n':
			switch (hubspot_read_done(&reply, &error))
			{
				case HUBSPOT_NOT_DONE:
					fuzz_check(reply.status != 204);
					break;
				case HUBSPOT_DONE_OR_NOT:
					fuzz_check(json == FUZZ_JSON_OBJECT || reply.body_len == 0);
					break;
				case HUBSPOT_DONE:
					fuzz_check(json == FUZZ_JSON_OBJECT || reply.status == 204);
					break;
			}
			if (error)
				fuzz_check_error(error);
			break;
		case 'k':
			read_token(&reply, json);
			break;
		case 'f':
			read_failure(&reply);
			break;
		case 'j':
			if (hubspot_json_to_jsonb(hubspot_reply_body(&reply)) == NULL)
				fuzz_check(reply.body_len == 0);
			else if (json == FUZZ_NO_JSON || depth > MAX_DEPTH)
				fuzz_check(fuzz_jsonb_is_string);
			else
				fuzz_check(fuzz_jsonb_depth == depth);
			break;
		case 'm':
			hubspot_json_each_member(hubspot_reply_body(&reply), &nmembers, take_member);
			fuzz_check(nmembers == 0 || reply.body_len > 0);
			break;
	}
	fuzz_end();
	return 0;
}
