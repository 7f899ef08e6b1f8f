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

#include "tcop/dest.h"
#include "utils/queryenvironment.h"

#include "schema/values.h"

/*
 * Stands for the type of a parameter that is an array of hs_assoc_input, whose
 * OID differs from database to database.
 */
#define HUBSPOT_INPUT_ARRAY		RECORDARRAYOID

/*
 * Writes the text of a statement, palloc'd, with the current names of its
 * objects.
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

/*
 * A statement on the extension's tables; %1$s in it stands for their schema.  It
 * is static, since its plan lives as long as the session.
 */
typedef struct HubspotStatement
{
	const char *text;
	Oid			types[HUBSPOT_MAX_PARAMETERS];	/* of its parameters */

	/* prepared.c's */
	HubspotPrepared *prepared;	/* or NULL */
} HubspotStatement;

extern HubspotPrepared *hubspot_prepare(const HubspotSubject *subject);
extern uint64 hubspot_run(HubspotPrepared *prepared, const HubspotValues *values,
						  QueryEnvironment *environment, bool latest,
						  DestReceiver *receiver);
extern uint64 hubspot_execute(HubspotStatement *statement,
							  const HubspotValues *values);
extern uint64 hubspot_query(HubspotStatement *statement,
							const HubspotValues *values, HubspotRows *rows);
extern uint64 hubspot_query_into(HubspotStatement *statement,
								 const HubspotValues *values,
								 DestReceiver *receiver);
extern void hubspot_rows_free(HubspotRows *rows);
extern Datum hubspot_array_of(Datum *elements, int nelements, Oid type);

#endif							/* HUBSPOT_SCHEMA_PREPARED_H */
