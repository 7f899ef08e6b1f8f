/*-------------------------------------------------------------------------
 *
 * suspects.c
 *	  Inputs that were refused together, in an error that names none of them.
 *
 * Are all of them to blame, or some?  search.c says what is tried, and what follows from
 * that; this file has what it goes by.
 *
 * IDENTIFICATION
 *	  src/call/suspects.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/error.h"
#include "api/error_words.h"
#include "call/sample.h"
#include "call/suspects.h"

/*
 * A sample has SAMPLE inputs, spread over all chunks that wait for it, but at least
 * FIRST_SAMPLE in the first one.  If one input in four would be accepted, 32 miss that
 * once in 10,000 cases; if one in two, once in four billion.  Together with what is sent
 * before, that makes 35 requests for one chunk, or for six.
 */
#define SAMPLE			32
#define FIRST_SAMPLE	16

/*
 * Where others are known to be refused, this many are enough, if as many requests are
 * left.
 */
#define LATER_SAMPLE	2

/* Units with more different lists of types than this are parted by these first. */
#define MAX_LISTS		8

static int	later_sample(const HubspotEvidence *evidence);

/* Create suspects of units that were refused with an error, which is copied. */
HubspotSuspects *
hubspot_suspects_create(HubspotUnit **units, int nunits, const HubspotError *error)
{
	HubspotSuspects *suspects = palloc0(sizeof(HubspotSuspects));

	suspects->units = units;
	suspects->nunits = nunits;
	suspects->error = hubspot_copy_error(error);
	suspects->words = hubspot_error_words(error);
	return suspects;
}

/*
 * Create suspects of units that all have the types of a refusal of others, with a sample
 * of one.
 */
HubspotSuspects *
hubspot_suspects_like(const HubspotRefusal *refusal, HubspotUnit **units, int nunits)
{
	HubspotSuspects *suspects = palloc0(sizeof(HubspotSuspects));

	suspects->units = units;
	suspects->nunits = nunits;
	suspects->words = refusal->words;
	suspects->met = refusal;
	suspects->sample = hubspot_take_one(units, nunits);
	suspects->nsample = 1;
	return suspects;
}

/* Leave out those that are settled by now, and bring equal types together. */
void
hubspot_suspects_drop_settled(HubspotSuspects *suspects)
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

/* Can it be that all of them are refused because of what they have in common? */
bool
hubspot_suspects_may_be_all(const HubspotSuspects *suspects, const HubspotEvidence *evidence)
{
	return suspects->nunits >= HUBSPOT_MIN_SUSPECTS && suspects->nlists <= MAX_LISTS &&
		!hubspot_evidence_has_accepted(evidence, suspects->units, suspects->nunits);
}

/*
 * Choose the units that may be sent alone; hubspot_suspects_sample_size() says how many of
 * them are.
 */
void
hubspot_suspects_take_sample(HubspotSuspects *suspects, HubspotEvidence *evidence)
{
	suspects->sample = palloc(sizeof(HubspotUnit *) * SAMPLE);
	suspects->nsample = hubspot_take_sample(suspects->units, suspects->nunits,
											suspects->sample, SAMPLE);
	if (!suspects->known)
		return;

	/* other searches do the same before these are sent */
	suspects->nsample = Min(suspects->nsample,
							Max(later_sample(evidence), suspects->nlists));
	evidence->nspent += suspects->nsample;
}

/*
 * How many of the sample are to be sent, if all are refused.  Each chunk that waits has
 * sent a request, and will send its own sample.
 */
int
hubspot_suspects_sample_size(const HubspotSuspects *suspects,
							 const HubspotEvidence *evidence)
{
	int			size = SAMPLE - (1 + LATER_SAMPLE) * evidence->nheld;

	if (suspects->known || suspects->met)
		return suspects->nsample;
	return Min(Max(size, FIRST_SAMPLE), suspects->nsample);
}

/* The sample of a chunk that has waited. */
static int
later_sample(const HubspotEvidence *evidence)
{
	int			left = HUBSPOT_MOST_REFUSED - evidence->nspent;

	return Max(1, Min(left / (evidence->nheld + 1), LATER_SAMPLE));
}

/* Take the answer to one of the sample: how it was refused, or NULL if it was not. */
void
hubspot_suspects_answer(HubspotSuspects *suspects, const HubspotError *refusal)
{
	char	   *words = refusal ? hubspot_error_words(refusal) : NULL;

	if (words && strcmp(words, suspects->words) == 0)
		suspects->nrefused++;
	else
		suspects->doubted = true;
	if (words)
		pfree(words);
}
