/*-------------------------------------------------------------------------
 *
 * sender.h
 *	  Sends what is due in the outbox, an account at a time.
 *
 * IDENTIFICATION
 *	  src/outbox/sender.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_SENDER_H
#define HUBSPOT_OUTBOX_SENDER_H

#include "outbox/delivery.h"

/* One process that sends; see sender.c. */
typedef struct HubspotSender HubspotSender;

/* How a sender opens and ends its short transactions. */
typedef enum HubspotSenderKind
{
	HUBSPOT_SENDER_WORKER,		/* a background worker: its own ones */
	HUBSPOT_SENDER_PROCEDURE	/* CALL: SPI_commit, as a procedure does */
} HubspotSenderKind;

extern HubspotSender *hubspot_sender_create(HubspotSenderKind kind);
extern void hubspot_sender_round(HubspotSender *sender, const char *server,
								 int64 max_rows, bool only_healthy,
								 HubspotRound *round);
extern void hubspot_sender_end(HubspotSender *sender);

#endif							/* HUBSPOT_OUTBOX_SENDER_H */
