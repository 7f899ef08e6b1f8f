/*-------------------------------------------------------------------------
 *
 * key_error.h
 *	  Why a key has no record that could be meant.
 *
 * IDENTIFICATION
 *	  src/call/key_error.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_KEY_ERROR_H
#define HUBSPOT_CALL_KEY_ERROR_H

#include "call/keys.h"

extern const HubspotError *hubspot_key_error(const HubspotObjectType *type,
											 const HubspotKey *key, HubspotSlice given);

#endif							/* HUBSPOT_CALL_KEY_ERROR_H */
