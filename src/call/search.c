/*-------------------------------------------------------------------------
 *
 * search.c
 *	  Which of some inputs are to blame, where HubSpot names none.
 *
 * Inputs that were refused together are halved, and the halves of what is refused again,
 * until those that are to blame stand alone.  The first half is taken apart to its end
 * before the second one is, so that inputs are settled from the start.
 *
 * If all of the inputs are to blame, that would take two requests for each.  Then it is
 * mostly something that they have in common: their types, or the object types.  So if both
 * halves are refused in the words in which the whole was, a sample of single inputs is
 * sent, spread over all of them.  When these are refused in the same words, too, each by
 * itself, and no input with such types was ever accepted, then all are: no more is sent.
 * Those that were not sent alone get an error that says so.  The first input that is
 * accepted disproves it, for good: from then on each one is looked for.  All that the
 * sample may miss is a few that would be accepted, among many that are refused in the same
 * words.
 *
 *		refused			halves to be sent		one of them is not refused, or in
 *						both refused alike		other words: halve them in turn
 *		sample			single inputs
 *						all refused alike: settled
 *						one is not: halve the halves
 *
 * Where inputs have several types, the halves are parted by these, so that types which
 * are refused come apart from those that are not.
 *
 * Chunks that are refused at the same time in the same words wait for the first one of
 * them to find out.  When it has, a small sample of each is enough (evidence.c remembers).
 *
 * Chunks that come later with such types are not sent any more, and their inputs' error
 * says so: HubSpot has not refused them.  But one input is tried of the first of these
 * chunks, of the second, the fourth, the eighth, and so on, which would show if those that
 * came first were worse than the others.  So any number of inputs takes no more than
 * HUBSPOT_MOST_REFUSED requests, unless many chunks are in flight from the start.
 *
 *		meet			one input		refused alike: the others are not sent
 *						of a type		not refused, or in other words: send the others
 *
 * A request that is too large is sent in smaller ones, of sizes that evidence.c suggests.
 * If not even a single input passes, all of what is left is refused alike as well.
 *
 * Everything is in a stack of what is to be sent, the next one on top.
 *
 * IDENTIFICATION
 *	  src/call/search.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "api/error.h"
#include "call/sample.h"
#include "call/search.h"
#include "call/suspects.h"

/* What is to be sent or done next. */
typedef enum StepKind
{
	SEND,						/* units, in a request */
	MEET,						/* units, some of which have types that are
								 * known to be refused */
	SEND_SAMPLE,				/* single units of suspects */
	HALVE						/* suspects, once another search has found out */
} StepKind;

typedef struct Step
{
	StepKind	kind;
	HubspotPart part;			/* SEND, MEET */
	HubspotSuspects *suspects;	/* the others */
} Step;

struct HubspotSearch
{
	MemoryContext context;
	HubspotEvidence *evidence;
	Step	   *steps;			/* the next one is the last */
	int			nsteps;
	int			maxsteps;
	int			nsent;			/* parts that are not answered */
	const HubspotError *ended;	/* the error of what is not sent any more */
};

static Step *push(HubspotSearch *search, StepKind kind);
static void push_units(HubspotSearch *search, HubspotUnit **units, int nunits,
					   HubspotSuspects *half_of);
static void push_more(HubspotSearch *search, HubspotUnit **units, int nunits);
static void meet(HubspotSearch *search, HubspotUnit **units, int nunits);
static void meet_refused(HubspotSearch *search, HubspotRefusal *refusal,
						 HubspotUnit **units, int nunits);
static void go_on_after_one(HubspotSearch *search, HubspotSuspects *suspects);
static bool next_of_sample(HubspotSearch *search, HubspotSuspects *suspects,
						   int most, HubspotPart *part);
static HubspotSuspects *make_suspects(HubspotSearch *search, HubspotUnit **units,
									  int nunits, const HubspotError *error);
static void half_is_answered(HubspotSearch *search, HubspotSuspects *whole,
							 HubspotSuspects *half);
static void part_is_too_large(HubspotSearch *search, const HubspotPart *part,
							  const HubspotPartAnswer *answer);
