/*-------------------------------------------------------------------------
 *
 * difference.c
 *	  What is wanted of a record and what it holds, and the changes that follow.
 *
 * The entries of a record come in their order, so those of a pair follow each other.  They
 * are collected, and when the next pair comes, it is decided what is to be done about them:
 *
 * 			wanted			not wanted
 * 	held	kept			removed, if the plan may
 * 	not		created			-
 *
 * Of typed associations, a pair may hold types that are nobody's to remove here, and its
 * default type, which has no label, goes only with the last of the others.  Between records
 * of one object type, both directions of a pair are one association.  Which type of one
 * direction is which of the other is nowhere to be found out, so no type is removed from a
 * pair of which any is wanted from the other side.
 *
 * IDENTIFICATION
 *	  src/plan/difference.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "plan/plan_change.h"
#include "plan/difference.h"
#include "plan/entry.h"

/* A type of a pair, wanted or held. */
typedef struct PairType
{
	HubspotAssociationType type;
	bool		wanted;
	bool		held;
	int			flags;			/* HUBSPOT_ENTRY_..., if it is held */
} PairType;

#define FIRST_TYPES		8

struct HubspotDifference
{
	HubspotPlan *plan;
	HubspotSlice from;			/* the record */
	HubspotSlice from_given;
	bool		spared;			/* it loses nothing */

	/* the pair */
	MemoryContext context;		/* of categories that are copies */
	StringInfoData to;			/* packed; empty: there is no pair */
	StringInfoData to_given;
	bool		wanted;
	bool		reverse;		/* it is wanted from the other side */
	bool		held;
	PairType   *types;			/* each once, in order; if the plan is typed */
	int			ntypes;
	int			maxtypes;
};

static void begin_pair(HubspotDifference *difference, const char *entry, int len);
static bool is_same_type(const HubspotAssociationType *a, const HubspotAssociationType *b);
static void take_type(HubspotDifference *difference, const HubspotEntry *entry);
static void end_pair(HubspotDifference *difference);
static void compare_pair(HubspotDifference *difference, HubspotSlice to);
static void compare_types(HubspotDifference *difference, HubspotSlice to);
static bool may_go(const HubspotDifference *difference, const PairType *type);
static bool may_default_go(const HubspotDifference *difference);
static void remove_one(HubspotDifference *difference, HubspotPlanChange *change);
static bool is_spared(const HubspotDifference *difference, HubspotSlice to);
static void put(HubspotDifference *difference, HubspotPlanChange *change);

/* Begin to compare records, in the current memory context. */
HubspotDifference *
hubspot_difference_create(HubspotPlan *plan)
{
	HubspotDifference *difference = palloc0(sizeof(HubspotDifference));

	difference->plan = plan;
	difference->context = AllocSetContextCreate(CurrentMemoryContext,
												"hubspot_assoc categories of a pair",
												ALLOCSET_SMALL_SIZES);
	difference->maxtypes = FIRST_TYPES;
	difference->types = palloc(sizeof(PairType) * FIRST_TYPES);
	initStringInfo(&difference->to);
	initStringInfo(&difference->to_given);
	return difference;
}

/* Begin a record, whose ids must live until its end. */
void
hubspot_difference_begin(HubspotDifference *difference, HubspotSlice from,
						 HubspotSlice from_given, bool spared)
{
	difference->from = from;
	difference->from_given = from_given;
	difference->spared = spared || hubspot_is_record_spared(difference->plan->spared, from);
}

/* Take the next entry of the record, in their order, without its first id. */
void
hubspot_difference_take(HubspotDifference *difference, const char *entry)
{
	int			len = hubspot_skip_id(entry) - entry;
	HubspotEntry unpacked;
	MemoryContext old;

	if (len != difference->to.len || memcmp(entry, difference->to.data, len) != 0)
	{
		end_pair(difference);
		begin_pair(difference, entry, len);
	}
	old = MemoryContextSwitchTo(difference->context);
	hubspot_unpack_entry(difference->plan, entry, &unpacked);
	MemoryContextSwitchTo(old);
	if (unpacked.to_given.data && difference->to_given.len == 0)
		appendBinaryStringInfo(&difference->to_given, unpacked.to_given.data,
							   unpacked.to_given.len);
	switch (unpacked.kind)
	{
		case HUBSPOT_ENTRY_WANTED:
			difference->wanted = true;
			break;
		case HUBSPOT_ENTRY_REVERSE:
			difference->reverse = true;
			return;
		case HUBSPOT_ENTRY_HELD:
			difference->held = true;
			break;
		default:
			elog(ERROR, "unexpected kind of entry: %d", unpacked.kind);
	}
	if (difference->plan->typed)
		take_type(difference, &unpacked);
}

static void
begin_pair(HubspotDifference *difference, const char *entry, int len)
{
	resetStringInfo(&difference->to);
	resetStringInfo(&difference->to_given);
	appendBinaryStringInfo(&difference->to, entry, len);
	difference->wanted = difference->reverse = difference->held = false;
	difference->ntypes = 0;
	MemoryContextReset(difference->context);
}

