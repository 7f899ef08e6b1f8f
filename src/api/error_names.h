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
	List	   *from_ids;		/* of what HubspotSent's id() returns */
	List	   *to_ids;			/* the same for the other side */
	List	   *ids;			/* the same for ids that may be of either
								 * side; entries may be NULL */
	List	   *types;			/* of HubspotAssociationType * */
} HubspotNames;

/*
 * What was sent.  An error may name anything, any number of times.  What was
 * sent is kept, and anything else becomes NULL, which takes little memory.
 */
typedef struct HubspotSent
{
	void	   *state;
	/* what stands for an id that was sent; NULL: it was not sent */
	void	   *(*id) (void *state, HubspotSlice id);

	/*
	 * the error names this, on either side; with an object type if it gave
	 * one, or NULL
	 */
	void		(*named) (void *state, void *id, const char *object_type);
	/* a type that was sent and has not been given before, or NULL */
	HubspotAssociationType *(*type) (void *state, HubspotSlice category,
									 int32 type_id);
	/* what stands for an object type, whatever its spelling */
	const char *(*object_type) (void *state, HubspotSlice object_type);
} HubspotSent;

extern void hubspot_each_context(const HubspotError *error,
								 const HubspotSent *sent, void *state,
								 void (*context) (void *state,
												  const HubspotNames *names));
extern bool hubspot_error_names_ids(const HubspotError *error);

#endif							/* HUBSPOT_API_ERROR_NAMES_H */
