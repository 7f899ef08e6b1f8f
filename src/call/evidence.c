/*-------------------------------------------------------------------------
 *
 * evidence.c
 *	  What the answers to a batch have shown of all of its inputs.
 *
 * Inputs differ in their ids and in their types.  If all inputs that were tried with some
 * types met the same refusal, and none was ever accepted with them, the refusal is
 * remembered with these types: of later inputs with them, only a few are tried.  As soon
 * as one is accepted, the refusal no longer counts: then the ids matter.
 *
 * It is not known how large a request may be: HubSpot, or a proxy, answers 413 to one that
 * is too large.  Between the largest body that has passed and the smallest one that has
 * not, a larger one is tried now and then, one at a time, until the two are close.  If
 * there is no such bound, because a body is refused that is smaller than one that has
 * passed, such requests are treated as refused because of some of their inputs.
 *
 * A sender makes a batch of a few thousand rows at a time, so its process remembers both
 * for a while after it has first found them out.  Then they are found out anew, however
 * often they were met.
 *
 * IDENTIFICATION
 *	  src/call/evidence.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "api/association_type.h"
#include "api/error.h"
#include "base/clock.h"
#include "call/evidence.h"

/* How many lists of types are told apart; a pair of object types has 50 labels. */
#define MAX_LISTS		100

/* A gain of less than this part of a size is not worth a request that may fail. */
#define LITTLE(size)	((size) / 8)

/* How long a process remembers things, in microseconds, and how many of each kind. */
#define KEEP_TIME		(5 * 60 * INT64CONST(1000000))
#define MAX_KEPT		16

/* Refusals, as a sender's process remembers them, in a context of their own. */
typedef struct KeptRefusals
{
	HubspotEvidenceKey key;
	int64		until;
	MemoryContext context;		/* NULL: there are none here */
	List	   *refused;
	int			nspent;
} KeptRefusals;

/* Sizes of bodies, likewise. */
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
static KeptRefusals kept_refusals[MAX_KEPT];

static HubspotRefusal *copy_refusal(const HubspotRefusal *refusal);
static void ignore_sizes(HubspotEvidence *evidence);
static const HubspotTypeList *copy_types(const HubspotTypeList *types);
static bool same_types(const HubspotTypeList *a, const HubspotTypeList *b);
static bool has_types(const List *lists, const HubspotTypeList *types);
static HubspotRefusal *find_refusal(const HubspotEvidence *evidence,
									const HubspotTypeList *types);
static bool is_accepted(const HubspotEvidence *evidence, const HubspotTypeList *types);
static void recall_sizes(HubspotEvidence *evidence);
static void recall_refused(HubspotEvidence *evidence);
static KeptRefusals *find_kept(const HubspotEvidenceKey *key);
static KeptRefusals *make_kept(const HubspotEvidenceKey *key);
static void keep_again(KeptRefusals *kept, const HubspotEvidence *evidence);
static void forget(KeptRefusals *kept);

/* Create evidence of nothing so far, which lives in that context. */
HubspotEvidence *
hubspot_evidence_create(MemoryContext context)
{
	HubspotEvidence *evidence = MemoryContextAllocZero(context, sizeof(HubspotEvidence));

	evidence->context = context;
	return evidence;
}

/* Take note of the units that HubSpot has confirmed. */
void
hubspot_evidence_accept(HubspotEvidence *evidence, HubspotUnit *const *units,
						int nunits)
{
	const HubspotTypeList *last = NULL;

	for (int i = 0; i < nunits && !evidence->any_accepted; i++)
	{
		const HubspotTypeList *types = units[i]->input.types;
		MemoryContext old;

		if (!units[i]->confirmed)
			continue;
		evidence->nspent = 0;
		if (types && types == last)
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

/* Was any input accepted with the types of one of these units? */
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
		if (is_accepted(evidence, types))
			return true;
	}
	return false;
}

