/*-------------------------------------------------------------------------
 *
 * enqueue.h
 *	  Puts the inputs of a query into the outbox.
 *
 * IDENTIFICATION
 *	  src/outbox/enqueue.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_ENQUEUE_H
#define HUBSPOT_OUTBOX_ENQUEUE_H

#include "outbox/outbox.h"
#include "rows/raw_input.h"

/* Rows on their way into the outbox; see enqueue.c. */
typedef struct HubspotBlock HubspotBlock;

extern int64 hubspot_enqueue_query(const HubspotEnqueue *enqueue,
								   const char *query, int64 *skipped);

extern HubspotBlock *hubspot_block_begin(const HubspotEnqueue *enqueue);
extern void hubspot_block_put(HubspotBlock *block, const HubspotRawInput *raw);
extern void hubspot_block_flush(HubspotBlock *block);
extern int64 hubspot_block_end(HubspotBlock *block);

#endif							/* HUBSPOT_OUTBOX_ENQUEUE_H */
