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

#include "outbox/selection.h"

/* One process that sends; see sender.c. */
typedef struct HubspotSender HubspotSender;

/* How a sender opens and ends its short transactions. */
typedef enum HubspotSenderKind
{
	HUBSPOT_SENDER_WORKER,		/* a background worker: its own ones */
	HUBSPOT_SENDER_PROCEDURE	/* CALL: SPI_commit, as a procedure does */
} HubspotSenderKind;

/*
 * May this process send to an account of such a standing, on a server of that owner's?
 * trusted: the owner is a superuser; sole: the owner has all servers of the database.
 */
typedef bool (*HubspotMayServe) (HubspotStanding standing, Oid owner,
								 bool trusted, bool sole);

extern HubspotSender *hubspot_sender_create(HubspotSenderKind kind);
extern void hubspot_sender_round(HubspotSender *sender, const char *server,
								 int64 max_rows, HubspotMayServe may_serve,
								 HubspotRound *round);
extern void hubspot_sender_end(HubspotSender *sender);

extern bool hubspot_is_sending(void);

#endif							/* HUBSPOT_OUTBOX_SENDER_H */
