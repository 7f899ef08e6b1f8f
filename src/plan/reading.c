/*-------------------------------------------------------------------------
 *
 * reading.c
 *	  The records of a plan, read, and compared with what is wanted.
 *
 * Records come in the order of their ids, each with what is wanted of it, and are read by a
 * batch.  What is wanted and held of those in flight waits in memory, record by record, and
 * when one has been read to its end, it is compared and forgotten.  Most records have a few
 * associations, so this needs neither a sort of all that is held nor a second look at it.
 *
 * A record may have millions, though.  Once all of those in flight take more than BUDGET, the
 * entries of the next one to grow are spilled, those that it has and those that come, into a
 * sort, and it is compared when all others have been read.  So memory is bounded by
 * associations, whatever the records are.
 *
 * IDENTIFICATION
 *	  src/plan/reading.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "api/association_type.h"
#include "base/compat.h"
#include "plan/plan_change.h"
#include "plan/difference.h"
#include "plan/entry.h"
#include "plan/reading.h"
#include "rows/pipeline.h"

/* How many bytes of entries wait in memory. */
#define BUDGET			(8 * 1024 * 1024)

/* A buffer that is larger is not kept for the next record. */
#define MAX_KEPT		1024

/* Room at first. */
#define FIRST_RECORDS	1024
#define FIRST_ENTRIES	2
#define FIRST_BYTES		32

/* How many bytes of a key are shown. */
#define MAX_SHOWN		100

/* A buffer; of a few bytes, since there are thousands of them. */
typedef struct Bytes
{
	char	   *data;			/* NULL: it has no room so far */
	int			len;
	int			size;
} Bytes;

/* Entries of one record, without their first id. */
typedef struct Entries
{
	Bytes		bytes;
	uint32	   *places;			/* where each begins */
	int			nentries;
	int			maxentries;
	bool		in_order;		/* so far */
} Entries;

/* A record in flight, with what is known of it. */
typedef struct Record
{
	int			number;			/* by which the batch knows it */
	struct Record *next_free;
	Bytes		id;				/* packed */
	Bytes		given;			/* its key, if it has one */
	Entries		wanted;			/* in order, each once */
	Entries		held;
	bool		spared;			/* one of its keys is */
	bool		spilled;		/* its entries are in the sort */
} Record;

/* What a comparison of places needs. */
typedef struct Places
{
	const HubspotPlan *plan;
	const char *bytes;
} Places;

typedef struct Reading
{
	HubspotPlan *plan;
	HubspotPipeline pipeline;
	HubspotDifference *difference;
	HubspotDigits digits;		/* of the record that is put */

	/* what is wanted: the next row, if there is one */
	bool		has_row;
	HubspotSlice row;
	HubspotSlice rest;			/* of it, behind the first id */

	Record	  **records;		/* all that were made */
	int			nrecords;
	int			maxrecords;
	Record	   *free;			/* those that are not in flight, a list */
	Size		bytes;			/* of the entries of the others */
	HubspotPackedSort *spilled; /* or NULL */
	Bytes		entry;			/* that is packed */
} Reading;

static bool make_input(void *state, HubspotInput *input, const HubspotError **error);
static bool next_row(Reading *reading);
static bool take_rows(Reading *reading, Record *record);
static void throw_outside(const HubspotPlan *plan, const Record *record,
						  HubspotSlice given) pg_attribute_noreturn();
static Record *take_record(Reading *reading);
static void make_room(Bytes *bytes, int more);
static void add_bytes(Bytes *bytes, const char *data, int len);
static void clear_bytes(Bytes *bytes);
static void free_record(Reading *reading, Record *record);
static void clear_entries(Reading *reading, Entries *entries);
static void take_outcome(Reading *reading, const HubspotOutcome *outcome);
static void take_held(Reading *reading, Record *record,
					  const HubspotAssociation *association);
static int	held_flags(const HubspotPlan *plan, const HubspotAssociationType *type);
static void append(Reading *reading, Record *record, Entries *entries,
				   const char *entry, int len, int place_len);
