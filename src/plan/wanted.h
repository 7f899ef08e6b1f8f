/*-------------------------------------------------------------------------
 *
 * wanted.h
 *	  What is wanted, and of which records: the rows of two queries.
 *
 * IDENTIFICATION
 *	  src/plan/wanted.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_PLAN_WANTED_H
#define HUBSPOT_PLAN_WANTED_H

#include "plan/plan_task.h"

extern void hubspot_read_wanted(HubspotPlan *plan);

#endif							/* HUBSPOT_PLAN_WANTED_H */
