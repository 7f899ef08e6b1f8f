/*-------------------------------------------------------------------------
 *
 * evidence.c
 *	  What the answers to a batch have shown of all of its inputs.
 *
 * Inputs differ in their ids and in their types.  A refusal that was met by all that were
 * tried with some types, of which none was ever accepted, is remembered with these types:
 * inputs that come later are tried less.  As soon as one is accepted, this is over: then
 * it is the ids that matter.
 *
 * How large a request may be is not known: HubSpot, or a proxy, answers 413 to one that is
 * not.  Between the largest body that has passed and the smallest one that has not, a
 * larger one is tried now and then, one at a time, until there is little between.  If there
 * is no such bound, because a smaller one is refused than has passed, the requests are taken
 * for refused because of some of their inputs.  A sender
 * calls for a few thousand rows at a time, so its process remembers both for a while.
 *
 * IDENTIFICATION
 *	  src/call/evidence.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/association_type.h"
#include "base/clock.h"
#include "call/evidence.h"

/* So many lists of types are told apart; a pair of object types has 50 labels. */
#define MAX_LISTS		100

/* Less than that part of a size isn't worth the request that may fail. */
#define LITTLE(size)	((size) / 8)

/* Sizes are remembered so long, in microseconds, by so many endpoints. */
#define KEEP_TIME		(5 * 60 * INT64CONST(1000000))
#define MAX_KEPT		16

/* All inputs with these types (or without any) were refused in these words. */
typedef struct Refusal
{
	const char *words;
	const HubspotTypeList *types;
} Refusal;

/* Sizes of bodies, as a sender's process remembers them. */
typedef struct KeptSize
{
	const void *endpoint;
	int64		until;
	size_t		passed;
	size_t		too_large;
	int			passed_units;
	Oid			server;
} KeptSize;

static KeptSize kept_sizes[MAX_KEPT];

static void ignore_sizes(HubspotEvidence *evidence);
static const HubspotTypeList *copy_types(const HubspotTypeList *types);
static bool same_types(const HubspotTypeList *a, const HubspotTypeList *b);
static bool has_types(const List *lists, const HubspotTypeList *types);
static bool is_refused(const HubspotEvidence *evidence, const char *words,
					   const HubspotTypeList *types);

/* Nothing is known; it lives in that context. */
HubspotEvidence *
hubspot_evidence_create(MemoryContext context)
{
	HubspotEvidence *evidence = MemoryContextAllocZero(context, sizeof(HubspotEvidence));

	evidence->context = context;
	return evidence;
}

/* Take note of those that HubSpot has confirmed. */
void
hubspot_evidence_accept(HubspotEvidence *evidence, HubspotUnit *const *units,
						int nunits)
{
	const HubspotTypeList *last = NULL;

	for (int i = 0; i < nunits && !evidence->any_accepted; i++)
	{
		const HubspotTypeList *types = units[i]->input.types;
		MemoryContext old;

		if (!units[i]->confirmed || (types && types == last))
			continue;
		last = types;
		if (types == NULL || list_length(evidence->accepted) == MAX_LISTS)
			evidence->any_accepted = true;
		else if (!has_types(evidence->accepted, types))
		{
			old = MemoryContextSwitchTo(evidence->context);
			evidence->accepted = lappend(evidence->accepted,
										 unconstify(HubspotTypeList *, copy_types(types)));
			MemoryContextSwitchTo(old);
		}
	}
}

/* Was any input accepted with the types of one of these? */
bool
hubspot_evidence_has_accepted(const HubspotEvidence *evidence,
							  HubspotUnit *const *units, int nunits)
{
	const HubspotTypeList *last = NULL;

	if (evidence->any_accepted)
		return true;
	for (int i = 0; i < nunits; i++)
	{
		const HubspotTypeList *types = units[i]->input.types;

		if (types == last)
			continue;
		last = types;
		if (types && has_types(evidence->accepted, types))
			return true;
	}
	return false;
}

/* All inputs with the types of these are refused in these words, which are copied. */
void
hubspot_evidence_refuse(HubspotEvidence *evidence, const char *words,
						HubspotUnit *const *units, int nunits)
{
	MemoryContext old = MemoryContextSwitchTo(evidence->context);
	const char *copy = NULL;

	for (int i = 0; i < nunits; i++)
	{
		const HubspotTypeList *types = units[i]->input.types;
		Refusal    *refusal;

		if (i > 0 && types == units[i - 1]->input.types)
			continue;
		if (is_refused(evidence, words, types) ||
			list_length(evidence->refused) == MAX_LISTS)
			continue;
		if (copy == NULL)
			copy = pstrdup(words);
		refusal = palloc(sizeof(Refusal));
		refusal->words = copy;
		refusal->types = copy_types(types);
		evidence->refused = lappend(evidence->refused, refusal);
	}
	MemoryContextSwitchTo(old);
}