static bool
is_same_type(const HubspotAssociationType *a, const HubspotAssociationType *b)
{
	return a->type_id == b->type_id &&
		(a->category == b->category ||
		 (a->category && b->category && strcmp(a->category, b->category) == 0));
}

/* Take a type of the pair; the same one may come again, next to it. */
static void
take_type(HubspotDifference *difference, const HubspotEntry *entry)
{
	PairType   *type;

	if (difference->ntypes == 0 ||
		!is_same_type(&difference->types[difference->ntypes - 1].type, &entry->type))
	{
		if (difference->ntypes == difference->maxtypes)
		{
			difference->maxtypes *= 2;
			difference->types = repalloc(difference->types,
										 sizeof(PairType) * difference->maxtypes);
		}
		type = &difference->types[difference->ntypes++];
		memset(type, 0, sizeof(PairType));
		type->type = entry->type;
	}
	else
		type = &difference->types[difference->ntypes - 1];
	if (entry->kind == HUBSPOT_ENTRY_WANTED)
		type->wanted = true;
	else
	{
		type->held = true;
		type->flags = entry->flags;
	}
}

/* End the record. */
void
hubspot_difference_end(HubspotDifference *difference)
{
	end_pair(difference);
	resetStringInfo(&difference->to);
}

/* Decide what becomes of the pair that was collected, if there is one. */
static void
end_pair(HubspotDifference *difference)
{
	HubspotDigits digits;
	HubspotSlice to;

	if (difference->to.len == 0)
		return;
	if (!difference->plan->typed && difference->wanted && difference->held)
	{
		difference->plan->counts.held++;
		return;
	}
	(void) hubspot_unpack_id(difference->to.data, &to, &digits);
	if (difference->plan->typed)
		compare_types(difference, to);
	else
		compare_pair(difference, to);
}

/* A pair that is either wanted or held. */
static void
compare_pair(HubspotDifference *difference, HubspotSlice to)
{
	HubspotPlanChange change = {.action = HUBSPOT_ACTION_ARCHIVE,.to = to};

	difference->plan->counts.held += difference->held;
	if (difference->wanted)
	{
		change.action = HUBSPOT_ACTION_CREATE;
		put(difference, &change);
	}
	else if (difference->held && difference->plan->mirrors && !difference->reverse)
		remove_one(difference, &change);
}

/* The types of a pair. */
static void
compare_types(HubspotDifference *difference, HubspotSlice to)
{
	bool		default_may_go = may_default_go(difference);

	for (int i = 0; i < difference->ntypes; i++)
	{
		const PairType *type = &difference->types[i];
		HubspotPlanChange change = {.to = to,.type = type->type};

		difference->plan->counts.held += type->held;
		change.type.label = hubspot_labels_name(difference->plan->labels, &type->type);
		if (type->wanted && !type->held)
		{
			change.action = difference->held ? HUBSPOT_ACTION_ADD : HUBSPOT_ACTION_CREATE;
			put(difference, &change);
		}
		else if (type->held && !type->wanted && may_go(difference, type))
		{
			change.action = HUBSPOT_ACTION_REMOVE;
			change.is_default = (type->flags & HUBSPOT_ENTRY_DEFAULT) != 0;
			if (!change.is_default || default_may_go)
				remove_one(difference, &change);
		}
	}
}

/* May a type that is not wanted be removed, unless the record is spared? */
static bool
may_go(const HubspotDifference *difference, const PairType *type)
{
	return difference->plan->mirrors && !difference->reverse &&
		(type->flags & HUBSPOT_ENTRY_MANAGED) != 0;
}

/* Will the pair have no other type than the default one? */
static bool
may_default_go(const HubspotDifference *difference)
{
	for (int i = 0; i < difference->ntypes; i++)
	{
		const PairType *type = &difference->types[i];

		if (type->wanted || !may_go(difference, type))
			return false;
	}
	return true;
}

/* Remove something that is held, unless one of the records is spared. */
static void
remove_one(HubspotDifference *difference, HubspotPlanChange *change)
{
	if (is_spared(difference, change->to))
		difference->plan->counts.spared++;
	else
		put(difference, change);
}

static bool
is_spared(const HubspotDifference *difference, HubspotSlice to)
{
	return difference->spared ||
		(difference->plan->symmetric && hubspot_is_record_spared(difference->plan->spared, to));
}

static void
put(HubspotDifference *difference, HubspotPlanChange *change)
{
	change->from = difference->from;
	change->from_given = difference->from_given;
	if (difference->to_given.len > 0)
	{
		change->to_given.data = difference->to_given.data;
		change->to_given.len = difference->to_given.len;
	}
	if (hubspot_is_removal(change->action))
		difference->plan->counts.removed++;
	else
		difference->plan->counts.added++;
	hubspot_put_change(difference->plan, change);
}
