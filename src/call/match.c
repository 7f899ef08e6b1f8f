/*-------------------------------------------------------------------------
 *
 * match.c
 *	  What an answer says of each of the inputs that were sent.
 *
 * HubSpot promises no order, neither of results nor of errors, and may leave inputs out,
 * give them twice, or add others.  So everything is matched by ids, and an input counts as
 * done only if a result names it: the pair that was created, the record that was read.
 * Only where success names nothing, as for removals, is an input done if no error names
 * it.
 *
 * A result of a pair (a, b) may come with one of (b, a), the same association
 * in the other direction.  Ids of different object types may be equal, so that
 * the reverse of one input can look like another one: the batch never sends
 * two such inputs together, unless both sides have one type, where the two
 * mean the same.
 *
 * IDENTIFICATION
 *	  src/call/match.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"

#include "api/association_type.h"
#include "api/error_names.h"
#include "api/response.h"
#include "call/blame.h"
#include "call/match.h"
#include "call/page.h"
#include "json/json.h"
#include "json/text.h"

/* Errors that a reply may have beyond two for each input; see HubspotReplySink. */
#define MORE_ERRORS		100

/* Categories of types are shorter; what goes into each row needs a bound. */
#define MAX_CATEGORY_LEN	100

/* How many bytes of the status of an answer are shown. */
#define MAX_STATUS_LEN	100

/* The place of the next page goes back to HubSpot as it came; longer ones are refused. */
#define MAX_CURSOR_LEN	1000

/* The state of reading one successful reply. */
typedef struct Reading
{
	const HubspotMatch *match;
	const HubspotHttpReply *reply;
	const char *correlation_id;
	int			expected;		/* where the next result is likely to be */
	HubspotUnit *last;			/* whose result came last */
	const HubspotTypeList *last_types;	/* made last, to be shared */
	List	   *errors;			/* of HubspotError */
	const HubspotError *unnamed;	/* the first that names no input */
	int			nunnamed;		/* errors that name no input */

	/* most results have the labels of the one before */
	HubspotSlice last_labels_json;	/* in the reply */
	HubspotLabelList *last_labels;	/* or NULL */
} Reading;

/* No labels, for all pairs that have none. */
static const HubspotLabelList no_labels = {0};

static int	refused(const HubspotMatch *match, const List *errors,
					bool too_large, const HubspotError **refusal);
static void sort_out_pages(const HubspotMatch *match, const HubspotHttpReply *reply);
static int	sort_units(const HubspotMatch *match, int *nsuspects);
static void take_result(void *state, const HubspotResult *result);
static void take_error(void *state, HubspotError *error);
static HubspotUnit *find_unit(Reading *reading, const HubspotResult *result);
static void confirm(Reading *reading, HubspotUnit *unit,
					const HubspotResult *result);
static const HubspotTypeList *add_type(Reading *reading,
									   const HubspotTypeList *types,
									   const HubspotResult *result);
static const HubspotLabelList *share_labels(Reading *reading, HubspotSlice labels);
static void drop_labels(Reading *reading, const HubspotLabelList *labels);
static HubspotLabelList *make_labels(HubspotSlice labels);
static bool same_page(const HubspotUnit *unit, const HubspotResult *result);
static void take_page(Reading *reading, HubspotUnit *unit,
					  const HubspotResult *result);
static void confirm_rest(Reading *reading);
static void settle_errors(Reading *reading);
static void settle_missing(Reading *reading, const HubspotEnvelope *envelope);
static bool means_the_missing(const Reading *reading,
							  const HubspotEnvelope *envelope);
static const HubspotError *about_the_one(const HubspotMatch *match,
										 const HubspotError *error);
static void settle_rest(const HubspotMatch *match, const HubspotError *error);

/*
 * Settle the units that a final reply speaks of, after that many attempts.  Those that it
 * leaves unsettled are to be sent again, because others were the reason why they were
 * refused: the units are put in such an order that the unsettled ones come first, and of
 * these, those before the returned position go in one request, the others in another.  (0:
 * all in one.)  *refusal is the error of all units, if it names none that is to blame, or
 * of the only one that was sent; or NULL.
 *
 * What is made is palloc'd, for as long as the units live.
 */
