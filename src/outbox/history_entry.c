/*-------------------------------------------------------------------------
 *
 * history_entry.c
 *	  Puts rows of the outbox that are done into the history.
 *
 * What the history needs of them was read when they were picked: a statement that deletes
 * rows, returns them and groups what it has returned took twice as long as one that deletes
 * them.  So the history tells what was sent, even if somebody has changed the row meanwhile.
 *
 * IDENTIFICATION
 *	  src/outbox/history_entry.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "outbox/history_entry.h"
#include "schema/prepared.h"

/* The most rows that are together in the history: an array of their texts has a bound. */
#define MAX_TOGETHER	2000

enum
{
	ENTRY_SERVER,
	ENTRY_ROLE,
	ENTRY_OPERATION,
	ENTRY_FROM_TYPE,
	ENTRY_TO_TYPE,
	ENTRY_KEEP_LABELS,
	ENTRY_ATTEMPTS,
	ENTRY_KEPT_FOR,
	ENTRY_ENQUEUED_BY,
	ENTRY_APPLICATION_NAME,
	ENTRY_TYPE_IDS,
	ENTRY_CATEGORY,
	ENTRY_LABELS,
	ENTRY_LINK_TABLE,
	ENTRY_FROM_PROPERTY,
	ENTRY_TO_PROPERTY,
	ENTRY_IDS,
	ENTRY_FROM_IDS,
	ENTRY_TO_IDS,
	ENTRY_ENQUEUED_AT,
	ENTRY_FROM_KEYS,
	ENTRY_TO_KEYS
};

static HubspotStatement entry_statement = {
	.text =
	"INSERT INTO %1$s.hs_assoc_history_batch (" HUBSPOT_SQL_ALIKE ","
	"  outcome, settled_at, keep_until,"
	"  enqueued_by, application_name, type_ids, category, labels, link_table,"
	"  from_property, to_property, ids, from_ids, to_ids, enqueued_at, from_keys, to_keys)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, 'confirmed', now(), now() + $8,"
	"  $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)",
	.types = {
		[ENTRY_SERVER] = TEXTOID,
		[ENTRY_ROLE] = REGROLEOID,
		[ENTRY_OPERATION] = TEXTOID,
		[ENTRY_FROM_TYPE] = TEXTOID,
		[ENTRY_TO_TYPE] = TEXTOID,
		[ENTRY_KEEP_LABELS] = BOOLOID,
		[ENTRY_ATTEMPTS] = INT4OID,
		[ENTRY_KEPT_FOR] = INTERVALOID,
		[ENTRY_ENQUEUED_BY] = TEXTOID,
		[ENTRY_APPLICATION_NAME] = TEXTOID,
		[ENTRY_TYPE_IDS] = INT4ARRAYOID,
		[ENTRY_CATEGORY] = TEXTOID,
		[ENTRY_LABELS] = TEXTARRAYOID,
		[ENTRY_LINK_TABLE] = REGCLASSOID,
		[ENTRY_FROM_PROPERTY] = TEXTOID,
		[ENTRY_TO_PROPERTY] = TEXTOID,
		[ENTRY_IDS] = INT8ARRAYOID,
		[ENTRY_FROM_IDS] = TEXTARRAYOID,
		[ENTRY_TO_IDS] = TEXTARRAYOID,
		[ENTRY_ENQUEUED_AT] = TIMESTAMPTZARRAYOID,
		[ENTRY_FROM_KEYS] = TEXTARRAYOID,
		[ENTRY_TO_KEYS] = TEXTARRAYOID
	}
};

/* Texts of rows, of which there is an array */
typedef enum Texts
{
	FROM_IDS,
	TO_IDS,
	FROM_KEYS,
	TO_KEYS
} Texts;

