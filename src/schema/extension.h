/*-------------------------------------------------------------------------
 *
 * extension.h
 *	  Where the extension is in this database.
 *
 * IDENTIFICATION
 *	  src/schema/extension.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SCHEMA_EXTENSION_H
#define HUBSPOT_SCHEMA_EXTENSION_H

typedef struct HubspotSchema
{
	Oid			extension;
	Oid			namespace;
	const char *name;			/* quoted if need be; others may change it at
								 * any moment, so whatever is looked up by it
								 * has to be checked (prepared.c) */
	Oid			owner;			/* of the tables */
	Oid			outbox;			/* the table hs_assoc_outbox */
} HubspotSchema;

extern const HubspotSchema *hubspot_outbox_schema(bool missing_ok);
extern const HubspotSchema *hubspot_outbox_lock(void);
extern Oid	hubspot_own_relation(const HubspotSchema *schema, const char *name);
extern Oid	hubspot_own_function(const HubspotSchema *schema, const char *name);
extern Oid	hubspot_input_type(void);

#endif							/* HUBSPOT_SCHEMA_EXTENSION_H */
