/*-------------------------------------------------------------------------
 *
 * result.h
 *	  Outcomes to SQL: rows of hs_assoc_result, or an ERROR.
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
extern void hubspot_throw_error(const HubspotError *error, const char *what,
								bool repeatable);
extern const char *hubspot_error_hint(const HubspotError *error,
									  bool repeatable);
extern char *hubspot_error_detail(const HubspotError *error);

#endif							/* HUBSPOT_RESULT_H */