static bool
is_accepted(const HubspotEvidence *evidence, const HubspotTypeList *types)
{
	return evidence->any_accepted || (types && has_types(evidence->accepted, types));
}

/*
 * Take note that all inputs with the types of these units are refused, with an error of
 * these words, whatever was known before.  Error and words are copied.
 */
void
hubspot_evidence_refuse(HubspotEvidence *evidence, const HubspotError *error,
						const char *words, HubspotUnit *const *units, int nunits)
{
	MemoryContext old = MemoryContextSwitchTo(evidence->context);

	for (int i = 0; i < nunits; i++)
	{
		const HubspotTypeList *types = units[i]->input.types;
		HubspotRefusal *refusal;

		if (i > 0 && types == units[i - 1]->input.types)
			continue;
		refusal = find_refusal(evidence, types);
		if (refusal && strcmp(refusal->words, words) == 0)
			continue;
		if (refusal == NULL)
		{
			if (list_length(evidence->refused) == MAX_LISTS)
				break;
			refusal = palloc0(sizeof(HubspotRefusal));
			refusal->types = copy_types(types);
			evidence->refused = lappend(evidence->refused, refusal);
		}
		refusal->words = pstrdup(words);
		refusal->not_sent =
			hubspot_make_error(HUBSPOT_VERDICT_LIKE_OTHERS, error->sqlstate,
							   psprintf(types ?
										"not sent after HubSpot refused all inputs with its types: %s" :
										"not sent after HubSpot refused all inputs before it: %s",
										error->message));
	}
	MemoryContextSwitchTo(old);
}

static HubspotRefusal *
find_refusal(const HubspotEvidence *evidence, const HubspotTypeList *types)
{
	ListCell   *lc;

	foreach(lc, evidence->refused)
	{
		HubspotRefusal *refusal = lfirst(lc);

		if (same_types(refusal->types, types))
			return refusal;
	}
	return NULL;
}

static HubspotRefusal *
copy_refusal(const HubspotRefusal *refusal)
{
	HubspotRefusal *copy = palloc(sizeof(HubspotRefusal));

	copy->words = pstrdup(refusal->words);
	copy->types = copy_types(refusal->types);
	copy->not_sent = hubspot_copy_error(refusal->not_sent);
	copy->nmet = refusal->nmet;
	return copy;
}

/* The refusal that all inputs with the types of this unit meet, or NULL. */
HubspotRefusal *
hubspot_evidence_refusal(const HubspotEvidence *evidence, const HubspotUnit *unit)
{
	HubspotRefusal *refusal = find_refusal(evidence, unit->input.types);

	return refusal && !is_accepted(evidence, refusal->types) ? refusal : NULL;
}

/* Is one input to be tried of the next chunk that has inputs with the types of a refusal? */
bool
hubspot_evidence_wants_try(const HubspotEvidence *evidence, const HubspotRefusal *refusal)
{
	return (refusal->nmet & (refusal->nmet + 1)) == 0 &&
		evidence->nspent < HUBSPOT_MOST_REFUSED;
}

/*
 * Settle those of a chunk's units that are not sent because of what is known, unless one
 * of their kind is to be tried.  Returns how many are left; these then come first.
 */
int
hubspot_evidence_pass_over(const HubspotEvidence *evidence, HubspotUnit **units, int nunits)
{
	ListCell   *lc;

	foreach(lc, evidence->refused)
	{
		HubspotRefusal *refusal = lfirst(lc);
		int			nleft = 0;

		if (is_accepted(evidence, refusal->types) ||
			hubspot_evidence_wants_try(evidence, refusal))
			continue;
		for (int i = 0; i < nunits; i++)
		{
			if (same_types(refusal->types, units[i]->input.types))
				units[i]->error = refusal->not_sent;
			else
				units[nleft++] = units[i];
		}
		refusal->nmet += (nleft < nunits);
		nunits = nleft;
	}
	return nunits;
}

