/*-------------------------------------------------------------------------
 *
 * key.h
 *	  Records by what people call them: object types with a property, and
 *	  its values.
 *
 * IDENTIFICATION
 *	  src/api/key.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_KEY_H
#define HUBSPOT_API_KEY_H

#include "base/fold.h"
#include "hubspot.h"

/* The most bytes of a key in UTF-8, without blanks around it. */
#define HUBSPOT_MAX_KEY		1000

/* Room for the normal form of any key. */
#define HUBSPOT_NORMAL_SIZE	HUBSPOT_FOLDED_SIZE(HUBSPOT_MAX_KEY)

/* An object type, and what its records are called by. */
typedef struct HubspotObjectType
{
	const char *name;			/* as it stands in a path */
	const char *property;		/* whose values ids are; NULL: ids of records */
	bool		folds;			/* these are the same in any case */
	const char *shows;			/* without a property: another one, whose
								 * value is wanted of each record; or NULL */
} HubspotObjectType;

extern char *hubspot_parse_object_type(const char *text, HubspotObjectType *type,
									   char **hint);
extern bool hubspot_is_unique_key(const HubspotObjectType *type);
extern char *hubspot_key_problem(HubspotSlice key);
extern HubspotSlice hubspot_key_normalize(const HubspotObjectType *type,
										  HubspotSlice key, char *buffer);
extern HubspotSlice hubspot_value_normalize(const HubspotObjectType *type,
											HubspotSlice value, char *buffer);

#endif							/* HUBSPOT_API_KEY_H */