int
hubspot_match_reply(const HubspotMatch *match, const HubspotHttpReply *reply,
					int attempts, const HubspotError **refusal)
{
	Reading		reading = {.match = match,.reply = reply};
	HubspotReplySink sink = {&reading, take_result, take_error,
	2 * match->nunits + MORE_ERRORS, match->types};
	HubspotEnvelope envelope;

	*refusal = NULL;
	if (!hubspot_reply_is_success(reply))
		return refused(match, list_make1(hubspot_reply_error(reply, attempts)),
					   reply->failure == HUBSPOT_HTTP_TOO_LARGE, refusal);

	reading.correlation_id = hubspot_correlation_id(reply);

	/* there may be nothing to say but that it's done */
	if (reply->body_len == 0 &&
		((match->shape == HUBSPOT_REPLY_SILENT && reply->status != HUBSPOT_ACCEPTED) ||
		 (reply->status == HUBSPOT_NO_CONTENT && !hubspot_match_reads(match) && match->nunits == 1)))
	{
		confirm_rest(&reading);
		return 0;
	}
	if (!hubspot_read_reply(reply, match->shape, &sink, &envelope))
	{
		/* results before the unreadable part do not confirm anything */
		for (int i = 0; i < match->nunits; i++)
			match->units[i]->confirmed = false;
		settle_rest(match, hubspot_unconfirmed(reply, reply->body_len == 0 ?
											   "HubSpot's answer is empty" :
											   "HubSpot's answer is not readable as JSON"));
		return 0;
	}
	if (envelope.canceled && reading.last == NULL && reading.errors != NIL)
		return refused(match, reading.errors, false, refusal);
	settle_errors(&reading);
	if (match->shape == HUBSPOT_REPLY_SILENT && reading.unnamed == NULL &&
		envelope.nerrors <= list_length(reading.errors) &&
		(envelope.complete || (envelope.status == NULL && !envelope.is_error &&
							   reply->status != HUBSPOT_ACCEPTED)))
		confirm_rest(&reading);
	settle_missing(&reading, &envelope);
	if (hubspot_match_reads(match))
		sort_out_pages(match, reply);
	return 0;
}

/* Give each association of the records that were read once, and let no record go on for ever. */
static void
sort_out_pages(const HubspotMatch *match, const HubspotHttpReply *reply)
{
	for (int i = 0; i < match->nunits; i++)
	{
		HubspotUnit *unit = match->units[i];
		const char *problem;

		if (!unit->confirmed || unit->page == NULL)
			continue;
		hubspot_page_sort_out(unit->page);
		problem = hubspot_page_problem(unit->page);
		if (problem)
			hubspot_settle(match, unit, hubspot_unconfirmed(reply, problem));
	}
}

/*
 * A request was refused as a whole: settle the units that its errors name, or
 * find the way to those that are to blame.  An answer that is too large to be
 * read is asked for in parts.  Returns as hubspot_match_reply.
 */
static int
refused(const HubspotMatch *match, const List *errors, bool too_large,
		const HubspotError **refusal)
{
	HubspotError *first = linitial(errors);
	int			nnamed = 0;
	int			nsuspects = 0;
	int			nunsettled;
	HubspotBlame *blame;
	ListCell   *lc;

	if (hubspot_ends_sending(first->verdict))
	{
		settle_rest(match, first);
		return 0;
	}
	blame = hubspot_blame_begin(match, true);
	foreach(lc, errors)
		nnamed += hubspot_blame(blame, lfirst(lc));

	/* what wasn't found may be the endpoint, unless an input is named */
	if (match->many)
		first->not_found = false;
	if (match->nunits == 1)
	{
		if (first->verdict == HUBSPOT_VERDICT_INPUT)
			*refusal = first;
		settle_rest(match, about_the_one(match, first));
		return 0;
	}
	nunsettled = sort_units(match, &nsuspects);
	if (nnamed > 0)
		return nsuspects < nunsettled ? nsuspects : 0;
	if (nsuspects > 0 && nsuspects < nunsettled)
		return nsuspects;
	if (first->verdict == HUBSPOT_VERDICT_INPUT)
		*refusal = first;
	if (*refusal || (hubspot_match_reads(match) && too_large))
		return (nunsettled + 1) / 2;
	settle_rest(match, first);
	return 0;
}

/*
 * Bring the unsettled units to the front, suspects first.  Returns how many there are, and
 * clears the suspicion.
 */
