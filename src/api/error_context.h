/*-------------------------------------------------------------------------
 *
 * error_context.h
 *	  What the context of an error says, in words.
 *
 * IDENTIFICATION
 *	  src/api/error_context.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_ERROR_CONTEXT_H
#define HUBSPOT_API_ERROR_CONTEXT_H

#include "hubspot.h"

extern char *hubspot_context_text(HubspotSlice context, const char *message);

#endif							/* HUBSPOT_API_ERROR_CONTEXT_H */
