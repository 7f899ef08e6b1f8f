/*-------------------------------------------------------------------------
 *
 * search.c
 *	  Which of some inputs are to blame, where HubSpot names none.
 *
 * Inputs that were refused together are halved, and the halves of what is refused again,
 * until those that are to blame stand alone.  The first half is taken apart to its end
 * before the second one is, so that inputs are settled from the start on.
 *
 * If all of the inputs are to blame, that would take two requests for each.  Mostly it is
 * then something that they have in common: their types, or the object types.  So if both
 * halves are refused in the words in which the whole was, a sample of single inputs is
 * sent, spread over all of them.  When these are refused in the same words, too, each by
 * itself, and no input with such types was ever accepted, then all are: no more is sent.
 * An error that says so is the error of those that were not sent alone.  The first input
 * that is accepted disproves it, for good: from then on each one is looked for.  What the
 * sample has missed then, is that among so many that are refused in the same words, a few
 * would not be.
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
 * them to find out.  When it has, a small sample of each does (evidence.c remembers).
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
#include "api/error_words.h"
#include "call/sample.h"
#include "call/search.h"

/*
 * A sample of so many is taken, spread over all chunks that wait for it, but no fewer in
 * the first one.  With 32, one of four that would be accepted is missed once in 10,000
 * cases; with one of two, once in four thousand millions.  Together with what is sent
 * before, that makes less than 40 requests for one chunk, or for five.
 */
#define SAMPLE			32
#define FIRST_SAMPLE	16

/* Where it is known of others, so many will do. */
#define LATER_SAMPLE	4

/* To halve fewer units to their end takes no more requests than the sample. */
#define MIN_UNITS		21

/* Units with more different types than that are parted by these first. */
#define MAX_LISTS		8

/* Units that were refused together, in an error that names nobody. */
typedef struct HubspotSuspects
{
	struct HubspotSuspects *parent; /* whose half they are, or NULL */
	HubspotUnit **units;
	int			nunits;
	int			nlists;			/* of types, that they have */
	const HubspotError *error;
	const char *words;			/* of the error */
	bool		by_size;		/* the request was too large */
	bool		doubted;		/* not all are refused alike */
	bool		known;			/* others were, with these types */
	int			nhalves;		/* that have been answered */
	struct HubspotSuspects *halves[2];	/* those that were refused */

	/* the sample */
	HubspotUnit **sample;
	int			nsample;
	int			nsent;
	int			nrefused;		/* in the same words */
} HubspotSuspects;

/* What is to be sent or done next. */
typedef enum StepKind
{
	SEND,						/* units, in a request */
	SEND_SAMPLE,				/* those of suspects */
	HALVE						/* suspects, when others have found out */
} StepKind;

typedef struct Step
{
	StepKind	kind;
	HubspotPart part;			/* SEND */
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
	bool		has_waited;		/* for another search */
	const HubspotError *ended;	/* the error of what is not sent any more */
};

static Step *push(HubspotSearch *search, StepKind kind);
static void push_units(HubspotSearch *search, HubspotUnit **units, int nunits,
					   HubspotSuspects *half_of);
static void push_more(HubspotSearch *search, HubspotUnit **units, int nunits);
static bool next_of_sample(HubspotSearch *search, HubspotSuspects *suspects,
						   int most, HubspotPart *part);
static void sample_is_answered(HubspotSuspects *suspects, const HubspotError *refusal);
static HubspotSuspects *make_suspects(HubspotSearch *search, HubspotUnit **units,
									  int nunits, const HubspotError *error);
static void half_is_answered(HubspotSearch *search, HubspotSuspects *whole,
							 HubspotSuspects *half);
static void part_is_too_large(HubspotSearch *search, const HubspotPart *part,
							  const HubspotPartAnswer *answer);
static void halve(HubspotSearch *search, HubspotSuspects *suspects);
static void halve_further(HubspotSearch *search, HubspotSuspects *suspects);
static bool may_be_all(const HubspotSearch *search, const HubspotSuspects *suspects);
static bool must_wait(HubspotSearch *search, HubspotSuspects *suspects);
static void stop_leading(HubspotSearch *search);
static void take_unsettled(HubspotSuspects *suspects);
static void take_sample(HubspotSearch *search, HubspotSuspects *suspects);
static int	sample_size(const HubspotSearch *search, const HubspotSuspects *suspects);
static void settle_all(HubspotSearch *search, HubspotSuspects *suspects);
static void settle_units(HubspotUnit **units, int nunits, const HubspotError *error);

/* Nothing is to be sent so far; it lives in that context. */
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
		settle_units(units, nunits, search->ended);
		return;
	}
	step = push(search, SEND);
	step->part.units = units;
	step->part.nunits = nunits;
	step->part.half_of = half_of;
}

