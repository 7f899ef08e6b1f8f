/*-------------------------------------------------------------------------
 *
 * key_match.c
 *	  What an answer says of keys that HubSpot was asked for.
 *
 * A record in the answer is that of a key if it has the key as a value: of the property,
 * or as a further e-mail.  Its place in the answer does not count, nor does it count that
 * it is the only record there, unless one record was asked for by its id.
 *
 * A key that no record has is missing only if the answer says so: in an error that
 * names it, or by being the whole answer to a search, or to that one key.  What the
 * answer leaves out is to be asked for again.
 *
 * IDENTIFICATION
 *	  src/call/key_match.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"

#include "api/error.h"
#include "api/error_names.h"
#include "api/record.h"
#include "call/key_match.h"
#include "json/text.h"

#define FIRST_HITS	64

/* A record that has a value which was asked for. */
typedef struct Hit
{
	HubspotKey *key;
	HubspotSlice id;
	bool		near;			/* it differs in case alone, where case counts */
	const char *shown;			/* what the record is to be shown by, or NULL */
} Hit;

/* A key by its text without regard to case. */
typedef struct FoldedKey
{
	HubspotKey *key;
	HubspotSlice text;
	int			nrecords;		/* records that have it in another case */
} FoldedKey;

/* An answer while it is read. */
typedef struct Reading
{
	const HubspotKeyQuestion *question;
	const HubspotHttpReply *reply;
	Hit		   *hits;
	int			nhits;
	int			maxhits;
	int			first_hit;		/* of the record that is being read */
	FoldedKey  *folded;			/* sorted; NULL: not made yet */
	int			nrecords;		/* that were read */
	HubspotSlice record_id;		/* of the record that is being read */
	bool		matched;		/* it has a value that was asked for */
	const char *shown;			/* what it is to be shown by, or NULL */
	List	   *strangers;		/* HubspotSlice *: ids of records that have no
								 * such value */
	List	   *missing;		/* HubspotKey *: missing, as an error says */
	List	   *failures;		/* of KeyError: failed for other reasons */
	bool		unnamed;		/* something is missing, and no error says
								 * what */
	const HubspotError *refusal;	/* an error that names no key, or NULL */
	HubspotError *error;		/* the error whose names are being read */
} Reading;

typedef struct KeyError
{
	HubspotKey *key;
	const HubspotError *error;
} KeyError;

static void take_record(void *state, const HubspotRecord *record);
static void take_value(void *state, HubspotValueKind kind, HubspotSlice value);
static void take_near(Reading *reading, HubspotSlice value, const HubspotKey *exact);
static void fold_keys(Reading *reading);
static int	compare_folded(const void *a, const void *b);
static void add_hit(Reading *reading, HubspotKey *key, bool near);
static void take_error(void *state, HubspotError *error);
static void *take_name(void *state, HubspotSlice id);
static void ignore_named(void *state, void *id, const char *object_type);
static HubspotAssociationType *ignore_type(void *state, HubspotSlice category,
										   int32 type_id);
static const char *ignore_object_type(void *state, HubspotSlice object_type);
static void ignore_context(void *state, const HubspotNames *names);
static inline int compare_hits(const Hit *left, const Hit *right);
static void settle_hits(Reading *reading, bool near, bool has_more);
static void settle_key(Reading *reading, const Hit *hits, int nhits, bool has_more);
static void set_found(HubspotKeys *keys, const Hit *hit);
static void settle_errors(Reading *reading);
static void settle_missing(Reading *reading, const HubspotRecordsReply *records);
static void settle_alone(Reading *reading, const HubspotRecordsReply *records);

#define ST_SORT			sort_hits
#define ST_ELEMENT_TYPE	Hit
#define ST_COMPARE(a, b)	compare_hits(a, b)
#define ST_SCOPE		static
#define ST_DECLARE
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * Settle the keys that a successful reply decides.  Returns how many are left to be asked
 * for again; these then come first.  A key that was asked for alone is settled in any
 * case.  -1: it is not a list of records, and all keys have failed.
 */