/* Are all inputs with the types of any of these units known to be refused? */
bool
hubspot_evidence_meets(const HubspotEvidence *evidence, HubspotUnit *const *units,
					   int nunits)
{
	if (evidence->refused == NIL)
		return false;
	for (int i = 0; i < nunits; i++)
	{
		if (i > 0 && units[i]->input.types == units[i - 1]->input.types)
			continue;
		if (hubspot_evidence_refusal(evidence, units[i]))
			return true;
	}
	return false;
}

/* Were all inputs with the types of each of these units refused in these words? */
bool
hubspot_evidence_has_refused(const HubspotEvidence *evidence, const char *words,
							 HubspotUnit *const *units, int nunits)
{
	for (int i = 0; i < nunits; i++)
	{
		const HubspotRefusal *refusal;

		if (i > 0 && units[i]->input.types == units[i - 1]->input.types)
			continue;
		refusal = find_refusal(evidence, units[i]->input.types);
		if (refusal == NULL || strcmp(refusal->words, words) != 0)
			return false;
	}
	return true;
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

/* Take note that a body of that size, with that many units, was not too large. */
void
hubspot_evidence_pass_size(HubspotEvidence *evidence, size_t size, int nunits)
{
	if (size > evidence->passed_now)
	{
		evidence->passed_now = size;
		evidence->passed_now_units = nunits;
	}
	if (size <= evidence->passed)
		return;
	evidence->passed = size;
	evidence->passed_units = nunits;
	if (evidence->too_large > 0 && evidence->too_large <= size)
		ignore_sizes(evidence);
}

/*
 * Take note that a body of that size was refused as too large.  False: its size is not the
 * reason, since a larger one has passed.  Some firewalls refuse contents in that way.
 */
bool
hubspot_evidence_refuse_size(HubspotEvidence *evidence, size_t size)
{
	if (size <= evidence->passed && size > evidence->passed_now)
	{
		/* what is remembered holds no longer */
		evidence->passed = evidence->passed_now;
		evidence->passed_units = evidence->passed_now_units;
		evidence->too_large = size;
	}
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

/* Take note that the answer to more units than that may be too large to be read. */
void
hubspot_evidence_refuse_units(HubspotEvidence *evidence, int most)
{
	if (evidence->max_units == 0 || most < evidence->max_units)
		evidence->max_units = most;
}

/* How large a body may be to have good prospects; 0: no limit is known. */
size_t
hubspot_evidence_max_size(const HubspotEvidence *evidence)
{
	if (evidence->too_large == 0)
		return 0;
	return Max((evidence->passed + evidence->too_large) / 2, 1);
}

/*
 * How many units a chunk that is opened may have, of at most that many.  The chunk, if it
 * is not NULL, may be the one that tries a larger size.
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

/*
 * Begin with what other batches of this process have found out, and remember what this one
 * finds out.  The names of the object types must live as long as the evidence.
 */
void
hubspot_evidence_recall(HubspotEvidence *evidence, const HubspotEvidenceKey *key)
{
	evidence->is_kept = true;
	evidence->key = *key;
	recall_sizes(evidence);
	recall_refused(evidence);
}

static void
recall_sizes(HubspotEvidence *evidence)
{
	for (int i = 0; i < MAX_KEPT; i++)
	{
		const KeptSize *kept = &kept_sizes[i];

		if (kept->server == evidence->key.server &&
			kept->endpoint == evidence->key.endpoint && kept->until > hubspot_now())
		{
			evidence->passed = kept->passed;
			evidence->passed_units = kept->passed_units;
			evidence->too_large = kept->too_large;
		}
	}
}

static void
recall_refused(HubspotEvidence *evidence)
{
	const KeptRefusals *kept = find_kept(&evidence->key);
	MemoryContext old;
	ListCell   *lc;

	if (kept == NULL)
		return;
	old = MemoryContextSwitchTo(evidence->context);
	foreach(lc, kept->refused)
		evidence->refused = lappend(evidence->refused, copy_refusal(lfirst(lc)));
	evidence->nspent = kept->nspent;
	MemoryContextSwitchTo(old);
}

/* Remember the sizes for other batches, once one was too large. */
void
hubspot_evidence_keep_sizes(const HubspotEvidence *evidence)
{
	KeptSize   *place = &kept_sizes[0];

	if (!evidence->is_kept || evidence->too_large == 0 || evidence->passed == 0)
		return;
	for (int i = 0; i < MAX_KEPT; i++)
	{
		KeptSize   *kept = &kept_sizes[i];

		if (kept->server == evidence->key.server &&
			kept->endpoint == evidence->key.endpoint)
		{
			place = kept;
			break;
		}
		if (kept->until < place->until)
			place = kept;
	}
	if (place->server != evidence->key.server ||
		place->endpoint != evidence->key.endpoint || place->until <= hubspot_now())
		place->until = hubspot_now() + KEEP_TIME;
	place->server = evidence->key.server;
	place->endpoint = evidence->key.endpoint;
	place->passed = evidence->passed;
	place->passed_units = evidence->passed_units;
	place->too_large = evidence->too_large;
}

/*
 * Remember for other batches which inputs are all refused, except those that no longer
 * are.
 */
void
hubspot_evidence_keep_refused(const HubspotEvidence *evidence)
{
	KeptRefusals *kept;

	if (!evidence->is_kept || evidence->refused == NIL)
		return;
	kept = find_kept(&evidence->key);
	if (kept == NULL)
		kept = make_kept(&evidence->key);
	keep_again(kept, evidence);
}

/* What is remembered under that key, or NULL. */
static KeptRefusals *
find_kept(const HubspotEvidenceKey *key)
{
	for (int i = 0; i < MAX_KEPT; i++)
	{
		KeptRefusals *kept = &kept_refusals[i];

		if (kept->context && kept->until > hubspot_now() &&
			kept->key.server == key->server && kept->key.user == key->user &&
			kept->key.mapping == key->mapping && kept->key.endpoint == key->endpoint &&
			strcmp(kept->key.from_type, key->from_type) == 0 &&
			strcmp(kept->key.to_type, key->to_type) == 0)
			return kept;
	}
	return NULL;
}

/*
 * Make a place for that key, in place of the oldest if none is free; it has no context
 * yet.
 */
static KeptRefusals *
make_kept(const HubspotEvidenceKey *key)
{
	KeptRefusals *place = &kept_refusals[0];

	for (int i = 0; i < MAX_KEPT; i++)
	{
		if (kept_refusals[i].until < place->until)
			place = &kept_refusals[i];
	}
	forget(place);
	place->key = *key;
	place->until = hubspot_now() + KEEP_TIME;
	return place;
}

/* Replace what was remembered there; if nothing is left, forget it. */
static void
keep_again(KeptRefusals *kept, const HubspotEvidence *evidence)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc refusals",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	KeptRefusals new = *kept;
	ListCell   *lc;

	new.context = context;
	new.refused = NIL;
	new.nspent = evidence->nspent;
	new.key.from_type = pstrdup(evidence->key.from_type);
	new.key.to_type = pstrdup(evidence->key.to_type);
	foreach(lc, evidence->refused)
	{
		const HubspotRefusal *refusal = lfirst(lc);

		if (!is_accepted(evidence, refusal->types))
			new.refused = lappend(new.refused, copy_refusal(refusal));
	}
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, TopMemoryContext);
	forget(kept);
	*kept = new;
	if (kept->refused == NIL)
		forget(kept);
}

static void
forget(KeptRefusals *kept)
{
	if (kept->context)
		MemoryContextDelete(kept->context);
	kept->context = NULL;
	kept->until = 0;
}
