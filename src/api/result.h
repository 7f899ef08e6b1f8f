/*-------------------------------------------------------------------------
 *
 * result.h
 *	  One item of the results of a reply.
 *
 * IDENTIFICATION
 *	  src/api/result.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_RESULT_H
#define HUBSPOT_API_RESULT_H

#include "hubspot.h"

/*
 * An association that HubSpot confirms, or a record with its associations, whose from_id
 * has no data if there is only one.
 */
typedef struct HubspotResult
{
	HubspotSlice from_id;
	HubspotSlice to_id;
	HubspotSlice category;		/* no data: the answer has labels instead */
	int32		type_id;
	HubspotSlice labels;		/* JSON array; no data: none were given */

	/* of a record */
	bool		listed;			/* the answer has a list of its associations */
	const char *problem;		/* why these are not all of them, or NULL */
	const HubspotAssociation *associations; /* palloc'd; ids in the reply */
	int			nassociations;
	HubspotSlice paging;		/* as it came */
	HubspotSlice after;			/* where the next page begins; no data: there
								 * is none */
} HubspotResult;

#endif							/* HUBSPOT_API_RESULT_H */
