/*-------------------------------------------------------------------------
 *
 * context.c
 *	  Which inputs an error names.
 *
 * The context of an error says so, in one of many forms: lists under several
 * keys, or a text that looks like them.  An error may hold further errors with
 * contexts of their own.
 *
 * IDENTIFICATION
 *	  src/context.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "context.h"
#include "json.h"

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

typedef struct ContextState
{
	HubspotNames *names;
	List	   *object_types;	/* of char *, for the ids without one */
} ContextState;

static HubspotNames *read_context(HubspotSlice context);
static void context_member(void *state, HubspotSlice name, HubspotSlice value);
static void context_string(ContextState *state, char *text);
static void add_names(ContextState *state, const char *key, List *values);
static void add_typed_id(HubspotNames *names, const char *text);
static void add_type(HubspotNames *names, const char *text);

/*
 * What an error names: a list of HubspotNames, one for each context that it
 * holds; NIL if there is none.
 */
List *
hubspot_error_names(const HubspotError *error)
{
	List	   *names = NIL;
	ContextFields fields = {{0}};

	if (hubspot_json_read(error->object, &context_shape, &fields, &names) &&
		fields.context.data != NULL)
		names = lcons(read_context(fields.context), names);
	return names;
}

static void
context_item(void *state, const void *item, HubspotSlice raw)
{
	List	  **names = state;
	const ContextFields *fields = item;

	if (fields->context.data != NULL)
		*names = lappend(*names, read_context(fields->context));
}

/* A context is an object of lists, or a text such as {key=[a, b]}. */
static HubspotNames *
read_context(HubspotSlice context)
{
	ContextState state;
	ListCell   *lc;
	int			n = 0;

	state.names = palloc0(sizeof(HubspotNames));
	state.object_types = NIL;
	if (context.data[0] == '"')
	{
		List	   *texts = hubspot_json_texts(context);

		foreach(lc, texts)
			context_string(&state, lfirst(lc));
	}
	else
		hubspot_json_each_member(context, &state, context_member);

	/* the types that stand beside the ids, one for all or one for each */
	foreach(lc, state.names->ids)
	{
		HubspotNamedId *named = lfirst(lc);

		if (named->object_type == NULL && state.object_types != NIL)
		{
			int			ntypes = list_length(state.object_types);

			if (ntypes == 1)
				named->object_type = linitial(state.object_types);
			else if (n < ntypes)
				named->object_type = list_nth(state.object_types, n);
		}
		n++;
	}
	return state.names;
}

static void
context_member(void *state, HubspotSlice name, HubspotSlice value)
{
	add_names(state, pnstrdup(name.data, name.len), hubspot_json_texts(value));
}

/* {key=[a, b], key=[c]}, which is scribbled on. */
static void
context_string(ContextState *state, char *text)
{
	char	   *key = text;
	char	   *open;

	while ((open = strstr(key, "=[")) != NULL)
	{
		char	   *close = strchr(open, ']');
		char	   *list = open + 2;
		char	   *position = NULL;
		List	   *values = NIL;

		if (close == NULL)
			return;
		*open = *close = '\0';
		key += strspn(key, "{, ");
		for (char *value = strtok_r(list, ", ", &position); value != NULL;
			 value = strtok_r(NULL, ", ", &position))
			values = lappend(values, value);
		add_names(state, key, values);
		key = close + 1;
	}
}

/* The values of a key of a context, if it is one that names something. */
static void
add_names(ContextState *state, const char *key, List *values)
{
	HubspotNames *names = state->names;
	ListCell   *lc;
	size_t		i;

	for (i = 0; i < lengthof(context_keys); i++)
	{
		if (strcmp(context_keys[i].key, key) == 0)
			break;
	}
	if (i == lengthof(context_keys))
		return;
	foreach(lc, values)
	{
		char	   *value = lfirst(lc);

		switch (context_keys[i].kind)
		{
			case NAME_FROM:
				names->from_ids = lappend(names->from_ids, value);
				break;
			case NAME_TO:
				names->to_ids = lappend(names->to_ids, value);
				break;
			case NAME_ID:
				{
					HubspotNamedId *named = palloc0(sizeof(HubspotNamedId));

					named->id = value;
					names->ids = lappend(names->ids, named);
					break;
				}
			case NAME_TYPED_ID:
				add_typed_id(names, value);
				break;
			case NAME_OBJECT_TYPE:
				state->object_types = lappend(state->object_types, value);
				break;
			case NAME_TYPE:
				add_type(names, value);
				break;
		}
	}
}

/* "CONTACT=383 is not valid": the same id may be named without its type. */
static void
add_typed_id(HubspotNames *names, const char *text)
{
	const char *equals = strchr(text, '=');
	HubspotNamedId *named;
	ListCell   *lc;

	if (equals == NULL)
		return;
	named = palloc0(sizeof(HubspotNamedId));
	named->object_type = pnstrdup(text, equals - text);
	named->id = pnstrdup(equals + 1, strcspn(equals + 1, " ,"));
	foreach(lc, names->ids)
	{
		HubspotNamedId *other = lfirst(lc);

		if (strcmp(other->id, named->id) == 0)
		{
			other->object_type = named->object_type;
			return;
		}
	}
	names->ids = lappend(names->ids, named);
}

/* "USER_DEFINED=3", whatever follows; a number that is too large is no type. */
static void
add_type(HubspotNames *names, const char *text)
{
	const char *equals = strchr(text, '=');
	HubspotAssociationType *type;
	int64		type_id;

	if (equals == NULL || !isdigit((unsigned char) equals[1]))
		return;
	type_id = strtoll(equals + 1, NULL, 10);
	if (type_id > PG_INT32_MAX)
		return;
	type = palloc0(sizeof(HubspotAssociationType));
	type->category = pnstrdup(text, equals - text);
	type->type_id = (int32) type_id;
	names->types = lappend(names->types, type);
}
