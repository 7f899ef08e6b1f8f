/*-------------------------------------------------------------------------
 *
 * share.c
 *	  Which lanes go in a round, and with how many requests.
 *
 * HubSpot counts requests, so full ones come first: a lane that has too few
 * rows for one yet may find more of them in a later round.  The lane of the
 * oldest row has its turn whatever it has, so that each row is sent in the
 * end.
 *
 * IDENTIFICATION
 *	  src/outbox/share.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/share.h"

/*
 * Where lanes have few rows, a round has up to MAX_TURNS times the requests that can be in
 * flight, since looking for rows takes time, too.  But that is only done while requests are
 * nearly as full as the fullest one: to at least that part of it.
 */
#define MAX_TURNS		2
#define ABOUT_AS_FULL	0.75

static int	next_request(const HubspotShare *share);

/* How many of a lane's rows go into a request?  They are of nrecords records. */
int
hubspot_request_rows(const HubspotEndpoint *endpoint, int batch_size, int nrows,
					 int nrecords)
{
	int			limit = endpoint->batch_limit;

	if (batch_size > 0)
		limit = Min(limit, batch_size);
	if (endpoint->input_shape != HUBSPOT_INPUT_GROUP || nrecords == 0)
		return limit;
	/* all rows of a record are one input */
	return (int) Max((int64) limit * nrows / nrecords, 1);
}

/*
 * Give lanes requests, of at most max_rows rows together; the first lane has
 * the oldest row.
 */
void
hubspot_share_out(HubspotShare *shares, int nshares, int max_rows, int concurrency)
{
	int			fullest = 0;

	for (int nrequests = 0; nshares > 0 && max_rows > 0 && nrequests < MAX_TURNS * concurrency; nrequests++)
	{
		HubspotShare *best = &shares[0];
		int			nrows;

		for (int i = 1; i < nshares && nrequests > 0; i++)
		{
			if (next_request(&shares[i]) > next_request(best))
				best = &shares[i];
		}
		nrows = next_request(best);
		if (nrows == 0 || (nrequests > 0 && nrows > max_rows) ||
			(nrequests >= concurrency && nrows < ABOUT_AS_FULL * fullest))
			return;
		best->nrequests++;
		max_rows -= nrows;
		fullest = Max(fullest, nrows);
	}
}

/* The rows of the request that a lane would get next. */
static int
next_request(const HubspotShare *share)
{
	int64		sent = (int64) share->nrequests * share->rows_of_request;

	return (int) Max(Min(share->nrows - sent, share->rows_of_request), 0);
}
