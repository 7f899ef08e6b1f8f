/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  Statements on the outbox's tables, with plans that are kept.
 *
 * IDENTIFICATION
 *	  src/plan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/memutils.h"

#include "plan.h"

static void prepare(const HubspotSchema *schema, HubspotStatement *statement);

/*
 * Run a statement; how many rows it returned or changed.  SPI would leave us in
 * its own memory context.
 */
uint64
hubspot_execute(const HubspotSchema *schema, HubspotStatement *statement,
				Datum *values, const char *nulls)
{
	MemoryContext old = CurrentMemoryContext;
	int			result;

	if (statement->plan == NULL || strcmp(statement->schema, schema->name) != 0)
		prepare(schema, statement);
	result = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	MemoryContextSwitchTo(old);
	if (result < 0)
		elog(ERROR, "a statement on the outbox failed: %s: %s",
			 SPI_result_code_string(result), statement->text);
	return SPI_processed;
}

/* Make the plan of a statement, in place of one for another schema. */
static void
prepare(const HubspotSchema *schema, HubspotStatement *statement)
{
	SPIPlanPtr	plan;

	if (statement->plan)
	{
		SPI_freeplan(statement->plan);
		statement->plan = NULL;
		pfree(statement->schema);
	}
	plan = SPI_prepare(psprintf(statement->text, schema->name),
					   statement->nparameters, statement->types);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare a statement on the outbox: %s",
			 statement->text);
	statement->schema = MemoryContextStrdup(TopMemoryContext, schema->name);
	statement->plan = plan;
}

/* An array of elements of a type that is as long as an int8. */
Datum
hubspot_array_of(Datum *elements, int nelements, Oid type)
{
	return PointerGetDatum(construct_array(elements, nelements, type,
										   sizeof(int64), FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}