static void halve(HubspotSearch *search, HubspotSuspects *suspects);
static void send_halves(HubspotSearch *search, HubspotSuspects *suspects);
static void halve_further(HubspotSearch *search, HubspotSuspects *suspects);
static bool must_wait(HubspotSearch *search, HubspotSuspects *suspects);
static void lead(HubspotSearch *search, const char *words);
static void stop_leading(HubspotSearch *search);
static void send_sample(HubspotSearch *search, HubspotSuspects *suspects);
static void settle_all(HubspotSearch *search, HubspotSuspects *suspects);

/* Create a search with nothing to send so far, which lives in that context. */
HubspotSearch *
hubspot_search_create(MemoryContext context, HubspotEvidence *evidence)
{
	HubspotSearch *search = MemoryContextAllocZero(context, sizeof(HubspotSearch));

	search->context = context;
	search->evidence = evidence;
	search->maxsteps = 16;
	search->steps = MemoryContextAlloc(context, sizeof(Step) * search->maxsteps);
	return search;
}

static void
push_units(HubspotSearch *search, HubspotUnit **units, int nunits,
		   HubspotSuspects *half_of)
{
	Step	   *step;

	if (nunits == 0)
		return;
	if (search->ended)
	{
		hubspot_units_set_error(units, nunits, search->ended);
		return;
	}
	step = push(search, SEND);
	step->part.units = units;
	step->part.nunits = nunits;
	step->part.half_of = half_of;
}

/*
 * Push units that are to be sent because of a size.  They join those that come before or
 * after them, so that no small remainders are left.
 */
static void
push_more(HubspotSearch *search, HubspotUnit **units, int nunits)
{
	HubspotPart *next = search->nsteps == 0 ? NULL : &search->steps[search->nsteps - 1].part;

	Assert(search->steps != NULL);
	if (next && next->nunits > 0 && next->half_of == NULL &&
		(next->units + next->nunits == units || units + nunits == next->units))
	{
		next->units = Min(next->units, units);
		next->nunits += nunits;
	}
	else
		push_units(search, units, nunits, NULL);
}

static Step *
push(HubspotSearch *search, StepKind kind)
{
	Step	   *step;

	if (search->nsteps == search->maxsteps)
	{
		search->maxsteps *= 2;
		search->steps = repalloc(search->steps, sizeof(Step) * search->maxsteps);
	}
	step = &search->steps[search->nsteps++];
	memset(step, 0, sizeof(Step));
	step->kind = kind;
	return step;
}

/* Push units that are sent for the first time, some of which hubspot_evidence_meets(). */
void
hubspot_search_meet(HubspotSearch *search, HubspotUnit **units, int nunits)
{
	push_units(search, units, nunits, NULL);
	if (!search->ended)
		search->steps[search->nsteps - 1].kind = MEET;
}

/*
 * The next part to be sent while no more than most are in flight.  False: there is none
 * now.  The answer to it, or to what was sent of it, has to be given to
 * hubspot_search_answer().
 */
bool
hubspot_search_next(HubspotSearch *search, int most, HubspotPart *part)
{
	HubspotEvidence *evidence = search->evidence;

	while (search->nsteps > 0 && search->nsent < most)
	{
		Step		step = search->steps[search->nsteps - 1];

		CHECK_FOR_INTERRUPTS();
		switch (step.kind)
		{
			case SEND:
				/* until a size passes, each answer tells the next one */
				if (evidence->seeks_size)
					return false;
				search->nsteps--;
				if (step.part.nunits == 0)
					continue;
				*part = step.part;
				part->seeks_size = evidence->too_large > 0 && evidence->passed == 0;
				evidence->seeks_size = part->seeks_size;
				break;
			case MEET:
				/* another search tries whether it is still so */
				if (evidence->leader && evidence->leader != search)
					return false;
				search->nsteps--;
				meet(search, step.part.units, step.part.nunits);
				continue;
			case SEND_SAMPLE:
				if (next_of_sample(search, step.suspects, most, part))
					break;
				if (search->nsent > 0)
					return false;
				search->nsteps--;
				if (step.suspects->met)
					go_on_after_one(search, step.suspects);
				else if (step.suspects->doubted || search->ended)
					halve_further(search, step.suspects);
				else
					settle_all(search, step.suspects);
				continue;
			case HALVE:
				if (evidence->leader && !search->ended &&
					(evidence->leader != search || search->nsent > 0))
					return false;
				search->nsteps--;
				evidence->nheld--;
				halve(search, step.suspects);
				continue;
		}
		part->searched = true;
		search->nsent++;

		/* the sample of what is known has been counted before */
		if (part->sample_of == NULL || !part->sample_of->known)
			evidence->nspent++;
		return true;
	}
	return false;
}