/*
 * Units that make up a part because of its size go with those that come before or after
 * them, lest small rests remain.
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

/*
 * The next part to be sent while no more than most are in flight.  False: there is none
 * now.  Its answer, or that of what was sent of it, is to be given back.
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
				/* while no size has passed, each answer tells of the next one */
				if (evidence->seeks_size)
					return false;
				search->nsteps--;
				if (step.part.nunits == 0)
					continue;
				*part = step.part;
				part->seeks_size = evidence->too_large > 0 && evidence->passed == 0;
				evidence->seeks_size = part->seeks_size;
				break;
			case SEND_SAMPLE:
				if (next_of_sample(search, step.suspects, most, part))
					break;
				if (search->nsent > 0)
					return false;
				search->nsteps--;
				if (step.suspects->doubted || search->ended)
					halve_further(search, step.suspects);
				else
					settle_all(search, step.suspects);
				continue;
			case HALVE:
				if (evidence->leader && !search->ended)
					return false;
				search->nsteps--;
				evidence->nheld--;
				halve(search, step.suspects);
				continue;
		}
		part->searched = true;
		search->nsent++;
		return true;
	}
	return false;
}

/* The first answers may show that the others need not be sent. */
static bool
next_of_sample(HubspotSearch *search, HubspotSuspects *suspects, int most,
			   HubspotPart *part)
{
	if (suspects->nrefused < 2)
		most = Min(most, 2);
	if (suspects->doubted || search->ended || search->nsent >= most ||
		suspects->nsent >= sample_size(search, suspects))
		return false;
	memset(part, 0, sizeof(HubspotPart));
	part->units = &suspects->sample[suspects->nsent++];
	part->nunits = 1;
	part->sample_of = suspects;
	return true;
}

