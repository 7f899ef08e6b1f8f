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

#include "datatype/timestamp.h"

#include "account/throttle.h"

/* A server of this database: in shared memory, or of this session alone. */
typedef struct HubspotAccount HubspotAccount;

/* How many error categories of an account are counted apart, and their length. */
#define HUBSPOT_COUNTED_CATEGORIES	24
#define HUBSPOT_COUNTED_CATEGORY_LEN	63

typedef struct HubspotCategoryCount
{
	char		category[HUBSPOT_COUNTED_CATEGORY_LEN + 1];
	int64		rows;
} HubspotCategoryCount;

/* What an account has been used for. */
typedef struct HubspotAccountCounts
{
	TimestampTz since;
	int64		requests;
	int64		retries;		/* of the requests */
	int64		rate_limited;	/* likewise, answered with a 429 */
	int64		lookups;		/* likewise, for records by keys or by ids */
	int64		inputs;
	int64		confirmed;		/* of the inputs; the others have failed */
	int64		skipped;
	int64		bytes_sent;
	int64		bytes_received;
	int64		request_time;	/* microseconds */
	int64		max_request_time;
	int			ncategories;
	HubspotCategoryCount categories[HUBSPOT_COUNTED_CATEGORIES];
	int64		other_errors;	/* rows of other categories */
} HubspotAccountCounts;

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
extern void hubspot_account_count_request(HubspotAccount *account, bool retry, bool lookup,
										  size_t bytes);
extern void hubspot_account_count_reply(HubspotAccount *account,
										bool rate_limited, size_t bytes,
										int64 duration, int64 day_limit, int64 day_left);
extern int64 hubspot_account_asked_again(HubspotAccount *account);
extern void hubspot_account_ask_again(HubspotAccount *account, int64 until);
extern int64 hubspot_account_day_left(HubspotAccount *account, int64 now);
extern void hubspot_account_count_inputs(HubspotAccount *account, int64 inputs,
										 int64 confirmed);
extern void hubspot_account_count_error(HubspotAccount *account,
										const char *category, int64 rows);
extern void hubspot_account_count_failed(HubspotAccount *account,
										 const char *category, int64 rows);
extern void hubspot_account_count_skipped(HubspotAccount *account, int64 rows);

/* for views */
extern bool hubspot_account_read(Oid serverid, HubspotAccountCounts *counts,
								 HubspotThrottle *throttle);
extern void hubspot_accounts_reset(Oid serverid);

#endif							/* HUBSPOT_ACCOUNT_ACCOUNT_H */
