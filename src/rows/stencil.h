/*-------------------------------------------------------------------------
 *
 * stencil.h
 *	  Rows into a tuplestore that differ only in their number and their ids.
 *
 * IDENTIFICATION
 *	  src/rows/stencil.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ROWS_STENCIL_H
#define HUBSPOT_ROWS_STENCIL_H

#include "access/tupdesc.h"
#include "utils/tuplestore.h"

#include "hubspot.h"

/*
 * The columns that differ: a bigint, then two texts; others follow, and in the end maybe
 * two texts that differ as well.
 */
enum
{
	HUBSPOT_STENCIL_NO,
	HUBSPOT_STENCIL_FROM_ID,
	HUBSPOT_STENCIL_TO_ID,
	HUBSPOT_STENCIL_FIRST_OTHER
};

/* What is in these columns; a text without data is null. */
typedef struct HubspotStencilRow
{
	int64		no;
	HubspotSlice from_id;
	HubspotSlice to_id;
	HubspotSlice from_record;	/* ignored if the type has no such column */
	HubspotSlice to_record;		/* ignored if the type has no such column */
} HubspotStencilRow;

typedef struct HubspotStencils HubspotStencils;

extern HubspotStencils *hubspot_stencils_create(MemoryContext context,
												TupleDesc tupdesc, bool has_records);
extern void hubspot_stencils_put(HubspotStencils *stencils,
								 Tuplestorestate *tupstore,
								 Datum *values, bool *isnull, uint64 kind);
extern bool hubspot_stencils_put_kind(HubspotStencils *stencils,
									  Tuplestorestate *tupstore, uint64 kind,
									  const HubspotStencilRow *row);
extern void hubspot_stencils_forget(HubspotStencils *stencils);

#endif							/* HUBSPOT_ROWS_STENCIL_H */
