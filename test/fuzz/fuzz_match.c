/*-------------------------------------------------------------------------
 *
 * fuzz_match.c
 *	  What answers say of each of the inputs, until all of them are settled.
 *
 * Input: a line of letters: the shape (e(nvelope), p(air), s(ilent), r(ecords),
 * pa(g)e, k(eep)), the encoding, whether both sides have one object type (y, n)
 * and whether the endpoint takes many inputs (y, n); units as units.c reads
 * them; then answers as fuzz_reply() reads them, with a line of "--" between.
 * They are given in turn to the requests that there are, the way batch.c does
 * it, so this shows too that requests come to an end.
 *
 * IDENTIFICATION
 *	  test/fuzz/fuzz_match.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fuzz.h"
#include "names.h"
#include "units.h"

#include "api/response.h"
#include "call/keep_labels.h"
#include "call/match.h"

#define MAX_ANSWERS		8

/*
 * Most pages of a record that a circle of answers can give before it is found
 * out: its place is compared with one that is as far back as a power of two.
 */
#define MAX_PAGES		(4 * MAX_ANSWERS + 2)

typedef struct Sending
{
	FuzzUnits	units;
	HubspotMatch match;
	HubspotHttpReply answers[MAX_ANSWERS];
	int			nanswers;
	int			nrequests;
	bool		too_large;		/* there is an answer that is */
} Sending;

static void
ignore_result(void *state, const HubspotResult *result)
{
}

/* Does the error name nobody, so that it can be about the only one that is missing? */
static void
find_nameless(void *state, HubspotError *error)
{
	bool		names = false;
	ListCell   *lc;

	foreach(lc, fuzz_error_names(error))
	{
		const FuzzNames *some = lfirst(lc);

		names |= (some->from_ids || some->to_ids || some->ids);
	}
	*(bool *) state |= !names;
}

static bool
has_nameless_error(const HubspotMatch *match, const HubspotHttpReply *reply)
{
	bool		found = false;
	HubspotReplySink sink = {&found, ignore_result, find_nameless, 1000, match->types};
	HubspotEnvelope envelope;

	(void) hubspot_read_reply(reply, match->shape, &sink, &envelope);
	return found;
}

/* How many units of the request the answer doesn't name. */
static int
count_unnamed(const HubspotMatch *match, HubspotSlice body)
{
	int			n = 0;

	for (int i = 0; i < match->nunits; i++)
	{
		if (!fuzz_names(body, match->units[i]->input.from_id))
			n++;
	}
	return n;
}

/* The texts of a unit that is settled. */
static void
check_outcome(const Sending *sending, const HubspotMatch *match,
			  const HubspotHttpReply *reply, const HubspotUnit *unit)
{
	HubspotSlice body = {reply->body, (int) reply->body_len};
	const HubspotPage *page = unit->page;
	bool		nothing_said = (reply->body_len == 0 && match->nunits == 1 &&
								reply->status == 204);

	fuzz_check(unit->confirmed != (unit->error != NULL));
	if (unit->error)
	{
		fuzz_check_error(unit->error);
		fuzz_check(unit->types == NULL && unit->labels == NULL);
		fuzz_check(page == NULL || (page->nassociations == 0 && page->after.data == NULL));
	}
	if (unit->correlation_id)
		fuzz_check_text(unit->correlation_id);
	for (int i = 0; unit->types && i < unit->types->ntypes; i++)
	{
		fuzz_check(unit->types->ntypes <= HUBSPOT_MAX_TYPES);
		fuzz_check_text(unit->types->types[i].category);
		fuzz_check(unit->types->types[i].type_id != 0);
	}
	for (int i = 0; unit->labels && i < unit->labels->nlabels; i++)
		fuzz_check_text(unit->labels->labels[i]);
	for (int i = 0; page && i < page->nassociations; i++)
	{
		fuzz_check_slice(page->associations[i].to_id);
		fuzz_check(match->shape == HUBSPOT_REPLY_PAGE ||
				   fuzz_names(body, unit->input.from_id));
		fuzz_check(fuzz_names(body, page->associations[i].to_id));
	}
	if (!unit->confirmed)
		return;

	/* done is what the answer names, or what it has no need to */
	if (match->shape == HUBSPOT_REPLY_SILENT)
		fuzz_check(reply->status != 202 || reply->body_len > 0);
	else if (fuzz_reply_is_success(reply) && !nothing_said &&
			 match->shape != HUBSPOT_REPLY_PAGE)
		fuzz_check((fuzz_names(body, unit->input.from_id) &&
					(hubspot_match_reads(match) || fuzz_names(body, unit->input.to_id))) ||
				   (hubspot_match_reads(match) && count_unnamed(match, body) == 1 &&
					has_nameless_error(match, reply)));
	else if (!fuzz_reply_is_success(reply))
		fuzz_check(hubspot_match_reads(match));
	fuzz_check(reply->failure == HUBSPOT_HTTP_OK);
}

