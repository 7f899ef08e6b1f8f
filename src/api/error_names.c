/*-------------------------------------------------------------------------
 *
 * error_names.c
 *	  Which inputs an error names.
 *
 * The context of an error names them in one of many forms: lists under several
 * keys, or a text that looks like these.  An error may hold further errors
 * with contexts of their own.
 *
 * IDENTIFICATION
 *	  src/api/error_names.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "miscadmin.h"

#include "api/error_names.h"
#include "json/json.h"

/* The contexts of an error, its own and those of the errors within it. */
typedef struct ContextFields
{
	HubspotSlice context;
} ContextFields;

static void context_item(void *state, const void *item, HubspotSlice raw);

static const HubspotJsonField inner_context_fields[] = {
	HUBSPOT_JSON_FIELD("context", HUBSPOT_JSON_RAW, ContextFields, context)
};

static const HubspotJsonShape inner_context_shape = {
	HUBSPOT_JSON_FIELDS(inner_context_fields),.item_size = sizeof(ContextFields),
	.item = context_item
};

static const HubspotJsonField context_fields[] = {
	HUBSPOT_JSON_FIELD("context", HUBSPOT_JSON_RAW, ContextFields, context),
	HUBSPOT_JSON_NESTED("errors", HUBSPOT_JSON_LIST, &inner_context_shape)
};

static const HubspotJsonShape context_shape = {
	HUBSPOT_JSON_FIELDS(context_fields)
};

/* What the words of a context mean, in either of its forms. */
typedef enum NameKind
{
	NAME_FROM,
	NAME_TO,
	NAME_ID,
	NAME_TYPED_ID,				/* "CONTACT=383 is not valid" */
	NAME_OBJECT_TYPE,			/* of the ids */
	NAME_TYPE					/* "USER_DEFINED=3" */
} NameKind;

static const struct
{
	const char *key;
	NameKind	kind;
}			context_keys[] = {
	{"fromObjectId", NAME_FROM},
	{"toObjectId", NAME_TO},
	{"objectId", NAME_ID},
	{"ids", NAME_ID},
	{"id", NAME_ID},
	{"INVALID_OBJECT_IDS", NAME_TYPED_ID},
	{"objectType", NAME_OBJECT_TYPE},
	{"associationSpec", NAME_TYPE},
	{"INVALID_ASSOCIATION_TYPE_ID", NAME_TYPE}
};

/* The contexts of an error while they are read. */
typedef struct ContextsState
{
	const HubspotSent *sent;
	void	   *state;
	void		(*context) (void *state, const HubspotNames *names);
} ContextsState;

/* One of these contexts. */
typedef struct ContextState
{
	const HubspotSent *sent;
	HubspotNames names;
	NameKind	kind;			/* of the list that is being read */
	List	   *object_types;	/* of char *, for ids without an object type */
} ContextState;

static void read_context(const ContextsState *contexts, HubspotSlice context);
static void context_member(void *state, HubspotSlice name, HubspotSlice value);
static void context_texts(void *state, HubspotSlice text);
static void context_string(void *state, HubspotSlice text);
static bool find_kind(HubspotSlice key, NameKind *kind);
static void add_name(void *state, HubspotSlice text);
static void *sent_id(const ContextState *state, HubspotSlice id);
static const char *sent_object_type(const ContextState *state, HubspotSlice type);
static void add_typed_id(ContextState *state, HubspotSlice text);
static void add_type(ContextState *state, HubspotSlice text);
static void resolve_object_types(ContextState *state);
static void note_ids(void *state, const HubspotNames *names);
static void *no_id(void *state, HubspotSlice id);
static HubspotAssociationType *no_type(void *state, HubspotSlice category,
									   int32 type_id);
static const char *no_object_type(void *state, HubspotSlice object_type);

/*
 * Give each context that an error holds to context(), valid during the call
 * only.  The answer that the error is from must still be there.
 */
void
hubspot_each_context(const HubspotError *error, const HubspotSent *sent,
					 void *state,
					 void (*context) (void *state, const HubspotNames *names))
{
	ContextsState contexts = {.sent = sent,.state = state,.context = context};
	ContextFields fields = {{0}};

	if (hubspot_json_read(error->answer, &context_shape, &fields, &contexts) &&
		fields.context.data != NULL)
		read_context(&contexts, fields.context);
}

/* Does an error name any id, whether it was sent or not? */
bool
hubspot_error_names_ids(const HubspotError *error)
{
	static const HubspotSent nothing = {
		.id = no_id,.type = no_type,.object_type = no_object_type
	};
	bool		any = false;

	hubspot_each_context(error, &nothing, &any, note_ids);
	return any;
}

static void
note_ids(void *state, const HubspotNames *names)
{
	*(bool *) state |= (names->from_ids || names->to_ids || names->ids);
}

static void *
no_id(void *state, HubspotSlice id)
{
	return NULL;
}

static HubspotAssociationType *
no_type(void *state, HubspotSlice category, int32 type_id)
{
	return NULL;
}

static const char *
no_object_type(void *state, HubspotSlice object_type)
{
	return "";
}

static void
context_item(void *state, const void *item, HubspotSlice raw)
{
	const ContextFields *fields = item;

	if (fields->context.data != NULL)
		read_context(state, fields->context);
}

