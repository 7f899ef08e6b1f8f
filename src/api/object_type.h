/*-------------------------------------------------------------------------
 *
 * object_type.h
 *	  HubSpot's standard object types, by all of their names.
 *
 * IDENTIFICATION
 *	  src/api/object_type.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_OBJECT_TYPE_H
#define HUBSPOT_API_OBJECT_TYPE_H

#include "hubspot.h"

extern int	hubspot_standard_type(HubspotSlice type);

#endif							/* HUBSPOT_API_OBJECT_TYPE_H */
