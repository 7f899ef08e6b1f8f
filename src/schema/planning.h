/*-------------------------------------------------------------------------
 *
 * planning.h
 *	  Plans of our own statements.
 *
 * IDENTIFICATION
 *	  src/schema/planning.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SCHEMA_PLANNING_H
#define HUBSPOT_SCHEMA_PLANNING_H

#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

extern PlannedStmt *hubspot_plan(Query * query, const char *text, const List *relations,
								 Oid subject);

#endif							/* HUBSPOT_SCHEMA_PLANNING_H */