int
hubspot_match_keys(const HubspotKeyQuestion *question, const HubspotHttpReply *reply)
{
	Reading		reading = {.question = question,.reply = reply};
	HubspotRecordSink sink = {&reading, hubspot_keys_type(question->keys), take_record, take_error};
	HubspotRecordsReply records;
	int			nleft = 0;

	hubspot_keys_expect_found(question->keys, question->asked, question->nasked);
	if (!hubspot_read_records(reply, &sink, &records))
	{
		hubspot_key_set_failed(question->keys, question->asked, question->nasked,
							   hubspot_unconfirmed(reply, "the answer is not a list of records"));
		return -1;
	}
	records.whole &= (reading.refusal == NULL);
	records.has_more |= (records.total > reading.nrecords);
	if (reading.nhits > 1)
		sort_hits(reading.hits, reading.nhits);
	settle_hits(&reading, false, records.has_more);
	settle_errors(&reading);
	settle_hits(&reading, true, records.has_more);
	settle_missing(&reading, &records);
	if (question->nasked == 1 && question->asked[0]->state == HUBSPOT_KEY_ASKED)
		settle_alone(&reading, &records);
	for (int i = 0; i < question->nasked; i++)
	{
		HubspotKey *key = question->asked[i];

		if (key->state != HUBSPOT_KEY_ASKED)
			continue;
		question->asked[i] = question->asked[nleft];
		question->asked[nleft++] = key;
	}
	return nleft;
}

static void
take_record(void *state, const HubspotRecord *record)
{
	Reading    *reading = state;

	CHECK_FOR_INTERRUPTS();
	reading->nrecords++;
	reading->record_id = record->id;
	reading->matched = false;
	reading->shown = NULL;
	reading->first_hit = reading->nhits;
	if (record->type->property == NULL)
		take_value(reading, HUBSPOT_VALUE_PROPERTY, record->id);
	hubspot_record_values(record, reading, take_value);
	for (int i = reading->first_hit; i < reading->nhits; i++)
		reading->hits[i].shown = reading->shown;
	if (!reading->matched && list_length(reading->strangers) < HUBSPOT_MAX_CANDIDATES)
	{
		HubspotSlice *id = palloc(sizeof(HubspotSlice));

		*id = record->id;
		reading->strangers = lappend(reading->strangers, id);
	}
}

/* Take note of a value of the record, if it is a key that was asked for. */
static void
take_value(void *state, HubspotValueKind kind, HubspotSlice value)
{
	Reading    *reading = state;
	const HubspotKeyQuestion *question = reading->question;
	HubspotKey *key;

	CHECK_FOR_INTERRUPTS();
	if (kind == HUBSPOT_VALUE_SHOWN)
	{
		reading->shown = hubspot_text_from_utf8(value.data, value.len);
		return;
	}
	key = hubspot_keys_find(question->keys, value);
	if (key == NULL || key->state != HUBSPOT_KEY_ASKED ||
		key->answer.asker != question->asked)
		key = NULL;
	else
		add_hit(reading, key, false);
	if (!hubspot_keys_type(question->keys)->folds)
		take_near(reading, value, key);
}

/*
 * Take note of a value, if it is a key without regard to case.  If it is a key exactly, it
 * is not near that one.
 */
static void
take_near(Reading *reading, HubspotSlice value, const HubspotKey *exact)
{
	char		buffer[HUBSPOT_NORMAL_SIZE];
	FoldedKey	folded = {.key = NULL};
	FoldedKey  *found;

	value = hubspot_value_normalize(hubspot_keys_type(reading->question->keys), value, NULL);
	if (value.data == NULL)
		return;
	if (reading->folded == NULL)
		fold_keys(reading);
	folded.text.len = hubspot_fold_utf8(value.data, value.len, buffer);
	folded.text.data = buffer;
	found = bsearch(&folded, reading->folded, reading->question->nasked,
					sizeof(FoldedKey), compare_folded);
	if (found == NULL)
		return;

	/* several keys may be the same without regard to case */
	while (found > reading->folded && compare_folded(found - 1, &folded) == 0)
		found--;
	for (; found < reading->folded + reading->question->nasked &&
		 compare_folded(found, &folded) == 0; found++)
	{
		/* many records may be near many keys: note no more than are shown */
		if (found->key != exact && found->nrecords++ <= HUBSPOT_MAX_CANDIDATES)
			add_hit(reading, found->key, true);
	}
}

static void
fold_keys(Reading *reading)
{
	const HubspotKeyQuestion *question = reading->question;

	reading->folded = palloc(sizeof(FoldedKey) * question->nasked);
	for (int i = 0; i < question->nasked; i++)
	{
		HubspotKey *key = question->asked[i];
		char	   *text = palloc(HUBSPOT_FOLDED_SIZE(key->len));

		reading->folded[i].key = key;
		reading->folded[i].nrecords = 0;
		reading->folded[i].text.data = text;
		reading->folded[i].text.len = hubspot_fold_utf8(key->text, key->len, text);
	}
	qsort(reading->folded, question->nasked, sizeof(FoldedKey), compare_folded);
}

