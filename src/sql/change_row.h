/*-------------------------------------------------------------------------
 *
 * change_row.h
 *	  Changes of a plan as the columns of hs_assoc_change.
 *
 * IDENTIFICATION
 *	  src/sql/change_row.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SQL_CHANGE_ROW_H
#define HUBSPOT_SQL_CHANGE_ROW_H

#include "plan/plan_change.h"

/* How many columns there are. */
#define HUBSPOT_CHANGE_NCOLUMNS	15

extern void hubspot_change_row(const HubspotPlan *plan, int64 no, const char *action,
							   const HubspotPlanChange *change, HubspotFate fate,
							   Datum *values, bool *isnull);

#endif							/* HUBSPOT_SQL_CHANGE_ROW_H */
