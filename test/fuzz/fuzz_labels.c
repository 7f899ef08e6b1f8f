/*-------------------------------------------------------------------------
 *
 * fuzz_labels.c
 *	  Association types by their labels.
 *
 * Input: a line of the encoding's letter; a line for each label that is asked
 * for, maybe with a category and a slash before it, until an empty one; then
 * the answer to the look-up, as fuzz_reply() reads it.
 *
 * IDENTIFICATION
 *	  test/fuzz/fuzz_labels.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/formatting.h"

#include "fuzz.h"

#include "api/definition.h"
#include "api/endpoint.h"
#include "call/call.h"
#include "call/labels.h"
#include "json/text.h"

#define MAX_QUESTIONS	20

/* An error goes into each row, whose message is at most so long. */
#define MAX_MESSAGE		1000

static HubspotHttpReply reply;
static int	ncalls;

/* call.c's, which sends the look-up */
void
hubspot_call_perform(const HubspotClient *client, HubspotCall *call)
{
	fuzz_check(strcmp(call->method, "GET") == 0 && call->path[0] == '/');
	call->reply = &reply;
	call->attempts = 1;
	ncalls++;
}

const HubspotError *
hubspot_call_error(const HubspotCall *call)
{
	return hubspot_reply_is_success(call->reply) ? NULL :
		hubspot_reply_error(call->reply, call->attempts);
}

static bool
same_label(const char *a, const char *b, bool exact)
{
	if (exact)
		return strcmp(a, b) == 0;
	return strcmp(asc_tolower(a, strlen(a)), asc_tolower(b, strlen(b))) == 0;
}

/*
 * The one type that has the label, written otherwise than in labels.c.  *n is
 * how many there are.
 */
static const HubspotAssociationType *
expected_type(const List *definitions, const char *label, const char *category,
			  bool exact, int *n)
{
	const HubspotAssociationType *first = NULL;
	ListCell   *lc;

	*n = 0;
	foreach(lc, definitions)
	{
		const HubspotAssociationType *type = &((const HubspotDefinition *) lfirst(lc))->type;

		if (type->label == NULL || !same_label(type->label, label, exact) ||
			(category && strcmp(category, type->category) != 0))
			continue;
		if (first == NULL || first->type_id != type->type_id ||
			strcmp(first->category, type->category) != 0)
			(*n)++;
		if (first == NULL)
			first = type;
	}
	return first;
}

static void
ask(HubspotLabels *labels, const List *definitions, bool failed, const char *label,
	const char *category)
{
	const HubspotError *error;
	const HubspotAssociationType *type = hubspot_labels_find(labels, label, category, &error);
	const HubspotAssociationType *expected;
	int			n;

	fuzz_check((type == NULL) == (error != NULL));
	if (error)
	{
		fuzz_check_error(error);
		fuzz_check(error->verdict != HUBSPOT_VERDICT_INPUT);
	}
	if (failed)
	{
		fuzz_check(type == NULL);
		return;
	}
	fuzz_check(error == NULL || strlen(error->message) <= MAX_MESSAGE);
	expected = expected_type(definitions, label, category, true, &n);
	if (n == 0)
		expected = expected_type(definitions, label, category, false, &n);
	fuzz_check((n == 1) == (type != NULL));
	if (type)
	{
		fuzz_check(expected != NULL);
		fuzz_check(type->type_id == expected->type_id);
		fuzz_check(strcmp(type->category, expected->category) == 0);
		fuzz_check(same_label(type->label, label, false));
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	FuzzInput	input = {(const char *) data, (const char *) data + size};
	HubspotSlice line = fuzz_line(&input);
	HubspotOptions options = {.api_version = "2026-03",.server = 1,.user = 2};
	HubspotClient client = {.options = &options};
	HubspotLabels *labels;
	char	   *questions[MAX_QUESTIONS];
	char	   *categories[MAX_QUESTIONS];
	List	   *definitions = NIL;
	int			nquestions = 0;
	bool		failed;

	fuzz_begin(fuzz_choice(&line, "ULA"));
	ncalls = 0;
	while ((line = fuzz_line(&input)).len > 0)
	{
		const char *slash = memchr(line.data, '/', line.len);

		if (nquestions == MAX_QUESTIONS)
			continue;
		categories[nquestions] = slash ? pnstrdup(line.data, slash - line.data) : NULL;
		if (slash)
		{
			line.len -= slash + 1 - line.data;
			line.data = slash + 1;
		}
		/* what comes from SQL is valid */
		questions[nquestions] = hubspot_text_from_utf8(line.data, line.len);
		if (categories[nquestions] && !hubspot_is_category(categories[nquestions]))
			categories[nquestions] = NULL;
		nquestions++;
	}
	fuzz_reply(&input, &reply);

	failed = !fuzz_reply_is_success(&reply) || !hubspot_read_definitions(&reply, &definitions);
	labels = hubspot_labels_create(&client, "contacts", "companies");
	for (int i = 0; i < nquestions; i++)
	{
		ask(labels, definitions, failed, questions[i], categories[i]);
		/* what is remembered is the same */
		ask(labels, definitions, failed, questions[i], categories[i]);
	}
	fuzz_check(ncalls == (nquestions > 0 ? 1 : 0));
	fuzz_check(hubspot_labels_serve(labels, &client, "contacts", "companies") ==
			   !(nquestions > 0 && failed));
	fuzz_end();
	return 0;
}