/* Was the unit in the request? */
static bool
is_among(HubspotUnit *unit, HubspotUnit **units, int nunits)
{
	for (int i = 0; i < nunits; i++)
	{
		if (units[i] == unit)
			return true;
	}
	return false;
}

/*
 * Send units, and again what is left unsettled, as match_reply() in batch.c
 * does.
 */
static void
send_units(Sending *sending, HubspotUnit **units, int nunits)
{
	HubspotMatch match = sending->match;
	const HubspotHttpReply *reply = &sending->answers[sending->nrequests % sending->nanswers];
	HubspotUnit **before = palloc(sizeof(HubspotUnit *) * nunits);
	const HubspotError *refusal;
	int			split;
	int			nunsettled = 0;

	sending->nrequests++;
	match.units = units;
	match.nunits = nunits;
	match.sent_with = before;	/* of this request alone */
	memcpy(before, units, sizeof(HubspotUnit *) * nunits);
	for (int i = 0; i < nunits; i++)
	{
		fuzz_check(!hubspot_unit_is_settled(units[i]));
		units[i]->sent_with = before;
	}
	fuzz_units_save(&sending->units);

	split = hubspot_match_reply(&match, reply, 1, &refusal);

	/* the same units, those that are unsettled first */
	while (nunsettled < nunits && !hubspot_unit_is_settled(units[nunsettled]))
		nunsettled++;
	for (int i = 0; i < nunits; i++)
	{
		fuzz_check(is_among(before[i], units, nunits));
		if (i >= nunsettled)
			check_outcome(sending, &match, reply, units[i]);
		else
			fuzz_check(!units[i]->suspect);
	}

	/* nothing of others was touched */
	for (int i = 0; i < sending->units.nall; i++)
	{
		HubspotUnit *unit = sending->units.all[i];

		if (!is_among(unit, before, nunits))
			fuzz_check(fuzz_unit_is_as_saved(&sending->units, i));
	}

	/* there is something gained: less to send, or two smaller parts */
	fuzz_check(split >= 0 && split <= nunsettled);
	fuzz_check(nunsettled < nunits || (split > 0 && split < nunits));
	if (split > 0)
		send_units(sending, units, split);
	if (nunsettled > split)
		send_units(sending, units + split, nunsettled - split);
}

/* All units, and further pages of those that are records. */
static void
send_all(Sending *sending)
{
	HubspotUnit **units = sending->match.units;
	int			nunits = sending->match.nunits;
	int			npages = 0;

	while (nunits > 0)
	{
		int			nmore = 0;

		sending->nrequests = npages;
		send_units(sending, units, nunits);
		for (int i = 0; i < nunits; i++)
		{
			fuzz_check(hubspot_unit_is_settled(units[i]));
			if (units[i]->page == NULL || units[i]->page->after.data == NULL)
				continue;
			units[i]->confirmed = false;
			units[nmore++] = units[i];
		}
		nunits = nmore;

		/* the same answers come again and again */
		fuzz_check(++npages <= MAX_PAGES);
	}
}

