/*-------------------------------------------------------------------------
 *
 * batch_request.h
 *	  One request of a batch: some units of a chunk, sent together.
 *
 * IDENTIFICATION
 *	  src/call/batch_request.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_BATCH_REQUEST_H
#define HUBSPOT_CALL_BATCH_REQUEST_H

#include "api/association_type.h"
#include "api/endpoint.h"
#include "call/call.h"
#include "call/chunk.h"
#include "call/search.h"

/* What all requests of a batch are about, and what follows from some for the others. */
typedef struct HubspotBatchScope
{
	const char *api_version;
	const char *from_type;
	const char *to_type;
	bool		symmetric;		/* both sides have one object type */
	HubspotTypeSet *types;		/* of associations that are read */
	MemoryContext context;
	const HubspotClient *client;
	HubspotCalls *calls;
	const HubspotError *stopped;	/* why nothing more is sent, or NULL */
	const HubspotError *not_sent;	/* the error of what is not sent */
	int			nsearches;		/* chunks with a search */
	int			nfound;			/* their answers that have settled something */
	const HubspotError *put_off;	/* the error of what the searches no
									 * longer send, or NULL */
} HubspotBatchScope;

typedef struct HubspotBatchRequest
{
	HubspotCall call;			/* owner is the request */
	HubspotChunk *chunk;
	const HubspotEndpoint *endpoint;
	const HubspotPairs *pairs;	/* the pairs of its units, and maybe of others */
	HubspotEvidence *evidence;
	HubspotPart part;			/* its units */
} HubspotBatchRequest;

extern void hubspot_batch_scope_begin(HubspotBatchScope *scope, MemoryContext context,
									  const HubspotClient *client,
									  const char *from_type, const char *to_type);
extern int	hubspot_batch_request_limit(const HubspotClient *client,
										const HubspotEndpoint *endpoint);
extern HubspotEvidence *hubspot_batch_evidence(const HubspotBatchScope *scope,
											   const HubspotEndpoint *endpoint);
extern void hubspot_batch_request_start(HubspotBatchScope *scope,
										const HubspotBatchRequest *like,
										HubspotUnit **units, int nunits);
extern void hubspot_batch_requests_start(HubspotBatchScope *scope,
										 const HubspotBatchRequest *like);
extern bool hubspot_batch_requests_over(const HubspotChunk *chunk);
extern void hubspot_batch_request_settle(HubspotBatchScope *scope,
										 HubspotBatchRequest *request);
extern void hubspot_batch_requests_put_off(HubspotBatchScope *scope,
										   dlist_head *chunks, const char *reason);
extern void hubspot_batch_stop(HubspotBatchScope *scope, const HubspotError *error);
extern void hubspot_batch_request_take_labels(HubspotBatchScope *scope,
											  HubspotBatchRequest *request,
											  HubspotPairs *pairs);
extern void hubspot_batch_search_end(HubspotBatchScope *scope, HubspotChunk *chunk);

#endif							/* HUBSPOT_CALL_BATCH_REQUEST_H */
