/*-------------------------------------------------------------------------
 *
 * ddl_partition.h
 *	  Partitions that come to tables kept in sync, and leave them.
 *
 * IDENTIFICATION
 *	  src/sync/ddl_partition.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SYNC_DDL_PARTITION_H
#define HUBSPOT_SYNC_DDL_PARTITION_H

#include "nodes/nodes.h"

#include "schema/extension.h"

extern void hubspot_table_joined(const HubspotSchema *schema, Oid relid);
extern void hubspot_partition_attached(const HubspotSchema *schema, Oid parent);
extern void hubspot_partition_detached(const HubspotSchema *schema, Oid parent);
extern void hubspot_before_drop(const HubspotSchema *schema, Node *command);
extern void hubspot_partition_dropped(const HubspotSchema *schema, Oid relid,
									  const char *name);

#endif							/* HUBSPOT_SYNC_DDL_PARTITION_H */
