/*-------------------------------------------------------------------------
 *
 * delivery.h
 *	  Rows of the outbox on their way to HubSpot and back.
 *
 * IDENTIFICATION
 *	  src/outbox/delivery.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_DELIVERY_H
#define HUBSPOT_OUTBOX_DELIVERY_H

#include "call/batch.h"
#include "outbox/selection.h"
#include "outbox/short_transaction.h"

/* The rows of an account on their way; see delivery.c. */
typedef struct HubspotDelivery HubspotDelivery;

/* What can be done with a delivery. */
typedef enum HubspotDeliveryState
{
	HUBSPOT_DELIVERY_OVER,		/* nothing more */
	HUBSPOT_DELIVERY_READY,		/* there is something to record, or to put */
	HUBSPOT_DELIVERY_WAITS		/* it waits for answers */
} HubspotDeliveryState;

extern HubspotDelivery *hubspot_delivery_create(const HubspotSelection *chosen,
												HubspotProgress *progress);
extern bool hubspot_delivery_start(HubspotTransaction *transaction,
								   HubspotDelivery *delivery, int nothers);
extern HubspotDeliveryState hubspot_delivery_look(HubspotDelivery *delivery,
												  int64 *wake);
extern bool hubspot_delivery_move(HubspotDelivery *delivery);
extern void hubspot_delivery_finish(HubspotDelivery *delivery);
extern void hubspot_delivery_wait(HubspotDelivery *delivery, int64 until);
extern void hubspot_delivery_moved(HubspotDelivery *delivery);
extern int	hubspot_delivery_count(const HubspotDelivery *delivery);
extern bool hubspot_delivery_is_unrecorded(const HubspotDelivery *delivery);

#endif							/* HUBSPOT_OUTBOX_DELIVERY_H */
