/*-------------------------------------------------------------------------
 *
 * enqueue.h
 *	  Inputs of a query into the outbox.
 *
 * IDENTIFICATION
 *	  src/outbox/enqueue.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_ENQUEUE_H
#define HUBSPOT_OUTBOX_ENQUEUE_H

#include "outbox/outbox.h"

extern int64 hubspot_enqueue_query(const HubspotEnqueue *enqueue,
								   const char *query, int64 *skipped);

#endif							/* HUBSPOT_OUTBOX_ENQUEUE_H */
