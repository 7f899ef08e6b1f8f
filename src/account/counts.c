/*-------------------------------------------------------------------------
 *
 * counts.c
 *	  What an account has been used for: numbers in, numbers out.
 *
 * account.c says where they are, and who may look at them.
 *
 * IDENTIFICATION
 *	  src/account/counts.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "account/counts.h"

/* Begin to count, at this moment. */
void
hubspot_counts_reset(HubspotAccountCounts *counts)
{
	memset(counts, 0, sizeof(HubspotAccountCounts));
	counts->since = GetCurrentTimestamp();
}

/* Count a request that is sent, with that many bytes of body. */
void
hubspot_counts_add_request(HubspotAccountCounts *counts, HubspotOperation operation,
						   bool retry, size_t bytes)
{
	counts->operations[operation].requests++;
	if (retry)
		counts->retries++;
	counts->bytes_sent += bytes;
}

/*
 * Count a reply with that many bytes of body, or a failure, that many microseconds after
 * its request.
 */
void
hubspot_counts_add_reply(HubspotAccountCounts *counts, bool rate_limited, size_t bytes,
						 int64 duration)
{
	if (rate_limited)
		counts->rate_limited++;
	counts->bytes_received += bytes;
	counts->request_time += duration;
	counts->max_request_time = Max(counts->max_request_time, duration);
}

/* Add what was counted elsewhere. */
void
hubspot_counts_merge(HubspotAccountCounts *counts, const HubspotAccountCounts *other)
{
	counts->since = Min(counts->since, other->since);
	for (int i = 0; i < HUBSPOT_NOPERATIONS; i++)
	{
		counts->operations[i].requests += other->operations[i].requests;
		counts->operations[i].inputs += other->operations[i].inputs;
		counts->operations[i].confirmed += other->operations[i].confirmed;
	}
	counts->retries += other->retries;
	counts->rate_limited += other->rate_limited;
	counts->skipped += other->skipped;
	counts->bytes_sent += other->bytes_sent;
	counts->bytes_received += other->bytes_received;
	counts->request_time += other->request_time;
	counts->max_request_time = Max(counts->max_request_time,
								   other->max_request_time);
	for (int i = 0; i < other->nerrors; i++)
		hubspot_counts_add_errors(counts, other->errors[i].category, other->errors[i].operation,
								  other->errors[i].rows);
	counts->other_errors += other->other_errors;
}

/* Add rows that have failed under their category and operation, if there is a place for these. */
void
hubspot_counts_add_errors(HubspotAccountCounts *counts, const char *category, HubspotOperation operation,
						  int64 rows)
{
	HubspotErrorCount *error;
	int			i = 0;

	while (i < counts->nerrors && (counts->errors[i].operation != operation ||
								   strcmp(counts->errors[i].category, category) != 0))
		i++;
	if (i == HUBSPOT_COUNTED_ERRORS || strlen(category) > HUBSPOT_COUNTED_CATEGORY_LEN)
	{
		counts->other_errors += rows;
		return;
	}
	error = &counts->errors[i];
	if (i == counts->nerrors)
	{
		strlcpy(error->category, category, sizeof(error->category));
		error->operation = operation;
		error->rows = 0;
		counts->nerrors++;
	}
	error->rows += rows;
}
