/*-------------------------------------------------------------------------
 *
 * link_slice.h
 *	  Some rows of a link table: all those of the records behind a place.
 *
 * IDENTIFICATION
 *	  src/drift/link_slice.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DRIFT_LINK_SLICE_H
#define HUBSPOT_DRIFT_LINK_SLICE_H

#include "utils/tuplestore.h"

#include "sync/link_rows.h"

typedef struct HubspotLinkSlice
{
	Tuplestorestate *rows;		/* as hubspot_link_source() wants them */
	int64		nrecords;
	int64		nrows;
	const char *end;			/* the place of the last one; NULL: there are
								 * none behind it */
} HubspotLinkSlice;

extern void hubspot_link_slice_read(HubspotLinkSlice *slice, const HubspotDelta *delta,
									const char *place, int most, int most_rows);

#endif							/* HUBSPOT_DRIFT_LINK_SLICE_H */
