/*-------------------------------------------------------------------------
 *
 * names.h
 *	  What the records of differences may be called in a column of a sync.
 *
 * IDENTIFICATION
 *	  src/drift/names.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DRIFT_NAMES_H
#define HUBSPOT_DRIFT_NAMES_H

#include "api/key.h"
#include "drift/differences.h"
#include "plan/plan_task.h"

/* A side of the pairs. */
typedef enum HubspotSide
{
	HUBSPOT_SIDE_FROM,
	HUBSPOT_SIDE_TO
} HubspotSide;

/* Names of the records of one side. */
typedef struct HubspotRecordNames
{
	HubspotSide side;
	const char *property;		/* whose values they are; NULL: they are ids */
	Tuplestorestate *rows;		/* for queries; see difference_sql.h */
} HubspotRecordNames;

extern TupleDesc hubspot_names_tupdesc(void);
extern HubspotRecordNames *hubspot_names_create(HubspotDifferences *differences,
												HubspotPlan *plan, HubspotSide side,
												const HubspotObjectType *type, bool given);

#endif							/* HUBSPOT_DRIFT_NAMES_H */
