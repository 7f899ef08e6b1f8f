/*-------------------------------------------------------------------------
 *
 * names.c
 *	  What the records of differences may be called in a column of a sync.
 *
 * Whether a table has a pair that HubSpot holds is a question of SQL where the table has
 * ids of records.  Where it has keys, those that the records go by now are asked for, and
 * the table is searched for these: the values of the property, and a contact's further
 * e-mails.  That takes requests for what is to be removed alone, and none once HubSpot has
 * refused the account.  Nothing is removed from a record whose names are not known.
 *
 * What is missing in HubSpot has the names by which the table has it.
 *
 * IDENTIFICATION
 *	  src/drift/names.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "api/record.h"
#include "drift/names.h"
#include "rows/pipeline.h"

/* Names while they are found. */
typedef struct Naming
{
	HubspotRecordNames *names;
	HubspotDifferences *differences;
	HubspotPlan *plan;			/* that has found them */
	TupleDesc	tupdesc;
	MemoryContext context;		/* of the difference that is looked at */
	MemoryContext name_context; /* of the name that is put */
	HubspotUnpackedChange unpacked;
} Naming;

static void put_known(Naming *naming, bool given);
static bool next_difference(Naming *naming, int64 *no);
static void look_up(Naming *naming, const char *object_type,
					const char *property, char separator);
static bool make_record(void *state, HubspotInput *input, const HubspotError **error);
static void put_values(Naming *naming, int64 no, HubspotSlice value, char separator);
static void put_name(Naming *naming, int64 no, HubspotSlice name);

/* The form of names for queries, palloc'd. */
TupleDesc
hubspot_names_tupdesc(void)
{
	TupleDesc	tupdesc = CreateTemplateTupleDesc(2);

	TupleDescInitEntry(tupdesc, 1, "no", INT8OID, -1, 0);
	TupleDescInitEntry(tupdesc, 2, "name", TEXTOID, -1, 0);
	return tupdesc;
}

/*
 * The names of the records of one side, which have that object type, palloc'd.  given: the
 * table that the differences are about calls them so.  They are looked up for the plan that
 * has found the differences.
 */
HubspotRecordNames *
hubspot_names_create(HubspotDifferences *differences, HubspotPlan *plan,
					 HubspotSide side, const HubspotObjectType *type, bool given)
{
	HubspotRecordNames *names = palloc0(sizeof(HubspotRecordNames));
	Naming		naming = {.names = names,.differences = differences,.plan = plan};

	names->side = side;
	names->property = type->property;
	names->rows = tuplestore_begin_heap(true, false, work_mem);
	naming.tupdesc = hubspot_names_tupdesc();
	naming.context = AllocSetContextCreate(CurrentMemoryContext,
										   "hubspot_assoc named difference",
										   ALLOCSET_SMALL_SIZES);
	naming.name_context = AllocSetContextCreate(CurrentMemoryContext, "hubspot_assoc name",
												ALLOCSET_SMALL_SIZES);
	put_known(&naming, given);
	if (type->property && differences->nremovals > 0)
	{
		const char *secondary;
		char		separator;

		look_up(&naming, type->name, type->property, '\0');
		secondary = hubspot_secondary_property(type, &separator);
		if (secondary)
			look_up(&naming, type->name, secondary, separator);
	}
	MemoryContextDelete(naming.name_context);
	MemoryContextDelete(naming.context);
	return names;
}

/* Put what needs no look-up: ids, and what a table calls its records. */
static void
put_known(Naming *naming, bool given)
{
	const HubspotPlanChange *change = &naming->unpacked.change;
	bool		ids = (naming->names->property == NULL);
	bool		from = (naming->names->side == HUBSPOT_SIDE_FROM);
	int64		no;

	hubspot_differences_rewind(naming->differences);
	while (next_difference(naming, &no))
	{
		HubspotSlice id = from ? change->from : change->to;
		HubspotSlice name = from ? change->from_given : change->to_given;

		if (ids && (id.data || !given))
			name = id;
		if (name.data && (ids || given))
			put_name(naming, no, name);
	}
}

static bool
next_difference(Naming *naming, int64 *no)
{
	MemoryContext old;
	HubspotSlice packed;

	if (!hubspot_differences_next(naming->differences, no, &packed))
		return false;
	MemoryContextReset(naming->context);
	old = MemoryContextSwitchTo(naming->context);
	hubspot_unpack_change(packed, &naming->unpacked);
	MemoryContextSwitchTo(old);
	return true;
}

/* Look up a property of all records that are to lose something. */
static void
look_up(Naming *naming, const char *object_type,
		const char *property, char separator)
{
	HubspotPlan *plan = naming->plan;
	HubspotPipeline pipeline = {
		.client = plan->client,.operation = HUBSPOT_RECORDS_READ,
		.from_type = {.name = object_type,.shows = property}
	};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc names of records",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotOutcome outcome;
	HubspotRun *run;

	hubspot_differences_rewind(naming->differences);
	run = hubspot_run_begin(&pipeline, hubspot_source_made(make_record, naming), false);
	while (hubspot_run_next(run, &outcome))
	{
		if (outcome.error)
			naming->differences->marks[outcome.input_no] |= HUBSPOT_DIFFERENCE_UNSURE;
		else
			put_values(naming, outcome.input_no, outcome.from_record, separator);
	}
	if (plan->stopped == NULL)
		plan->stopped = hubspot_run_stopped(run, plan->context);
	hubspot_run_end(run);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Callback: the next record that is to lose something. */
static bool
make_record(void *state, HubspotInput *input, const HubspotError **error)
{
	Naming	   *naming = state;
	const HubspotPlanChange *change = &naming->unpacked.change;
	int64		no;

	while (next_difference(naming, &no))
	{
		if (!hubspot_is_removal(change->action))
			continue;
		input->no = no;
		input->from_id = naming->names->side == HUBSPOT_SIDE_FROM ? change->from : change->to;
		input->to_id.data = "";
		*error = naming->plan->stopped;
		return true;
	}
	return false;
}

/* Put the names that a value has, which is one, unless there is a separator. */
static void
put_values(Naming *naming, int64 no, HubspotSlice value, char separator)
{
	while (value.data && value.len > 0)
	{
		const char *end = separator ? memchr(value.data, separator, value.len) : NULL;
		HubspotSlice name = {value.data, end ? end - value.data : value.len};

		if (name.len > 0)
			put_name(naming, no, name);
		value.len -= name.len + (end ? 1 : 0);
		value.data += name.len + (end ? 1 : 0);
	}
}

/* The number, too, may be passed by reference: on 32-bit platforms. */
static void
put_name(Naming *naming, int64 no, HubspotSlice name)
{
	MemoryContext old = MemoryContextSwitchTo(naming->name_context);
	Datum		values[] = {
		Int64GetDatum(no),
		PointerGetDatum(cstring_to_text_with_len(name.data, name.len))
	};
	bool		isnull[] = {false, false};

	tuplestore_putvalues(naming->names->rows, naming->tupdesc, values, isnull);
	MemoryContextSwitchTo(old);
	MemoryContextReset(naming->name_context);
}
