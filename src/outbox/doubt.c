/*-------------------------------------------------------------------------
 *
 * doubt.c
 *	  Operations that were not confirmed, but may still be done.
 *
 * HubSpot may still be working on a request that has timed out, or whose
 * connection has broken, long after a later operation on the pair was sent and
 * confirmed, and would then undo that.  So the operation is noted as doubtful.
 * A later row of the pair that is confirmed while the operation may still
 * happen stays in the outbox, and is sent again when it can no longer happen:
 * after another request_timeout and a margin.  The note outlives the row,
 * which may be overridden, given up, or confirmed by another attempt.
 *
 * All functions here need a transaction with a snapshot.  None waits for the
 * lock of a row.
 *
 * IDENTIFICATION
 *	  src/outbox/doubt.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "outbox/claim.h"
#include "outbox/doubt.h"
#include "outbox/precedence.h"
#include "outbox/row_ids.h"
#include "schema/prepared.h"

/*
 * How long, in ms, a request may still be done after request_timeout: it may
 * be on its way when we give up, and HubSpot takes time to work on it.
 */
#define MARGIN	10000

enum
{
	ADD_SERVER,
	ADD_PAIRS,
	ADD_IDS,
	ADD_TIME
};

static HubspotStatement add_statement = {
	.text =
	"INSERT INTO %1$s.hs_assoc_doubt (server, pair, id, until)"
	" SELECT $1, d.pair, d.id, clock_timestamp() + $4 * interval '1 ms'"
	" FROM unnest($2, $3) AS d (pair, id)",
	.types = {
		[ADD_SERVER] = TEXTOID,
		[ADD_PAIRS] = INT8ARRAYOID,
		[ADD_IDS] = INT8ARRAYOID,
		[ADD_TIME] = INT4OID
	}
};

enum
{
	DEFER_IDS
};

enum
{
	DEFERRED_ID
};

/*
 * The doubts of a pair are found by its index, and by no other: hence IS NOT DISTINCT, and
 * OFFSET, without which the latest time would be looked for at the end of an index of times.
 */
static HubspotStatement defer_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_outbox AS n SET not_before = k.until"
	" FROM (SELECT l.id, (SELECT max(p.until) FROM (SELECT d.until FROM %1$s.hs_assoc_doubt AS d"
	"   WHERE d.pair = " HUBSPOT_SQL_PAIR("l") " AND d.id < l.id"
	"    AND d.server IS NOT DISTINCT FROM l.server OFFSET 0) AS p) AS until"
	"  FROM %1$s.hs_assoc_outbox AS l WHERE l.id = ANY ($1) FOR UPDATE SKIP LOCKED) AS k"
	" WHERE n.id = k.id AND k.until > clock_timestamp() RETURNING n.id",
	.types = {[DEFER_IDS] = INT8ARRAYOID}
};

static HubspotStatement forget_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_doubt AS d WHERE d.ctid = ANY (ARRAY("
	" SELECT l.ctid FROM %1$s.hs_assoc_doubt AS l WHERE l.until < now()"
	" ORDER BY l.until " HUBSPOT_SQL_SOME " FOR UPDATE SKIP LOCKED))",
};

/* The rows that the last query here has returned. */
static HubspotRows rows;

/* For how long, in ms, a request may still have effects after it has failed. */
int
hubspot_doubt_time(int request_timeout)
{
	return request_timeout > PG_INT32_MAX - MARGIN ? PG_INT32_MAX : request_timeout + MARGIN;
}

/*
 * Note the pairs of rows that were not confirmed just now; of rows of one pair
 * that were sent together, the last one.
 */
void
hubspot_doubt_add(const char *server,
				  const int64 *pairs, const int64 *ids, int count,
				  int request_timeout)
{
	HubspotValues values = {0};

	hubspot_set_text(&values, ADD_SERVER, server);
	hubspot_set_datum(&values, ADD_PAIRS, hubspot_row_ids(pairs, count));
	hubspot_set_datum(&values, ADD_IDS, hubspot_row_ids(ids, count));
	hubspot_set_int32(&values, ADD_TIME, hubspot_doubt_time(request_timeout));
	hubspot_execute(&add_statement, &values);
}

/*
 * Put off confirmed rows that an earlier operation may still undo: they are
 * sent again when it no longer can.  They are taken out of claims; returns how
 * many are left.
 */
int
hubspot_doubt_defer(const HubspotClaim **claims, int nclaims)
{
	HubspotValues values = {0};
	int64	   *ids = palloc(sizeof(int64) * nclaims);
	int			nids;
	int			nleft = 0;

	hubspot_set_datum(&values, DEFER_IDS, hubspot_claim_ids(claims, nclaims));
	hubspot_query(&defer_statement, &values, &rows);
	for (int i = 0; i < nclaims; i++)
		ids[i] = claims[i]->id;
	nids = hubspot_row_ids_without(ids, nclaims, &rows, DEFERRED_ID, ids);
	for (int i = 0; nleft < nids; i++)
	{
		if (claims[i]->id == ids[nleft])
			claims[nleft++] = claims[i];
	}
	pfree(ids);
	return nleft;
}

/* Forget some doubts whose time is over. */
void
hubspot_doubt_forget(void)
{
	hubspot_execute(&forget_statement, NULL);
}
