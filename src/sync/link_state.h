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

extern const char *hubspot_sync_problem(const HubspotSchema *schema,
										const HubspotSync *sync);
extern bool hubspot_sync_lacks_account(const HubspotSync *sync, const char *problem);
extern const char *hubspot_sync_account_advice(const HubspotSync *sync);
extern void hubspot_sync_tell_account(const HubspotSync *sync);
extern void hubspot_link_refuse_distributed(const HubspotSchema *schema, Oid link_table);
extern void hubspot_link_tell_writers(const HubspotSync *sync);

#endif							/* HUBSPOT_SYNC_LINK_STATE_H */
