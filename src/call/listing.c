/*-------------------------------------------------------------------------
 *
 * listing.c
 *	  The records of an object type, page after page.
 *
 * A listing goes through an account whose records are not known: HubSpot lists them, a hundred
 * in a page, and says with each page where the next one begins.  So one request follows
 * another, and none is sent before its records are wanted:
 *
 *		page on its way --> its records are given --> the next page is wanted --> ...
 *
 * The calls are those of a batch, which reads what the records have meanwhile, so that a wait
 * for the one is a wait for the other as well, and a page that fails is asked for again by the
 * rules that all calls have, from where the last one ended.
 *
 * HubSpot could show associations beside the records.  But it shows a part of them, with
 * names in place of types, and passes over an object type that it does not know.  So ids are
 * listed, and associations read, a thousand records at a time.
 *
 * While records are made or deleted, pages may shift, and a record be on two of them.  It is
 * given once: the ids of the last pages are remembered, of as many records as a bounded memory
 * holds.  (What a shift leaves out, nobody can know.)
 *
 * What cannot be a list, ends without an end, or leads back to where it has been, is a
 * failure: records that are not listed would be missing, and nobody could tell.
 *
 * If the object type has a property, its value is the record's name.  It is kept until
 * the last outcome of the record.  HubSpot does not say that there is no such property,
 * so if no record of the first page has a value, the type's properties are asked for.
 *
 * IDENTIFICATION
 *	  src/call/listing.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "api/endpoint.h"
#include "api/error.h"
#include "api/record.h"
#include "base/text_hash.h"
#include "call/listing.h"
#include "call/perform.h"
#include "json/text.h"

/* The longest place of a page that is taken for one. */
#define MAX_AFTER_LEN	1000

/* After this many pages in a row without a new record, the list is taken to have no end. */
#define MAX_EMPTY_PAGES	100

/* While the names that are kept take this many bytes, no page is wanted. */
#define MAX_NAMES_SIZE	((Size) 8 * 1024 * 1024)

/* The ids of at least this many records are remembered, and of at most twice as many. */
#define REMEMBERED_RECORDS	10000

/* Room for the records of a page, at first. */
#define FIRST_RECORDS	100

/* A record of the page. */
typedef struct Listed
{
	HubspotSlice id;			/* in the reply */
	char	   *name;			/* in page_context; or NULL */
} Listed;

/* The name of a record whose outcomes are to come. */
typedef struct ListedName
{
	int64		no;				/* the hash key */
	char	   *text;			/* or NULL: it has none */
} ListedName;

/* A record that was given. */
typedef struct GivenEntry
{
	HubspotSlice id;
	uint32		hash;
	char		status;
} GivenEntry;

#define SH_PREFIX		given
#define SH_ELEMENT_TYPE	GivenEntry
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

struct HubspotListing
{
	MemoryContext context;
	const HubspotClient *client;
	HubspotCalls *calls;
	HubspotObjectType type;		/* it shows the property of the type that was
								 * given */
	int64		npages;
	int64		ngiven;			/* records that were given */
	bool		on_its_way;		/* a page has been asked for */
	const HubspotError *error;	/* or NULL */

	/* the page */
	MemoryContext page_context; /* of all that it has */
	HubspotCall call;
	HubspotCall check;			/* is there such a property? */
	Listed	   *records;
	int			nrecords;
	int			maxrecords;
	int			next;			/* the record to be given next */
	bool		has_errors;		/* the page has errors beside its records */
	char	   *after;			/* where the next page begins; NULL: there is
								 * none */

	/* to detect a cycle */
	char	   *mark;			/* where a page began before */
	char	   *marked_id;		/* a record of that page */
	int			nempty;			/* pages without a new record, up to this one */

	/* the last records, and, once these are many, those before them */
	given_hash *given[2];
	MemoryContext given_context[2];

	/* names */
	HTAB	   *names;			/* ListedName by number; NULL: records have
								 * none */
	Size		names_size;
	char	   *last_name;		/* of the outcome before, or NULL */
};

static void start_page(HubspotListing *listing);
static void start_call(HubspotListing *listing, HubspotCall *call, HubspotOperation operation,
					   void (*take) (HubspotCall *call));
static void take_page(HubspotCall *call);
static bool has_names(const HubspotListing *listing);
static void take_check(HubspotCall *call);
static const HubspotError *read_page(HubspotListing *listing);
static bool is_new(HubspotListing *listing, HubspotSlice id);
static void take_record(void *state, const HubspotRecord *record);
static void take_name(void *state, HubspotValueKind kind, HubspotSlice value);
static void take_error(void *state, HubspotError *error);
static const char *take_place(HubspotListing *listing, HubspotSlice after);
static const char *page_problem(const HubspotListing *listing, HubspotSlice after);
static void keep_mark(HubspotListing *listing);
static void keep_name(HubspotListing *listing, int64 no, char *name);

