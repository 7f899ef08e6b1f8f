/*-------------------------------------------------------------------------
 *
 * verify_state.h
 *	  How far workers have come in comparing tables in sync with HubSpot.
 *
 * IDENTIFICATION
 *	  src/drift/verify_state.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DRIFT_VERIFY_STATE_H
#define HUBSPOT_DRIFT_VERIFY_STATE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* A pass through the table of a sync: a row of hs_assoc_verify. */
typedef struct HubspotVerifyState
{
	int32		sync;
	bool		repairs;		/* it puts right what it has found before */
	const char *place;			/* where the next slice begins; NULL: at the
								 * beginning */
	int			size;			/* the most records of a slice */
	TimestampTz next_at;
	TimestampTz began_at;		/* 0: the next slice is the first */
	int			failures;		/* of the next slice, one after the other */

	/* in this pass */
	int64		records;		/* that were read */
	int64		wanted;
	int64		held;
	int64		missing;
	int64		extra;
	int64		logged;			/* extra ones that are in the log */
	int64		unknown;		/* records that could not be read, rows that
								 * are not resolved, and the like */
} HubspotVerifyState;

/* What a slice adds to the counters. */
typedef struct HubspotVerifySums
{
	int64		records;
	int64		differences;	/* new ones */
	int64		repaired;
} HubspotVerifySums;

extern List *hubspot_verify_states(void);
extern void hubspot_verify_attempt(int32 sync);
extern void hubspot_verify_save(const HubspotVerifyState *state, const HubspotVerifySums *sums);
extern void hubspot_verify_end(int32 sync, TimestampTz next_at, const char *held_back);
extern void hubspot_verify_pace(const char *server, TimestampTz until);
extern void hubspot_verify_fail(int32 sync, int size, TimestampTz until, int sqlstate,
								const char *message);

#endif							/* HUBSPOT_DRIFT_VERIFY_STATE_H */