static int
compare_folded(const void *a, const void *b)
{
	HubspotSlice left = ((const FoldedKey *) a)->text;
	HubspotSlice right = ((const FoldedKey *) b)->text;

	if (left.len != right.len)
		return left.len < right.len ? -1 : 1;
	return memcmp(left.data, right.data, left.len);
}

static void
add_hit(Reading *reading, HubspotKey *key, bool near)
{
	Hit		   *hit;

	reading->matched = true;

	/* a record may have one value any number of times */
	for (int i = reading->first_hit; i < reading->nhits; i++)
	{
		if (reading->hits[i].key == key && reading->hits[i].near == near)
			return;
	}
	if (reading->nhits == reading->maxhits)
	{
		reading->maxhits = Max(2 * reading->maxhits, FIRST_HITS);
		if (reading->hits == NULL)
			reading->hits = palloc(sizeof(Hit) * reading->maxhits);
		else
			reading->hits = repalloc_huge(reading->hits, sizeof(Hit) * reading->maxhits);
	}
	hit = &reading->hits[reading->nhits++];
	hit->key = key;
	hit->id = reading->record_id;
	hit->near = near;
	hit->shown = NULL;
}

/* Take note of the keys that an error names: they are missing, or refused. */
static void
take_error(void *state, HubspotError *error)
{
	static const HubspotSent sent = {
		.id = take_name,.named = ignore_named,.type = ignore_type,
		.object_type = ignore_object_type
	};
	Reading    *reading = state;
	HubspotSent names = sent;

	CHECK_FOR_INTERRUPTS();
	names.state = reading;
	reading->error = error;
	hubspot_each_context(error, &names, NULL, ignore_context);
	if (hubspot_error_names_ids(error))
		return;
	if (error->not_found)
		reading->unnamed = true;
	else if (reading->refusal == NULL)
		reading->refusal = error;
}

static void *
take_name(void *state, HubspotSlice id)
{
	Reading    *reading = state;
	const HubspotKeyQuestion *question = reading->question;
	HubspotKey *key = hubspot_keys_find(question->keys, id);

	if (key == NULL || key->state != HUBSPOT_KEY_ASKED ||
		key->answer.asker != question->asked)
		return NULL;
	if (reading->error->not_found)
		reading->missing = lappend(reading->missing, key);
	else
	{
		KeyError   *failure = palloc(sizeof(KeyError));

		failure->key = key;
		failure->error = reading->error;
		reading->failures = lappend(reading->failures, failure);
	}
	return key;
}

static void
ignore_named(void *state, void *id, const char *object_type)
{
}

static HubspotAssociationType *
ignore_type(void *state, HubspotSlice category, int32 type_id)
{
	return NULL;
}

static const char *
ignore_object_type(void *state, HubspotSlice object_type)
{
	return "";
}

static void
ignore_context(void *state, const HubspotNames *names)
{
}

/*
 * Settle the keys that some record has; or, if near, those that records have in another
 * case only.  Keys that are settled stay as they are: that HubSpot says a key is missing
 * counts for more than a near match.
 */
static void
settle_hits(Reading *reading, bool near, bool has_more)
{
	int			first = 0;

	while (first < reading->nhits)
	{
		int			next = first + 1;

		while (next < reading->nhits && reading->hits[next].key == reading->hits[first].key)
			next++;
		if (reading->hits[first].near == near &&
			reading->hits[first].key->state == HUBSPOT_KEY_ASKED)
			settle_key(reading, &reading->hits[first], next - first, has_more);
		first = next;
	}
}

/* Order hits by key, exact ones first, and those of one record next to each other. */
static inline int
compare_hits(const Hit *left, const Hit *right)
{
	if (left->key != right->key)
		return left->key < right->key ? -1 : 1;
	if (left->near != right->near)
		return left->near ? 1 : -1;
	if (left->id.len != right->id.len)
		return left->id.len < right->id.len ? -1 : 1;
	return memcmp(left->id.data, right->id.data, left->id.len);
}

/*
 * Settle a key.  If a single record has it, that is the one.  If several have it, or only
 * in another case, people have to choose.  If a search has further pages, one record may
 * not be all.
 */
