/*-------------------------------------------------------------------------
 *
 * link_source.h
 *	  The rows of a link table, as what is wanted.
 *
 * IDENTIFICATION
 *	  src/drift/link_source.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DRIFT_LINK_SOURCE_H
#define HUBSPOT_DRIFT_LINK_SOURCE_H

#include "utils/tuplestore.h"

#include "rows/source.h"
#include "sync/link_rows.h"

extern HubspotSource *hubspot_link_source(const HubspotDelta *delta,
										  const HubspotDirection *direction,
										  Tuplestorestate *rows);

#endif							/* HUBSPOT_DRIFT_LINK_SOURCE_H */
