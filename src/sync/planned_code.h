/*-------------------------------------------------------------------------
 *
 * planned_code.h
 *	  Which tables run somebody's functions when a query on them is planned.
 *
 * IDENTIFICATION
 *	  src/sync/planned_code.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SYNC_PLANNED_CODE_H
#define HUBSPOT_SYNC_PLANNED_CODE_H

extern bool hubspot_planning_runs_code(Oid table);

#endif							/* HUBSPOT_SYNC_PLANNED_CODE_H */
