/*-------------------------------------------------------------------------
 *
 * result.h
 *	  From outcomes to rows of SQL.
 *
 * IDENTIFICATION
 *	  src/rows/result.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ROWS_RESULT_H
#define HUBSPOT_ROWS_RESULT_H

#include "access/tupdesc.h"
#include "utils/tuplestore.h"

#include "call/batch.h"

typedef struct HubspotResultRow HubspotResultRow;

extern HubspotResultRow *hubspot_result_create(MemoryContext context,
											   TupleDesc tupdesc);
extern Datum hubspot_result_row(HubspotResultRow *row,
								const HubspotOutcome *outcome);
extern void hubspot_result_put(HubspotResultRow *row,
							   const HubspotOutcome *outcome,
							   Tuplestorestate *tupstore);

#endif							/* HUBSPOT_ROWS_RESULT_H */