static int
sort_units(const HubspotMatch *match, int *nsuspects)
{
	HubspotUnit **sorted = palloc(sizeof(HubspotUnit *) * match->nunits);
	int			n = 0;
	int			nunsettled;

	for (int i = 0; i < match->nunits; i++)
	{
		if (!hubspot_unit_is_settled(match->units[i]) && match->units[i]->suspect)
			sorted[n++] = match->units[i];
	}
	*nsuspects = n;
	for (int i = 0; i < match->nunits; i++)
	{
		if (!hubspot_unit_is_settled(match->units[i]) && !match->units[i]->suspect)
			sorted[n++] = match->units[i];
	}
	nunsettled = n;
	for (int i = 0; i < match->nunits; i++)
	{
		if (hubspot_unit_is_settled(match->units[i]))
			sorted[n++] = match->units[i];
		match->units[i]->suspect = false;
	}
	memcpy(match->units, sorted, sizeof(HubspotUnit *) * match->nunits);
	pfree(sorted);
	return nunsettled;
}

static void
take_result(void *state, const HubspotResult *result)
{
	Reading    *reading = state;
	HubspotUnit *unit;

	CHECK_FOR_INTERRUPTS();
	if (reading->match->shape == HUBSPOT_REPLY_PAGE)
		unit = reading->match->units[0];
	else if (reading->match->shape == HUBSPOT_REPLY_SILENT ||
			 result->from_id.data == NULL ||
			 (result->to_id.data == NULL && !hubspot_match_reads(reading->match)))
		return;
	else
		unit = find_unit(reading, result);

	if (unit == NULL)
		return;
	if (unit->confirmed && hubspot_match_reads(reading->match))
	{
		/* a record that is there twice would have its associations twice */
		if (!same_page(unit, result))
			hubspot_settle(reading->match, unit,
						   hubspot_unconfirmed(reading->reply,
											   "HubSpot's answer has it twice, with different associations"));
		return;
	}
	if (!(unit->error && hubspot_match_reads(reading->match)))
		confirm(reading, unit, result);
	reading->last = unit;
}

/* Does a record's second result have the same page as the first one? */
static bool
same_page(const HubspotUnit *unit, const HubspotResult *result)
{
	const HubspotPage *page = unit->page;

	if (result->problem || page->nassociations != result->nassociations ||
		!hubspot_same_id(page->after, result->after))
		return false;
	for (int i = 0; i < page->nassociations; i++)
	{
		if (page->associations[i].type != result->associations[i].type ||
			!hubspot_same_id(page->associations[i].to_id,
							 result->associations[i].to_id))
			return false;
	}
	return true;
}

static void
take_error(void *state, HubspotError *error)
{
	Reading    *reading = state;

	CHECK_FOR_INTERRUPTS();
	reading->errors = lappend(reading->errors, error);
}

/*
 * The unit that a result is about, or NULL.  Results tend to come in the
 * order of the inputs, each maybe followed by its reverse; looking there first
 * spares most look-ups.
 */
static HubspotUnit *
find_unit(Reading *reading, const HubspotResult *result)
{
	const HubspotMatch *match = reading->match;
	HubspotInput key = {.from_id = result->from_id,.to_id = result->to_id};

	if (hubspot_match_reads(match))
		key.to_id = match->units[0]->input.to_id;
	if (reading->expected < match->nunits &&
		hubspot_same_pair(&match->units[reading->expected]->input, &key))
		return match->units[reading->expected++];
	if (reading->last)
	{
		if (hubspot_same_pair(&reading->last->input, &key))
			return reading->last;
		if (!reading->match->symmetric && hubspot_reverse_pair(&reading->last->input, &key))
			return NULL;
	}

	return hubspot_match_unit(match, key.from_id, key.to_id);
}

static void
confirm(Reading *reading, HubspotUnit *unit, const HubspotResult *result)
{
	unit->confirmed = true;
	unit->http_status = reading->reply->status;
	if (!reading->match->many)
		unit->correlation_id = reading->correlation_id;
	if (hubspot_match_reads(reading->match))
	{
		take_page(reading, unit, result);
		return;
	}

	/*
	 * The reverse of a pair of equal numbers looks like the pair itself; the
	 * direction that was asked for comes first.
	 */
	if (result->category.data && result->type_id != 0 &&
		!(unit->types && !reading->match->symmetric &&
		  hubspot_same_id(unit->input.from_id, unit->input.to_id)))
		unit->types = add_type(reading, unit->types, result);
	if (result->labels.data)
	{
		const HubspotLabelList *labels = share_labels(reading, result->labels);

		drop_labels(reading, unit->labels);
		unit->labels = labels;
	}
}

