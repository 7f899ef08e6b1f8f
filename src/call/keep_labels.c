/*-------------------------------------------------------------------------
 *
 * keep_labels.c
 *	  The labels that pairs have, read before they are replaced.
 *
 * HubSpot puts the types that are sent in place of a pair's USER_DEFINED ones.  To keep
 * these, too, they are read first and sent again together with the new ones.  There is no
 * way to read one pair, so all associations of the records on the from side are read, a
 * page of each at a time, until the pairs are found.
 *
 * A pair that is the last one of its page may have further types on the next page, so that is
 * read, too.  Any other one has all of its types: HubSpot lists those of a pair together.  So
 * this costs a request for one record in as many as a page has pairs (500), if it has more
 * pages at all, and else none.
 *
 * The records are units of their own, of the operation that reads; the caller
 * sends them:
 *
 *		while unread() gives records
 *			read them, settle them, take() them
 *		finish() and send what it leaves
 *
 * IDENTIFICATION
 *	  src/call/keep_labels.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "api/association_type.h"
#include "api/error.h"
#include "call/keep_labels.h"

/* A record on the from side of some of the units. */
typedef struct Record
{
	HubspotUnit unit;			/* must be first */
	HubspotPage page;			/* the unit's */
	char	   *after;			/* our copies of the places in the page, or
								 * NULL */
	char	   *mark;
	int			nwanted;		/* units that are not found yet */
	bool		may_go_on;		/* the last pair of the page is one of them,
								 * and may have more types on the next page */
	const HubspotError *error;	/* the error of the units, if reading failed */
} Record;

struct HubspotKeep
{
	HubspotPairs *pairs;		/* the records, as pairs without a to_id */
	HubspotUnit **units;
	Record	  **record_of;		/* the record of each unit */
	int			nunits;
	Record	  **records;
	int			nrecords;
	HubspotUnit **unread;		/* records that are to be read, with room for
								 * all */
};

static Record *find_record(HubspotKeep *keep, HubspotSlice from_id);
static void keep_place(Record *record);
static void take_page(Record *record, const HubspotPairs *pairs,
					  const void *chunk);
static HubspotUnit *find_unit(const HubspotPairs *pairs, const void *chunk,
							  const HubspotInput *key);
static void add_type(HubspotUnit *unit, const HubspotAssociationType *type);
static const HubspotError *make_error(const HubspotError *error);

/* Begin to read labels for the units of one chunk, in the current memory context. */
HubspotKeep *
hubspot_keep_create(HubspotUnit **units, int nunits)
{
	HubspotKeep *keep = palloc0(sizeof(HubspotKeep));

	keep->pairs = hubspot_pairs_create(CurrentMemoryContext);
	keep->units = units;
	keep->nunits = nunits;
	keep->record_of = palloc(sizeof(Record *) * nunits);
	keep->records = palloc(sizeof(Record *) * nunits);
	keep->unread = palloc(sizeof(HubspotUnit *) * nunits);
	for (int i = 0; i < nunits; i++)
	{
		keep->record_of[i] = find_record(keep, units[i]->input.from_id);
		keep->record_of[i]->nwanted++;
	}
	return keep;
}

/* The record of that id, a new one if there is none. */
static Record *
find_record(HubspotKeep *keep, HubspotSlice from_id)
{
	HubspotInput key = {.from_id = from_id,.to_id = {"", 0}};
	uint32		hash = hubspot_pair_hash(&key);
	Record	   *record = (Record *) hubspot_pairs_chain(keep->pairs, &key, hash);

	if (record == NULL)
	{
		record = palloc0(sizeof(Record));
		record->unit.input = key;
		record->unit.hash = hash;
		record->unit.page = &record->page;
		hubspot_pairs_add(keep->pairs, &record->unit);
		keep->records[keep->nrecords++] = record;
	}
	return record;
}

/* The records by their ids, to match replies with. */
HubspotPairs *
hubspot_keep_pairs(const HubspotKeep *keep)
{
	return keep->pairs;
}

/*
 * The records of which a page is to be read, until this is asked again; none:
 * all is read.
 */
HubspotUnit **
hubspot_keep_unread(HubspotKeep *keep, int *nrecords)
{
	*nrecords = 0;
	for (int i = 0; i < keep->nrecords; i++)
	{
		if (!hubspot_unit_is_settled(&keep->records[i]->unit))
			keep->unread[(*nrecords)++] = &keep->records[i]->unit;
	}
	return keep->unread;
}

/*
 * Take what was read of those records that are settled.  pairs has the units of the whole
 * batch; only those of our chunk get the types.
 */