/*
 * Send the units of which nothing is known, and at most one for each refusal that is
 * known.
 */
static void
meet(HubspotSearch *search, HubspotUnit **units, int nunits)
{
	HubspotUnit **known = MemoryContextAlloc(search->context,
											 sizeof(HubspotUnit *) * Max(nunits, 1));
	HubspotRefusal *refusal = NULL;
	int			nothers = 0;
	int			nknown = 0;
	int			first = 0;

	hubspot_sort_by_types(units, nunits);
	for (int i = 0; i < nunits; i++)
	{
		if (hubspot_evidence_refusal(search->evidence, units[i]))
			known[nknown++] = units[i];
		else
			units[nothers++] = units[i];
	}
	push_units(search, units, nothers, NULL);
	for (int i = 0; i <= nknown; i++)
	{
		HubspotRefusal *next = i == nknown ? NULL :
		hubspot_evidence_refusal(search->evidence, known[i]);

		if (refusal && next != refusal)
			meet_refused(search, refusal, known + first, i - first);
		if (next != refusal)
			first = i;
		refusal = next;
	}
}

/* Try one of some units that all have the types of a refusal, or send none of them. */
static void
meet_refused(HubspotSearch *search, HubspotRefusal *refusal, HubspotUnit **units,
			 int nunits)
{
	HubspotSuspects *suspects;
	MemoryContext old;

	if (!hubspot_evidence_wants_try(search->evidence, refusal))
	{
		(void) hubspot_evidence_pass_over(search->evidence, units, nunits);
		return;
	}
	refusal->nmet++;
	old = MemoryContextSwitchTo(search->context);
	suspects = hubspot_suspects_like(refusal, units, nunits);
	MemoryContextSwitchTo(old);
	lead(search, refusal->words);
	push(search, SEND_SAMPLE)->suspects = suspects;
}

/* Go on after one of the units that are known to be refused was tried. */
static void
go_on_after_one(HubspotSearch *search, HubspotSuspects *suspects)
{
	stop_leading(search);
	hubspot_suspects_drop_settled(suspects);
	if (suspects->doubted || search->ended)
		push_units(search, suspects->units, suspects->nunits, NULL);
	else
		hubspot_units_set_error(suspects->units, suspects->nunits, suspects->met->not_sent);
}

/*
 * The next unit of a sample, if one is to be sent now.  The first answers may show that
 * the others need not be sent.
 */
static bool
next_of_sample(HubspotSearch *search, HubspotSuspects *suspects, int most,
			   HubspotPart *part)
{
	if (suspects->nrefused < 2)
		most = Min(most, 2);
	if (suspects->doubted || search->ended || search->nsent >= most ||
		suspects->nsent >= hubspot_suspects_sample_size(suspects, search->evidence))
		return false;
	memset(part, 0, sizeof(HubspotPart));
	part->units = &suspects->sample[suspects->nsent++];
	part->nunits = 1;
	part->sample_of = suspects;
	return true;
}

/* Only nsent units of a part were sent: send the rest apart. */
void
hubspot_search_put_back(HubspotSearch *search, const HubspotPart *part, int nsent)
{
	Assert(nsent < part->nunits);
	if (part->half_of)
		part->half_of->doubted = true;
	push_more(search, part->units + nsent, part->nunits - nsent);
}

/* Take the answer to a part. */
void
hubspot_search_answer(HubspotSearch *search, const HubspotPart *part,
					  const HubspotPartAnswer *answer)
{
	HubspotSuspects *suspects = NULL;

	if (part->searched)
		search->nsent--;
	else if (answer->refusal)
		search->evidence->nspent++;
	if (part->seeks_size)
		search->evidence->seeks_size = false;
	if (part->sample_of)
	{
		hubspot_suspects_answer(part->sample_of, answer->refusal);
		return;
	}
	if (answer->too_large)
		part_is_too_large(search, part, answer);
	else if (answer->refusal && answer->nunsettled > 0 && !search->ended)
	{
		suspects = make_suspects(search, part->units, answer->nunsettled, answer->refusal);
		if (part->half_of == NULL)
			halve(search, suspects);
	}
	else
	{
		push_units(search, part->units + answer->split,
				   answer->nunsettled - answer->split, NULL);
		push_units(search, part->units, answer->split, NULL);
	}
	if (part->half_of)
		half_is_answered(search, part->half_of, suspects);
}

