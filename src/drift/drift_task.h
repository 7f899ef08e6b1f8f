/*-------------------------------------------------------------------------
 *
 * drift_task.h
 *	  A table in sync that is compared with HubSpot, and what that has come to.
 *
 * IDENTIFICATION
 *	  src/drift/drift_task.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DRIFT_DRIFT_TASK_H
#define HUBSPOT_DRIFT_DRIFT_TASK_H

#include "drift/differences.h"
#include "plan/plan_task.h"
#include "sync/link_rows.h"

/* What a comparison has come to. */
typedef struct HubspotDriftCounts
{
	int64		missing;		/* that HubSpot does not hold */
	int64		extra;			/* that it holds, and nobody wants */
	int64		waiting;		/* of whose pairs something waits */
	int64		dead;			/* whose pairs have dead letters */
	int64		unsure;			/* held, and not known whether wanted */
	int64		unresolved;		/* rows whose records are not known */
} HubspotDriftCounts;

/* A sync, compared with HubSpot; see drift.c. */
typedef struct HubspotDrift
{
	MemoryContext context;		/* of all below */
	const HubspotSync *sync;
	HubspotDelta delta;
	HubspotPlan plan;
	List	   *claims;			/* Claim *: who else may want what is held */
	List	   *names;			/* HubspotRecordNames * */
	Tuplestorestate *pending;	/* pairs of which something waited before */
	HubspotDifferences *differences;
	Tuplestorestate *dead;		/* the dead letters of their pairs */
	HubspotDriftCounts counts;
} HubspotDrift;

#endif							/* HUBSPOT_DRIFT_DRIFT_TASK_H */
