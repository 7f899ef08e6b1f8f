/*-------------------------------------------------------------------------
 *
 * names.c
 *	  All that an error names, as if all of it had been sent.
 *
 * IDENTIFICATION
 *	  test/fuzz/names.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "names.h"

#include "api/error_names.h"
#include "json/text.h"

typedef struct NamesState
{
	List	   *contexts;		/* of FuzzNames * */
	List	   *ids;			/* of FuzzNamedId *, of the context that is
								 * read */
} NamesState;

static void *
take_id(void *state, HubspotSlice id)
{
	return hubspot_text_from_utf8(id.data, id.len);
}

static void
take_named(void *state, void *id, const char *object_type)
{
	NamesState *names = state;
	FuzzNamedId *named = palloc(sizeof(FuzzNamedId));

	named->id = id;
	named->object_type = object_type;
	names->ids = lappend(names->ids, named);
}

static HubspotAssociationType *
take_type(void *state, HubspotSlice category, int32 type_id)
{
	HubspotAssociationType *type = palloc0(sizeof(HubspotAssociationType));

	type->category = hubspot_text_from_utf8(category.data, category.len);
	type->type_id = type_id;
	return type;
}

static const char *
take_object_type(void *state, HubspotSlice object_type)
{
	return hubspot_text_from_utf8(object_type.data, object_type.len);
}

/* The list is freed after the call. */
static List *
copy_list(const List *list)
{
	List	   *copy = NIL;
	ListCell   *lc;

	foreach(lc, list)
		copy = lappend(copy, lfirst(lc));
	return copy;
}

static void
take_context(void *state, const HubspotNames *names)
{
	NamesState *all = state;
	FuzzNames  *context = palloc(sizeof(FuzzNames));

	context->from_ids = copy_list(names->from_ids);
	context->to_ids = copy_list(names->to_ids);
	context->types = copy_list(names->types);
	context->ids = all->ids;
	all->ids = NIL;
	all->contexts = lappend(all->contexts, context);
}

/* A list of FuzzNames, one for each context; NIL if there is none. */
List *
fuzz_error_names(const HubspotError *error)
{
	NamesState	state = {NIL, NIL};
	HubspotSent sent = {&state, take_id, take_named, take_type, take_object_type};

	hubspot_each_context(error, &sent, &state, take_context);
	return state.contexts;
}