/*
 * A page of a record's associations.  One that cannot be read in full, or that leads back
 * to where another one began, does not count as an answer.
 *
 * To detect a cycle of any length, the place of a page is remembered until twice as many
 * pages have been read, and compared with that of each page that follows.
 */
static void
take_page(Reading *reading, HubspotUnit *unit, const HubspotResult *result)
{
	HubspotPage *page = unit->page;
	const char *problem = result->problem;

	if (result->after.len > MAX_CURSOR_LEN)
		problem = "the paging cursor is too long";
	else if (result->after.data && page->mark.data &&
			 hubspot_same_id(page->mark, result->after))
		problem = "the paging cursor repeats";
	if (problem)
	{
		hubspot_settle(reading->match, unit,
					   hubspot_unconfirmed(reading->reply, problem));
		return;
	}
	page->associations = result->associations;
	page->nassociations = result->nassociations;
	page->after = result->after;
	page->npages++;
	if ((page->npages & (page->npages - 1)) == 0)
		page->mark = result->after;
}

/* Confirm all units that are not settled. */
static void
confirm_rest(Reading *reading)
{
	const HubspotResult none = {0};

	for (int i = 0; i < reading->match->nunits; i++)
	{
		if (!hubspot_unit_is_settled(reading->match->units[i]))
			confirm(reading, reading->match->units[i], &none);
	}
}

/* Add the type of a result to types, in a list that others may share. */
static const HubspotTypeList *
add_type(Reading *reading, const HubspotTypeList *types,
		 const HubspotResult *result)
{
	HubspotSlice category = {result->category.data,
	Min(result->category.len, MAX_CATEGORY_LEN)};
	HubspotAssociationType type;
	HubspotTypeList *longer;
	int			ntypes = types ? types->ntypes : 0;

	if (ntypes == 0 && reading->last_types)
	{
		const HubspotAssociationType *last = &reading->last_types->types[0];

		if (last->type_id == result->type_id &&
			strncmp(last->category, category.data, category.len) == 0 &&
			last->category[category.len] == '\0')
			return reading->last_types;
	}
	type.category = hubspot_text_from_utf8(category.data, category.len);
	type.type_id = result->type_id;
	type.label = NULL;
	if (ntypes == HUBSPOT_MAX_TYPES || hubspot_has_type(types, &type))
		return types;

	/* a list of one is shared; others have room for a power of two */
	if (ntypes > 1 && (ntypes & (ntypes - 1)) != 0)
		longer = unconstify(HubspotTypeList *, types);
	else
	{
		longer = palloc(offsetof(HubspotTypeList, types) +
						sizeof(HubspotAssociationType) * Max(2 * ntypes, 1));
		if (ntypes > 0)
			memcpy(longer->types, types->types,
				   sizeof(HubspotAssociationType) * ntypes);
		if (ntypes > 1)
			pfree(unconstify(HubspotTypeList *, types));
	}
	longer->types[ntypes] = type;
	longer->ntypes = ntypes + 1;
	if (ntypes == 0)
		reading->last_types = longer;
	return longer;
}

/*
 * The labels of a JSON array for one more unit: the list of the last result if it has the
 * same, and one list for all units without labels.  NULL: it is not an array.
 */
static const HubspotLabelList *
share_labels(Reading *reading, HubspotSlice labels)
{
	if (labels.len == 2 && memcmp(labels.data, "[]", 2) == 0)
		return &no_labels;
	if (labels.data[0] != '[')
		return NULL;
	if (reading->last_labels == NULL ||
		reading->last_labels_json.len != labels.len ||
		memcmp(reading->last_labels_json.data, labels.data, labels.len) != 0)
	{
		reading->last_labels = make_labels(labels);
		reading->last_labels_json = labels;
	}
	reading->last_labels->nsharers++;
	return reading->last_labels;
}

