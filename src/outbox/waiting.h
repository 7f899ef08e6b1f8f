/*-------------------------------------------------------------------------
 *
 * waiting.h
 *	  All that waits in the outbox, for whoever decides what becomes of it.
 *
 * IDENTIFICATION
 *	  src/outbox/waiting.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_WAITING_H
#define HUBSPOT_OUTBOX_WAITING_H

#include "lib/stringinfo.h"

/* Servers whose operations wait for somebody to do something; or NULL. */
typedef struct HubspotHeldServers
{
	const char *paused;
	const char *failed;			/* and are not tried again yet */
} HubspotHeldServers;

extern int64 hubspot_waiting_count(void);
extern bool hubspot_waiting_is_paused(const char *server);
extern int64 hubspot_waiting_tell(const char *server, StringInfo reasons,
								  HubspotHeldServers *held);
extern int64 hubspot_waiting_discard(void);
extern void hubspot_waiting_begin_anew(void);

#endif							/* HUBSPOT_OUTBOX_WAITING_H */
