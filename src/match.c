/*-------------------------------------------------------------------------
 *
 * match.c
 *	  What an answer says of each of the inputs that were sent.
 *
 * HubSpot promises no order, neither of results nor of errors, and may leave
 * inputs out, give them twice, or add others.  So everything is matched by
 * ids, and an input counts as created only if a result names it.
 *
 * A result of a pair (a, b) may come with one of (b, a), the same association
 * in the other direction.  Ids of different object types may be equal, so that
 * the reverse of one input can look like another one: the batch never sends
 * two such inputs together, unless both sides have one type, where the two
 * mean the same.
 *
 * What an error means is decided from what it names: inputs of which HubSpot
 * said so exactly, or of one side's id.  An id that may be meant of either
 * side makes suspects, not offenders: they are sent again, apart from the
 * others.
 *
 * IDENTIFICATION
 *	  src/match.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"

#include "context.h"
#include "json.h"
#include "lexer.h"
#include "match.h"
#include "response.h"
#include "type.h"

/* Errors that a reply may have beyond two for each input; see HubspotReplySink. */
#define MORE_ERRORS		100

/* Accepted, which is not done. */
#define STATUS_ACCEPTED	202

/* The place of a next page goes back to HubSpot as it came. */
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
} Reading;

static int	refused(const HubspotMatch *match, const List *errors,
					bool too_large);
static int	sort_units(const HubspotMatch *match, int *nsuspects);
static void take_result(void *state, const HubspotResult *result);
static void take_error(void *state, HubspotError *error);
static HubspotUnit *find_unit(Reading *reading, const HubspotResult *result);
static void confirm(Reading *reading, HubspotUnit *unit,
					const HubspotResult *result);
static const HubspotTypeList *add_type(Reading *reading,
									   const HubspotTypeList *types,
									   const HubspotResult *result);
static const HubspotLabelList *make_labels(HubspotSlice labels);
static bool same_page(const HubspotUnit *unit, const HubspotResult *result);
static void take_page(Reading *reading, HubspotUnit *unit,
					  const HubspotResult *result);
static void confirm_rest(Reading *reading);
static void settle_errors(Reading *reading);
static void settle(const HubspotMatch *match, HubspotUnit *unit,
				   const HubspotError *error);
static void settle_missing(Reading *reading, const HubspotEnvelope *envelope);
static void settle_rest(const HubspotMatch *match, const HubspotError *error);
static int	settle_named(const HubspotMatch *match, const HubspotError *error,
						 bool refused);
static int	settle_sides(const HubspotMatch *match, const HubspotNames *names,
						 const HubspotError *error, bool refused);
static bool named_pair(const HubspotNames *names, const HubspotInput *input);
static bool contains(const List *ids, HubspotSlice id);
static int	settle_ids(const HubspotMatch *match, const HubspotNames *names,
					   const HubspotError *error, bool refused);
static int	settle_id(const HubspotMatch *match, const HubspotNamedId *named,
					  const HubspotError *error, bool refused);
static int	settle_types(const HubspotMatch *match, const HubspotNames *names,
						 const HubspotError *error);

/* Are they records, of which pages of associations are read? */
static inline bool
reads(const HubspotMatch *match)
{
	return match->shape == HUBSPOT_REPLY_RECORDS ||
		match->shape == HUBSPOT_REPLY_PAGE;
}

static inline HubspotSlice
slice_of(const char *text)
{
	HubspotSlice slice = {text, (int) strlen(text)};

	return slice;
}

/* The unit of a match that has the pair of ids, or NULL. */
static HubspotUnit *
unit_of_pair(const HubspotMatch *match, HubspotSlice from_id, HubspotSlice to_id)
{
	HubspotInput key = {.from_id = from_id,.to_id = to_id};
	HubspotUnit *unit = hubspot_pairs_chain(match->pairs, &key,
											hubspot_pair_hash(&key));

	while (unit && !(unit->sent_with == match->sent_with &&
					 hubspot_same_pair(&unit->input, &key)))
		unit = unit->older;
	return unit;
}

