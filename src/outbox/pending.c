/*-------------------------------------------------------------------------
 *
 * pending.c
 *	  Which pairs have something in the outbox, or a dead letter.
 *
 * Where HubSpot is compared with a table, tuplestores have the pairs: by the ids of their
 * records (differences) and by the names that these may have (from_names, to_names), since a
 * row of the outbox may have either.
 *
 * Only what is sent for the same role counts.  What others put into the outbox may never be
 * sent, and would hide a difference for as long.
 *
 * IDENTIFICATION
 *	  src/outbox/pending.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "outbox/pending.h"
#include "outbox/precedence.h"
#include "schema/extension.h"
#include "schema/prepared.h"

/* The parameters of all of these statements. */
enum
{
	PENDING_SERVER,
	PENDING_ROLE,
	PENDING_FROM_TYPE,
	PENDING_TO_TYPE,
	PENDING_FROM_GIVEN,
	PENDING_TO_GIVEN,
	PENDING_NPARAMETERS
};

static const Oid parameter_types[PENDING_NPARAMETERS] = {
	[PENDING_SERVER] = TEXTOID,
	[PENDING_ROLE] = REGROLEOID,
	[PENDING_FROM_TYPE] = TEXTOID,
	[PENDING_TO_TYPE] = TEXTOID,
	[PENDING_FROM_GIVEN] = TEXTOID,
	[PENDING_TO_GIVEN] = TEXTOID
};

/* The pairs that are asked about, each by all of its names. */
#define PAIRS \
	"WITH p AS MATERIALIZED (SELECT d.no," \
	"  %1$s.hs_assoc_pair($1, $3, d.from_id, $4, d.to_id) AS pair" \
	"  FROM differences AS d WHERE d.from_id IS NOT NULL AND d.to_id IS NOT NULL" \
	" UNION SELECT f.no, %1$s.hs_assoc_pair($1, $5, f.name, $6, t.name)" \
	"  FROM from_names AS f JOIN to_names AS t ON t.no = f.no) "

/*
 * What belongs to a pair is found by the index of pairs, and by no other, whatever is known of
 * the tables: hence scalar subqueries in place of joins, IS NOT DISTINCT, ORDER BY and OFFSET.
 */
static const char all_pairs[] =
"SELECT DISTINCT " HUBSPOT_SQL_PAIR("o") " AS pair FROM %1$s.hs_assoc_outbox AS o"
" WHERE o.server = $1 AND o.role = $2";

static const char waiting_now[] =
PAIRS
"SELECT p.no FROM p WHERE (SELECT o.id FROM %1$s.hs_assoc_outbox AS o"
" WHERE " HUBSPOT_SQL_PAIR("o") " = p.pair AND o.server IS NOT DISTINCT FROM $1"
" AND o.role IS NOT DISTINCT FROM $2"
" ORDER BY " HUBSPOT_SQL_PAIR("o") ", o.id LIMIT 1) IS NOT NULL";

/* what was not confirmed, and may still be done */
static const char doubtful[] =
PAIRS
"SELECT p.no FROM p WHERE (SELECT d.id FROM %1$s.hs_assoc_doubt AS d"
" WHERE d.pair = p.pair AND d.server IS NOT DISTINCT FROM $1 AND d.until > clock_timestamp()"
" ORDER BY d.pair, d.id LIMIT 1) IS NOT NULL";

static const char waiting_before[] =
PAIRS
"SELECT p.no FROM p JOIN " HUBSPOT_PENDING_BEFORE " AS b ON b.pair = p.pair";

/* One of the same direction first: the words of its error are about that. */
static const char dead[] =
PAIRS
"SELECT DISTINCT ON (p.no) p.no, l.http_status, l.error_category, l.error_message,"
" l.correlation_id FROM p CROSS JOIN LATERAL (SELECT * FROM %1$s.hs_assoc_dead_letter AS d"
"  WHERE " HUBSPOT_SQL_PAIR("d") " = p.pair AND d.server IS NOT DISTINCT FROM $1"
"   AND d.role IS NOT DISTINCT FROM $2 OFFSET 0) AS l"
" ORDER BY p.no, l.from_type NOT IN ($3, $5), l.died_at DESC, l.id DESC";

