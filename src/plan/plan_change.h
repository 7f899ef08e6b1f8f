/*-------------------------------------------------------------------------
 *
 * plan_change.h
 *	  What a plan is about to do, or cannot, or has done.
 *
 * IDENTIFICATION
 *	  src/plan/plan_change.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_PLAN_PLAN_CHANGE_H
#define HUBSPOT_PLAN_PLAN_CHANGE_H

#include "plan/packed.h"
#include "plan/plan_task.h"

/* Those of one record are made in this order. */
typedef enum HubspotAction
{
	HUBSPOT_ACTION_UNRESOLVED,	/* it is not known what a row means */
	HUBSPOT_ACTION_UNREADABLE,	/* nor what a record holds */
	HUBSPOT_ACTION_ARCHIVE,		/* a pair is removed, with all of its types */
	HUBSPOT_ACTION_REMOVE,		/* a type is taken off a pair, ... */
	HUBSPOT_ACTION_CREATE,		/* a pair is made, ... */
	HUBSPOT_ACTION_ADD,			/* ... or gets a type */
	HUBSPOT_ACTION_SKIPPED		/* somebody else has done it meanwhile */
} HubspotAction;

/* What has become of a change. */
typedef enum HubspotFate
{
	HUBSPOT_FATE_PLANNED,		/* nothing so far */
	HUBSPOT_FATE_DONE,
	HUBSPOT_FATE_FAILED
} HubspotFate;

typedef struct HubspotPlanChange
{
	HubspotAction action;
	int64		row_no;			/* of an unresolved one */
	HubspotSlice from;			/* ids of records, where they are known */
	HubspotSlice to;
	HubspotSlice from_given;	/* where the side has keys, or is unresolved */
	HubspotSlice to_given;
	HubspotAssociationType type;	/* no category: the pair as a whole */
	bool		is_default;		/* a type that has no label */
	const HubspotError *error;	/* why it is not done, or NULL */
	int			http_status;	/* of the answer that confirms it, or 0 */
} HubspotPlanChange;

/* One that was unpacked, with what it points to. */
typedef struct HubspotUnpackedChange
{
	HubspotPlanChange change;
	HubspotDigits digits[2];
	HubspotError error;
} HubspotUnpackedChange;

/*
 * Takes a change of a plan, by its number there, from 1, with what has become of it.  It
 * is valid only during the call.
 */
typedef void (*HubspotTakeChange) (void *state, int64 no, const HubspotPlanChange *change,
								   HubspotFate fate);

extern void hubspot_put_change(HubspotPlan *plan, const HubspotPlanChange *change);
extern void hubspot_unpack_change(HubspotSlice row, HubspotUnpackedChange *unpacked);
extern const char *hubspot_change_to(HubspotSlice row);
extern const char *hubspot_action_name(HubspotAction action);

static inline bool
hubspot_is_removal(HubspotAction action)
{
	return action == HUBSPOT_ACTION_ARCHIVE || action == HUBSPOT_ACTION_REMOVE;
}

/* Is it something that cannot be done, from the start? */
static inline bool
hubspot_is_notice(HubspotAction action)
{
	return action <= HUBSPOT_ACTION_UNREADABLE;
}

#endif							/* HUBSPOT_PLAN_PLAN_CHANGE_H */
