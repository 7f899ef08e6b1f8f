/*-------------------------------------------------------------------------
 *
 * retyped.h
 *	  What DDL has made of the values of columns that are kept in sync.
 *
 * IDENTIFICATION
 *	  src/retyped.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_RETYPED_H
#define HUBSPOT_RETYPED_H

#include "nodes/parsenodes.h"

#include "link.h"

extern void hubspot_after_retype(const HubspotSchema *schema,
								 const HubspotSync *sync,
								 const AlterTableCmd *command);
extern void hubspot_after_expression(const HubspotSchema *schema,
									 const HubspotSync *sync,
									 const AlterTableCmd *command);
extern void hubspot_after_enum_rename(const HubspotSchema *schema,
									  const HubspotSync *sync, Oid type);

#endif							/* HUBSPOT_RETYPED_H */
