/*-------------------------------------------------------------------------
 *
 * ddl_drop.h
 *	  What DDL has dropped of tables that are kept in sync.
 *
 * IDENTIFICATION
 *	  src/sync/ddl_drop.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SYNC_DDL_DROP_H
#define HUBSPOT_SYNC_DDL_DROP_H

#include "sync/link_table.h"

extern void hubspot_after_drop(const HubspotSchema *schema, Node *command);

#endif							/* HUBSPOT_SYNC_DDL_DROP_H */