/* Is that known of the types of all of these? */
bool
hubspot_evidence_has_refused(const HubspotEvidence *evidence, const char *words,
							 HubspotUnit *const *units, int nunits)
{
	for (int i = 0; i < nunits; i++)
	{
		if (i > 0 && units[i]->input.types == units[i - 1]->input.types)
			continue;
		if (!is_refused(evidence, words, units[i]->input.types))
			return false;
	}
	return true;
}

static bool
is_refused(const HubspotEvidence *evidence, const char *words,
		   const HubspotTypeList *types)
{
	ListCell   *lc;

	foreach(lc, evidence->refused)
	{
		const Refusal *refusal = lfirst(lc);

		if (strcmp(refusal->words, words) == 0 && same_types(refusal->types, types))
			return true;
	}
	return false;
}

static const HubspotTypeList *
copy_types(const HubspotTypeList *types)
{
	return types ? hubspot_merge_types(NULL, types) : NULL;
}

static bool
same_types(const HubspotTypeList *a, const HubspotTypeList *b)
{
	return a == b || (a && b && hubspot_same_types(a, b));
}

static bool
has_types(const List *lists, const HubspotTypeList *types)
{
	ListCell   *lc;

	foreach(lc, lists)
	{
		if (hubspot_same_types(lfirst(lc), types))
			return true;
	}
	return false;
}

/* A body of that size, with so many units, was not too large. */
void
hubspot_evidence_pass_size(HubspotEvidence *evidence, size_t size, int nunits)
{
	if (size <= evidence->passed)
		return;
	evidence->passed = size;
	evidence->passed_units = nunits;
	if (evidence->too_large > 0 && evidence->too_large <= size)
		ignore_sizes(evidence);
}

/*
 * A body of that size was too large, it is said.  False: its size is not why, since a
 * larger one has passed.  Some firewalls refuse contents like that.
 */
bool
hubspot_evidence_refuse_size(HubspotEvidence *evidence, size_t size)
{
	if (size <= evidence->passed)
		ignore_sizes(evidence);
	if (evidence->by_content)
		return false;
	if (evidence->too_large == 0 || size < evidence->too_large)
		evidence->too_large = size;
	return true;
}

static void
ignore_sizes(HubspotEvidence *evidence)
{
	evidence->by_content = true;
	evidence->too_large = 0;
}

/* The answer to more units than that may be too large to be read. */
void
hubspot_evidence_refuse_units(HubspotEvidence *evidence, int most)
{
	if (evidence->max_units == 0 || most < evidence->max_units)
		evidence->max_units = most;
}

/* How large a body may be to have good prospects; 0: as large as it is. */
size_t
hubspot_evidence_max_size(const HubspotEvidence *evidence)
{
	if (evidence->too_large == 0)
		return 0;
	return Max((evidence->passed + evidence->too_large) / 2, 1);
}

/*
 * How many units a chunk that is opened may have, of at most so many.  It may be the one
 * that tries a larger size, if it is not NULL.
 */
int
hubspot_evidence_limit(HubspotEvidence *evidence, int most, const void *chunk)
{
	double		limit = evidence->passed_units;

	if (evidence->max_units > 0)
		most = Min(most, evidence->max_units);
	if (evidence->too_large == 0 || evidence->passed == 0)
		return most;
	if (chunk && evidence->larger == NULL &&
		evidence->too_large - evidence->passed > LITTLE(evidence->passed))
	{
		evidence->larger = chunk;
		limit = limit * hubspot_evidence_max_size(evidence) / evidence->passed;
	}
	return Max((int) Min(limit, most), 1);
}

/* Begin with what this process has found out, with other batches, of the sizes. */
void
hubspot_evidence_recall(HubspotEvidence *evidence, Oid server, const void *endpoint)
{
	for (int i = 0; i < MAX_KEPT; i++)
	{
		const KeptSize *kept = &kept_sizes[i];

		if (kept->server == server && kept->endpoint == endpoint &&
			kept->until > hubspot_now())
		{
			evidence->passed = kept->passed;
			evidence->passed_units = kept->passed_units;
			evidence->too_large = kept->too_large;
		}
	}
}

/* Remember the sizes for other batches, from the first one that was too large. */
void
hubspot_evidence_keep(const HubspotEvidence *evidence, Oid server,
					  const void *endpoint)
{
	KeptSize   *place = &kept_sizes[0];

	if (evidence->too_large == 0 || evidence->passed == 0)
		return;
	for (int i = 0; i < MAX_KEPT; i++)
	{
		KeptSize   *kept = &kept_sizes[i];

		if (kept->server == server && kept->endpoint == endpoint)
		{
			place = kept;
			break;
		}
		if (kept->until < place->until)
			place = kept;
	}

	/* a bound that is met again and again is asked for anew nevertheless */
	if (place->server != server || place->endpoint != endpoint ||
		place->until <= hubspot_now())
		place->until = hubspot_now() + KEEP_TIME;
	place->server = server;
	place->endpoint = endpoint;
	place->passed = evidence->passed;
	place->passed_units = evidence->passed_units;
	place->too_large = evidence->too_large;
}
