/*-------------------------------------------------------------------------
 *
 * object_type.h
 *	  HubSpot's own object types, by their names and ids.
 *
 * IDENTIFICATION
 *	  src/api/object_type.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_OBJECT_TYPE_H
#define HUBSPOT_API_OBJECT_TYPE_H

#include "hubspot.h"

typedef struct HubspotStandardType
{
	const char *id;
	const char *singular;
	const char *plural;
} HubspotStandardType;

extern const HubspotStandardType *hubspot_standard_type(int place);
extern int	hubspot_standard_number(HubspotSlice type);
extern const char *hubspot_unknown_object_type(const char *message);
extern const char *hubspot_object_type_id(const char *name);
extern bool hubspot_same_object_type(const char *path_type,
									 const char *reply_type);

#endif							/* HUBSPOT_API_OBJECT_TYPE_H */
