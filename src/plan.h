/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  Statements on the outbox's tables, with plans that are kept.
 *
 * IDENTIFICATION
 *	  src/plan.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_PLAN_H
#define HUBSPOT_PLAN_H

#include "executor/spi.h"

#include "outbox.h"

#define HUBSPOT_MAX_PARAMETERS	6

/*
 * A statement; %1$s in it stands for the schema of the tables.  It is static,
 * since its plan lives as long as the session.
 */
typedef struct HubspotStatement
{
	const char *text;
	int			nparameters;
	Oid			types[HUBSPOT_MAX_PARAMETERS];

	/* plan.c's */
	SPIPlanPtr	plan;			/* or NULL */
	char	   *schema;			/* that the plan is for */
} HubspotStatement;

/* Types of the parameters that name a server and a role */
#define HUBSPOT_ACCOUNT_TYPES	TEXTOID, REGROLEOID

/* Pieces of statements that agree with each other, and with an index */

/* What the index of the pairs is on. */
#define HUBSPOT_SQL_PAIR(row) \
	"%1$s.hs_assoc_pair(" row ".server, " row ".from_id, " row ".to_id)"

/* Are n and o rows of the same pair, n the later one? */
#define HUBSPOT_SQL_SAME_PAIR \
	HUBSPOT_SQL_PAIR("n") " = " HUBSPOT_SQL_PAIR("o") " AND n.id > o.id" \
	" AND n.server IS NOT DISTINCT FROM o.server" \
	" AND n.from_type = o.from_type AND n.from_id = o.from_id" \
	" AND n.to_type = o.to_type AND n.to_id = o.to_id"

#define HUBSPOT_SQL_SAME_TYPES \
	"n.type_ids IS NOT DISTINCT FROM o.type_ids" \
	" AND n.category IS NOT DISTINCT FROM o.category" \
	" AND n.labels IS NOT DISTINCT FROM o.labels"

extern uint64 hubspot_execute(const HubspotSchema *schema,
							  HubspotStatement *statement, Datum *values,
							  const char *nulls);
extern Datum hubspot_array_of(Datum *elements, int nelements, Oid type);

#endif							/* HUBSPOT_PLAN_H */