/* Is nothing left to be sent, but for what is in flight? */
bool
hubspot_search_is_done(const HubspotSearch *search)
{
	return search->nsteps == 0;
}

/*
 * Close a search that is done: others no longer wait for it, and may use what it has
 * found out.
 */
void
hubspot_search_close(HubspotSearch *search)
{
	stop_leading(search);
	hubspot_evidence_keep_refused(search->evidence);
}

/*
 * Send nothing more of a search; its units get that error, which must live as long as they
 * do.
 */
void
hubspot_search_end(HubspotSearch *search, const HubspotError *error)
{
	search->ended = error;
	stop_leading(search);
	for (int i = 0; i < search->nsteps; i++)
	{
		Step	   *step = &search->steps[i];

		if (step->kind == SEND || step->kind == MEET)
		{
			HubspotSuspects *whole = step->part.half_of;

			/* the other half may wait for what becomes of this one */
			if (whole && whole->halves[0])
				hubspot_units_set_error(whole->halves[0]->units, whole->halves[0]->nunits, error);
			step->kind = SEND;
			hubspot_units_set_error(step->part.units, step->part.nunits, error);
			step->part.nunits = 0;
		}
	}
	while (search->nsteps > 0 && search->steps[search->nsteps - 1].kind == SEND)
		search->nsteps--;
}

static HubspotSuspects *
make_suspects(HubspotSearch *search, HubspotUnit **units, int nunits,
			  const HubspotError *error)
{
	MemoryContext old = MemoryContextSwitchTo(search->context);
	HubspotSuspects *suspects = hubspot_suspects_create(units, nunits, error);

	MemoryContextSwitchTo(old);
	return suspects;
}

/* Take note of a half that was refused, or (NULL) is settled or to be sent again. */
static void
half_is_answered(HubspotSearch *search, HubspotSuspects *whole, HubspotSuspects *half)
{
	if (half == NULL || strcmp(half->words, whole->words) != 0)
		whole->doubted = true;
	whole->halves[whole->halves[0] ? 1 : 0] = half;
	if (++whole->nhalves < 2)
		return;

	/* the first one is to come first */
	if (whole->halves[0] && whole->halves[1] &&
		whole->halves[0]->units > whole->halves[1]->units)
	{
		half = whole->halves[0];
		whole->halves[0] = whole->halves[1];
		whole->halves[1] = half;
	}
	if (!whole->doubted && hubspot_suspects_may_be_all(whole, search->evidence))
		send_sample(search, whole);
	else
		halve_further(search, whole);
}

/*
 * Send a part that was too large again, in smaller ones.  If it is a single unit, and
 * nothing has passed, the others that wait are suspects.
 */
static void
part_is_too_large(HubspotSearch *search, const HubspotPart *part,
				  const HubspotPartAnswer *answer)
{
	HubspotSuspects *suspects;
	HubspotUnit **units;
	int			nrests = 0;
	int			nunits = 0;

	push_more(search, part->units, answer->nunsettled);
	if (answer->nunsettled > 0 || search->evidence->passed > 0 || search->ended)
		return;
	while (nrests < search->nsteps && search->steps[search->nsteps - 1 - nrests].kind == SEND)
		nunits += search->steps[search->nsteps - 1 - nrests++].part.nunits;
	if (nunits < HUBSPOT_MIN_SUSPECTS)
		return;
	units = MemoryContextAlloc(search->context, sizeof(HubspotUnit *) * nunits);
	nunits = 0;
	while (nrests-- > 0)
	{
		const HubspotPart *rest = &search->steps[--search->nsteps].part;

		memcpy(units + nunits, rest->units, sizeof(HubspotUnit *) * rest->nunits);
		nunits += rest->nunits;
	}
	suspects = make_suspects(search, units, nunits, answer->refusal);
	suspects->by_size = true;
	halve(search, suspects);
}

