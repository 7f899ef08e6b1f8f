/*-------------------------------------------------------------------------
 *
 * failure.h
 *	  Rows that are not done, and their reasons, as parameters of statements.
 *
 * IDENTIFICATION
 *	  src/outbox/failure.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_FAILURE_H
#define HUBSPOT_OUTBOX_FAILURE_H

#include "catalog/pg_type.h"

#include "hubspot.h"
#include "schema/values.h"

/*
 * A row that is not done.  Adjacent rows that point to the same error have one
 * reason.
 */
typedef struct HubspotFailure
{
	int64		id;
	const HubspotError *error;
} HubspotFailure;

/*
 * The first parameters of statements on failures: the rows, each with the number of
 * its reason, from 1; and the reasons.
 */
enum
{
	HUBSPOT_FAILURE_IDS,
	HUBSPOT_FAILURE_REASONS,
	HUBSPOT_FAILURE_STATUSES,
	HUBSPOT_FAILURE_CATEGORIES,
	HUBSPOT_FAILURE_MESSAGES,
	HUBSPOT_FAILURE_CORRELATION_IDS,
	HUBSPOT_FAILURE_NPARAMETERS
};

#define HUBSPOT_FAILURE_TYPES \
	[HUBSPOT_FAILURE_IDS] = INT8ARRAYOID, \
	[HUBSPOT_FAILURE_REASONS] = INT4ARRAYOID, \
	[HUBSPOT_FAILURE_STATUSES] = INT4ARRAYOID, \
	[HUBSPOT_FAILURE_CATEGORIES] = TEXTARRAYOID, \
	[HUBSPOT_FAILURE_MESSAGES] = TEXTARRAYOID, \
	[HUBSPOT_FAILURE_CORRELATION_IDS] = TEXTARRAYOID

/*
 * The rows that nobody has locked, as k, each with the number of its reason.
 * The number is used as a subscript, which costs the same for each row, since
 * the arrays are expanded; a join would look at all reasons for each row.
 */
#define HUBSPOT_SQL_FAILED \
	"(SELECT l.id AS failed_id, f.reason" \
	"  FROM unnest($1, $2) AS f (id, reason) JOIN %1$s.hs_assoc_outbox AS l ON l.id = f.id" \
	"  FOR UPDATE OF l SKIP LOCKED) AS k"
#define HUBSPOT_SQL_FAILED_STATUS(reason)			"($3)[" reason "]"
#define HUBSPOT_SQL_FAILED_CATEGORY(reason)		"($4)[" reason "]"
#define HUBSPOT_SQL_FAILED_MESSAGE(reason)			"($5)[" reason "]"
#define HUBSPOT_SQL_FAILED_CORRELATION_ID(reason)	"($6)[" reason "]"

extern void hubspot_set_failures(HubspotValues *values,
								 const HubspotFailure *failures, int nfailures);
extern void hubspot_set_failure_objects(HubspotValues *values, int objects,
										int once,
										const HubspotFailure *failures,
										int nfailures);
extern HubspotFailure *hubspot_failures_alike(const int64 *ids, int nids,
											  const HubspotError *error);

#endif							/* HUBSPOT_OUTBOX_FAILURE_H */
