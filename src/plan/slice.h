/*-------------------------------------------------------------------------
 *
 * slice.h
 *	  Some changes of a plan that are made together.
 *
 * IDENTIFICATION
 *	  src/plan/slice.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_PLAN_SLICE_H
#define HUBSPOT_PLAN_SLICE_H

#include "nodes/pg_list.h"

#include "plan/plan_change.h"

/* What is to be done about a change. */
typedef enum HubspotStep
{
	HUBSPOT_STEP_NONE,			/* nothing (any more): its row has been given */
	HUBSPOT_STEP_REMOVE,
	HUBSPOT_STEP_ADD
} HubspotStep;

/* A change of the slice. */
typedef struct HubspotSliceChange
{
	HubspotUnpackedChange unpacked;
	const char *to;				/* the second id, packed */
	int			record;			/* its place in the slice */
	HubspotStep step;
	bool		done;			/* HubSpot has confirmed it */
	int			nheld;			/* types that the pair has by now */
	bool		held;			/* of a typed change: the pair has this one */
	List	   *kept;			/* of an addition: types that the pair has and
								 * that HubSpot would replace */
} HubspotSliceChange;

/* A record of the slice, with its changes, from first on: removals before additions. */
typedef struct HubspotSliceRecord
{
	HubspotSlice id;
	int			first;
	int			first_addition;
	int			end;
	bool		failed;			/* a removal was not confirmed */
} HubspotSliceRecord;

typedef struct HubspotChangeSlice
{
	MemoryContext context;		/* of all that it has */
	int64		first_no;		/* number of its first change in the plan */
	HubspotSliceChange **changes;
	int			nchanges;
	HubspotSliceRecord *records;
	int			nrecords;
} HubspotChangeSlice;

extern bool hubspot_slice_fill(HubspotChangeSlice *slice, HubspotPackedSort *changes);
extern void hubspot_slice_note(HubspotChangeSlice *slice, HubspotSliceRecord *record,
							   const HubspotAssociation *association);
extern bool hubspot_slice_is_needed(const HubspotChangeSlice *slice,
									const HubspotSliceChange *change);
extern const HubspotTypeList *hubspot_slice_types(const HubspotChangeSlice *slice,
												  const HubspotSliceChange *change,
												  bool keep);

#endif							/* HUBSPOT_PLAN_SLICE_H */
