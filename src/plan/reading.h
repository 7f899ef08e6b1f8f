/*-------------------------------------------------------------------------
 *
 * reading.h
 *	  The records of a plan, read, and compared with what is wanted.
 *
 * IDENTIFICATION
 *	  src/plan/reading.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_PLAN_READING_H
#define HUBSPOT_PLAN_READING_H

#include "plan/plan_task.h"

extern void hubspot_read_held(HubspotPlan *plan);

#endif							/* HUBSPOT_PLAN_READING_H */
