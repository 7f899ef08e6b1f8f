/*-------------------------------------------------------------------------
 *
 * context.h
 *	  Which inputs an error names.
 *
 * IDENTIFICATION
 *	  src/context.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CONTEXT_H
#define HUBSPOT_CONTEXT_H

#include "nodes/pg_list.h"

#include "hubspot_assoc.h"

/* An id that an error names; the object type if the error gave it. */
typedef struct HubspotNamedId
{
	const char *object_type;	/* or NULL */
	const char *id;
} HubspotNamedId;

/* What one context of an error names. */
typedef struct HubspotNames
{
	List	   *from_ids;		/* of char * */
	List	   *to_ids;			/* of char * */
	List	   *ids;			/* of HubspotNamedId *, of either side */
	List	   *types;			/* of HubspotAssociationType * */
} HubspotNames;

extern List *hubspot_error_names(const HubspotError *error);

#endif							/* HUBSPOT_CONTEXT_H */
