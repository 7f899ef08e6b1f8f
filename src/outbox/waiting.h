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

/*
 * Is a row of the outbox put off for what is not its own failure, and charged to no row: a
 * scope that the token lacks, or something that had to be known first?
 */
#define HUBSPOT_SQL_PUT_OFF(row) \
	" ((" row ".http_status = 403 OR " row ".error_category = 'NOT_SENT')" \
	" AND " row ".not_before > clock_timestamp()) "

/* Servers whose operations wait until somebody does something; or NULL. */
typedef struct HubspotHeldServers
{
	const char *paused;			/* one that is paused */
	const char *failed;			/* one that has failed, and is not tried again
								 * yet */
	const char *put_off;		/* one that has rows which are put off */
} HubspotHeldServers;

extern int64 hubspot_waiting_count(void);
extern bool hubspot_waiting_is_paused(const char *server);
extern int64 hubspot_waiting_tell(const char *server, StringInfo reasons,
								  HubspotHeldServers *held);
extern int64 hubspot_waiting_discard(void);
extern void hubspot_waiting_begin_anew(void);

#endif							/* HUBSPOT_OUTBOX_WAITING_H */
