/*-------------------------------------------------------------------------
 *
 * enqueue.h
 *	  Inputs of a query into the outbox.
 *
 * IDENTIFICATION
 *	  src/enqueue.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ENQUEUE_H
#define HUBSPOT_ENQUEUE_H

#include "outbox.h"

extern int64 hubspot_enqueue_query(const HubspotEnqueue *enqueue,
								   const char *query, int64 *skipped);

#endif							/* HUBSPOT_ENQUEUE_H */
