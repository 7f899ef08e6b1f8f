/*-------------------------------------------------------------------------
 *
 * ddl_retype.h
 *	  What DDL has done to the values of columns that are kept in sync.
 *
 * IDENTIFICATION
 *	  src/sync/ddl_retype.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SYNC_DDL_RETYPE_H
#define HUBSPOT_SYNC_DDL_RETYPE_H

#include "nodes/parsenodes.h"

#include "sync/link_table.h"

extern void hubspot_after_retype(const HubspotSchema *schema,
								 const HubspotSync *sync,
								 const AlterTableCmd *command);
extern void hubspot_after_expression(const HubspotSchema *schema,
									 const HubspotSync *sync,
									 const AlterTableCmd *command);
extern void hubspot_after_enum_rename(const HubspotSchema *schema,
									  const HubspotSync *sync, Oid type);

#endif							/* HUBSPOT_SYNC_DDL_RETYPE_H */
