/*-------------------------------------------------------------------------
 *
 * stored_row.h
 *	  Rows of a tuplestore, got one by one.
 *
 * A row that comes from disk is allocated in the current memory context, and freed by the
 * slot when the next one comes.  So that context has to be the slot's, whoever asks.
 *
 * IDENTIFICATION
 *	  src/drift/stored_row.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DRIFT_STORED_ROW_H
#define HUBSPOT_DRIFT_STORED_ROW_H

#include "executor/tuptable.h"
#include "utils/tuplestore.h"

/* Get the next row, taken apart.  False: there is none. */
static inline bool
hubspot_next_stored(Tuplestorestate *rows, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(slot->tts_mcxt);
	bool		found = tuplestore_gettupleslot(rows, true, false, slot);

	if (found)
		slot_getallattrs(slot);
	MemoryContextSwitchTo(old);
	return found;
}

#endif							/* HUBSPOT_DRIFT_STORED_ROW_H */
