/*-------------------------------------------------------------------------
 *
 * batch.h
 *	  Many inputs: cut into requests, kept in flight, answered one by one.
 *
 * IDENTIFICATION
 *	  src/call/batch.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_BATCH_H
#define HUBSPOT_CALL_BATCH_H

#include "account/client.h"
#include "api/endpoint.h"
#include "api/key.h"
#include "call/call.h"
#include "hubspot.h"

/* See batch.c for how it is driven. */
typedef struct HubspotBatch HubspotBatch;

typedef struct HubspotBatchCounts
{
	int64		read;			/* inputs that were put */
	int64		confirmed;		/* how many of these are done */
	int64		failed;			/* how many of these have failed */
	int64		in_doubt;		/* inputs that were sent and are not settled */
	HubspotCallCounts calls;
} HubspotBatchCounts;

extern HubspotBatch *hubspot_batch_create(const HubspotClient *client,
										  HubspotOperation operation,
										  const HubspotObjectType *from_type,
										  const HubspotObjectType *to_type,
										  bool keep_labels);
extern void hubspot_batch_tell_ends(HubspotBatch *batch);
extern void hubspot_batch_take_places(HubspotBatch *batch);
extern HubspotCalls *hubspot_batch_calls(const HubspotBatch *batch);
extern int	hubspot_batch_room(const HubspotBatch *batch);
extern void hubspot_batch_put(HubspotBatch *batch, const HubspotInput *input,
							  const HubspotError *error);
extern void hubspot_batch_finish(HubspotBatch *batch);
extern void hubspot_batch_await(HubspotBatch *batch, bool flush);
extern bool hubspot_batch_is_idle(const HubspotBatch *batch);
extern bool hubspot_batch_wait(HubspotBatch *batch, int64 until);
extern bool hubspot_batch_drive(HubspotBatch *batch);
extern bool hubspot_batch_is_over(const HubspotBatch *batch);
extern bool hubspot_batch_waits(HubspotBatch *batch, int64 *wake);
extern void hubspot_batch_wait_for_any(HubspotBatch *batch, int64 until);
extern bool hubspot_batch_get(HubspotBatch *batch, HubspotOutcome *outcome);
extern void hubspot_batch_put_off(HubspotBatch *batch, const char *reason);
extern bool hubspot_batch_is_put_off(const HubspotBatch *batch,
									 const HubspotError *error);
extern void hubspot_batch_refuse(HubspotBatch *batch, const HubspotError *error);
extern const HubspotError *hubspot_batch_stopped(const HubspotBatch *batch);
extern void hubspot_batch_counts(const HubspotBatch *batch,
								 HubspotBatchCounts *counts);

#endif							/* HUBSPOT_CALL_BATCH_H */
