/*-------------------------------------------------------------------------
 *
 * link_table.h
 *	  Which tables can be kept in sync, as link tables.
 *
 * IDENTIFICATION
 *	  src/sync/link_table.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SYNC_LINK_TABLE_H
#define HUBSPOT_SYNC_LINK_TABLE_H

#include "storage/lockdefs.h"

#include "base/compat.h"
#include "sync/config.h"

/* The transition tables of the triggers. */
#define HUBSPOT_NEW_ROWS	"new_rows"
#define HUBSPOT_OLD_ROWS	"old_rows"

extern void hubspot_sync_check_columns(const HubspotSync *sync);
extern void hubspot_link_column_missing(const HubspotSync *sync, Oid table,
										const char *column) pg_attribute_noreturn();
extern Oid	hubspot_sync_key(const HubspotSync *sync);
extern const char *hubspot_sync_partitioned_otherwise(const HubspotSync *sync);

extern Oid	hubspot_link_root(Oid link_table);
extern Oid	hubspot_link_parent(Oid partition);
extern List *hubspot_link_parents(Oid relid);
extern List *hubspot_link_tree(Oid link_table, LOCKMODE lock);
extern char *hubspot_link_name(Oid link_table);
extern void hubspot_link_check(Oid link_table);
extern void hubspot_link_check_persistence(Oid link_table);
extern Oid	hubspot_link_owner(Oid link_table);
extern double hubspot_link_estimate(Oid link_table);

#endif							/* HUBSPOT_SYNC_LINK_TABLE_H */
