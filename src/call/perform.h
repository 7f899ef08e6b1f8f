/*-------------------------------------------------------------------------
 *
 * perform.h
 *	  One call, from start to end.
 *
 * IDENTIFICATION
 *	  src/call/perform.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_PERFORM_H
#define HUBSPOT_CALL_PERFORM_H

#include "api/endpoint.h"
#include "call/call.h"

extern void hubspot_call_perform(const HubspotClient *client,
								 HubspotCall *call);
extern const HubspotError *hubspot_call_error(const HubspotCall *call);
extern const HubspotError *hubspot_call_operation(const HubspotClient *client,
												  HubspotOperation operation,
												  const char *const *arguments,
												  const char *body,
												  bool own_connection,
												  HubspotCall *call);

#endif							/* HUBSPOT_CALL_PERFORM_H */
