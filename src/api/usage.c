/*-------------------------------------------------------------------------
 *
 * usage.c
 *	  The JSON of replies about the account, its object types, and how much of
 *	  what it may have is used.
 *
 * Each function reads one successful reply; what it gives is palloc'd.  False:
 * the reply is not of that kind, or an item of it lacks something without which
 * it means nothing.  Nothing is left out, since it would be missed elsewhere.
 *
 * IDENTIFICATION
 *	  src/api/usage.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "api/response.h"
#include "api/usage.h"
#include "base/digits.h"
#include "json/json.h"

/* More than any pair of object types can have. */
#define MAX_LABELS		1000

/* The state of a list's callbacks. */
typedef struct ListState
{
	List	   *items;
	bool		unreadable;
} ListState;

/* A reply that is a list of results. */
typedef struct ResultsFields
{
	bool		has_results;
} ResultsFields;

typedef struct AccountFields
{
	HubspotSlice account_id;
	const char *kind;
	const char *time_zone;
} AccountFields;

typedef struct DailyFields
{
	const char *name;
	HubspotSlice most;
	HubspotSlice used;
	const char *resets_at;
	const char *collected_at;
	const char *status;
} DailyFields;

typedef struct LabelsFields
{
	const char *from_id;
	const char *to_id;
	HubspotSlice used;
	HubspotSlice most;
	HubspotSlice labels;
} LabelsFields;

typedef struct RecordFields
{
	const char *id;
	const char *name;
	HubspotSlice used;
} RecordFields;

typedef struct RecordsFields
{
	HubspotSlice most;
	HubspotSlice at_limit;
	HubspotSlice near_limit;
	bool		has_full;
	bool		has_near;
} RecordsFields;

static void daily_item(void *state, const void *item, HubspotSlice raw);
static void object_item(void *state, const void *item, HubspotSlice raw);
static void labels_item(void *state, const void *item, HubspotSlice raw);
static void full_item(void *state, const void *item, HubspotSlice raw);
static void near_item(void *state, const void *item, HubspotSlice raw);
static void odd_item(void *state);
static int	compare_objects(const ListCell *a, const ListCell *b);
static bool is_object_type_id(const char *id);

static const HubspotJsonField account_fields[] = {
	HUBSPOT_JSON_FIELD("portalId", HUBSPOT_JSON_ID, AccountFields, account_id),
	HUBSPOT_JSON_FIELD("accountType", HUBSPOT_JSON_TEXT, AccountFields, kind),
	HUBSPOT_JSON_FIELD("timeZone", HUBSPOT_JSON_TEXT, AccountFields, time_zone)
};
static const HubspotJsonShape account_shape = {
	HUBSPOT_JSON_FIELDS(account_fields)
};

static const HubspotJsonField daily_fields[] = {
	HUBSPOT_JSON_FIELD("name", HUBSPOT_JSON_TEXT, DailyFields, name),
	HUBSPOT_JSON_FIELD("usageLimit", HUBSPOT_JSON_ID, DailyFields, most),
	HUBSPOT_JSON_FIELD("currentUsage", HUBSPOT_JSON_ID, DailyFields, used),
	HUBSPOT_JSON_FIELD("collectedAt", HUBSPOT_JSON_TEXT, DailyFields, collected_at),
	HUBSPOT_JSON_FIELD("resetsAt", HUBSPOT_JSON_TEXT, DailyFields, resets_at),
	HUBSPOT_JSON_FIELD("fetchStatus", HUBSPOT_JSON_TEXT, DailyFields, status)
};
static const HubspotJsonShape daily_shape = {
	HUBSPOT_JSON_FIELDS(daily_fields),.item_size = sizeof(DailyFields),
	.item = daily_item,.odd = odd_item
};
static const HubspotJsonField daily_list_fields[] = {
	HUBSPOT_JSON_LIST_NOTED_IN("results", &daily_shape, ResultsFields, has_results)
};
static const HubspotJsonShape daily_list_shape = {
	HUBSPOT_JSON_FIELDS(daily_list_fields)
};

static const HubspotJsonField object_labels_fields[] = {
	HUBSPOT_JSON_FIELD("plural", HUBSPOT_JSON_TEXT, HubspotCustomObject, label)
};
static const HubspotJsonShape object_labels_shape = {
	HUBSPOT_JSON_FIELDS(object_labels_fields)
};
static const HubspotJsonField object_fields[] = {
	HUBSPOT_JSON_FIELD("objectTypeId", HUBSPOT_JSON_TEXT, HubspotCustomObject, id),
	HUBSPOT_JSON_FIELD("fullyQualifiedName", HUBSPOT_JSON_TEXT, HubspotCustomObject, name),
	HUBSPOT_JSON_NESTED("labels", HUBSPOT_JSON_OBJECT, &object_labels_shape)
};
static const HubspotJsonShape object_shape = {
	HUBSPOT_JSON_FIELDS(object_fields),.item_size = sizeof(HubspotCustomObject),
	.item = object_item,.odd = odd_item
};
static const HubspotJsonField object_list_fields[] = {
	HUBSPOT_JSON_LIST_NOTED_IN("results", &object_shape, ResultsFields, has_results)
};
static const HubspotJsonShape object_list_shape = {
	HUBSPOT_JSON_FIELDS(object_list_fields)
};