static void spill(Reading *reading, Record *record);
static void spill_entries(Reading *reading, const Record *record, Entries *entries);
static void spill_entry(Reading *reading, const Record *record, const char *entry, int len);
static void end_spilled(Reading *reading, const Record *record, bool failed);
static void put_unreadable(Reading *reading, const Record *record,
						   const HubspotOutcome *outcome);
static HubspotSlice record_id(const Record *record, HubspotDigits *digits);
static HubspotSlice given_key(const Record *record);
static void compare(Reading *reading, Record *record);
static void sort_entries(const HubspotPlan *plan, Entries *entries);
static int	compare_places(const void *a, const void *b, void *arg);
static int	compare_entries(const HubspotPlan *plan, const char *a, const char *b);
static void compare_spilled(Reading *reading);

/* Read the records that a plan is about, and put the changes that follow. */
void
hubspot_read_held(HubspotPlan *plan)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc records that are read",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Reading    *reading = palloc0(sizeof(Reading));
	HubspotPipeline *pipeline = &reading->pipeline;
	HubspotOutcome outcome;
	HubspotRun *run;

	reading->plan = plan;
	reading->difference = hubspot_difference_create(plan);
	pipeline->client = plan->client;
	pipeline->operation = HUBSPOT_BATCH_READ;
	pipeline->from_type.name = plan->from_type.name;
	pipeline->to_type.name = plan->to_type.name;
	pipeline->tells_ends = true;
	run = hubspot_run_begin(pipeline, hubspot_source_made(make_input, reading), false);
	if (next_row(reading))
	{
		while (hubspot_run_next(run, &outcome))
			take_outcome(reading, &outcome);
	}
	if (plan->stopped == NULL)
		plan->stopped = hubspot_run_stopped(run, plan->context);
	hubspot_run_end(run);
	if (reading->spilled)
		compare_spilled(reading);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Callback: the next record of the scope, with all that is wanted of it. */
static bool
make_input(void *state, HubspotInput *input, const HubspotError **error)
{
	Reading    *reading = state;

	while (reading->has_row)
	{
		Record	   *record = take_record(reading);

		if (!take_rows(reading, record))
		{
			free_record(reading, record);
			continue;
		}
		input->no = record->number;
		input->from_id = record_id(record, &reading->digits);
		input->to_id.data = "";
		*error = reading->plan->stopped;
		return true;
	}
	return false;
}

/* Get the next row of what is wanted.  False: there is none. */
static bool
next_row(Reading *reading)
{
	reading->has_row = hubspot_packed_sort_next(reading->plan->wanted, &reading->row);
	if (reading->has_row)
	{
		reading->rest.data = hubspot_skip_id(reading->row.data);
		reading->rest.len = reading->row.data + reading->row.len - reading->rest.data;
	}
	return reading->has_row;
}

/* Take all rows of the next record.  False: it is not in the scope. */
static bool
take_rows(Reading *reading, Record *record)
{
	HubspotPlan *plan = reading->plan;
	bool		in_scope = false;
	bool		is_wanted = false;

	add_bytes(&record->id, reading->row.data,
			  reading->rest.data - reading->row.data);
	do
	{
		int			place_len = hubspot_packed_place_len(plan, reading->rest.data);
		HubspotEntryKind kind = (unsigned char) reading->rest.data[place_len - 1];

		if (plan->from_type.property && kind != HUBSPOT_ENTRY_REVERSE)
		{
			HubspotSlice key;
			uint64		key_hash;

			(void) hubspot_unpack_key(reading->rest.data + place_len, &key_hash, &key);
			if (record->given.len == 0)
				add_bytes(&record->given, key.data, key.len);
			record->spared |= hubspot_is_key_spared(plan->spared, key_hash);
		}
		if (kind == HUBSPOT_ENTRY_SCOPE)
			in_scope = true;
		else
			append(reading, record, &record->wanted, reading->rest.data,
				   reading->rest.len, place_len);
		is_wanted |= (kind == HUBSPOT_ENTRY_WANTED);
	} while (next_row(reading) &&
			 reading->rest.data - reading->row.data == record->id.len &&
			 memcmp(reading->row.data, record->id.data, record->id.len) == 0);
	if (plan->scope_query == NULL)
		return is_wanted;
	if (is_wanted && !in_scope && !plan->selects)
		throw_outside(plan, record, given_key(record));
	return in_scope;
}