/* Only so many units of a part were sent: send the rest apart. */
void
hubspot_search_put_back(HubspotSearch *search, const HubspotPart *part, int nsent)
{
	if (nsent == part->nunits)
		return;
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
	if (part->seeks_size)
		search->evidence->seeks_size = false;
	if (part->sample_of)
	{
		sample_is_answered(part->sample_of, answer->refusal);
		return;
	}
	if (answer->too_large)
		part_is_too_large(search, part, answer);
	else if (answer->refusal && answer->nunsettled > 0)
	{
		suspects = make_suspects(search, part->units, answer->nunsettled, answer->refusal);
		suspects->parent = part->half_of;
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

/* Send nothing more of it; that error is what its units get, which must live as long. */
void
hubspot_search_end(HubspotSearch *search, const HubspotError *error)
{
	search->ended = error;
	for (int i = 0; i < search->nsteps; i++)
	{
		Step	   *step = &search->steps[i];

		if (step->kind == SEND)
		{
			settle_units(step->part.units, step->part.nunits, error);
			step->part.nunits = 0;
		}
	}
	while (search->nsteps > 0 && search->steps[search->nsteps - 1].kind == SEND)
		search->nsteps--;
}

static void
sample_is_answered(HubspotSuspects *suspects, const HubspotError *refusal)
{
	char	   *words = refusal ? hubspot_error_words(refusal) : NULL;

	if (words && strcmp(words, suspects->words) == 0)
		suspects->nrefused++;
	else
		suspects->doubted = true;
	if (words)
		pfree(words);
}

static HubspotSuspects *
make_suspects(HubspotSearch *search, HubspotUnit **units, int nunits,
			  const HubspotError *error)
{
	MemoryContext old = MemoryContextSwitchTo(search->context);
	HubspotSuspects *suspects = palloc0(sizeof(HubspotSuspects));

	suspects->units = units;
	suspects->nunits = nunits;
	suspects->error = hubspot_copy_error(error);
	suspects->words = hubspot_error_words(error);
	MemoryContextSwitchTo(old);
	return suspects;
}

/* A half was refused, or is settled or to be sent again (NULL). */
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
	if (!whole->doubted && may_be_all(search, whole))
		take_sample(search, whole);
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
	int			nunits = 0;
	int			n = 0;

	push_more(search, part->units, answer->nunsettled);
	if (answer->nunsettled > 0 || search->evidence->passed > 0 || search->ended)
		return;
	for (int i = 0; i < search->nsteps; i++)
	{
		if (search->steps[i].kind != SEND)
			return;
		nunits += search->steps[i].part.nunits;
	}
	if (nunits < MIN_UNITS)
		return;
	units = MemoryContextAlloc(search->context, sizeof(HubspotUnit *) * nunits);
	while (search->nsteps > 0)
	{
		const HubspotPart *rest = &search->steps[--search->nsteps].part;

		memcpy(units + n, rest->units, sizeof(HubspotUnit *) * rest->nunits);
		n += rest->nunits;
	}
	suspects = make_suspects(search, units, nunits, answer->refusal);
	suspects->by_size = true;
	halve(search, suspects);
}

/* Find out which of the units that were refused together are to blame. */
static void
halve(HubspotSearch *search, HubspotSuspects *suspects)
{
	int			half;
	bool		all;

	take_unsettled(suspects);
	all = may_be_all(search, suspects) && !search->ended;
	if (all)
	{
		suspects->known = hubspot_evidence_has_refused(search->evidence, suspects->words,
													   suspects->units, suspects->nunits);
		if (suspects->known)
		{
			take_sample(search, suspects);
			return;
		}
		if (suspects->parent == NULL && must_wait(search, suspects))
			return;
	}
	if (suspects->by_size && all)
	{
		take_sample(search, suspects);
		return;
	}
	if (suspects->by_size || suspects->nunits < 2)
	{
		push_units(search, suspects->units, suspects->nunits, NULL);
		return;
	}
	half = hubspot_middle_by_types(suspects->units, suspects->nunits);
	push_units(search, suspects->units + half, suspects->nunits - half, suspects);
	push_units(search, suspects->units, half, suspects);
}

/* They are not all to blame: go on with those halves that were refused. */
static void
halve_further(HubspotSearch *search, HubspotSuspects *suspects)
{
	stop_leading(search);
	if (suspects->nhalves == 0)
	{
		int			half;

		/* it began with the sample */
		take_unsettled(suspects);
		half = suspects->by_size || suspects->nunits < 2 ? 0 : hubspot_middle_by_types(suspects->units, suspects->nunits);
		push_units(search, suspects->units + half, suspects->nunits - half,
				   half > 0 ? suspects : NULL);
		push_units(search, suspects->units, half, suspects);
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

/* Can it be that all of them are refused because of what they have in common? */
static bool
may_be_all(const HubspotSearch *search, const HubspotSuspects *suspects)
{
	return suspects->nunits >= MIN_UNITS && suspects->nlists <= MAX_LISTS &&
		!hubspot_evidence_has_accepted(search->evidence, suspects->units,
									   suspects->nunits);
}

/*
 * Is another search about to find out what is asked here?  Then halve them afterwards.
 * Otherwise it is this one that finds out.
 */
static bool
must_wait(HubspotSearch *search, HubspotSuspects *suspects)
{
	HubspotEvidence *evidence = search->evidence;

	if (evidence->leader == NULL)
	{
		evidence->leader = search;
		evidence->leader_words = suspects->words;
		return false;
	}
	if (evidence->leader == search || search->has_waited ||
		strcmp(evidence->leader_words, suspects->words) != 0)
		return false;
	search->has_waited = true;
	evidence->nheld++;
	push(search, HALVE)->suspects = suspects;
	return true;
}

static void
stop_leading(HubspotSearch *search)
{
	if (search->evidence->leader == search)
		search->evidence->leader = NULL;
}

/* Leave those out that are settled by now, and bring equal types together. */
static void
take_unsettled(HubspotSuspects *suspects)
{
	int			n = 0;

	for (int i = 0; i < suspects->nunits; i++)
	{
		if (!hubspot_unit_is_settled(suspects->units[i]))
			suspects->units[n++] = suspects->units[i];
	}
	suspects->nunits = n;
	suspects->nlists = hubspot_sort_by_types(suspects->units, n);
}

static void
take_sample(HubspotSearch *search, HubspotSuspects *suspects)
{
	suspects->sample = MemoryContextAlloc(search->context,
										  sizeof(HubspotUnit *) * SAMPLE);
	suspects->nsample = hubspot_take_sample(suspects->units, suspects->nunits,
											suspects->sample, SAMPLE);
	push(search, SEND_SAMPLE)->suspects = suspects;
}

/* How many of them are to be sent, if all are refused. */
static int
sample_size(const HubspotSearch *search, const HubspotSuspects *suspects)
{
	int			size = SAMPLE - LATER_SAMPLE * search->evidence->nheld;

	if (suspects->known)
		size = Max(LATER_SAMPLE, suspects->nlists);
	else
		size = Max(size, FIRST_SAMPLE);
	return Min(size, suspects->nsample);
}

/* All were refused alike: the error of those that were not sent alone says so. */
static void
settle_all(HubspotSearch *search, HubspotSuspects *suspects)
{
	MemoryContext old;
	HubspotError *error;
	int			nunits = suspects->nunits;

	/* another chunk may have shown meanwhile that it isn't so */
	if (hubspot_evidence_has_accepted(search->evidence, suspects->units, nunits))
	{
		halve_further(search, suspects);
		return;
	}
	stop_leading(search);
	old = MemoryContextSwitchTo(search->context);
	hubspot_evidence_refuse(search->evidence, suspects->words, suspects->units, nunits);
	error = hubspot_copy_error(suspects->error);
	error->message = psprintf("%s (so HubSpot refused all %d inputs of a request, and each of the %d of them that were sent alone)",
							  error->message, nunits, suspects->nrefused);
	take_unsettled(suspects);
	settle_units(suspects->units, suspects->nunits, error);
	MemoryContextSwitchTo(old);
}

static void
settle_units(HubspotUnit **units, int nunits, const HubspotError *error)
{
	for (int i = 0; i < nunits; i++)
	{
		if (hubspot_unit_is_settled(units[i]))
			continue;
		units[i]->error = error;
		units[i]->http_status = error->http_status;
		units[i]->correlation_id = error->correlation_id;
	}
}
