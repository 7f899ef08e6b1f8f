/*-------------------------------------------------------------------------
 *
 * settle.h
 *	  What became of rows that were sent, and of their accounts.
 *
 * IDENTIFICATION
 *	  src/outbox/settle.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_SETTLE_H
#define HUBSPOT_OUTBOX_SETTLE_H

#include "outbox/claim.h"
#include "outbox/failure.h"
#include "schema/prepared.h"

/*
 * How long an account to which nothing can be sent waits after its first failure,
 * and after many, in seconds.
 */
#define HUBSPOT_MIN_BACKOFF		5
#define HUBSPOT_MAX_BACKOFF		300

/* How many rows were settled. */
typedef struct HubspotSettled
{
	int64		done;
	int64		dead;			/* given up: they are dead letters */
} HubspotSettled;

extern HubspotSettled hubspot_settle_counted(void);
extern void hubspot_settle_confirmed(const HubspotClaimant *claimant,
									 const HubspotClaim *const *claims,
									 int nclaims);
extern void hubspot_settle_done(const HubspotClaimant *claimant, const HubspotLane *lane,
								const HubspotClaim *const *claims, int nclaims,
								TimestampTz sent_at, int keep, bool history);
extern void hubspot_settle_outdated(const char *server);
extern void hubspot_settle_apart(const HubspotFailure *failures,
								 int nfailures);
extern void hubspot_settle_failed(const HubspotFailure *failures,
								  int nfailures, int max_attempts);
extern void hubspot_settle_later(const HubspotFailure *failures,
								 int nfailures, TimestampTz not_before);
extern void hubspot_settle_longer(const HubspotFailure *failures,
								  int nfailures);
extern void hubspot_settle_dead(const int64 *ids,
								int nids, const HubspotError *error);
extern void hubspot_settle_dead_each(const HubspotFailure *failures,
									 int nfailures);
extern void hubspot_settle_others_dead(const HubspotFailure *failures, int nfailures,
									   const HubspotRows *settled, int column);
extern bool hubspot_settle_account(const HubspotClaimant *claimant,
								   const HubspotError *error);
extern void hubspot_settle_forget(void);

#endif							/* HUBSPOT_OUTBOX_SETTLE_H */
