/*-------------------------------------------------------------------------
 *
 * row_store.c
 *	  Rows of a foreign table that a statement has read, by their records.
 *
 * A scan that is done again and again, as the inner one of a nested loop is, must not ask
 * HubSpot again for what it has already told.  So the rows are kept, each with a link to the
 * one before of the same record.  They are in memory as long as they take no more than
 * work_mem, and then go to a temporary file, where the link is the place in the file: so
 * neither rows nor links need memory.  Rows of a record that follow each other in the file are
 * a run, which is linked as one, and is read forward: each row needs no block of its own then.
 * So the rows of a record come back last one first, and those of a run first one first.
 *
 * The records themselves are in memory.  Once they take more than work_mem, too, the store
 * is full: whoever has it clears it, and begins anew.
 *
 * IDENTIFICATION
 *	  src/table/row_store.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/text_hash.h"
#include "table/row_store.h"

/* A row in memory. */
typedef struct HubspotKeptRow
{
	HubspotRowPlace before;		/* the one before, of the same record */
	ItemPointerData tid;
	MinimalTupleData tuple;		/* and what follows it */
} HubspotKeptRow;

/* The beginning of a row in the file. */
typedef struct FileRow
{
	HubspotRowPlace before;		/* its run: what is before that, of the same
								 * record */
	int64		number;			/* of the row in the file */
	ItemPointerData tid;
	bool		continues;		/* it belongs to the run of the one before it
								 * in the file */
	uint32		len;			/* of the tuple that follows */
} FileRow;

typedef struct RecordEntry
{
	HubspotSlice id;
	uint32		hash;
	char		status;
	HubspotTableRecord *record;
} RecordEntry;

#define SH_PREFIX		records
#define SH_ELEMENT_TYPE	RecordEntry
#define SH_KEY_TYPE		HubspotSlice
#define SH_KEY			id
#define SH_HASH_KEY(tb, key) hubspot_text_hash((key).data, (key).len)
#define SH_EQUAL(tb, a, b) hubspot_same_id(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) (a)->hash
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct HubspotRowStore
{
	MemoryContext records_context;
	MemoryContext rows_context;
	records_hash *records;
	BufFile    *file;			/* or NULL */
	HubspotRowPlace end;		/* of the file */
	int64		nrows;			/* that it has */
	const HubspotTableRecord *run;	/* whose run is the last one; or NULL */
	HubspotRowPlace run_before; /* what is before that, of the same record */
	MinimalTuple fetched;		/* from the file */
	Size		fetched_size;
};

static const HubspotRowPlace nowhere = {NULL, -1, 0};

static void add_to_file(HubspotRowStore *store, HubspotTableRecord *record,
						MinimalTuple tuple, const ItemPointerData * tid);
static void seek(HubspotRowStore *store, const HubspotRowPlace *place);
static MinimalTuple fetch_from_file(HubspotRowStore *store, HubspotRowPlace *place,
									ItemPointerData * tid);

/* The rows of no record so far, in children of the memory context. */
HubspotRowStore *
hubspot_row_store_create(MemoryContext context)
{
	HubspotRowStore *store = MemoryContextAllocZero(context, sizeof(HubspotRowStore));

	store->records_context = AllocSetContextCreate(context, "hubspot_assoc table records",
												   ALLOCSET_DEFAULT_SIZES);
	store->rows_context = AllocSetContextCreate(context, "hubspot_assoc table rows",
												ALLOCSET_DEFAULT_SIZES);
	store->records = records_create(store->records_context, 64, NULL);
	return store;
}

/* A record, by its id or key, which is copied if it is new. */
HubspotTableRecord *
hubspot_row_store_get(HubspotRowStore *store, HubspotSlice id)
{
	RecordEntry *entry = records_lookup(store->records, id);
	HubspotTableRecord *record;
	bool		found;

	if (entry)
		return entry->record;
	record = MemoryContextAllocZero(store->records_context,
									sizeof(HubspotTableRecord) + id.len + 1);
	memcpy((char *) (record + 1), id.data, id.len);
	record->id.data = (char *) (record + 1);
	record->id.len = id.len;
	record->last = nowhere;
	entry = records_insert(store->records, record->id, &found);
	entry->record = record;
	return record;
}