void
hubspot_keep_take(HubspotKeep *keep, HubspotUnit **records, int nrecords,
				  const HubspotPairs *pairs)
{
	const HubspotError *last = NULL;
	const HubspotError *last_made = NULL;

	for (int i = 0; i < nrecords; i++)
	{
		Record	   *record = (Record *) records[i];

		if (!hubspot_unit_is_settled(&record->unit))
			continue;
		if (record->unit.error)
		{
			/* one error may be about all of them */
			if (record->unit.error != last)
				last_made = make_error(record->unit.error);
			last = record->unit.error;
			record->unit.error = record->error = last_made;
			continue;
		}
		take_page(record, pairs, keep->units[0]->chunk);
		if (record->page.after.data && (record->nwanted > 0 || record->may_go_on))
		{
			keep_place(record);
			record->unit.confirmed = false;
		}
		if (record->page.associations)
			pfree(unconstify(HubspotAssociation *, record->page.associations));
		record->page.associations = NULL;
		record->page.nassociations = 0;
	}
}

/* Copy the place of the next page, since the reply that it is in will be gone. */
static void
keep_place(Record *record)
{
	HubspotPage *page = &record->page;
	bool		marked = (page->mark.data == page->after.data);
	char	   *copy = pnstrdup(page->after.data, page->after.len);

	if (record->after && record->after != record->mark)
		pfree(record->after);
	page->after.data = record->after = copy;
	if (!marked)
		return;
	if (record->mark)
		pfree(record->mark);
	page->mark.data = record->mark = copy;
}

static void
take_page(Record *record, const HubspotPairs *pairs, const void *chunk)
{
	HubspotInput key = {.from_id = record->unit.input.from_id};
	HubspotUnit *unit = NULL;

	record->may_go_on = false;
	for (int i = 0; i < record->page.nassociations; i++)
	{
		const HubspotAssociation *association = &record->page.associations[i];

		CHECK_FOR_INTERRUPTS();
		if (i == 0 || !hubspot_same_id(association->to_id, key.to_id))
		{
			key.to_id = association->to_id;
			unit = find_unit(pairs, chunk, &key);
			record->may_go_on |= (unit && hubspot_same_id(key.to_id, record->page.last_id));
			if (unit && !unit->labels_known)
			{
				/*
				 * a pair may come again on a later page, if another is put
				 * before it
				 */
				unit->labels_known = true;
				record->nwanted--;
			}
		}
		if (unit && association->type && association->type->category &&
			strcmp(association->type->category, HUBSPOT_REPLACED_CATEGORY) == 0)
			add_type(unit, association->type);
	}
}

/* The unit of a pair in our chunk, or NULL. */
static HubspotUnit *
find_unit(const HubspotPairs *pairs, const void *chunk, const HubspotInput *key)
{
	HubspotUnit *unit = hubspot_pairs_chain(pairs, key, hubspot_pair_hash(key));

	while (unit && !(unit->chunk == chunk && hubspot_same_pair(&unit->input, key)))
		unit = unit->older;
	return unit;
}

/* Add a type to those that a unit asks for. */
static void
add_type(HubspotUnit *unit, const HubspotAssociationType *type)
{
	HubspotTypeList one = {.ntypes = 1};
	HubspotTypeList *list;

	if (hubspot_has_type(unit->input.types, type) || unit->error)
		return;
	if (unit->input.types->ntypes == HUBSPOT_MAX_TYPES)
	{
		unit->error = hubspot_make_error(HUBSPOT_VERDICT_INVALID,
										 ERRCODE_INVALID_PARAMETER_VALUE,
										 psprintf("with the labels that it has, the pair has more than %d types",
												  HUBSPOT_MAX_TYPES));
		return;
	}
	list = palloc(offsetof(HubspotTypeList, types) + sizeof(HubspotAssociationType));
	*list = one;
	list->types[0] = *type;
	unit->input.types = hubspot_merge_types(unit->input.types, list);
	pfree(list);
}

/*
 * All is read: settle the units whose record could not be read.  Returns the others, which
 * are to be sent.
 */
HubspotUnit **
hubspot_keep_finish(HubspotKeep *keep, int *nunits)
{
	const HubspotError *last = NULL;
	const HubspotError *last_made = NULL;

	*nunits = 0;

	/* records that were settled by the answers about others */
	for (int i = 0; i < keep->nrecords; i++)
	{
		Record	   *record = keep->records[i];

		if (record->unit.error == NULL || record->error)
			continue;
		if (record->unit.error != last)
			last_made = make_error(record->unit.error);
		last = record->unit.error;
		record->error = last_made;
	}
	for (int i = 0; i < keep->nunits; i++)
	{
		HubspotUnit *unit = keep->units[i];

		if (unit->error == NULL && keep->record_of[i]->error)
		{
			unit->error = keep->record_of[i]->error;
			unit->http_status = unit->error->http_status;
			unit->correlation_id = unit->error->correlation_id;
		}
		if (unit->error == NULL)
			keep->units[(*nunits)++] = unit;
	}
	return keep->units;
}

/* The error of units that are not sent because one of their records failed. */
static const HubspotError *
make_error(const HubspotError *error)
{
	if (hubspot_is_not_sent(error->verdict))
		return hubspot_copy_error(error);
	return hubspot_error_before(error, "could not read the labels that the pair has");
}
