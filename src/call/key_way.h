/*-------------------------------------------------------------------------
 *
 * key_way.h
 *	  How HubSpot is asked for keys, as a session has learned it.
 *
 * IDENTIFICATION
 *	  src/call/key_way.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_KEY_WAY_H
#define HUBSPOT_CALL_KEY_WAY_H

#include "api/key.h"

/* How the records of a property's values are found. */
typedef enum HubspotKeyWay
{
	HUBSPOT_WAY_UNKNOWN,
	HUBSPOT_WAY_READ,
	HUBSPOT_WAY_SEARCH
} HubspotKeyWay;

extern HubspotKeyWay hubspot_known_way(Oid server, const HubspotObjectType *type);
extern void hubspot_remember_way(Oid server, const HubspotObjectType *type,
								 HubspotKeyWay way);

#endif							/* HUBSPOT_CALL_KEY_WAY_H */
