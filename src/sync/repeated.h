/*-------------------------------------------------------------------------
 *
 * repeated.h
 *	  Pairs that a transaction adds again and again.
 *
 * IDENTIFICATION
 *	  src/sync/repeated.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SYNC_REPEATED_H
#define HUBSPOT_SYNC_REPEATED_H

#include "utils/queryenvironment.h"

#include "sync/link_rows.h"

extern bool hubspot_repeated_in(QueryEnvironment *environment, const char *name,
								const HubspotDeltaColumn *from, const HubspotDeltaColumn *to);

#endif							/* HUBSPOT_SYNC_REPEATED_H */