/* Read the labels that pairs have, as batch.c does for hubspot_assoc's keep. */
static void
keep_labels(Sending *sending)
{
	HubspotMatch *match = &sending->match;
	int			nunits = match->nunits;
	HubspotKeep *keep = hubspot_keep_create(match->units, nunits);
	Sending		reading = *sending;
	HubspotUnit **left;
	int			nleft;
	int			npages = 0;

	reading.match.shape = HUBSPOT_REPLY_RECORDS;
	reading.match.pairs = hubspot_keep_pairs(keep);
	for (;;)
	{
		int			nrecords;
		HubspotUnit **records = hubspot_keep_unread(keep, &nrecords);

		if (nrecords == 0)
			break;
		fuzz_check(++npages <= MAX_PAGES);
		reading.units.nall = 0;
		reading.nrequests = npages - 1;
		send_units(&reading, records, nrecords);
		hubspot_keep_take(keep, records, nrecords, sending->units.pairs);
	}
	left = hubspot_keep_finish(keep, &nleft);
	fuzz_check(nleft <= nunits);
	for (int i = 0; i < nleft; i++)
		fuzz_check(left[i]->error == NULL);

	/* types were added, none went, and nothing else changed */
	for (int i = 0; i < sending->units.nall; i++)
	{
		const HubspotUnit *unit = sending->units.all[i];
		const HubspotUnit *saved = &sending->units.saved[i];

		fuzz_check(hubspot_has_types(unit->input.types, saved->input.types));
		fuzz_check(unit->input.types->ntypes <= HUBSPOT_MAX_TYPES);
		fuzz_check(unit->sent_with == saved->sent_with && !unit->confirmed);
		fuzz_check(hubspot_same_pair(&unit->input, &saved->input));
		if (unit->error)
			fuzz_check_error(unit->error);
		if (unit->input.types != saved->input.types)
			fuzz_check(unit->labels_known);
		for (int j = saved->input.types->ntypes; j < unit->input.types->ntypes; j++)
			fuzz_check(strcmp(unit->input.types->types[j].category, "USER_DEFINED") == 0);
	}
}

/* Cut what is left into answers. */
static void
read_answers(Sending *sending, FuzzInput *input)
{
	do
	{
		FuzzInput	part = {input->p, input->end};
		const char *dashes = memmem(input->p, input->end - input->p, "\n--\n", 4);

		part.end = dashes ? dashes : input->end;
		input->p = dashes ? dashes + 4 : input->end;
		fuzz_reply(&part, &sending->answers[sending->nanswers]);
		sending->nanswers++;
	} while (input->p < input->end && sending->nanswers < MAX_ANSWERS);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	FuzzInput	input = {(const char *) data, (const char *) data + size};
	HubspotSlice line = fuzz_line(&input);
	int			shape = fuzz_choice(&line, "epsrgk");
	Sending		sending = {.nanswers = 0};
	HubspotReplyShape reply_shape =
	shape == 'p' ? HUBSPOT_REPLY_PAIR : shape == 's' ? HUBSPOT_REPLY_SILENT :
	shape == 'r' ? HUBSPOT_REPLY_RECORDS : shape == 'g' ? HUBSPOT_REPLY_PAGE :
	HUBSPOT_REPLY_ENVELOPE;
	bool		symmetric;
	bool		many;

	fuzz_begin(fuzz_choice(&line, "ULA"));
	symmetric = (fuzz_choice(&line, "yn") == 'y');
	many = (fuzz_choice(&line, "yn") == 'y' || shape == 'r' || shape == 'k') &&
		shape != 'p' && shape != 'g';
	fuzz_units_begin(&sending.units, &sending.match, symmetric, reply_shape, many);
	fuzz_units_read(&sending.units, &sending.match, &input);
	read_answers(&sending, &input);
	if (sending.match.nunits > 0 && shape == 'k')
		keep_labels(&sending);
	else if (sending.match.nunits > 0)
		send_all(&sending);
	fuzz_end();
	return 0;
}
