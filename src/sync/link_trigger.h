/*-------------------------------------------------------------------------
 *
 * link_trigger.h
 *	  The triggers of link tables.
 *
 * IDENTIFICATION
 *	  src/sync/link_trigger.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SYNC_LINK_TRIGGER_H
#define HUBSPOT_SYNC_LINK_TRIGGER_H

#include "sync/link_table.h"

extern bool hubspot_link_has_triggers(const HubspotSchema *schema,
									  Oid link_table);
extern bool hubspot_link_is_followed(const HubspotSchema *schema,
									 Oid link_table, bool *always);
extern bool hubspot_link_is_replicated(const HubspotSchema *schema,
									   Oid link_table);
extern bool hubspot_link_heeds_truncate(const HubspotSchema *schema,
										Oid link_table);
extern void hubspot_link_add_triggers(const HubspotSchema *schema,
									  Oid link_table, bool replicated);
extern int	hubspot_link_drop_triggers(const HubspotSchema *schema,
									   Oid link_table);
extern List *hubspot_link_triggered(const HubspotSchema *schema);
extern Oid	hubspot_link_trigger_function(const HubspotSchema *schema);

#endif							/* HUBSPOT_SYNC_LINK_TRIGGER_H */