static void
throw_outside(const HubspotPlan *plan, const Record *record, HubspotSlice given)
{
	HubspotDigits digits;
	HubspotSlice id = record_id(record, &digits);
	bool		unsure = (plan->from_type.property && plan->counts.unresolved > 0);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a wanted row is outside the scope: %s %.*s", plan->from_type.name,
					id.len, id.data),
			 given.data ? errdetail("Its key is \"%.*s\". Nothing was changed.%s",
									pg_mbcliplen(given.data, given.len, MAX_SHOWN), given.data,
									unsure ? " Not all keys could be resolved; the scope may lack it for that reason." : "") :
			 errdetail("Nothing was changed."),
			 errhint("The query of the scope has to give each from_id that the query of wanted rows gives.")));
}

/* A record that is not in flight, empty. */
static Record *
take_record(Reading *reading)
{
	Record	   *record = reading->free;

	if (record)
	{
		reading->free = record->next_free;
		return record;
	}
	if (reading->nrecords == reading->maxrecords)
	{
		reading->maxrecords = Max(FIRST_RECORDS, 2 * reading->maxrecords);
		reading->records = reading->records ?
			repalloc(reading->records, sizeof(Record *) * reading->maxrecords) :
			palloc(sizeof(Record *) * reading->maxrecords);
	}
	record = palloc0(sizeof(Record));
	record->number = reading->nrecords;
	reading->records[reading->nrecords++] = record;
	record->wanted.in_order = record->held.in_order = true;
	return record;
}

/* Have a buffer hold so many bytes more. */
static void
make_room(Bytes *bytes, int more)
{
	if (bytes->data && bytes->len + more <= bytes->size)
		return;
	bytes->size = Max(Max(bytes->len + more, 2 * bytes->size), FIRST_BYTES);
	bytes->data = bytes->data ? repalloc(bytes->data, bytes->size) : palloc(bytes->size);
}

static void
add_bytes(Bytes *bytes, const char *data, int len)
{
	make_room(bytes, len);
	memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
}

/* Empty a buffer, and free it if it is large. */
static void
clear_bytes(Bytes *bytes)
{
	bytes->len = 0;
	if (bytes->size <= MAX_KEPT)
		return;
	pfree(bytes->data);
	bytes->data = NULL;
	bytes->size = 0;
}

/* A record is no longer in flight. */
static void
free_record(Reading *reading, Record *record)
{
	clear_entries(reading, &record->wanted);
	clear_entries(reading, &record->held);
	clear_bytes(&record->id);
	clear_bytes(&record->given);
	record->spared = record->spilled = false;
	record->next_free = reading->free;
	reading->free = record;
}

static void
clear_entries(Reading *reading, Entries *entries)
{
	reading->bytes -= entries->bytes.len + sizeof(uint32) * entries->nentries;
	clear_bytes(&entries->bytes);
	entries->nentries = 0;
	entries->in_order = true;
	if (entries->maxentries * sizeof(uint32) <= MAX_KEPT)
		return;
	pfree(entries->places);
	entries->places = NULL;
	entries->maxentries = 0;
}

/* Take what the batch says of a record: an association, or that it has ended. */
static void
take_outcome(Reading *reading, const HubspotOutcome *outcome)
{
	Record	   *record = reading->records[outcome->input_no];

	if (outcome->association)
	{
		take_held(reading, record, outcome->association);
		return;
	}
	if (outcome->error)
		put_unreadable(reading, record, outcome);
	else
		reading->plan->counts.records++;
	if (record->spilled)
		end_spilled(reading, record, outcome->error != NULL);
	else if (outcome->error == NULL)
		compare(reading, record);
	free_record(reading, record);
}

static void
take_held(Reading *reading, Record *record, const HubspotAssociation *association)
{
	HubspotPlan *plan = reading->plan;
	HubspotEntry entry;
	int			len;

	entry.kind = HUBSPOT_ENTRY_HELD;
	entry.to = association->to_id;
	entry.flags = 0;
	entry.from_given.len = entry.to_given.len = 0;
	memset(&entry.type, 0, sizeof(entry.type));
	if (plan->typed && association->type)
		entry.type = *association->type;
	if (plan->typed)
		entry.flags = held_flags(plan, &entry.type);
	reading->entry.len = 0;
	make_room(&reading->entry, hubspot_entry_size(&entry));
	len = hubspot_pack_entry(plan, &entry, reading->entry.data) - reading->entry.data;
	append(reading, record, &record->held, reading->entry.data, len,
		   hubspot_packed_place_len(plan, reading->entry.data));
}

