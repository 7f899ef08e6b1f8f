/*-------------------------------------------------------------------------
 *
 * sending.h
 *	  Who sends the outbox of this database.
 *
 * IDENTIFICATION
 *	  src/worker/sending.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_WORKER_SENDING_H
#define HUBSPOT_WORKER_SENDING_H

/* Who sends what is enqueued, without being told to. */
typedef enum HubspotSending
{
	HUBSPOT_SENDING_WORKERS,	/* those that the launcher starts */
	HUBSPOT_SENDING_DYNAMIC,	/* a dynamic worker, which is there */
	HUBSPOT_SENDING_AT_COMMIT,	/* one that the next commit starts */
	/* nobody: */
	HUBSPOT_SENDING_STANDBY,	/* this is a standby */
	HUBSPOT_SENDING_OFF,		/* hubspot_assoc.workers is 0 */
	HUBSPOT_SENDING_NO_LAUNCHER /* it does not run, and is to come back */
} HubspotSending;

extern HubspotSending hubspot_sending(void);
extern int	hubspot_count_workers(int *own);
extern char *hubspot_sending_text(void);
extern bool hubspot_sending_start(void);
extern void hubspot_sending_warn(void);
extern void hubspot_comparing_warn(Oid link_table);

#endif							/* HUBSPOT_WORKER_SENDING_H */
