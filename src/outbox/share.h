/*-------------------------------------------------------------------------
 *
 * share.h
 *	  Which lanes go in a round, and with how many requests.
 *
 * IDENTIFICATION
 *	  src/outbox/share.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_SHARE_H
#define HUBSPOT_OUTBOX_SHARE_H

#include "api/endpoint.h"

/* What a lane has, and what it gets. */
typedef struct HubspotShare
{
	int			nrows;
	int			rows_of_request;	/* about how many fill one; at least 1 */
	int			nrequests;		/* that it gets */
} HubspotShare;

extern int	hubspot_request_rows(const HubspotEndpoint *endpoint, int batch_size,
								 int nrows, int nrecords);
extern void hubspot_share_out(HubspotShare *shares, int nshares, int max_rows,
							  int concurrency);

#endif							/* HUBSPOT_OUTBOX_SHARE_H */
