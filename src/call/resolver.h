/*-------------------------------------------------------------------------
 *
 * resolver.h
 *	  Rows whose records are called by keys, on their way into a batch.
 *
 * IDENTIFICATION
 *	  src/call/resolver.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_RESOLVER_H
#define HUBSPOT_CALL_RESOLVER_H

#include "api/endpoint.h"
#include "api/key.h"
#include "call/call.h"

/* See resolver.c. */
typedef struct HubspotResolver HubspotResolver;

/* What is to become of a row whose keys are known. */
typedef enum HubspotResolved
{
	HUBSPOT_RESOLVED_NONE,		/* no row is ready now */
	HUBSPOT_RESOLVED_SEND,		/* it is sent */
	HUBSPOT_RESOLVED_REFUSE,	/* it is not sent, because of an error */
	HUBSPOT_RESOLVED_DONE		/* there is nothing to do */
} HubspotResolved;

extern HubspotResolver *hubspot_resolver_create(MemoryContext context,
												const HubspotClient *client,
												HubspotCalls *calls,
												const HubspotEndpoint *endpoint,
												const HubspotObjectType *from_type,
												const HubspotObjectType *to_type);
extern int	hubspot_resolver_room(const HubspotResolver *resolver);
extern void hubspot_resolver_put(HubspotResolver *resolver, const HubspotInput *input,
								 const HubspotError *error);
extern HubspotResolved hubspot_resolver_next(HubspotResolver *resolver,
											 HubspotInput *input,
											 const HubspotError **error);
extern bool hubspot_resolver_again(HubspotResolver *resolver,
								   const HubspotOutcome *outcome);
extern bool hubspot_resolver_is_empty(const HubspotResolver *resolver);
extern bool hubspot_resolver_catch_up(HubspotResolver *resolver);
extern bool hubspot_resolver_ask(HubspotResolver *resolver, bool more_may_come);
extern const HubspotError *hubspot_resolver_stopped(const HubspotResolver *resolver);
extern void hubspot_resolver_name(HubspotResolver *resolver, HubspotOutcome *outcome,
								  bool last);

#endif							/* HUBSPOT_CALL_RESOLVER_H */