static int
held_flags(const HubspotPlan *plan, const HubspotAssociationType *type)
{
	int			flags = 0;

	if ((type->label == NULL || type->label[0] == '\0') && !hubspot_is_primary(type))
		flags |= HUBSPOT_ENTRY_DEFAULT;
	if (type->category && (plan->manages_all || hubspot_has_type(plan->managed, type)))
		flags |= HUBSPOT_ENTRY_MANAGED;
	return flags;
}

/*
 * Append an entry, unless it says the same as the last one, by its first place_len bytes.
 */
static void
append(Reading *reading, Record *record, Entries *entries, const char *entry, int len,
	   int place_len)
{
	if (record->spilled)
	{
		spill_entry(reading, record, entry, len);
		return;
	}
	if (entries->nentries > 0)
	{
		int			last = entries->places[entries->nentries - 1];
		int			order = memcmp(entry, entries->bytes.data + last,
								   Min(place_len, entries->bytes.len - last));

		if (order == 0)
			return;
		entries->in_order &= (order > 0);
	}
	if (reading->bytes + len > BUDGET)
	{
		spill(reading, record);
		spill_entry(reading, record, entry, len);
		return;
	}
	if (entries->nentries == entries->maxentries)
	{
		entries->maxentries = Max(FIRST_ENTRIES, 2 * entries->maxentries);
		entries->places = entries->places ?
			repalloc(entries->places, sizeof(uint32) * entries->maxentries) :
			palloc(sizeof(uint32) * entries->maxentries);
	}
	entries->places[entries->nentries++] = entries->bytes.len;
	add_bytes(&entries->bytes, entry, len);
	reading->bytes += len + sizeof(uint32);
}

/* Spill a record that would take too much memory. */
static void
spill(Reading *reading, Record *record)
{
	if (reading->spilled == NULL)
		reading->spilled = hubspot_packed_sort_create(reading->plan->context);
	record->spilled = true;
	spill_entries(reading, record, &record->wanted);
	spill_entries(reading, record, &record->held);
}

static void
spill_entries(Reading *reading, const Record *record, Entries *entries)
{
	for (int i = 0; i < entries->nentries; i++)
	{
		int			end = i + 1 < entries->nentries ?
		(int) entries->places[i + 1] : entries->bytes.len;

		spill_entry(reading, record, entries->bytes.data + entries->places[i],
					end - (int) entries->places[i]);
	}
	clear_entries(reading, entries);
}

static void
spill_entry(Reading *reading, const Record *record, const char *entry, int len)
{
	char	   *room = hubspot_packed_sort_room(reading->spilled, record->id.len + len);

	memcpy(room, record->id.data, record->id.len);
	memcpy(room + record->id.len, entry, len);
	hubspot_packed_sort_put(reading->spilled, room + record->id.len + len);
}

/* A record that was spilled has been read: say how it went, before its entries. */
static void
end_spilled(Reading *reading, const Record *record, bool failed)
{
	HubspotDigits digits;
	HubspotEntry entry;

	memset(&entry, 0, offsetof(HubspotEntry, digits));
	entry.kind = HUBSPOT_ENTRY_READ;
	entry.from = record_id(record, &digits);
	entry.from_given = given_key(record);
	if (failed)
		entry.flags |= HUBSPOT_ENTRY_FAILED;
	if (record->spared)
		entry.flags |= HUBSPOT_ENTRY_SPARED;
	hubspot_put_entry(reading->plan, reading->spilled, &entry);
}

static void
put_unreadable(Reading *reading, const Record *record, const HubspotOutcome *outcome)
{
	HubspotPlan *plan = reading->plan;
	HubspotDigits digits;
	HubspotPlanChange change = {.action = HUBSPOT_ACTION_UNREADABLE,
		.from = record_id(record, &digits),.from_given = given_key(record),
	.error = outcome->error};

	if (plan->raise)
		hubspot_throw_outcome(&reading->pipeline, outcome);
	plan->counts.unreadable++;
	hubspot_put_change(plan, &change);
}

