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

/* What all requests of a batch are about. */
typedef struct HubspotBatchScope
{
	const char *api_version;
	const char *from_type;
	const char *to_type;
	bool		symmetric;		/* both sides have one object type */
	HubspotTypeSet *types;		/* of associations that are read */
} HubspotBatchScope;

typedef struct HubspotBatchRequest
{
	HubspotCall call;			/* owner is the request */
	HubspotChunk *chunk;
	const HubspotEndpoint *endpoint;
	const HubspotPairs *pairs;	/* these units, and maybe others */
	HubspotUnit **units;
	int			nunits;
} HubspotBatchRequest;

extern HubspotBatchRequest *hubspot_batch_request_create(const HubspotBatchScope *scope,
														 const HubspotBatchRequest *like,
														 HubspotUnit **units,
														 int nunits);
extern int	hubspot_batch_request_match(HubspotBatchRequest *request,
										const HubspotBatchScope *scope,
										int *nunsettled);
extern void hubspot_units_set_error(HubspotUnit **units, int nunits,
									const HubspotError *error);

#endif							/* HUBSPOT_CALL_BATCH_REQUEST_H */
