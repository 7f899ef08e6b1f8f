/*-------------------------------------------------------------------------
 *
 * account.h
 *	  The throttle and the statistics of a HubSpot account.
 *
 * IDENTIFICATION
 *	  src/account/account.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ACCOUNT_ACCOUNT_H
#define HUBSPOT_ACCOUNT_ACCOUNT_H

#include "account/counts.h"
#include "account/throttle.h"
#include "api/endpoint.h"

/* A server of this database: in shared memory, or of this session alone. */
typedef struct HubspotAccount HubspotAccount;

/* Where inputs are counted, and under which operation; no account: they are not. */
typedef struct HubspotTally
{
	HubspotAccount *account;
	HubspotOperation operation;
} HubspotTally;

extern void hubspot_accounts_add(void);
extern HubspotAccount *hubspot_account(Oid serverid);

/* throttle; times as of hubspot_now() */
extern bool hubspot_account_take(HubspotAccount *account, int limit, bool search,
								 int64 now, int64 *when);
extern int64 hubspot_account_when(HubspotAccount *account, int limit, int64 now);
extern int64 hubspot_account_pace(HubspotAccount *account, int limit, int64 now);
extern int64 hubspot_account_search_when(HubspotAccount *account, int limit, int64 now);
extern void hubspot_account_park(HubspotAccount *account, int64 until);
extern void hubspot_account_park_searches(HubspotAccount *account, int64 until);

/* statistics */
extern void hubspot_account_count_request(HubspotAccount *account, HubspotOperation operation,
										  bool retry, size_t bytes);
extern void hubspot_account_count_reply(HubspotAccount *account,
										bool rate_limited, size_t bytes,
										int64 duration, int64 day_limit, int64 day_left);
extern int64 hubspot_account_asked_again(HubspotAccount *account);
extern void hubspot_account_ask_again(HubspotAccount *account, int64 until);
extern int64 hubspot_account_day_left(HubspotAccount *account, int64 now);
extern void hubspot_account_count_inputs(const HubspotTally *tally, int64 inputs,
										 int64 confirmed);
extern void hubspot_account_count_error(const HubspotTally *tally, const char *category,
										int64 rows);
extern void hubspot_account_count_failed(const HubspotTally *tally, const char *category,
										 int64 rows);
extern void hubspot_account_count_skipped(HubspotAccount *account, int64 rows);

/* for views */
extern bool hubspot_account_read(Oid serverid, HubspotAccountCounts *counts,
								 HubspotThrottle *throttle);
extern void hubspot_accounts_reset(Oid serverid);

#endif							/* HUBSPOT_ACCOUNT_ACCOUNT_H */