static void put_together(HubspotValues *values, const HubspotClaim *const *claims, int nclaims);
static Datum times_of(const HubspotClaim *const *claims, int nclaims);
static Datum texts_of(const HubspotClaim *const *claims, int nclaims, Texts which);
static HubspotSlice text_of(const HubspotClaim *claim, Texts which);
static void set_array(HubspotValues *values, int parameter, const ArrayType *array);
static int	compare_claims(const void *a, const void *b);
static int	compare_who(const HubspotWho *a, const HubspotWho *b);
static int	compare_texts(const char *a, const char *b);
static int	compare_arrays(const ArrayType *a, const ArrayType *b);

/* Put rows of a lane that are done into the history, as far as it is kept of them. */
void
hubspot_history_put(const HubspotClaimant *claimant, const HubspotLane *lane,
					const HubspotClaim *const *claims, int nclaims)
{
	const HubspotClaim **kept = palloc(sizeof(HubspotClaim *) * nclaims);
	HubspotValues values = {0};
	int			nkept = 0;
	int			together;
	bool		alike = true;

	for (int i = 0; i < nclaims; i++)
	{
		if (claims[i]->historic == NULL)
			continue;
		kept[nkept++] = claims[i];
		alike = alike && compare_claims(&kept[0], &kept[nkept - 1]) == 0;
	}
	if (!alike)
		qsort(kept, nkept, sizeof(HubspotClaim *), compare_claims);
	hubspot_set_text(&values, ENTRY_SERVER, claimant->server);
	hubspot_set_oid(&values, ENTRY_ROLE, claimant->role);
	hubspot_set_text(&values, ENTRY_OPERATION, lane->operation);
	hubspot_set_text(&values, ENTRY_FROM_TYPE, lane->from_type);
	hubspot_set_text(&values, ENTRY_TO_TYPE, lane->to_type);
	hubspot_set_bool(&values, ENTRY_KEEP_LABELS, lane->keep_labels);
	hubspot_set_int32(&values, ENTRY_ATTEMPTS, lane->attempts);
	for (int first = 0; first < nkept; first += together)
	{
		together = 1;
		while (together < MAX_TOGETHER && first + together < nkept &&
			   compare_claims(&kept[first], &kept[first + together]) == 0)
			together++;
		put_together(&values, kept + first, together);
	}
	pfree(kept);
}

/* Put rows that differ in nothing but records and times. */
static void
put_together(HubspotValues *values, const HubspotClaim *const *claims, int nclaims)
{
	const HubspotWho *who = claims[0]->historic->who;

	hubspot_set_datum(values, ENTRY_KEPT_FOR, IntervalPGetDatum(&who->kept_for));
	hubspot_set_text(values, ENTRY_ENQUEUED_BY, who->enqueued_by);
	hubspot_set_text(values, ENTRY_APPLICATION_NAME, who->application_name);
	set_array(values, ENTRY_TYPE_IDS, claims[0]->type_ids);
	hubspot_set_text(values, ENTRY_CATEGORY, claims[0]->category);
	set_array(values, ENTRY_LABELS, claims[0]->labels);
	hubspot_set_oid(values, ENTRY_LINK_TABLE, who->link_table);
	values->given[ENTRY_LINK_TABLE] = OidIsValid(who->link_table);
	hubspot_set_text(values, ENTRY_FROM_PROPERTY, who->from_property);
	hubspot_set_text(values, ENTRY_TO_PROPERTY, who->to_property);
	hubspot_set_datum(values, ENTRY_IDS, hubspot_claim_ids(claims, nclaims));
	hubspot_set_datum(values, ENTRY_FROM_IDS, texts_of(claims, nclaims, FROM_IDS));
	hubspot_set_datum(values, ENTRY_TO_IDS, texts_of(claims, nclaims, TO_IDS));
	hubspot_set_datum(values, ENTRY_ENQUEUED_AT, times_of(claims, nclaims));
	hubspot_set_null(values, ENTRY_FROM_KEYS);
	if (who->from_property)
		hubspot_set_datum(values, ENTRY_FROM_KEYS, texts_of(claims, nclaims, FROM_KEYS));
	hubspot_set_null(values, ENTRY_TO_KEYS);
	if (who->to_property)
		hubspot_set_datum(values, ENTRY_TO_KEYS, texts_of(claims, nclaims, TO_KEYS));
	(void) hubspot_execute(&entry_statement, values);
}

