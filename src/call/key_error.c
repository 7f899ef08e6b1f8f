/*-------------------------------------------------------------------------
 *
 * key_error.c
 *	  Why a key has no record that could be meant.
 *
 * IDENTIFICATION
 *	  src/call/key_error.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "api/error.h"
#include "api/record.h"
#include "call/key_error.h"

/* How many bytes of a key are shown. */
#define MAX_SHOWN		100

static HubspotError *missing_error(const HubspotObjectType *type, HubspotSlice given,
								   const HubspotCandidates *candidates, bool indexed);
static HubspotError *ambiguous_error(const HubspotObjectType *type, HubspotSlice given,
									 const HubspotCandidates *candidates);
static const char *called(const HubspotObjectType *type, HubspotSlice given);
static const char *list_ids(const HubspotCandidates *candidates);
static void set_object(HubspotError *error, const HubspotCandidates *candidates);

/* The error of rows with a key that is settled but not found; given is how they have it. */
const HubspotError *
hubspot_key_error(const HubspotObjectType *type, const HubspotKey *key, HubspotSlice given)
{
	switch ((HubspotKeyState) key->state)
	{
		case HUBSPOT_KEY_MISSING:
			return missing_error(type, given, key->answer.candidates, false);
		case HUBSPOT_KEY_NOT_INDEXED:
			return missing_error(type, given, key->answer.candidates, true);
		case HUBSPOT_KEY_AMBIGUOUS:
			return ambiguous_error(type, given, key->answer.candidates);
		default:
			return hubspot_key_failure(key);
	}
}

static HubspotError *
missing_error(const HubspotObjectType *type, HubspotSlice given,
			  const HubspotCandidates *candidates, bool indexed)
{
	const char *message = psprintf("there is no record of %s with %s%s", type->name,
								   called(type, given),
								   indexed ? " in HubSpot's search, which learns of new ones some seconds late" : "");
	HubspotError *error;

	if (candidates)
		message = psprintf("%s; HubSpot gives %s, which has another value", message,
						   list_ids(candidates));
	error = hubspot_make_error(HUBSPOT_VERDICT_NO_RECORD, ERRCODE_NO_DATA_FOUND, message);
	error->late = indexed;
	if (candidates)
		set_object(error, candidates);
	return error;
}

static HubspotError *
ambiguous_error(const HubspotObjectType *type, HubspotSlice given,
				const HubspotCandidates *candidates)
{
	const char *what = called(type, given);
	const char *message;
	HubspotError *error;

	if (candidates->near)
		message = psprintf("no record of %s has %s, but in another case: %s", type->name,
						   what, list_ids(candidates));
	else
		message = psprintf("%s" INT64_FORMAT " records of %s have %s: %s",
						   candidates->more ? "more than " : "",
						   candidates->more ? candidates->total - 1 : candidates->total,
						   type->name, what, list_ids(candidates));
	error = hubspot_make_error(HUBSPOT_VERDICT_MANY_RECORDS, ERRCODE_TOO_MANY_ROWS, message);
	set_object(error, candidates);
	return error;
}

/* A property and its value, or an id, to be shown. */
static const char *
called(const HubspotObjectType *type, HubspotSlice given)
{
	int			len = pg_mbcliplen(given.data, given.len, MAX_SHOWN);

	return psprintf("%s \"%.*s%s\"", type->property ? type->property : "id", len, given.data,
					len < given.len ? "..." : "");
}

static const char *
list_ids(const HubspotCandidates *candidates)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < candidates->nids; i++)
		appendStringInfo(&list, "%s%.*s", i > 0 ? ", " : "",
						 candidates->ids[i].len, candidates->ids[i].data);
	if (candidates->nids < candidates->total || candidates->more)
		appendStringInfoString(&list, ", ...");
	return list.data;
}

static void
set_object(HubspotError *error, const HubspotCandidates *candidates)
{
	error->object.data = hubspot_encode_candidates(candidates->ids, candidates->nids,
												   candidates->total, candidates->more);
	error->object.len = strlen(error->object.data);
}
