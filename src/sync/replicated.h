/*-------------------------------------------------------------------------
 *
 * replicated.h
 *	  Rows that a subscription applies, until its transaction commits.
 *
 * IDENTIFICATION
 *	  src/sync/replicated.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SYNC_REPLICATED_H
#define HUBSPOT_SYNC_REPLICATED_H

#include "access/tupdesc.h"
#include "utils/tuplestore.h"

#include "base/compat.h"

/* Rows of a table in sync, as its own, that are new and that are gone. */
typedef struct HubspotReplicated
{
	Oid			table;
	TupleDesc	tupdesc;
	Tuplestorestate *new_rows;
	Tuplestorestate *old_rows;
} HubspotReplicated;

/* What is done with them before the transaction commits. */
typedef void (*HubspotReplicatedSink) (HubspotReplicated *rows);

extern HubspotReplicated *hubspot_replicated_rows(Oid table, HubspotReplicatedSink sink);
extern bool hubspot_replicated_same_form(TupleDesc a, TupleDesc b);
extern void hubspot_replicated_refuse(const HubspotReplicated *rows) pg_attribute_noreturn();

#endif							/* HUBSPOT_SYNC_REPLICATED_H */
