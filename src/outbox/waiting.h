/*-------------------------------------------------------------------------
 *
 * waiting.h
 *	  What waits in the outbox, and why.
 *
 * IDENTIFICATION
 *	  src/outbox/waiting.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_WAITING_H
#define HUBSPOT_OUTBOX_WAITING_H

#include "lib/stringinfo.h"

/* Servers whose operations wait until somebody does something; or NULL. */
typedef struct HubspotHeldServers
{
	const char *paused;			/* one that is paused */
	const char *failed;			/* one that has failed, and is not tried again
								 * yet */
} HubspotHeldServers;

extern int64 hubspot_waiting_count(void);
extern bool hubspot_waiting_is_paused(const char *server);
extern int64 hubspot_waiting_tell(const char *server, StringInfo reasons,
								  HubspotHeldServers *held);
extern int64 hubspot_waiting_discard(void);
extern void hubspot_waiting_begin_anew(void);

#endif							/* HUBSPOT_OUTBOX_WAITING_H */
