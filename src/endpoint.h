/*-------------------------------------------------------------------------
 *
 * endpoint.h
 *	  The operations of HubSpot's associations API.
 *
 * IDENTIFICATION
 *	  src/endpoint.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ENDPOINT_H
#define HUBSPOT_ENDPOINT_H

#include "lib/stringinfo.h"

typedef enum HubspotOperation
{
	HUBSPOT_CREATE_DEFAULT,
	HUBSPOT_CREATE,
	HUBSPOT_BATCH_CREATE_DEFAULT,
	HUBSPOT_BATCH_CREATE
} HubspotOperation;

/* The two trees of paths; each API version puts its segment elsewhere. */
typedef enum HubspotTree
{
	HUBSPOT_OBJECTS,			/* one record: /crm/objects/... */
	HUBSPOT_ASSOCIATIONS		/* a pair of types: /crm/associations/... */
} HubspotTree;

/* How the answer tells what became of an input. */
typedef enum HubspotReplyShape
{
	HUBSPOT_REPLY_ENVELOPE,		/* status, results[], errors[] */
	HUBSPOT_REPLY_PAIR			/* the pair itself, bare or as entity */
} HubspotReplyShape;

typedef struct HubspotEndpoint
{
	const char *method;
	HubspotTree tree;
	const char *tail;			/* {} stands for the next argument */
	int			batch_limit;	/* most inputs a request; 0: one, in the path */
	bool		takes_types;	/* association types are part of an input */
	bool		repeatable;		/* doing it twice is as good as once */
	HubspotReplyShape reply_shape;
} HubspotEndpoint;

extern const HubspotEndpoint *hubspot_endpoint(HubspotOperation operation);
extern bool hubspot_is_api_version(const char *version);
extern void hubspot_append_path(StringInfo url, const HubspotEndpoint *endpoint,
								const char *version,
								const char *const *arguments);
extern bool hubspot_same_object_type(const char *path_type,
									 const char *reply_type);
extern bool hubspot_path_has_dots(const char *path);
extern char *hubspot_id_problem(const char *id, int len);

#endif							/* HUBSPOT_ENDPOINT_H */
