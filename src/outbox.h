/*-------------------------------------------------------------------------
 *
 * outbox.h
 *	  The outbox: SQL on our own tables.
 *
 * IDENTIFICATION
 *	  src/outbox.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_H
#define HUBSPOT_OUTBOX_H

#include "endpoint.h"

/* Where the extension's tables are in this database. */
typedef struct HubspotSchema
{
	Oid			namespace;
	const char *name;			/* quoted if need be */
	Oid			owner;			/* of the tables */
} HubspotSchema;

/* To be given back to hubspot_outbox_leave_owner. */
typedef struct HubspotFormerUser
{
	Oid			user;
	int			security_context;
} HubspotFormerUser;

/* What is the same for all rows that are enqueued together. */
typedef struct HubspotEnqueue
{
	const char *server;			/* its name */
	Oid			role;			/* on whose behalf */
	const char *operation;		/* create_default, create, archive or
								 * archive_labels */
	const char *from_type;
	const char *to_type;
	bool		keep_labels;
	Oid			link_table;		/* or InvalidOid */
} HubspotEnqueue;

extern const HubspotSchema *hubspot_outbox_schema(bool missing_ok);
extern const HubspotSchema *hubspot_outbox_lock(void);
extern HubspotFormerUser hubspot_outbox_become_owner(const HubspotSchema *schema);
extern void hubspot_outbox_leave_owner(HubspotFormerUser former);
extern bool hubspot_outbox_operation(const char *name,
									 HubspotOperation *operation);
extern const char *hubspot_outbox_closest_operation(const char *name);
extern void hubspot_outbox_insert(const HubspotSchema *schema,
								  const HubspotEnqueue *enqueue, Datum inputs);
extern bool hubspot_outbox_pause(const HubspotSchema *schema,
								 const char *server, Oid role);
extern bool hubspot_outbox_resume(const HubspotSchema *schema,
								  const char *server);

#endif							/* HUBSPOT_OUTBOX_H */
