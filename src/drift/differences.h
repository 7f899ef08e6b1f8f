/*-------------------------------------------------------------------------
 *
 * differences.h
 *	  The differences that a reading has found, and what is known of each.
 *
 * IDENTIFICATION
 *	  src/drift/differences.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DRIFT_DIFFERENCES_H
#define HUBSPOT_DRIFT_DIFFERENCES_H

#include "utils/tuplestore.h"

#include "plan/plan_change.h"

/* What a later look has shown of a difference, as bits. */
#define HUBSPOT_DIFFERENCE_THERE	1	/* the table has it */
#define HUBSPOT_DIFFERENCE_WANTED	2	/* another sync has it */
#define HUBSPOT_DIFFERENCE_WAITS	4	/* something waits for its pair in the
										 * outbox, or has waited when we read */
#define HUBSPOT_DIFFERENCE_DEAD		8	/* its pair has a dead letter */
#define HUBSPOT_DIFFERENCE_UNSURE	16	/* not known how its records are
										 * called */
#define HUBSPOT_DIFFERENCE_MANAGED	32	/* the table has its type for some
										 * pair */
#define HUBSPOT_DIFFERENCE_STAYS	64	/* a removal that is not to be made,
										 * since another one of its pair is
										 * not */

typedef struct HubspotDifferences
{
	MemoryContext context;		/* of all below */
	int64		count;
	int64		nremovals;
	Tuplestorestate *rows;		/* for queries; see difference_sql.h */
	TupleDesc	tupdesc;		/* of these */
	Tuplestorestate *changes;	/* plan_change.h's, packed, in their order */
	TupleTableSlot *slot;		/* of the last one that was got */
	uint8	   *marks;			/* bits of each, by its number, from 0 */
	int64		maxmarks;
} HubspotDifferences;

extern HubspotDifferences *hubspot_differences_create(void);
extern void hubspot_differences_put(HubspotDifferences *differences, HubspotSlice change);
extern void hubspot_differences_rewind(HubspotDifferences *differences);
extern bool hubspot_differences_next(HubspotDifferences *differences, int64 *no,
									 HubspotSlice *change);

#endif							/* HUBSPOT_DRIFT_DIFFERENCES_H */