/*
 * Settle the units that a final reply speaks of, after so many attempts.
 * Those that it leaves unsettled are to be sent again, because others were
 * the reason why they were refused: the units are put in such an order that
 * the unsettled ones come first, and of these, those before the returned
 * position go in one request, the others in another.  (0: all in one.)
 *
 * What is made is palloc'd, for as long as the units live.
 */
int
hubspot_match_reply(const HubspotMatch *match, const HubspotHttpReply *reply,
					int attempts)
{
	Reading		reading = {.match = match,.reply = reply};
	HubspotReplySink sink = {&reading, take_result, take_error,
	2 * match->nunits + MORE_ERRORS, match->types};
	HubspotEnvelope envelope;

	if (!hubspot_reply_is_success(reply))
		return refused(match, list_make1(hubspot_reply_error(reply, attempts)),
					   reply->failure == HUBSPOT_HTTP_TOO_LARGE);

	reading.correlation_id = hubspot_correlation_id(reply);

	/* there may be nothing to say but that it's done */
	if (reply->body_len == 0 &&
		((match->shape == HUBSPOT_REPLY_SILENT && reply->status != STATUS_ACCEPTED) ||
		 (reply->status == 204 && !reads(match) && match->nunits == 1)))
	{
		confirm_rest(&reading);
		return 0;
	}
	if (!hubspot_read_reply(reply, match->shape, &sink, &envelope))
	{
		/* what was read until it became unreadable is no confirmation */
		for (int i = 0; i < match->nunits; i++)
			match->units[i]->confirmed = false;
		settle_rest(match, hubspot_unconfirmed(reply, reply->body_len == 0 ?
											   "HubSpot's answer is empty" :
											   "HubSpot's answer is not readable as JSON"));
		return 0;
	}
	if (envelope.canceled && reading.last == NULL && reading.errors != NIL)
		return refused(match, reading.errors, false);
	settle_errors(&reading);
	if (match->shape == HUBSPOT_REPLY_SILENT && reading.unnamed == NULL &&
		envelope.nerrors <= list_length(reading.errors) &&
		(envelope.complete || (envelope.status == NULL && !envelope.is_error)))
		confirm_rest(&reading);
	settle_missing(&reading, &envelope);
	return 0;
}

/*
 * A request was refused as a whole: settle the units that its errors name, or
 * find the way to those that are to blame.  An answer that is too large to be
 * read is asked for in parts.  Returns as hubspot_match_reply.
 */
static int
refused(const HubspotMatch *match, const List *errors, bool too_large)
{
	HubspotError *first = linitial(errors);
	int			nnamed = 0;
	int			nsuspects = 0;
	int			nunsettled;
	ListCell   *lc;

	if (first->ends_sending)
	{
		settle_rest(match, first);
		return 0;
	}
	foreach(lc, errors)
		nnamed += settle_named(match, lfirst(lc), true);

	/* what wasn't found may be the endpoint, unless an input is named */
	if (match->many)
		first->not_found = false;
	if (match->nunits == 1)
	{
		settle_rest(match, first);
		return 0;
	}
	nunsettled = sort_units(match, &nsuspects);
	if (nnamed > 0)
		return nsuspects < nunsettled ? nsuspects : 0;
	if (nsuspects > 0 && nsuspects < nunsettled)
		return nsuspects;
	if (first->about_inputs || (reads(match) && too_large))
		return (nunsettled + 1) / 2;
	settle_rest(match, first);
	return 0;
}

/*
 * Bring the unsettled units to the front, suspects first.  Returns how many
 * there are; forgets the suspicion.
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
			 (result->to_id.data == NULL && !reads(reading->match)))
		return;
	else
		unit = find_unit(reading, result);

	if (unit == NULL)
		return;
	if (unit->confirmed && reads(reading->match))
	{
		/* a record that is there twice would have its associations twice */
		if (!same_page(unit, result))
			settle(reading->match, unit,
				   hubspot_unconfirmed(reading->reply,
									   "it is twice in HubSpot's answer, with other associations"));
		return;
	}
	if (!(unit->error && reads(reading->match)))
		confirm(reading, unit, result);
	reading->last = unit;
}