/* Add a row of a record, with its ctid. */
void
hubspot_row_store_add(HubspotRowStore *store, HubspotTableRecord *record, MinimalTuple tuple,
					  const ItemPointerData * tid)
{
	if (store->file == NULL &&
		MemoryContextMemAllocated(store->rows_context, false) < (Size) work_mem * 1024)
	{
		HubspotKeptRow *row = MemoryContextAlloc(store->rows_context,
												 offsetof(HubspotKeptRow, tuple) + tuple->t_len);

		row->before = record->last;
		row->tid = *tid;
		memcpy(&row->tuple, tuple, tuple->t_len);
		record->last = nowhere;
		record->last.row = row;
		return;
	}
	if (store->file == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(store->rows_context);

		store->file = BufFileCreateTemp(false);
		MemoryContextSwitchTo(old);
		BufFileTell(store->file, &store->end.file, &store->end.offset);
	}
	add_to_file(store, record, tuple, tid);
}

/* Add a row to the file: to the run at its end, if that is of the same record. */
static void
add_to_file(HubspotRowStore *store, HubspotTableRecord *record, MinimalTuple tuple,
			const ItemPointerData * tid)
{
	FileRow		head;

	memset(&head, 0, sizeof(head));
	head.number = store->nrows++;
	head.tid = *tid;
	head.len = tuple->t_len;

	/* if its rows were forgotten, so was the run */
	head.continues = (store->run == record && record->last.file >= 0);
	if (!head.continues)
	{
		store->run = record;
		store->run_before = record->last;
		record->last = store->end;
	}
	head.before = store->run_before;

	/* it may have been read meanwhile */
	seek(store, &store->end);
	BufFileWrite(store->file, &head, sizeof(head));
	BufFileWrite(store->file, tuple, tuple->t_len);
	BufFileTell(store->file, &store->end.file, &store->end.offset);
}

static void
seek(HubspotRowStore *store, const HubspotRowPlace *place)
{
	if (BufFileSeek(store->file, place->file, place->offset, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not seek in a temporary file: %m")));
}

/* Forget the rows of a record, which are not all there. */
void
hubspot_row_store_forget(HubspotTableRecord *record)
{
	record->state = HUBSPOT_RECORD_UNKNOWN;
	record->last = nowhere;
}

/*
 * The row at a place, valid until the next one, its ctid, and the place after it, of the same
 * record.  NULL: there is none.
 */
MinimalTuple
hubspot_row_store_fetch(HubspotRowStore *store, HubspotRowPlace *place, ItemPointerData * tid)
{
	if (place->row)
	{
		HubspotKeptRow *row = place->row;

		*place = row->before;
		*tid = row->tid;
		return &row->tuple;
	}
	return place->file < 0 ? NULL : fetch_from_file(store, place, tid);
}

/* Likewise, in the file: the next one of the run comes after it, if there is one. */
static MinimalTuple
fetch_from_file(HubspotRowStore *store, HubspotRowPlace *place, ItemPointerData * tid)
{
	FileRow		head;
	FileRow		next;

	seek(store, place);
	hubspot_buffile_read(store->file, &head, sizeof(head));
	if (head.len > store->fetched_size)
	{
		store->fetched = store->fetched ? repalloc(store->fetched, head.len) :
			MemoryContextAlloc(store->rows_context, head.len);
		store->fetched_size = head.len;
	}
	hubspot_buffile_read(store->file, store->fetched, head.len);
	*tid = head.tid;
	BufFileTell(store->file, &place->file, &place->offset);
	next.continues = false;
	if (head.number + 1 < store->nrows)
		hubspot_buffile_read(store->file, &next, sizeof(next));
	if (!next.continues)
		*place = head.before;
	return store->fetched;
}

/* Do the records take more memory than they should, or than so much, if that is more? */
bool
hubspot_row_store_is_full(const HubspotRowStore *store, Size least)
{
	return MemoryContextMemAllocated(store->records_context, true) >
		Max((Size) work_mem * 1024, least);
}

/* Forget all records and their rows. */
void
hubspot_row_store_clear(HubspotRowStore *store)
{
	if (store->file)
		BufFileClose(store->file);
	store->file = NULL;
	store->nrows = 0;
	store->run = NULL;
	store->fetched = NULL;
	store->fetched_size = 0;
	MemoryContextReset(store->rows_context);
	MemoryContextReset(store->records_context);
	store->records = records_create(store->records_context, 64, NULL);
}
