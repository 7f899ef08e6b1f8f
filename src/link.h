/*-------------------------------------------------------------------------
 *
 * link.h
 *	  Link tables: which can be kept in sync.
 *
 * IDENTIFICATION
 *	  src/link.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_LINK_H
#define HUBSPOT_LINK_H

#include "synced.h"

/* The transition tables of the triggers. */
#define HUBSPOT_NEW_ROWS	"new_rows"
#define HUBSPOT_OLD_ROWS	"old_rows"

extern void hubspot_sync_check_columns(const HubspotSync *sync);
extern Oid	hubspot_sync_key(const HubspotSync *sync);

extern Oid	hubspot_link_root(Oid link_table);
extern char *hubspot_link_name(Oid link_table);
extern void hubspot_link_check(Oid link_table);
extern void hubspot_link_check_persistence(Oid link_table);
extern Oid	hubspot_link_owner(Oid link_table);

#endif							/* HUBSPOT_LINK_H */
