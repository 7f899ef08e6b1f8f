/*-------------------------------------------------------------------------
 *
 * notifier.h
 *	  Tells listeners of the channel hs_assoc what has happened.
 *
 * IDENTIFICATION
 *	  src/outbox/notifier.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_NOTIFIER_H
#define HUBSPOT_OUTBOX_NOTIFIER_H

#include "outbox/selection.h"
#include "outbox/short_transaction.h"

/* When a sender has to look for events; all zeroes at first. */
typedef struct HubspotNotifier
{
	int64		look_at;		/* as of hubspot_now() */
	TimestampTz due;			/* when what waits may be told of; 0: nothing
								 * waits */
} HubspotNotifier;

extern void hubspot_notify(HubspotNotifier *notifier, HubspotTransaction *transaction,
						   MemoryContext fault_context, HubspotRound *round);

#endif							/* HUBSPOT_OUTBOX_NOTIFIER_H */
