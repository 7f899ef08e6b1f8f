/*-------------------------------------------------------------------------
 *
 * link_state.h
 *	  Is what happens to a link table sent, as its sync promises?
 *
 * IDENTIFICATION
 *	  src/sync/link_state.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SYNC_LINK_STATE_H
#define HUBSPOT_SYNC_LINK_STATE_H

#include "sync/config.h"

/* Whether changes of a table are sent, or what is in the way. */
typedef enum HubspotSyncState
{
	HUBSPOT_SYNC_ACTIVE,
	HUBSPOT_SYNC_NOT_FOLLOWED,	/* they are not all enqueued */
	HUBSPOT_SYNC_DISTRIBUTED,	/* likewise: what is written goes elsewhere */
	HUBSPOT_SYNC_SUBSCRIBED,	/* likewise: a subscription writes them */
	HUBSPOT_SYNC_REPLACED,		/* another table has the name of this one */
	HUBSPOT_SYNC_NO_ACCESS,		/* its role cannot use the server */
	HUBSPOT_SYNC_IN_COPY		/* this database does not send */
} HubspotSyncState;

extern HubspotSyncState hubspot_sync_state(const HubspotSchema *schema, const HubspotSync *sync,
										   const char **problem);
extern bool hubspot_event_triggers_are_off(void);
extern const char *hubspot_sync_account_advice(const HubspotSync *sync);
extern void hubspot_sync_tell_account(const HubspotSync *sync);
extern void hubspot_link_refuse_distributed(const HubspotSchema *schema, Oid link_table);
extern void hubspot_link_tell_writers(const HubspotSync *sync);

#endif							/* HUBSPOT_SYNC_LINK_STATE_H */
