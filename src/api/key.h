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

/* The most bytes that a key may have in UTF-8, without the blanks around it. */
#define HUBSPOT_MAX_KEY		1000

/*
 * The end of a value that was cut, since it is too long to be an id, a label, or, with a
 * line feed before it, a key.
 */
#define HUBSPOT_CUT			"... (cut: it is too long)"

/* Room for the normal form of any key. */
#define HUBSPOT_NORMAL_SIZE	HUBSPOT_FOLDED_SIZE(HUBSPOT_MAX_KEY)

/* An object type, and the property by which its records are called. */
typedef struct HubspotObjectType
{
	const char *name;			/* as it stands in a path */
	const char *property;		/* whose values stand for records; NULL: ids
								 * do */
	bool		folds;			/* case does not count in these values */
	const char *shows;			/* if there is no property: the one whose
								 * value is wanted for each record; or NULL */
} HubspotObjectType;

extern char *hubspot_parse_object_type(const char *text, HubspotObjectType *type,
									   char **hint);
extern bool hubspot_is_unique_key(const HubspotObjectType *type);
extern bool hubspot_key_is_normal(const HubspotObjectType *type, HubspotSlice key);
extern char *hubspot_key_problem(HubspotSlice key);
extern HubspotSlice hubspot_key_normalize(const HubspotObjectType *type,
										  HubspotSlice key, char *buffer);
extern HubspotSlice hubspot_value_normalize(const HubspotObjectType *type,
											HubspotSlice value, char *buffer);

#endif							/* HUBSPOT_API_KEY_H */
