/*-------------------------------------------------------------------------
 *
 * names.h
 *	  All that an error names.
 *
 * IDENTIFICATION
 *	  test/fuzz/names.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_NAMES_H
#define FUZZ_NAMES_H

#include "nodes/pg_list.h"

#include "hubspot.h"

/* An id that an error names; the object type if the error gave it. */
typedef struct FuzzNamedId
{
	const char *object_type;	/* or NULL */
	const char *id;
} FuzzNamedId;

/* What one context of an error names. */
typedef struct FuzzNames
{
	List	   *from_ids;		/* of char * */
	List	   *to_ids;			/* likewise */
	List	   *ids;			/* of FuzzNamedId *, of either side */
	List	   *types;			/* of HubspotAssociationType * */
} FuzzNames;

extern List *fuzz_error_names(const HubspotError *error);

#endif							/* FUZZ_NAMES_H */
