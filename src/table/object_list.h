/*-------------------------------------------------------------------------
 *
 * object_list.h
 *	  The account's own object types, for foreign tables.
 *
 * IDENTIFICATION
 *	  src/table/object_list.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_OBJECT_LIST_H
#define HUBSPOT_TABLE_OBJECT_LIST_H

#include "account/client.h"
#include "api/usage.h"

extern List *hubspot_custom_objects(const HubspotClient *client);

#endif							/* HUBSPOT_TABLE_OBJECT_LIST_H */