/* Has a record's second result the page that the first one had? */
static bool
same_page(const HubspotUnit *unit, const HubspotResult *result)
{
	if (result->problem || unit->nassociations != result->nassociations ||
		!hubspot_same_id(unit->after, result->after))
		return false;
	for (int i = 0; i < unit->nassociations; i++)
	{
		if (unit->associations[i].type != result->associations[i].type ||
			!hubspot_same_id(unit->associations[i].to_id,
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
 * order of the inputs, each followed by its reverse; looking there first
 * spares most look-ups.
 */
static HubspotUnit *
find_unit(Reading *reading, const HubspotResult *result)
{
	const HubspotMatch *match = reading->match;
	HubspotInput key = {.from_id = result->from_id,.to_id = result->to_id};

	if (reads(match))
		key.to_id = match->units[0]->input.to_id;
	if (reading->last)
	{
		if (hubspot_same_pair(&reading->last->input, &key))
			return reading->last;
		if (!reading->match->symmetric && hubspot_reverse_pair(&reading->last->input, &key))
			return NULL;
	}
	if (reading->expected < match->nunits &&
		hubspot_same_pair(&match->units[reading->expected]->input, &key))
		return match->units[reading->expected++];

	return unit_of_pair(match, key.from_id, key.to_id);
}

static void
confirm(Reading *reading, HubspotUnit *unit, const HubspotResult *result)
{
	unit->confirmed = true;
	unit->http_status = reading->reply->status;
	if (!reading->match->many)
		unit->correlation_id = reading->correlation_id;
	if (reads(reading->match))
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
		unit->labels = make_labels(result->labels);
}

/*
 * A page of a record's associations.  One that cannot be read in full, or that
 * leads back to where another one began, is no answer.
 *
 * To find a circle of any length, the place of a page is remembered until there
 * are twice as many pages, and compared with each that comes.
 */
static void
take_page(Reading *reading, HubspotUnit *unit, const HubspotResult *result)
{
	const char *problem = result->problem;

	if (result->after.len > MAX_CURSOR_LEN)
		problem = "the place of the next page is too long";
	else if (result->after.data && unit->mark.data &&
			 hubspot_same_id(unit->mark, result->after))
		problem = "the pages go in a circle";
	if (problem)
	{
		settle(reading->match, unit,
			   hubspot_unconfirmed(reading->reply, problem));
		return;
	}
	unit->associations = result->associations;
	unit->nassociations = result->nassociations;
	unit->after = result->after;
	unit->npages++;
	if ((unit->npages & (unit->npages - 1)) == 0)
		unit->mark = result->after;
}

/* All that is not settled is done. */
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

/* The types and the one of a result, in a list that others may share. */
static const HubspotTypeList *
add_type(Reading *reading, const HubspotTypeList *types,
		 const HubspotResult *result)
{
	HubspotAssociationType type;
	HubspotTypeList *longer;
	int			ntypes = types ? types->ntypes : 0;

	if (ntypes == 0 && reading->last_types)
	{
		const HubspotAssociationType *last = &reading->last_types->types[0];

		if (last->type_id == result->type_id &&
			strncmp(last->category, result->category.data, result->category.len) == 0 &&
			last->category[result->category.len] == '\0')
			return reading->last_types;
	}
	type.category = hubspot_text_from_utf8(result->category.data,
										   result->category.len);
	type.type_id = result->type_id;
	type.label = NULL;
	if (ntypes == HUBSPOT_MAX_TYPES || hubspot_has_type(types, &type))
		return types;
	longer = palloc(offsetof(HubspotTypeList, types) +
					sizeof(HubspotAssociationType) * (ntypes + 1));
	longer->ntypes = ntypes + 1;
	if (ntypes > 0)
		memcpy(longer->types, types->types,
			   sizeof(HubspotAssociationType) * ntypes);
	longer->types[ntypes] = type;
	if (ntypes == 0)
		reading->last_types = longer;
	return longer;
}

/* The labels of a JSON array; those of an empty one are shared. */
static const HubspotLabelList *
make_labels(HubspotSlice labels)
{
	static const HubspotLabelList none = {0};
	List	   *texts;
	HubspotLabelList *list;
	ListCell   *lc;

	if (labels.len == 2 && memcmp(labels.data, "[]", 2) == 0)
		return &none;
	if (labels.data[0] != '[')
		return NULL;
	texts = hubspot_json_texts(labels);
	list = palloc(offsetof(HubspotLabelList, labels) +
				  sizeof(char *) * list_length(texts));
	list->nlabels = 0;
	foreach(lc, texts)
		list->labels[list->nlabels++] = lfirst(lc);
	return list;
}

/* The errors of a reply that has results, too. */
static void
settle_errors(Reading *reading)
{
	ListCell   *lc;

	foreach(lc, reading->errors)
	{
		if (settle_named(reading->match, lfirst(lc), false) == 0 &&
			reading->unnamed == NULL)
			reading->unnamed = lfirst(lc);
	}
}

/*
 * Units in neither the results nor a named error: HubSpot said nothing of
 * them, unless an error without a name can only mean the one that is left.
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
	if (unnamed && match->nunits == 1)
	{
		settle_rest(match, unnamed);
		return;
	}
	reason = "not in HubSpot's answer";
	if (unnamed)
		reason = psprintf("%s, which says: %s", reason, unnamed->message);
	else if (envelope->status && !envelope->complete)
		reason = psprintf("%s, whose status is %s", reason, envelope->status);
	error = hubspot_unconfirmed(reading->reply, reason);
	if (unnamed)
		error->object = unnamed->object;
	settle_rest(match, error);
}

/*
 * Settle a unit by an error, unless that says no more than what was wanted:
 * there is nothing to remove, or nothing to read.
 */
static void
settle(const HubspotMatch *match, HubspotUnit *unit, const HubspotError *error)
{
	bool		nothing_to_do =
	(match->shape == HUBSPOT_REPLY_SILENT && error->not_found) ||
	(reads(match) && error->no_associations);

	unit->confirmed = nothing_to_do;
	unit->types = NULL;
	unit->labels = NULL;
	unit->associations = NULL;
	unit->nassociations = 0;
	unit->after.data = NULL;
	unit->error = nothing_to_do ? NULL : error;
	unit->http_status = error->http_status;
	unit->correlation_id = nothing_to_do && match->many ? NULL :
		error->correlation_id;
}

static void
settle_rest(const HubspotMatch *match, const HubspotError *error)
{
	for (int i = 0; i < match->nunits; i++)
	{
		if (!hubspot_unit_is_settled(match->units[i]))
			settle(match, match->units[i], error);
	}
}

/*
 * Settle the units that an error names.  If the whole request was refused,
 * those that it only may have named become suspects instead.  Returns how
 * many it named, suspects left out.
 */
static int
settle_named(const HubspotMatch *match, const HubspotError *error,
			 bool refused)
{
	int			nnamed = 0;
	ListCell   *lc;

	CHECK_FOR_INTERRUPTS();
	foreach(lc, hubspot_error_names(error))
	{
		const HubspotNames *names = lfirst(lc);
		int			n = 0;

		if (names->from_ids || names->to_ids)
			n = settle_sides(match, names, error, refused);
		if (n == 0 && names->ids)
			n = settle_ids(match, names, error, refused);
		if (n == 0 && names->types)
			n = settle_types(match, names, error);
		nnamed += n;
	}
	return nnamed;
}

/*
 * Units of a from id, of a to id, or of both.  Only the last is as sure as a
 * result that says otherwise.
 */
static int
settle_sides(const HubspotMatch *match, const HubspotNames *names,
			 const HubspotError *error, bool refused)
{
	bool		exact = (names->from_ids && names->to_ids);
	int			n = 0;

	if (list_length(names->from_ids) == 1 &&
		(list_length(names->to_ids) == 1 || reads(match)))
	{
		HubspotUnit *unit = unit_of_pair(match,
										 slice_of(linitial(names->from_ids)),
										 slice_of(reads(match) ? "" :
												  linitial(names->to_ids)));

		if (unit == NULL)
			return 0;

		/* that there is nothing is belied by a result */
		if (!(error->no_associations && hubspot_unit_is_settled(unit)))
			settle(match, unit, error);
		return 1;
	}
	for (int i = 0; i < match->nunits; i++)
	{
		HubspotUnit *unit = match->units[i];

		CHECK_FOR_INTERRUPTS();
		if (exact ? !named_pair(names, &unit->input) :
			!(contains(names->from_ids, unit->input.from_id) ||
			  contains(names->to_ids, unit->input.to_id)))
			continue;
		if (exact || !hubspot_unit_is_settled(unit))
			settle(match, unit, error);
		n++;
	}

	/* lists of both sides that are no pairs: each may name units of its own */
	for (int i = 0; exact && refused && n == 0 && i < match->nunits; i++)
		match->units[i]->suspect =
			contains(names->from_ids, match->units[i]->input.from_id) ||
			contains(names->to_ids, match->units[i]->input.to_id);
	return n;
}

/* Both sides in one context: pairs if there are as many, else all of them. */
static bool
named_pair(const HubspotNames *names, const HubspotInput *input)
{
	ListCell   *from_cell;
	ListCell   *to_cell;

	if (list_length(names->from_ids) != list_length(names->to_ids))
		return contains(names->from_ids, input->from_id) &&
			contains(names->to_ids, input->to_id);
	forboth(from_cell, names->from_ids, to_cell, names->to_ids)
	{
		if (hubspot_same_id(slice_of(lfirst(from_cell)), input->from_id) &&
			hubspot_same_id(slice_of(lfirst(to_cell)), input->to_id))
			return true;
	}
	return false;
}

static bool
contains(const List *ids, HubspotSlice id)
{
	ListCell   *lc;

	foreach(lc, ids)
	{
		if (hubspot_same_id(slice_of(lfirst(lc)), id))
			return true;
	}
	return false;
}

/* Units of ids that may be of either side. */
static int
settle_ids(const HubspotMatch *match, const HubspotNames *names,
		   const HubspotError *error, bool refused)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, names->ids)
		n += settle_id(match, lfirst(lc), error, refused);
	return n;
}

/*
 * Which side an id means is sure if its object type tells, if both sides have
 * that type, or if it stands on one side only.
 */
static int
settle_id(const HubspotMatch *match, const HubspotNamedId *named,
		  const HubspotError *error, bool refused)
{
	HubspotSlice id = slice_of(named->id);
	bool		may_be_from = true;
	bool		may_be_to = true;
	bool		in_from = false;
	bool		in_to = false;
	bool		sure;
	int			n = 0;

	CHECK_FOR_INTERRUPTS();
	if (named->object_type)
	{
		may_be_from = hubspot_same_object_type(match->from_type, named->object_type);
		may_be_to = hubspot_same_object_type(match->to_type, named->object_type);
		if (!may_be_from && !may_be_to)
			may_be_from = may_be_to = true;
	}
	for (int i = 0; i < match->nunits; i++)
	{
		in_from |= hubspot_same_id(match->units[i]->input.from_id, id);
		in_to |= hubspot_same_id(match->units[i]->input.to_id, id);
	}
	sure = !refused || !(may_be_from && may_be_to && in_from && in_to) ||
		match->symmetric;

	for (int i = 0; i < match->nunits; i++)
	{
		HubspotUnit *unit = match->units[i];

		if (!((may_be_from && hubspot_same_id(unit->input.from_id, id)) ||
			  (may_be_to && hubspot_same_id(unit->input.to_id, id))))
			continue;
		if (sure)
			n++;
		else
			unit->suspect = true;
		if (sure && !hubspot_unit_is_settled(unit))
			settle(match, unit, error);
	}
	return n;
}

/* Units that were to get a type which the error refuses. */
static int
settle_types(const HubspotMatch *match, const HubspotNames *names,
			 const HubspotError *error)
{
	int			n = 0;
	ListCell   *lc;

	/* a type that isn't there is no pair that is gone */
	if (error->not_found)
	{
		HubspotError *copy = palloc(sizeof(HubspotError));

		*copy = *error;
		copy->not_found = false;
		error = copy;
	}
	foreach(lc, names->types)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < match->nunits; i++)
		{
			HubspotUnit *unit = match->units[i];

			if (!hubspot_has_type(unit->input.types, lfirst(lc)))
				continue;
			if (!hubspot_unit_is_settled(unit))
				settle(match, unit, error);
			n++;
		}
	}
	return n;
}
