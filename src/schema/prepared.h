/*-------------------------------------------------------------------------
 *
 * prepared.h
 *	  Statements of our own, bound to the objects that they mean.
 *
 * IDENTIFICATION
 *	  src/schema/prepared.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SCHEMA_PREPARED_H
#define HUBSPOT_SCHEMA_PREPARED_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "tcop/dest.h"
#include "utils/queryenvironment.h"

#define HUBSPOT_MAX_PARAMETERS	16

/* The type of a parameter that is an array of hs_assoc_input. */
#define HUBSPOT_INPUT_ARRAY		InvalidOid

/*
 * Writes the text of a statement, palloc'd, with the names that its objects have
 * now.
 */
typedef char *(*HubspotWriteText) (const void *state);

/*
 * What a statement is about.  It lives as long as what is prepared from it, and
 * so does all that it points to.
 */
typedef struct HubspotSubject
{
	HubspotWriteText write;
	const void *state;			/* write()'s */
	int			nparameters;
	const Oid  *types;			/* of the parameters */

	/*
	 * What it may name beside objects of pg_catalog and of the extension.
	 */
	Oid			relation;		/* or InvalidOid */
	Oid			reader;			/* whose privileges on the relation count */
	int			nfunctions;
	const Oid  *functions;
} HubspotSubject;

/* A statement that can be run again and again; see prepared.c. */
typedef struct HubspotPrepared HubspotPrepared;

/* Rows that a statement has returned, in a memory context of their own. */
typedef struct HubspotRows
{
	MemoryContext context;
	uint64		count;
	TupleDesc	tupdesc;
	HeapTuple  *tuples;
} HubspotRows;

/*
 * A statement on the extension's tables; %1$s in it stands for their schema.  It
 * is static, since its plan lives as long as the session.
 */
typedef struct HubspotStatement
{
	const char *text;
	int			nparameters;
	Oid			types[HUBSPOT_MAX_PARAMETERS];

	/* prepared.c's */
	HubspotPrepared *prepared;	/* or NULL */
} HubspotStatement;

extern HubspotPrepared *hubspot_prepare(const HubspotSubject *subject);
extern uint64 hubspot_run(HubspotPrepared *prepared, const Datum *values,
						  const char *nulls, QueryEnvironment *environment,
						  bool latest, DestReceiver *receiver);
extern uint64 hubspot_execute(HubspotStatement *statement, const Datum *values,
							  const char *nulls);
extern uint64 hubspot_query(HubspotStatement *statement, const Datum *values,
							const char *nulls, HubspotRows *rows);
extern void hubspot_rows_free(HubspotRows *rows);
extern Datum hubspot_array_of(Datum *elements, int nelements, Oid type);

#endif							/* HUBSPOT_SCHEMA_PREPARED_H */