static Datum
times_of(const HubspotClaim *const *claims, int nclaims)
{
	Datum	   *elements = palloc(sizeof(Datum) * nclaims);
	Datum		array;

	for (int i = 0; i < nclaims; i++)
		elements[i] = TimestampTzGetDatum(claims[i]->historic->enqueued_at);
	array = hubspot_array_of(elements, nclaims, TIMESTAMPTZOID);
	pfree(elements);
	return array;
}

/* Texts of claims, as a text[]. */
static Datum
texts_of(const HubspotClaim *const *claims, int nclaims, Texts which)
{
	Datum	   *elements = palloc(sizeof(Datum) * nclaims);
	bool	   *nulls = palloc(sizeof(bool) * nclaims);
	ArrayType  *array;
	int			lower = 1;

	for (int i = 0; i < nclaims; i++)
	{
		HubspotSlice text = text_of(claims[i], which);

		nulls[i] = (text.data == NULL);
		elements[i] = nulls[i] ? (Datum) 0 :
			PointerGetDatum(cstring_to_text_with_len(text.data, text.len));
	}
	array = construct_md_array(elements, nulls, 1, &nclaims, &lower, TEXTOID, -1, false,
							   TYPALIGN_INT);
	return PointerGetDatum(array);
}

static HubspotSlice
text_of(const HubspotClaim *claim, Texts which)
{
	switch (which)
	{
		case FROM_IDS:
			return claim->from_id;
		case TO_IDS:
			return claim->to_id;
		case FROM_KEYS:
			return claim->historic->from_key;
		case TO_KEYS:
			break;
	}
	return claim->historic->to_key;
}

static void
set_array(HubspotValues *values, int parameter, const ArrayType *array)
{
	if (array)
		hubspot_set_datum(values, parameter, PointerGetDatum(array));
	else
		hubspot_set_null(values, parameter);
}

/* Claims that may be together are equal. */
static int
compare_claims(const void *a, const void *b)
{
	const HubspotClaim *one = *(const HubspotClaim *const *) a;
	const HubspotClaim *other = *(const HubspotClaim *const *) b;
	int			result = compare_who(one->historic->who, other->historic->who);

	if (result == 0)
		result = compare_texts(one->category, other->category);
	if (result == 0)
		result = compare_arrays(one->type_ids, other->type_ids);
	if (result == 0)
		result = compare_arrays(one->labels, other->labels);
	return result;
}

static int
compare_who(const HubspotWho *a, const HubspotWho *b)
{
	int			result;

	if (a == b)
		return 0;
	result = memcmp(&a->kept_for, &b->kept_for, sizeof(Interval));
	if (result == 0)
		result = compare_texts(a->enqueued_by, b->enqueued_by);
	if (result == 0)
		result = compare_texts(a->application_name, b->application_name);
	if (result == 0)
		result = compare_texts(a->from_property, b->from_property);
	if (result == 0)
		result = compare_texts(a->to_property, b->to_property);
	if (result == 0)
		result = (a->link_table > b->link_table) - (a->link_table < b->link_table);
	return result;
}

/* Of two texts, NULL comes first. */
static int
compare_texts(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

static int
compare_arrays(const ArrayType *a, const ArrayType *b)
{
	if (a == NULL || b == NULL)
		return (a != NULL) - (b != NULL);
	if (VARSIZE(a) != VARSIZE(b))
		return VARSIZE(a) < VARSIZE(b) ? -1 : 1;
	return memcmp(a, b, VARSIZE(a));
}
