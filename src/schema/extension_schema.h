/*-------------------------------------------------------------------------
 *
 * extension_schema.h
 *	  The schema that the extension is in, and who may do what with it.
 *
 * IDENTIFICATION
 *	  src/schema/extension_schema.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SCHEMA_EXTENSION_SCHEMA_H
#define HUBSPOT_SCHEMA_EXTENSION_SCHEMA_H

#include "nodes/nodes.h"

#include "schema/extension.h"

extern void hubspot_keep_schema(const HubspotSchema *schema, const Node *command);

#endif							/* HUBSPOT_SCHEMA_EXTENSION_SCHEMA_H */