static HubspotSlice
record_id(const Record *record, HubspotDigits *digits)
{
	HubspotSlice id;

	(void) hubspot_unpack_id(record->id.data, &id, digits);
	return id;
}

/* The key of a record; without data, it has none. */
static HubspotSlice
given_key(const Record *record)
{
	HubspotSlice key = {record->given.len > 0 ? record->given.data : NULL, record->given.len};

	return key;
}

/* Compare what is wanted of a record with what it holds. */
static void
compare(Reading *reading, Record *record)
{
	HubspotDifference *difference = reading->difference;
	const Entries *wanted = &record->wanted;
	const Entries *held = &record->held;
	HubspotDigits digits;
	int			i = 0;
	int			j = 0;

	if (!held->in_order)
		sort_entries(reading->plan, &record->held);
	hubspot_difference_begin(difference, record_id(record, &digits), given_key(record),
							 record->spared);
	while (i < wanted->nentries || j < held->nentries)
	{
		bool		is_wanted = (j == held->nentries);

		if (i < wanted->nentries && j < held->nentries)
			is_wanted = compare_entries(reading->plan, wanted->bytes.data + wanted->places[i],
										held->bytes.data + held->places[j]) < 0;
		if (is_wanted)
			hubspot_difference_take(difference, wanted->bytes.data + wanted->places[i++]);
		else
			hubspot_difference_take(difference, held->bytes.data + held->places[j++]);
	}
	hubspot_difference_end(difference);
}

static void
sort_entries(const HubspotPlan *plan, Entries *entries)
{
	Places		places = {plan, entries->bytes.data};

	qsort_arg(entries->places, entries->nentries, sizeof(uint32), compare_places, &places);
}

static int
compare_places(const void *a, const void *b, void *arg)
{
	const Places *places = arg;

	return compare_entries(places->plan, places->bytes + *(const uint32 *) a,
						   places->bytes + *(const uint32 *) b);
}

/* No place is the beginning of another one. */
static int
compare_entries(const HubspotPlan *plan, const char *a, const char *b)
{
	return memcmp(a, b, Min(hubspot_packed_place_len(plan, a),
							hubspot_packed_place_len(plan, b)));
}

/* Compare the records that were spilled, those that were read to their end. */
static void
compare_spilled(Reading *reading)
{
	HubspotPlan *plan = reading->plan;
	HubspotDifference *difference = reading->difference;
	HubspotDigits digits;
	HubspotSlice row;
	Bytes		id = {0};
	Bytes		given = {0};
	bool		compares = false;

	hubspot_packed_sort_perform(reading->spilled);
	while (hubspot_packed_sort_next(reading->spilled, &row))
	{
		const char *rest = hubspot_skip_id(row.data);
		HubspotEntry entry;

		CHECK_FOR_INTERRUPTS();
		if (id.data == NULL || id.len != rest - row.data || memcmp(id.data, row.data, id.len) != 0)
		{
			/* the first entry says how it was read */
			if (compares)
				hubspot_difference_end(difference);
			hubspot_unpack_entry(plan, rest, &entry);
			if (entry.kind != HUBSPOT_ENTRY_READ)
				elog(ERROR, "a record was spilled, but not read");
			id.len = given.len = 0;
			add_bytes(&id, row.data, rest - row.data);
			if (entry.from_given.data)
				add_bytes(&given, entry.from_given.data, entry.from_given.len);
			compares = !(entry.flags & HUBSPOT_ENTRY_FAILED);
			if (compares)
			{
				(void) hubspot_unpack_id(id.data, &entry.from, &digits);
				entry.from_given.data = given.len > 0 ? given.data : NULL;
				hubspot_difference_begin(difference, entry.from, entry.from_given,
										 (entry.flags & HUBSPOT_ENTRY_SPARED) != 0);
			}
		}
		else if (compares)
			hubspot_difference_take(difference, rest);
	}
	if (compares)
		hubspot_difference_end(difference);
	hubspot_packed_sort_end(reading->spilled);
}