static void run(const char *text, const HubspotPending *pending,
				QueryEnvironment *environment, DestReceiver *receiver);
static Tuplestorestate *collect(const char *text, const HubspotPending *pending,
								QueryEnvironment *environment, bool outlives);
static char *write_text(const void *state);

/* The form of pairs, palloc'd. */
TupleDesc
hubspot_pending_tupdesc(void)
{
	TupleDesc	tupdesc = CreateTemplateTupleDesc(1);

	TupleDescInitEntry(tupdesc, 1, "pair", INT8OID, -1, 0);
	return tupdesc;
}

/* The form of dead letters, palloc'd. */
TupleDesc
hubspot_dead_tupdesc(void)
{
	TupleDesc	tupdesc = CreateTemplateTupleDesc(HUBSPOT_DEAD_NCOLUMNS);

	TupleDescInitEntry(tupdesc, HUBSPOT_DEAD_NO + 1, "no", INT8OID, -1, 0);
	TupleDescInitEntry(tupdesc, HUBSPOT_DEAD_HTTP_STATUS + 1, "http_status", INT4OID, -1, 0);
	TupleDescInitEntry(tupdesc, HUBSPOT_DEAD_CATEGORY + 1, "error_category", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, HUBSPOT_DEAD_MESSAGE + 1, "error_message", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, HUBSPOT_DEAD_CORRELATION_ID + 1, "correlation_id", TEXTOID, -1, 0);
	return tupdesc;
}

/* All pairs of which something waits now; outlives: they outlive the transaction. */
Tuplestorestate *
hubspot_pending_pairs(const HubspotPending *pending, bool outlives)
{
	return collect(all_pairs, pending, NULL, outlives);
}

/*
 * Give the receiver the numbers of the differences for whose pairs something waits now, has
 * waited before, or may still be done though it was given up.
 */
void
hubspot_pending_waiting(const HubspotPending *pending, QueryEnvironment *environment,
						DestReceiver *receiver)
{
	run(waiting_now, pending, environment, receiver);
	run(doubtful, pending, environment, receiver);
	run(waiting_before, pending, environment, receiver);
}

/* The last dead letter of each difference's pair, in the order of their numbers. */
Tuplestorestate *
hubspot_pending_dead(const HubspotPending *pending, QueryEnvironment *environment)
{
	return collect(dead, pending, environment, false);
}

static Tuplestorestate *
collect(const char *text, const HubspotPending *pending, QueryEnvironment *environment,
		bool outlives)
{
	Tuplestorestate *rows = tuplestore_begin_heap(true, outlives, work_mem);
	DestReceiver *receiver = CreateTuplestoreDestReceiver();

	SetTuplestoreDestReceiverParams(receiver, rows, CurrentMemoryContext, true, NULL, NULL);
	run(text, pending, environment, receiver);
	receiver->rDestroy(receiver);
	return rows;
}

static void
run(const char *text, const HubspotPending *pending, QueryEnvironment *environment,
	DestReceiver *receiver)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc pending pairs",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotSubject subject = {
		.write = write_text,
		.state = text,
		.nparameters = PENDING_NPARAMETERS,
		.types = parameter_types
	};
	HubspotValues values = {0};

	hubspot_set_text(&values, PENDING_SERVER, pending->server);
	hubspot_set_oid(&values, PENDING_ROLE, pending->role);
	hubspot_set_text(&values, PENDING_FROM_TYPE, pending->from_type);
	hubspot_set_text(&values, PENDING_TO_TYPE, pending->to_type);
	hubspot_set_text(&values, PENDING_FROM_GIVEN, pending->from_given);
	hubspot_set_text(&values, PENDING_TO_GIVEN, pending->to_given);
	(void) hubspot_run(hubspot_prepare(&subject), &values, environment, true, receiver);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static char *
write_text(const void *state)
{
	return psprintf(state, hubspot_outbox_schema(false)->name);
}