/* Find out which of the units that were refused together are to blame. */
static void
halve(HubspotSearch *search, HubspotSuspects *suspects)
{
	bool		all;

	hubspot_suspects_drop_settled(suspects);
	all = hubspot_suspects_may_be_all(suspects, search->evidence) && !search->ended;
	if (all)
	{
		suspects->known = hubspot_evidence_has_refused(search->evidence, suspects->words,
													   suspects->units, suspects->nunits);
		if (suspects->known)
		{
			send_sample(search, suspects);
			return;
		}
		if (must_wait(search, suspects))
			return;
	}
	if (suspects->by_size && all)
		send_sample(search, suspects);
	else
		send_halves(search, suspects);
}

/* Send suspects in halves; requests that were too large are made smaller instead. */
static void
send_halves(HubspotSearch *search, HubspotSuspects *suspects)
{
	HubspotUnit **units = suspects->units;
	int			nunits = suspects->nunits;
	int			half;

	if (suspects->by_size || nunits < 2)
	{
		push_units(search, units, nunits, NULL);
		return;
	}
	half = hubspot_middle_by_types(units, nunits);
	push_units(search, units + half, nunits - half, suspects);
	push_units(search, units, half, suspects);
}

/* Not all suspects are to blame: go on with those halves that were refused. */
static void
halve_further(HubspotSearch *search, HubspotSuspects *suspects)
{
	stop_leading(search);
	if (suspects->nhalves == 0)
	{
		/* it began with the sample */
		hubspot_suspects_drop_settled(suspects);
		send_halves(search, suspects);
	}
	else
	{
		/* the units of the halves are in the same place */
		if (suspects->halves[1])
			halve(search, suspects->halves[1]);
		if (suspects->halves[0])
			halve(search, suspects->halves[0]);
	}
}

/*
 * Is another search already finding out about these words?  Then the suspects are halved
 * afterwards.  Otherwise this search finds out.
 */
static bool
must_wait(HubspotSearch *search, HubspotSuspects *suspects)
{
	HubspotEvidence *evidence = search->evidence;

	if (evidence->leader == NULL)
	{
		lead(search, suspects->words);
		return false;
	}
	if (evidence->leader == search || suspects->has_waited ||
		strcmp(evidence->leader_words, suspects->words) != 0)
		return false;
	suspects->has_waited = true;
	evidence->nheld++;
	push(search, HALVE)->suspects = suspects;
	return true;
}

/* Let this search find out whether all are refused in these words. */
static void
lead(HubspotSearch *search, const char *words)
{
	search->evidence->leader = search;
	search->evidence->leader_words = words;
}

static void
stop_leading(HubspotSearch *search)
{
	if (search->evidence->leader == search)
		search->evidence->leader = NULL;
}

static void
send_sample(HubspotSearch *search, HubspotSuspects *suspects)
{
	MemoryContext old = MemoryContextSwitchTo(search->context);

	hubspot_suspects_take_sample(suspects, search->evidence);
	MemoryContextSwitchTo(old);
	push(search, SEND_SAMPLE)->suspects = suspects;
}

/*
 * Settle suspects that were all refused alike: the error of those that were not sent alone
 * says so.
 */
static void
settle_all(HubspotSearch *search, HubspotSuspects *suspects)
{
	MemoryContext old;
	HubspotError *error;
	int			nunits = suspects->nunits;

	/* another chunk may have shown meanwhile that this is not so */
	if (hubspot_evidence_has_accepted(search->evidence, suspects->units, nunits))
	{
		halve_further(search, suspects);
		return;
	}
	stop_leading(search);
	old = MemoryContextSwitchTo(search->context);
	hubspot_evidence_refuse(search->evidence, suspects->error, suspects->words,
							suspects->units, nunits);
	error = hubspot_copy_error(suspects->error);
	error->message = psprintf("%s (HubSpot refused all %d inputs of a request in these words, and each of the %d of them that were sent alone)",
							  error->message, nunits, suspects->nrefused);
	hubspot_suspects_drop_settled(suspects);
	hubspot_units_set_error(suspects->units, suspects->nunits, error);
	MemoryContextSwitchTo(old);
}