/* Drop a unit's share of its labels, since it gets others: a reply may name it twice. */
static void
drop_labels(Reading *reading, const HubspotLabelList *labels)
{
	HubspotLabelList *list = unconstify(HubspotLabelList *, labels);

	if (list == NULL || list == &no_labels || --list->nsharers > 0)
		return;
	if (reading->last_labels == list)
		reading->last_labels = NULL;
	for (int i = 0; i < list->nlabels; i++)
		pfree(unconstify(char *, list->labels[i]));
	pfree(list);
}

/* The labels of a JSON array, at most as many as a pair may have types. */
static HubspotLabelList *
make_labels(HubspotSlice labels)
{
	List	   *texts = hubspot_json_texts(labels, HUBSPOT_MAX_TYPES);
	HubspotLabelList *list;
	ListCell   *lc;

	list = palloc(offsetof(HubspotLabelList, labels) +
				  sizeof(char *) * list_length(texts));
	list->nsharers = 0;
	list->nlabels = 0;
	foreach(lc, texts)
		list->labels[list->nlabels++] = lfirst(lc);
	list_free(texts);
	return list;
}

/* Settle units by the errors of a reply that may have results, too. */
static void
settle_errors(Reading *reading)
{
	HubspotBlame *blame;
	ListCell   *lc;

	if (reading->errors == NIL)
		return;
	blame = hubspot_blame_begin(reading->match, false);
	foreach(lc, reading->errors)
	{
		if (hubspot_blame(blame, lfirst(lc)) > 0)
			continue;
		if (reading->unnamed == NULL)
			reading->unnamed = lfirst(lc);
		reading->nunnamed++;
	}
}

/*
 * Settle the units that neither a result nor an error names: HubSpot said nothing of them,
 * unless an error without a name can only mean the one that is left.
 */
static void
settle_missing(Reading *reading, const HubspotEnvelope *envelope)
{
	const HubspotMatch *match = reading->match;
	const HubspotError *unnamed = reading->unnamed;
	HubspotError *error;
	const char *reason;
	int			nmissing = 0;

	for (int i = 0; i < match->nunits; i++)
	{
		if (!hubspot_unit_is_settled(match->units[i]))
			nmissing++;
	}
	if (nmissing == 0)
		return;
	if (unnamed && (match->nunits == 1 ||
					(nmissing == 1 && means_the_missing(reading, envelope))))
	{
		settle_rest(match, about_the_one(match, unnamed));
		return;
	}
	reason = "not in HubSpot's answer";
	if (unnamed)
		reason = psprintf("%s, which says: %s", reason, unnamed->message);
	else if (envelope->status && !envelope->complete)
		reason = psprintf("%s, whose status is %.*s", reason,
						  pg_mbcliplen(envelope->status, strlen(envelope->status),
									   MAX_STATUS_LEN), envelope->status);
	error = hubspot_unconfirmed(reading->reply, reason);
	if (unnamed)
		error->object = unnamed->object;
	settle_rest(match, error);
}

/*
 * Does an error that names no input mean the only one that is missing?  Not if there are
 * more such errors than one, or if it names something that wasn't sent.  Of removals, the
 * results don't tell which are missing.
 */
static bool
means_the_missing(const Reading *reading, const HubspotEnvelope *envelope)
{
	return reading->match->shape != HUBSPOT_REPLY_SILENT && reading->nunnamed == 1 &&
		envelope->nerrors <= list_length(reading->errors) &&
		!hubspot_error_names_ids(reading->unnamed);
}

/*
 * What an error that names no input means for the only one that can be meant.  If it names
 * ids, which are not that one's, it does not say that there was nothing to do.
 */
static const HubspotError *
about_the_one(const HubspotMatch *match, const HubspotError *error)
{
	HubspotError *copy;

	if (!match->many || !(error->not_found || error->no_associations) ||
		!hubspot_error_names_ids(error))
		return error;
	copy = palloc(sizeof(HubspotError));
	*copy = *error;
	copy->not_found = copy->no_associations = false;
	return copy;
}

static void
settle_rest(const HubspotMatch *match, const HubspotError *error)
{
	for (int i = 0; i < match->nunits; i++)
	{
		if (!hubspot_unit_is_settled(match->units[i]))
			hubspot_settle(match, match->units[i], error);
	}
}
