/*-------------------------------------------------------------------------
 *
 * result.h
 *	  Outcomes to rows of SQL.
 *
 * IDENTIFICATION
 *	  src/result.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_RESULT_H
#define HUBSPOT_RESULT_H

#include "access/tupdesc.h"

#include "batch.h"

typedef struct HubspotResultRow HubspotResultRow;

extern HubspotResultRow *hubspot_result_create(MemoryContext context,
											   TupleDesc tupdesc);
extern void hubspot_result_fill(HubspotResultRow *row,
								const HubspotOutcome *outcome,
								Datum **values, bool **isnull);

#endif							/* HUBSPOT_RESULT_H */