static const HubspotJsonField from_type_fields[] = {
	HUBSPOT_JSON_FIELD("objectTypeId", HUBSPOT_JSON_TEXT, LabelsFields, from_id)
};
static const HubspotJsonShape from_type_shape = {
	HUBSPOT_JSON_FIELDS(from_type_fields)
};
static const HubspotJsonField to_type_fields[] = {
	HUBSPOT_JSON_FIELD("objectTypeId", HUBSPOT_JSON_TEXT, LabelsFields, to_id)
};
static const HubspotJsonShape to_type_shape = {
	HUBSPOT_JSON_FIELDS(to_type_fields)
};
static const HubspotJsonField labels_fields[] = {
	HUBSPOT_JSON_NESTED("fromObjectType", HUBSPOT_JSON_OBJECT, &from_type_shape),
	HUBSPOT_JSON_NESTED("toObjectType", HUBSPOT_JSON_OBJECT, &to_type_shape),
	HUBSPOT_JSON_FIELD("limit", HUBSPOT_JSON_ID, LabelsFields, most),
	HUBSPOT_JSON_FIELD("usage", HUBSPOT_JSON_ID, LabelsFields, used),
	HUBSPOT_JSON_FIELD("allLabels", HUBSPOT_JSON_RAW, LabelsFields, labels)
};
static const HubspotJsonShape labels_shape = {
	HUBSPOT_JSON_FIELDS(labels_fields),.item_size = sizeof(LabelsFields),
	.item = labels_item,.odd = odd_item
};
static const HubspotJsonField labels_list_fields[] = {
	HUBSPOT_JSON_LIST_NOTED_IN("results", &labels_shape, ResultsFields, has_results)
};
static const HubspotJsonShape labels_list_shape = {
	HUBSPOT_JSON_FIELDS(labels_list_fields)
};

static const HubspotJsonField record_fields[] = {
	HUBSPOT_JSON_FIELD("objectId", HUBSPOT_JSON_TEXT, RecordFields, id),
	HUBSPOT_JSON_FIELD("label", HUBSPOT_JSON_TEXT, RecordFields, name),
	HUBSPOT_JSON_FIELD("usage", HUBSPOT_JSON_ID, RecordFields, used)
};
static const HubspotJsonShape full_shape = {
	HUBSPOT_JSON_FIELDS(record_fields),.item_size = sizeof(RecordFields),
	.item = full_item,.odd = odd_item
};
static const HubspotJsonShape near_shape = {
	HUBSPOT_JSON_FIELDS(record_fields),.item_size = sizeof(RecordFields),
	.item = near_item,.odd = odd_item
};
static const HubspotJsonField records_fields[] = {
	HUBSPOT_JSON_FIELD("limit", HUBSPOT_JSON_ID, RecordsFields, most),
	HUBSPOT_JSON_FIELD("totalRecordsAtLimit", HUBSPOT_JSON_ID, RecordsFields, at_limit),
	HUBSPOT_JSON_FIELD("totalRecordsNearLimit", HUBSPOT_JSON_ID, RecordsFields, near_limit),
	HUBSPOT_JSON_LIST_NOTED_IN("atLimitFromRecordSamples", &full_shape, RecordsFields, has_full),
	HUBSPOT_JSON_LIST_NOTED_IN("nearLimitFromRecordSamples", &near_shape, RecordsFields, has_near)
};
static const HubspotJsonShape records_shape = {
	HUBSPOT_JSON_FIELDS(records_fields)
};

static bool read_list(const HubspotHttpReply *reply, const HubspotJsonShape *shape,
					  List **items);
static void add_record(ListState *records, const RecordFields *fields, bool at_limit);
static int64 number(HubspotSlice digits);

/* Which account it is. */
bool
hubspot_read_account_details(const HubspotHttpReply *reply,
							 HubspotAccountDetails *details)
{
	AccountFields fields = {0};

	if (!hubspot_json_read(hubspot_reply_body(reply), &account_shape, &fields, NULL))
		return false;
	details->account_id = number(fields.account_id);
	details->kind = fields.kind;
	details->time_zone = fields.time_zone;
	return details->account_id != HUBSPOT_UNTOLD;
}

/* A list of HubspotDailyUsage. */
bool
hubspot_read_daily_usage(const HubspotHttpReply *reply, List **usages)
{
	return read_list(reply, &daily_list_shape, usages);
}

/* A list of HubspotCustomObject, each once. */
bool
hubspot_read_custom_objects(const HubspotHttpReply *reply, List **objects)
{
	const HubspotCustomObject *last = NULL;
	List	   *all;
	List	   *sorted;
	ListCell   *lc;

	*objects = NIL;
	if (!read_list(reply, &object_list_shape, &all))
		return false;
	sorted = list_copy(all);
	list_sort(sorted, compare_objects);
	foreach(lc, sorted)
	{
		HubspotCustomObject *object = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (last && strcmp(last->id, object->id) == 0)
			object->id = NULL;
		else
			last = object;
	}
	list_free(sorted);
	foreach(lc, all)
	{
		if (((const HubspotCustomObject *) lfirst(lc))->id != NULL)
			*objects = lappend(*objects, lfirst(lc));
	}
	return true;
}

