/*-------------------------------------------------------------------------
 *
 * object_list.c
 *	  The account's own object types, for foreign tables.
 *
 * IDENTIFICATION
 *	  src/table/object_list.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/response.h"
#include "call/perform.h"
#include "rows/report.h"
#include "table/object_list.h"

static const char *copy(const char *text);

/*
 * The account's own object types: a list of HubspotCustomObject, palloc'd.  A token that may
 * not list them has none: a WARNING.
 */
List *
hubspot_custom_objects(const HubspotClient *client)
{
	HubspotCall call = {0};
	List	   *objects = NIL;
	const HubspotError *error;
	ListCell   *lc;

	error = hubspot_call_operation(client, HUBSPOT_CUSTOM_OBJECTS, NULL, NULL, false, &call);
	if (error == NULL && !hubspot_read_custom_objects(call.reply, &objects))
		error = hubspot_unreadable_reply(call.reply, "the answer is not a list of object types");
	if (error && error->verdict != HUBSPOT_VERDICT_SCOPE)
		hubspot_throw_error(error, "could not list the custom objects", HUBSPOT_NOTHING_DONE);
	if (error)
		ereport(WARNING,
				(errcode(error->sqlstate),
				 errmsg("custom objects are left out, because the token may not read them"),
				 errdetail("%s", hubspot_error_detail(error)),
				 errhint("Give the token's app or service key the scope crm.schemas.custom.read.")));
	foreach(lc, objects)
	{
		HubspotCustomObject *object = palloc(sizeof(HubspotCustomObject));

		*object = *(const HubspotCustomObject *) lfirst(lc);
		object->id = copy(object->id);
		object->name = copy(object->name);
		object->label = copy(object->label);
		lfirst(lc) = object;
	}
	hubspot_call_free(&call);
	return objects;
}

static const char *
copy(const char *text)
{
	return text ? pstrdup(text) : NULL;
}
