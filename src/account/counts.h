/*-------------------------------------------------------------------------
 *
 * counts.h
 *	  What an account has been used for.
 *
 * IDENTIFICATION
 *	  src/account/counts.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ACCOUNT_COUNTS_H
#define HUBSPOT_ACCOUNT_COUNTS_H

#include "datatype/timestamp.h"

#include "api/endpoint.h"

/* How many errors of an account are counted apart, and how long their categories may be. */
#define HUBSPOT_COUNTED_ERRORS			48
#define HUBSPOT_COUNTED_CATEGORY_LEN	63

typedef struct HubspotErrorCount
{
	char		category[HUBSPOT_COUNTED_CATEGORY_LEN + 1];
	HubspotOperation operation;
	int64		rows;
} HubspotErrorCount;

typedef struct HubspotOperationCounts
{
	int64		requests;
	int64		inputs;
	int64		confirmed;		/* of the inputs; the others have failed */
} HubspotOperationCounts;

/* What an account has been used for. */
typedef struct HubspotAccountCounts
{
	TimestampTz since;
	HubspotOperationCounts operations[HUBSPOT_NOPERATIONS];
	int64		retries;		/* of the requests */
	int64		rate_limited;	/* of the requests, answered with a 429 */
	int64		skipped;
	int64		bytes_sent;
	int64		bytes_received;
	int64		request_time;	/* microseconds */
	int64		max_request_time;
	int			nerrors;
	HubspotErrorCount errors[HUBSPOT_COUNTED_ERRORS];
	int64		other_errors;	/* rows with others */
} HubspotAccountCounts;

extern void hubspot_counts_reset(HubspotAccountCounts *counts);
extern void hubspot_counts_add_request(HubspotAccountCounts *counts,
									   HubspotOperation operation, bool retry,
									   size_t bytes);
extern void hubspot_counts_add_reply(HubspotAccountCounts *counts, bool rate_limited,
									 size_t bytes, int64 duration);
extern void hubspot_counts_merge(HubspotAccountCounts *counts,
								 const HubspotAccountCounts *other);
extern void hubspot_counts_add_errors(HubspotAccountCounts *counts, const char *category,
									  HubspotOperation operation, int64 rows);

#endif							/* HUBSPOT_ACCOUNT_COUNTS_H */