static void
settle_key(Reading *reading, const Hit *hits, int nhits, bool has_more)
{
	HubspotKeys *keys = reading->question->keys;
	union
	{
		HubspotCandidates candidates;
		char		space[offsetof(HubspotCandidates, ids) +
						  sizeof(HubspotSlice) * HUBSPOT_MAX_CANDIDATES];
	}			room;
	HubspotCandidates *candidates = &room.candidates;

	memset(candidates, 0, offsetof(HubspotCandidates, ids));
	for (int i = 0; i < nhits && hits[i].near == hits[0].near; i++)
	{
		if (i > 0 && hubspot_same_id(hits[i].id, hits[i - 1].id))
			continue;
		candidates->total++;
		if (candidates->nids < HUBSPOT_MAX_CANDIDATES)
			candidates->ids[candidates->nids++] = hits[i].id;
	}
	candidates->more = has_more ||
		(hits[0].near && candidates->total > HUBSPOT_MAX_CANDIDATES);
	candidates->near = hits[0].near;
	if (hits[0].near || candidates->total > 1)
	{
		if (!has_more || candidates->total > 1 || reading->question->nasked == 1)
			hubspot_key_set_candidates(keys, hits[0].key, HUBSPOT_KEY_AMBIGUOUS, candidates);
	}
	else if (!has_more)
		set_found(keys, &hits[0]);
	else if (reading->question->nasked == 1)
		hubspot_key_set_candidates(keys, hits[0].key, HUBSPOT_KEY_AMBIGUOUS, candidates);
}

/* Settle a key with its one record: the id, or what it is to be shown by. */
static void
set_found(HubspotKeys *keys, const Hit *hit)
{
	HubspotSlice shown = {hit->shown, hit->shown ? (int) strlen(hit->shown) : 0};

	hubspot_key_set_found(keys, hit->key,
						  hubspot_keys_type(keys)->shows ? shown : hit->id);
}

/* Settle the keys without a record by what errors say of them. */
static void
settle_errors(Reading *reading)
{
	HubspotKeys *keys = reading->question->keys;
	ListCell   *lc;

	foreach(lc, reading->missing)
	{
		HubspotKey *key = lfirst(lc);

		if (key->state == HUBSPOT_KEY_ASKED)
			hubspot_key_set_candidates(keys, key, HUBSPOT_KEY_MISSING, NULL);
	}
	foreach(lc, reading->failures)
	{
		KeyError   *failure = lfirst(lc);

		if (failure->key->state == HUBSPOT_KEY_ASKED)
			hubspot_key_set_failed(keys, &failure->key, 1, failure->error);
	}
}

/*
 * Settle the keys that a search has not found.  The answer to a search names no keys: if it
 * is whole, those without a record are missing.  What is known of a key that was asked for
 * alone may be more than that: settle_alone() settles it.
 */
static void
settle_missing(Reading *reading, const HubspotRecordsReply *records)
{
	const HubspotKeyQuestion *question = reading->question;

	if (!question->search || question->nasked == 1 || !records->whole || records->has_more)
		return;
	for (int i = 0; i < question->nasked; i++)
	{
		if (question->asked[i]->state == HUBSPOT_KEY_ASKED)
			hubspot_key_set_candidates(question->keys, question->asked[i],
									   HUBSPOT_KEY_NOT_INDEXED, NULL);
	}
}

/*
 * Settle a key that was asked for alone, and that no record has and no error names.  If it
 * is an id, HubSpot has merged that record into the only one in the answer.  Otherwise
 * records in the answer are candidates, which the user is shown.
 */
static void
settle_alone(Reading *reading, const HubspotRecordsReply *records)
{
	const HubspotKeyQuestion *question = reading->question;
	HubspotKey *key = question->asked[0];
	int			nstrangers = list_length(reading->strangers);
	HubspotCandidates *candidates;
	ListCell   *lc;

	if (hubspot_keys_type(question->keys)->property == NULL && nstrangers == 1 &&
		hubspot_keys_type(question->keys)->shows == NULL &&
		records->whole && !records->has_more)
	{
		hubspot_key_set_found(question->keys, key, *(HubspotSlice *) linitial(reading->strangers));
		return;
	}
	if (!(records->whole || reading->unnamed) || records->has_more)
	{
		hubspot_key_set_failed(question->keys, &key, 1, reading->refusal ? reading->refusal :
							   hubspot_unconfirmed(reading->reply,
												   "the answer does not say whether there is such a record"));
		return;
	}
	candidates = palloc0(offsetof(HubspotCandidates, ids) +
						 sizeof(HubspotSlice) * nstrangers);
	foreach(lc, reading->strangers)
		candidates->ids[candidates->nids++] = *(HubspotSlice *) lfirst(lc);
	candidates->total = nstrangers;
	hubspot_key_set_candidates(question->keys, key,
							   question->search ? HUBSPOT_KEY_NOT_INDEXED : HUBSPOT_KEY_MISSING,
							   nstrangers > 0 ? candidates : NULL);
}
