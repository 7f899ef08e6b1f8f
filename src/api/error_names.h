/*-------------------------------------------------------------------------
 *
 * error_names.h
 *	  Which inputs an error names.
 *
 * IDENTIFICATION
 *	  src/api/error_names.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_ERROR_NAMES_H
#define HUBSPOT_API_ERROR_NAMES_H

#include "nodes/pg_list.h"

#include "hubspot.h"

/* What one context of an error names. */
typedef struct HubspotNames
{
	List	   *from_ids;		/* of what HubspotSent makes of an id */
	List	   *to_ids;			/* likewise */
	List	   *ids;			/* of either side: NULL, or likewise */
	List	   *types;			/* of HubspotAssociationType * */
} HubspotNames;

/*
 * What was sent.  An error may name anything, any number of times; of all that,
 * what was sent is kept, and whatever else as NULL, which takes little memory.
 */
typedef struct HubspotSent
{
	void	   *state;
	/* stands for an id that was sent; NULL: it wasn't */
	void	   *(*id) (void *state, HubspotSlice id);

	/*
	 * it is named, of either side; the object type if the error gave it, or
	 * NULL
	 */
	void		(*named) (void *state, void *id, const char *object_type);
	/* a type that was sent, and has not been given before; or NULL */
	HubspotAssociationType *(*type) (void *state, HubspotSlice category,
									 int32 type_id);
	/* stands for an object type, whatever its spelling */
	const char *(*object_type) (void *state, HubspotSlice object_type);
} HubspotSent;

extern void hubspot_each_context(const HubspotError *error,
								 const HubspotSent *sent, void *state,
								 void (*context) (void *state,
												  const HubspotNames *names));
extern bool hubspot_error_names_ids(const HubspotError *error);

#endif							/* HUBSPOT_API_ERROR_NAMES_H */