/* By their ids; of those with one id, one with a name comes first. */
static int
compare_objects(const ListCell *a, const ListCell *b)
{
	const HubspotCustomObject *x = lfirst(a);
	const HubspotCustomObject *y = lfirst(b);
	int			order = strcmp(x->id, y->id);

	return order != 0 ? order : (x->name == NULL) - (y->name == NULL);
}

/* A list of HubspotLabelUsage. */
bool
hubspot_read_label_usage(const HubspotHttpReply *reply, List **usages)
{
	return read_list(reply, &labels_list_shape, usages);
}

/* How near records are to their limit. */
bool
hubspot_read_record_usage(const HubspotHttpReply *reply, HubspotRecordUsage *usage)
{
	RecordsFields fields = {0};
	ListState	state = {NIL, false};
	bool		read;

	read = hubspot_json_read(hubspot_reply_body(reply), &records_shape, &fields, &state);
	usage->most = number(fields.most);
	usage->at_limit = number(fields.at_limit);
	usage->near_limit = number(fields.near_limit);
	usage->records = state.items;
	return read && fields.has_full && fields.has_near && !state.unreadable &&
		hubspot_list_problem(reply) == NULL;
}

static bool
read_list(const HubspotHttpReply *reply, const HubspotJsonShape *shape, List **items)
{
	ResultsFields fields = {false};
	ListState	state = {NIL, false};
	bool		read;

	read = hubspot_json_read(hubspot_reply_body(reply), shape, &fields, &state);
	*items = state.items;
	return read && fields.has_results && !state.unreadable && hubspot_list_problem(reply) == NULL;
}

static void
daily_item(void *state, const void *item, HubspotSlice raw)
{
	ListState  *usages = state;
	const DailyFields *fields = item;
	HubspotDailyUsage *usage = palloc(sizeof(HubspotDailyUsage));

	usage->name = fields->name;
	usage->most = number(fields->most);
	usage->used = number(fields->used);
	usage->resets_at = fields->resets_at;
	usage->collected_at = fields->collected_at;
	usage->status = fields->status;
	usages->items = lappend(usages->items, usage);
}

static void
object_item(void *state, const void *item, HubspotSlice raw)
{
	ListState  *objects = state;
	HubspotCustomObject *object = palloc(sizeof(HubspotCustomObject));

	*object = *(const HubspotCustomObject *) item;
	if (object->id == NULL || !is_object_type_id(object->id))
		objects->unreadable = true;
	objects->items = lappend(objects->items, object);
}

/* Is it 2-123, for example?  It goes into paths, and into the options of tables. */
static bool
is_object_type_id(const char *id)
{
	size_t		first = strspn(id, "0123456789");
	size_t		second = id[first] == '-' ? strspn(id + first + 1, "0123456789") : 0;

	return first > 0 && second > 0 && id[first + 1 + second] == '\0' &&
		hubspot_id_problem(id, strlen(id)) == NULL;
}

static void
labels_item(void *state, const void *item, HubspotSlice raw)
{
	ListState  *usages = state;
	const LabelsFields *fields = item;
	HubspotLabelUsage *usage = palloc(sizeof(HubspotLabelUsage));

	usage->from_id = fields->from_id;
	usage->to_id = fields->to_id;
	usage->used = number(fields->used);
	usage->most = number(fields->most);
	usage->labels = fields->labels.data ?
		hubspot_json_texts(fields->labels, MAX_LABELS) : NIL;
	if (usage->from_id == NULL || usage->to_id == NULL)
		usages->unreadable = true;
	usages->items = lappend(usages->items, usage);
}

static void
full_item(void *state, const void *item, HubspotSlice raw)
{
	add_record(state, item, true);
}

static void
near_item(void *state, const void *item, HubspotSlice raw)
{
	add_record(state, item, false);
}

static void
add_record(ListState *records, const RecordFields *fields, bool at_limit)
{
	HubspotFullRecord *record = palloc(sizeof(HubspotFullRecord));

	record->id = fields->id;
	record->name = fields->name;
	record->at_limit = at_limit;
	record->used = number(fields->used);
	if (record->id == NULL)
		records->unreadable = true;
	records->items = lappend(records->items, record);
}

static void
odd_item(void *state)
{
	((ListState *) state)->unreadable = true;
}

/* A number of up to 18 digits, or HUBSPOT_UNTOLD. */
static int64
number(HubspotSlice digits)
{
	int64		value = 0;

	if (digits.data == NULL || digits.len == 0 || digits.len > 18 ||
		!hubspot_all_digits(digits.data, digits.len))
		return HUBSPOT_UNTOLD;
	for (int i = 0; i < digits.len; i++)
		value = value * 10 + (digits.data[i] - '0');
	return value;
}