/* Read a context: an object of lists, or a text such as {key=[a, b]}. */
static void
read_context(const ContextsState *contexts, HubspotSlice context)
{
	ContextState state = {.sent = contexts->sent};

	CHECK_FOR_INTERRUPTS();
	if (context.data[0] == '"')
		hubspot_json_each_text(context, &state, context_string);
	else
		hubspot_json_each_member(context, &state, context_member);
	resolve_object_types(&state);
	contexts->context(contexts->state, &state.names);
	list_free(state.names.from_ids);
	list_free(state.names.to_ids);
	list_free(state.names.ids);
	list_free(state.names.types);
	list_free(state.object_types);
}

/*
 * Give the ids the object types that stand beside them, one for all or one for
 * each.
 */
static void
resolve_object_types(ContextState *state)
{
	int			ntypes = list_length(state->object_types);
	int			n = 0;
	ListCell   *lc;

	foreach(lc, state->names.ids)
	{
		const char *object_type = NULL;

		CHECK_FOR_INTERRUPTS();
		if (ntypes == 1)
			object_type = linitial(state->object_types);
		else if (n < ntypes)
			object_type = list_nth(state->object_types, n);
		n++;
		if (lfirst(lc) != NULL)
			state->sent->named(state->sent->state, lfirst(lc), object_type);
	}
}

static void
context_member(void *state, HubspotSlice name, HubspotSlice value)
{
	if (find_kind(name, &((ContextState *) state)->kind))
		hubspot_json_each_text(value, state, add_name);
}

/* {key=[a, b], key=[c]} */
static void
context_string(void *state, HubspotSlice text)
{
	const char *p = text.data;
	const char *end = text.data + text.len;
	const char *open;

	while ((open = memmem(p, end - p, "=[", 2)) != NULL)
	{
		const char *close = memchr(open, ']', end - open);
		HubspotSlice key;

		if (close == NULL)
			return;
		while (p < open && strchr("{, ", *p) != NULL)
			p++;
		key.data = p;
		key.len = open - p;
		if (find_kind(key, &((ContextState *) state)->kind))
		{
			HubspotSlice list = {open + 2, close - open - 2};

			context_texts(state, list);
		}
		p = close + 1;
	}
}

/* a, b */
static void
context_texts(void *state, HubspotSlice text)
{
	const char *p = text.data;
	const char *end = text.data + text.len;

	while (p < end)
	{
		HubspotSlice value = {p, 0};

		while (p < end && *p != ',' && *p != ' ')
			p++;
		value.len = p - value.data;
		if (value.len > 0)
			add_name(state, value);
		p++;
	}
}

/* What a key of a context names, if anything. */
static bool
find_kind(HubspotSlice key, NameKind *kind)
{
	for (size_t i = 0; i < lengthof(context_keys); i++)
	{
		if (key.len == (int) strlen(context_keys[i].key) &&
			memcmp(context_keys[i].key, key.data, key.len) == 0)
		{
			*kind = context_keys[i].kind;
			return true;
		}
	}
	return false;
}

/* Add a value of a key, of the kind that is being read. */
static void
add_name(void *state, HubspotSlice text)
{
	ContextState *context = state;
	HubspotNames *names = &context->names;

	CHECK_FOR_INTERRUPTS();
	switch (context->kind)
	{
		case NAME_FROM:
			names->from_ids = lappend(names->from_ids, sent_id(context, text));
			break;
		case NAME_TO:
			names->to_ids = lappend(names->to_ids, sent_id(context, text));
			break;
		case NAME_ID:
			names->ids = lappend(names->ids, sent_id(context, text));
			break;
		case NAME_TYPED_ID:
			add_typed_id(context, text);
			break;
		case NAME_OBJECT_TYPE:
			context->object_types = lappend(context->object_types,
											unconstify(char *, sent_object_type(context, text)));
			break;
		case NAME_TYPE:
			add_type(context, text);
			break;
	}
}

static void *
sent_id(const ContextState *state, HubspotSlice id)
{
	return state->sent->id(state->sent->state, id);
}

static const char *
sent_object_type(const ContextState *state, HubspotSlice type)
{
	return state->sent->object_type(state->sent->state, type);
}

/* "CONTACT=383 is not valid": the same id may be named without its type. */
static void
add_typed_id(ContextState *state, HubspotSlice text)
{
	const char *equals = memchr(text.data, '=', text.len);
	HubspotSlice type = {text.data, 0};
	HubspotSlice id;
	void	   *named;

	if (equals == NULL)
		return;
	type.len = equals - text.data;
	id.data = equals + 1;
	id.len = 0;
	while (id.data + id.len < text.data + text.len &&
		   id.data[id.len] != ' ' && id.data[id.len] != ',')
		id.len++;
	named = sent_id(state, id);
	if (named)
		state->sent->named(state->sent->state, named,
						   sent_object_type(state, type));

	/* keeps its place: the object types are matched with the ids by position */
	state->names.ids = lappend(state->names.ids, NULL);
}

/* "USER_DEFINED=3", whatever follows; a number that is too large is not a type. */
static void
add_type(ContextState *state, HubspotSlice text)
{
	const char *equals = memchr(text.data, '=', text.len);
	const char *end = text.data + text.len;
	HubspotSlice category = {text.data, 0};
	HubspotAssociationType *type;
	int64		type_id = 0;

	if (equals == NULL || equals + 1 == end || !isdigit((unsigned char) equals[1]))
		return;
	for (const char *p = equals + 1; p < end && isdigit((unsigned char) *p); p++)
	{
		type_id = type_id * 10 + (*p - '0');
		if (type_id > PG_INT32_MAX)
			return;
	}
	category.len = equals - text.data;
	type = state->sent->type(state->sent->state, category, (int32) type_id);
	if (type)
		state->names.types = lappend(state->names.types, type);
}
