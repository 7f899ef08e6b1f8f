/*-------------------------------------------------------------------------
 *
 * difference.h
 *	  What is wanted of a record and what it holds, and the changes that follow.
 *
 * IDENTIFICATION
 *	  src/plan/difference.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_PLAN_DIFFERENCE_H
#define HUBSPOT_PLAN_DIFFERENCE_H

#include "plan/plan_task.h"

/* See difference.c. */
typedef struct HubspotDifference HubspotDifference;

extern HubspotDifference *hubspot_difference_create(HubspotPlan *plan);
extern void hubspot_difference_begin(HubspotDifference *difference, HubspotSlice from,
									 HubspotSlice from_given, bool spared);
extern void hubspot_difference_take(HubspotDifference *difference, const char *entry);
extern void hubspot_difference_end(HubspotDifference *difference);

#endif							/* HUBSPOT_PLAN_DIFFERENCE_H */
