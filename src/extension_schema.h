/*-------------------------------------------------------------------------
 *
 * extension_schema.h
 *	  The schema that the extension is in, and who may do what with it.
 *
 * IDENTIFICATION
 *	  src/extension_schema.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_EXTENSION_SCHEMA_H
#define HUBSPOT_EXTENSION_SCHEMA_H

#include "nodes/nodes.h"

#include "extension.h"

extern void hubspot_keep_schema(const HubspotSchema *schema, const Node *command);

#endif							/* HUBSPOT_EXTENSION_SCHEMA_H */
