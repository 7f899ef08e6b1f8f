/*-------------------------------------------------------------------------
 *
 * jsonb.h
 *	  A JSON text from outside as jsonb.
 *
 * IDENTIFICATION
 *	  src/json/jsonb.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_JSON_JSONB_H
#define HUBSPOT_JSON_JSONB_H

#include "utils/jsonb.h"

#include "hubspot.h"

extern Jsonb *hubspot_json_to_jsonb(HubspotSlice text);

#endif							/* HUBSPOT_JSON_JSONB_H */
