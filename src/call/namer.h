/*-------------------------------------------------------------------------
 *
 * namer.h
 *	  Records that are read, by what people call them.
 *
 * IDENTIFICATION
 *	  src/call/namer.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_NAMER_H
#define HUBSPOT_CALL_NAMER_H

#include "api/key.h"
#include "call/call.h"
#include "call/chunk.h"

/* See namer.c. */
typedef struct HubspotNamer HubspotNamer;

extern HubspotNamer *hubspot_namer_create(MemoryContext context,
										  const HubspotClient *client,
										  HubspotCalls *calls,
										  const HubspotObjectType *type);
extern void hubspot_namer_add(HubspotNamer *namer, HubspotChunk *chunk);
extern bool hubspot_namer_is_done(const HubspotNamer *namer, HubspotChunk *chunk);
extern void hubspot_namer_ask(HubspotNamer *namer);
extern const HubspotError *hubspot_namer_stopped(const HubspotNamer *namer);
extern void hubspot_namer_name(HubspotOutcome *outcome);
extern void hubspot_namer_release(HubspotNamer *namer, HubspotChunk *chunk);

#endif							/* HUBSPOT_CALL_NAMER_H */
