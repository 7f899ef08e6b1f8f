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

#include "outbox/selection.h"
#include "outbox/short_transaction.h"

extern int	hubspot_delivery_perform(HubspotTransaction *transaction,
									 const HubspotSelection *chosen,
									 HubspotRound *round,
									 HubspotProgress *progress);

#endif							/* HUBSPOT_OUTBOX_DELIVERY_H */