/*
 * Begin in a memory context, whose deletion ends it; the client and the calls have to live as
 * long.  Records have names if the type has a property.
 */
HubspotListing *
hubspot_listing_create(MemoryContext context, const HubspotClient *client,
					   HubspotCalls *calls, const HubspotObjectType *type)
{
	HubspotListing *listing = MemoryContextAllocZero(context, sizeof(HubspotListing));

	listing->context = context;
	listing->client = client;
	listing->calls = calls;
	listing->type.name = MemoryContextStrdup(context, type->name);
	listing->page_context = AllocSetContextCreate(context, "hubspot_assoc listing page",
												  ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < 2; i++)
	{
		listing->given_context[i] = AllocSetContextCreate(context, "hubspot_assoc listed ids",
														  ALLOCSET_DEFAULT_SIZES);
		listing->given[i] = given_create(listing->given_context[i], FIRST_RECORDS, NULL);
	}
	if (type->property)
	{
		HASHCTL		hash = {.keysize = sizeof(int64),.entrysize = sizeof(ListedName),.hcxt = context};

		listing->type.shows = MemoryContextStrdup(context, type->property);
		listing->names = hash_create("hubspot_assoc listing names", FIRST_RECORDS, &hash,
									 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	return listing;
}

/*
 * The next record, as an input with its number and id, which are valid until the one after
 * it.  If a page is needed, it is asked for, and comes with the calls.
 */
HubspotListed
hubspot_listing_next(HubspotListing *listing, HubspotInput *input)
{
	Listed	   *record;

	if (listing->error)
		return HUBSPOT_LISTED_FAILED;
	if (listing->on_its_way)
		return HUBSPOT_LISTED_LATER;
	if (listing->next == listing->nrecords)
	{
		if (!hubspot_listing_wants_page(listing))
			return HUBSPOT_LISTED_ALL;
		start_page(listing);
		return HUBSPOT_LISTED_LATER;
	}
	record = &listing->records[listing->next++];
	memset(input, 0, sizeof(*input));
	input->no = ++listing->ngiven;
	input->from_id = record->id;
	input->to_id.data = "";
	if (listing->names)
		keep_name(listing, input->no, record->name);
	return HUBSPOT_LISTED_RECORD;
}

/* Does the next record take another request? */
bool
hubspot_listing_wants_page(const HubspotListing *listing)
{
	return !listing->on_its_way && listing->error == NULL &&
		listing->next == listing->nrecords && (listing->npages == 0 || listing->after);
}

/* Should some records have their last outcome before another page is wanted? */
bool
hubspot_listing_is_full(const HubspotListing *listing)
{
	return listing->names_size > MAX_NAMES_SIZE;
}

/* The object type, as it stands in a path. */
const char *
hubspot_listing_type(const HubspotListing *listing)
{
	return listing->type.name;
}

/* How many pages have come. */
int64
hubspot_listing_pages(const HubspotListing *listing)
{
	return listing->npages;
}

/* How many records were given. */
int64
hubspot_listing_given(const HubspotListing *listing)
{
	return listing->ngiven;
}

/* Why what follows cannot be read. */
const HubspotError *
hubspot_listing_error(const HubspotListing *listing)
{
	return listing->error;
}

/* Ask for the next page, in place of the last one. */
static void
start_page(HubspotListing *listing)
{
	hubspot_call_free(&listing->call);
	hubspot_call_free(&listing->check);
	MemoryContextReset(listing->page_context);
	listing->records = NULL;
	listing->nrecords = listing->maxrecords = listing->next = 0;
	start_call(listing, &listing->call, HUBSPOT_RECORDS_LIST, take_page);
}

static void
start_call(HubspotListing *listing, HubspotCall *call, HubspotOperation operation,
		   void (*take) (HubspotCall *call))
{
	const HubspotEndpoint *endpoint = hubspot_endpoint(operation);
	const char *arguments[] = {listing->type.name, hubspot_listed_property(&listing->type)};
	MemoryContext old = MemoryContextSwitchTo(listing->page_context);
	StringInfoData path;

	initStringInfo(&path);
	hubspot_append_path(&path, endpoint, listing->client->options->api_version, arguments);
	if (listing->after && operation == HUBSPOT_RECORDS_LIST)
		hubspot_append_cursor(&path, listing->after);
	memset(call, 0, sizeof(*call));
	call->method = endpoint->method;
	call->operation = hubspot_endpoint_operation(endpoint);
	call->path = path.data;
	call->repeatable = endpoint->repeatable;
	call->max_reply = hubspot_max_reply(endpoint, 0);
	call->owner = listing;
	call->take = take;
	listing->on_its_way = true;
	hubspot_calls_start(listing->calls, call);
	MemoryContextSwitchTo(old);
}

/* A page has come, or could not be sent for. */
static void
take_page(HubspotCall *call)
{
	HubspotListing *listing = call->owner;
	MemoryContext old = MemoryContextSwitchTo(listing->page_context);
	const HubspotError *error;

	listing->on_its_way = false;
	if (call->reply == NULL && call->error == NULL)
		error = hubspot_error_after(hubspot_call_unsent(listing->calls, call));
	else
		error = hubspot_call_error(call);
	if (error == NULL)
		error = read_page(listing);
	MemoryContextSwitchTo(listing->context);
	if (error)
		listing->error = hubspot_copy_error(error);
	MemoryContextSwitchTo(old);
	if (error == NULL && listing->names && listing->npages == 1 && listing->nrecords > 0 &&
		!has_names(listing))
		start_call(listing, &listing->check, HUBSPOT_PROPERTIES_LIST, take_check);
}

/* Does any record of the page have a name? */
static bool
has_names(const HubspotListing *listing)
{
	for (int i = 0; i < listing->nrecords; i++)
	{
		if (listing->records[i].name)
			return true;
	}
	return false;
}

/*
 * The properties have come: is ours among them?  If they could not be read, for which a token
 * may lack the scope, the records count as records without names.
 */
static void
take_check(HubspotCall *call)
{
	HubspotListing *listing = call->owner;
	MemoryContext old = MemoryContextSwitchTo(listing->page_context);
	List	   *names = NIL;

	listing->on_its_way = false;
	if (call->reply && hubspot_reply_is_success(call->reply) &&
		hubspot_read_property_names(call->reply, &names))
	{
		char	   *problem;

		MemoryContextSwitchTo(listing->context);
		problem = hubspot_property_problem(names, listing->type.shows);
		if (problem)
			listing->error = hubspot_make_error(HUBSPOT_VERDICT_INVALID,
												ERRCODE_INVALID_PARAMETER_VALUE, problem);
	}
	MemoryContextSwitchTo(old);
}

/* Read a page.  Returns what is wrong with it, or NULL. */
static const HubspotError *
read_page(HubspotListing *listing)
{
	HubspotRecordsReply reply;
	HubspotRecordSink sink = {
		.state = listing,.type = listing->names ? &listing->type : NULL,
		.record = take_record,.error = take_error
	};
	const char *problem;

	if (!hubspot_read_records(listing->call.reply, &sink, &reply) || !reply.whole ||
		listing->has_errors)
		problem = "the answer is not a list of records";
	else if (reply.has_more && reply.after.data == NULL)
		problem = "the answer does not say where the next page is";
	else
		problem = take_place(listing, reply.after);
	return problem ? hubspot_unconfirmed(listing->call.reply, problem) : NULL;
}

/* Was a record not on one of the last pages, nor on this one?  It is remembered. */
static bool
is_new(HubspotListing *listing, HubspotSlice id)
{
	GivenEntry *entry;
	bool		found;

	if (given_lookup(listing->given[0], id) || given_lookup(listing->given[1], id))
		return false;
	if (listing->given[0]->members >= REMEMBERED_RECORDS)
	{
		MemoryContext oldest = listing->given_context[1];

		MemoryContextReset(oldest);
		listing->given_context[1] = listing->given_context[0];
		listing->given[1] = listing->given[0];
		listing->given_context[0] = oldest;
		listing->given[0] = given_create(oldest, REMEMBERED_RECORDS, NULL);
	}
	entry = given_insert(listing->given[0], id, &found);

	/* the reply will be gone */
	entry->id.data = memcpy(MemoryContextAlloc(listing->given_context[0], id.len),
							id.data, id.len);
	return true;
}

/* Take a record of the page, unless it was on one before. */
static void
take_record(void *state, const HubspotRecord *record)
{
	HubspotListing *listing = state;
	Listed	   *listed;

	CHECK_FOR_INTERRUPTS();
	if (!is_new(listing, record->id))
		return;
	if (listing->nrecords == listing->maxrecords)
	{
		listing->maxrecords = Max(FIRST_RECORDS, 2 * listing->maxrecords);
		listing->records = listing->records ?
			repalloc(listing->records, sizeof(Listed) * listing->maxrecords) :
			palloc(sizeof(Listed) * listing->maxrecords);
	}
	listed = &listing->records[listing->nrecords++];
	listed->id = record->id;
	listed->name = NULL;
	if (listing->names)
		hubspot_record_values(record, listed, take_name);
}

static void
take_name(void *state, HubspotValueKind kind, HubspotSlice value)
{
	((Listed *) state)->name = hubspot_text_from_utf8(value.data, value.len);
}

/* A list with errors beside its records is not all of it. */
static void
take_error(void *state, HubspotError *error)
{
	((HubspotListing *) state)->has_errors = true;
}

/*
 * Take the place of the next page; no data: there is none.  Returns what is wrong with it,
 * or NULL.
 */
static const char *
take_place(HubspotListing *listing, HubspotSlice after)
{
	const char *problem;

	listing->nempty = listing->nrecords > 0 ? 0 : listing->nempty + 1;
	problem = page_problem(listing, after);
	if (listing->after)
		pfree(listing->after);
	listing->after = NULL;
	listing->npages++;
	if (after.data == NULL || problem)
		return problem;
	listing->after = MemoryContextAlloc(listing->context, after.len + 1);
	memcpy(listing->after, after.data, after.len);
	listing->after[after.len] = '\0';
	keep_mark(listing);
	return NULL;
}

/* Would the next page be one that was there before, or will there always be one? */
static const char *
page_problem(const HubspotListing *listing, HubspotSlice after)
{
	if (after.data && listing->nempty >= MAX_EMPTY_PAGES)
		return "there are pages without further records, and no end of them";
	if (after.len > MAX_AFTER_LEN)
		return "the paging cursor is too long";
	if (after.data && listing->mark && (int) strlen(listing->mark) == after.len &&
		memcmp(listing->mark, after.data, after.len) == 0)
		return "the paging cursor repeats";
	for (int i = 0; i < listing->nrecords && listing->marked_id; i++)
	{
		HubspotSlice marked = {listing->marked_id, strlen(listing->marked_id)};

		if (hubspot_same_id(listing->records[i].id, marked))
			return psprintf("record %s is listed twice", listing->marked_id);
	}
	return NULL;
}

/*
 * To detect a cycle of any length, the place of a page is remembered, with a record of the
 * page before, until twice as many pages have been read, and compared with that of each page
 * that follows.
 */
static void
keep_mark(HubspotListing *listing)
{
	if ((listing->npages & (listing->npages - 1)) != 0)
		return;
	if (listing->mark)
		pfree(listing->mark);
	listing->mark = MemoryContextStrdup(listing->context, listing->after);
	if (listing->nrecords == 0)
		return;
	if (listing->marked_id)
		pfree(listing->marked_id);
	listing->marked_id = MemoryContextAllocZero(listing->context,
												listing->records[0].id.len + 1);
	memcpy(listing->marked_id, listing->records[0].id.data, listing->records[0].id.len);
}

static void
keep_name(HubspotListing *listing, int64 no, char *name)
{
	ListedName *kept = hash_search(listing->names, &no, HASH_ENTER, NULL);

	kept->text = name ? MemoryContextStrdup(listing->context, name) : NULL;
	listing->names_size += sizeof(ListedName) + (name ? strlen(name) + 1 : 0);
}

/*
 * Do records have names?  Then hubspot_listing_name() has to get all of their outcomes, with
 * their ends.
 */
bool
hubspot_listing_has_names(const HubspotListing *listing)
{
	return listing->names != NULL;
}

/*
 * Give an outcome the name of its record, and the record's id beside it.  The name is valid
 * until the next outcome.
 */
void
hubspot_listing_name(HubspotListing *listing, HubspotOutcome *outcome)
{
	ListedName *name = hash_search(listing->names, &outcome->input_no, HASH_FIND, NULL);

	if (listing->last_name)
		pfree(listing->last_name);
	listing->last_name = NULL;
	outcome->from_record = outcome->from_id;
	outcome->from_id.data = name->text;
	outcome->from_id.len = name->text ? strlen(name->text) : 0;
	if (name->text == NULL)
		outcome->kind = 0;
	if (outcome->association)
		return;

	/* the last one of its record */
	listing->last_name = name->text;
	listing->names_size -= sizeof(ListedName) + (name->text ? strlen(name->text) + 1 : 0);
	(void) hash_search(listing->names, &outcome->input_no, HASH_REMOVE, NULL);
}
