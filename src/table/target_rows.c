/*-------------------------------------------------------------------------
 *
 * target_rows.c
 *	  Rows that an UPDATE or DELETE scans, as the scan knows them.
 *
 * Where a table has keys, a row shows these, and not which records they are of: several
 * records may have one key, or none at all.  What is removed are the records that were
 * found, though.  So the scan notes their ids here, beside the place of the row's type, and
 * the row's ctid says where in these notes that is: it goes through joins and sorts
 * with the row.
 *
 * The notes are in memory as long as they take no more than work_mem, and further ones in a
 * temporary file.  They last as long as the scan.
 *
 * IDENTIFICATION
 *	  src/table/target_rows.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/buffile.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "table/target_rows.h"

/* Room at first. */
#define FIRST_SIZE		1024

/* A place in the notes as a ctid: so many bits of it are the offset, which is not 0. */
#define OFFSET_BITS		15

/* A note, which the two ids follow. */
typedef struct Note
{
	HubspotTypePlace place;
	int			from_len;
	int			to_len;
} Note;

struct HubspotTargetRows
{
	dlist_node	node;			/* in all_targets */
	const EState *estate;
	Index		rti;			/* of the scan, in its statement */
	MemoryContext context;
	MemoryContextCallback callback;
	char	   *notes;
	Size		size;			/* of their memory */
	Size		in_memory;		/* bytes of these */
	int64		end;			/* bytes of all */
	BufFile    *file;			/* what comes after those in memory; or NULL */
};

/* Those of all statements of this session. */
static dlist_head all_targets = DLIST_STATIC_INIT(all_targets);

static void forget(void *arg);
static void append(HubspotTargetRows *rows, const void *bytes, Size len);
static void seek(HubspotTargetRows *rows, int64 place);
static void read_bytes(HubspotTargetRows *rows, int64 place, void *bytes, Size len);

/*
 * Begin the notes of a scan, which is known by its statement's state and its place in the
 * range table, in the current memory context.
 */
HubspotTargetRows *
hubspot_target_rows_create(const EState *estate, Index rti)
{
	HubspotTargetRows *rows = palloc0(sizeof(HubspotTargetRows));

	rows->estate = estate;
	rows->rti = rti;
	rows->context = CurrentMemoryContext;
	rows->size = FIRST_SIZE;
	rows->notes = palloc(rows->size);
	dlist_push_head(&all_targets, &rows->node);
	rows->callback.func = forget;
	rows->callback.arg = rows;
	MemoryContextRegisterResetCallback(rows->context, &rows->callback);
	return rows;
}

/* Callback of the memory context. */
static void
forget(void *arg)
{
	dlist_delete(&((HubspotTargetRows *) arg)->node);
}

/* The notes of a scan; NULL: it takes none. */
HubspotTargetRows *
hubspot_target_rows_find(const EState *estate, Index rti)
{
	dlist_iter	iter;

	dlist_foreach(iter, &all_targets)
	{
		HubspotTargetRows *rows = dlist_container(HubspotTargetRows, node, iter.cur);

		if (rows->estate == estate && rows->rti == rti)
			return rows;
	}
	return NULL;
}

/* Note a row; its ctid will say where. */
void
hubspot_target_rows_add(HubspotTargetRows *rows, const HubspotTargetRow *row, ItemPointer tid)
{
	Note		note;
	Size		len = sizeof(note) + row->from_record.len + row->to_record.len;
	int64		place = rows->end;

	memset(&note, 0, sizeof(note));
	note.place = row->place;
	note.from_len = row->from_record.len;
	note.to_len = row->to_record.len;
	if (rows->file == NULL && rows->in_memory + len > (Size) work_mem * 1024)
	{
		MemoryContext old = MemoryContextSwitchTo(rows->context);

		rows->file = BufFileCreateTemp(false);
		MemoryContextSwitchTo(old);
	}
	if (rows->file)
		/* it may have been read meanwhile */
		seek(rows, place);
	append(rows, &note, sizeof(note));
	append(rows, row->from_record.data, row->from_record.len);
	append(rows, row->to_record.data, row->to_record.len);
	ItemPointerSet(tid, (BlockNumber) (place >> OFFSET_BITS),
				   (OffsetNumber) ((place & ((1 << OFFSET_BITS) - 1)) + 1));
}

/* Add bytes at the end of the notes. */
static void
append(HubspotTargetRows *rows, const void *bytes, Size len)
{
	if (len == 0)
		return;
	rows->end += len;
	if (rows->file)
	{
		BufFileWrite(rows->file, unconstify(void *, bytes), len);
		return;
	}
	if (rows->in_memory + len > rows->size)
	{
		rows->size = Max(2 * rows->size, rows->in_memory + len);
		rows->notes = repalloc_huge(rows->notes, rows->size);
	}
	memcpy(rows->notes + rows->in_memory, bytes, len);
	rows->in_memory += len;
}

/* Go to a place that is in the file, or will be. */
static void
seek(HubspotTargetRows *rows, int64 place)
{
	if (BufFileSeek(rows->file, 0, (off_t) (place - (int64) rows->in_memory), SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not seek in a temporary file: %m")));
}

/* What was noted of the row with a ctid, in the current memory context. */
void
hubspot_target_rows_fetch(HubspotTargetRows *rows, const ItemPointerData * tid,
						  HubspotTargetRow *row)
{
	int64		place = ((int64) ItemPointerGetBlockNumberNoCheck(tid) << OFFSET_BITS) +
	ItemPointerGetOffsetNumberNoCheck(tid) - 1;
	Note		note;
	char	   *ids;

	if (place + (int64) sizeof(note) > rows->end)
		elog(ERROR, "a row of a foreign table came with a ctid that it was not given");
	read_bytes(rows, place, &note, sizeof(note));
	ids = palloc(note.from_len + note.to_len);
	read_bytes(rows, place + sizeof(note), ids, note.from_len + note.to_len);
	row->place = note.place;
	row->from_record.data = ids;
	row->from_record.len = note.from_len;
	row->to_record.data = ids + note.from_len;
	row->to_record.len = note.to_len;
}

static void
read_bytes(HubspotTargetRows *rows, int64 place, void *bytes, Size len)
{
	if (place < (int64) rows->in_memory)
	{
		memcpy(bytes, rows->notes + place, len);
		return;
	}
	seek(rows, place);
	hubspot_buffile_read(rows->file, bytes, len);
}

/* Close what is open.  All else goes with the memory context. */
void
hubspot_target_rows_end(HubspotTargetRows *rows)
{
	if (rows->file)
		BufFileClose(rows->file);
	rows->file = NULL;
}
