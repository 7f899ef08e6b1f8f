/*-------------------------------------------------------------------------
 *
 * label_check.c
 *	  What HubSpot has of what syncs name: labels, and properties.
 *
 * IDENTIFICATION
 *	  src/diagnose/label_check.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/value.h"
#include "utils/builtins.h"

#include "api/endpoint.h"
#include "api/error.h"
#include "api/record.h"
#include "call/labels.h"
#include "call/perform.h"
#include "diagnose/check.h"
#include "rows/report.h"
#include "sync/config.h"

/*
 * For how many pairs of object types labels are looked up, and with these for how many
 * object types properties: with the other requests, there are no more than ten.
 */
#define MAX_PAIRS	5
#define MAX_LOOKUPS	6

/* The object types that are asked about if no table is in sync. */
static const HubspotSync usual_pair = {.from_type = "contacts",.to_type = "companies"};

static const char *type_name(const char *given);
static void check_properties(HubspotDiagnosis *diagnosis, List *syncs, int most);
static const HubspotError *check_properties_of(HubspotDiagnosis *diagnosis, List *syncs,
											   const char *object_type);
static bool is_same_pair(const HubspotSync *sync, const HubspotSync *other);
static const HubspotError *look_up_labels(HubspotDiagnosis *diagnosis,
										  const HubspotSync *pair,
										  const List *syncs);

/*
 * Do the labels exist that syncs name, and may the token read them?  That also
 * shows whether HubSpot knows the version of the API.
 */
void
hubspot_check_labels(HubspotDiagnosis *diagnosis)
{
	List	   *syncs = hubspot_visible_syncs(diagnosis, diagnosis->name);
	List	   *pairs = NIL;
	int			skipped = 0;
	int			read = 0;
	ListCell   *lc;

	foreach(lc, syncs)
	{
		const HubspotSync *sync = lfirst(lc);
		ListCell   *known;

		foreach(known, pairs)
		{
			if (is_same_pair(sync, lfirst(known)))
				break;
		}
		if (known)
			continue;
		if (list_length(pairs) < MAX_PAIRS)
			pairs = lappend(pairs, unconstify(HubspotSync *, sync));
		else
			skipped++;
	}
	if (pairs == NIL)
		pairs = list_make1(unconstify(HubspotSync *, &usual_pair));

	foreach(lc, pairs)
	{
		const HubspotError *error = look_up_labels(diagnosis, lfirst(lc), syncs);

		if (error == NULL)
			read++;
		else if (error->verdict != HUBSPOT_VERDICT_SCOPE &&
				 error->verdict != HUBSPOT_VERDICT_REQUEST)
			break;				/* no more can be had */
	}
	if (skipped > 0)
		hubspot_find(diagnosis, HUBSPOT_TOPIC_LABELS, HUBSPOT_STATE_WARNING,
					 "hs_assoc_labels shows those of a pair of object types.",
					 "labels of further syncs were not looked up: %d",
					 skipped);
	if (read == list_length(pairs))
		hubspot_find(diagnosis, HUBSPOT_TOPIC_LABELS, HUBSPOT_STATE_OK, NULL,
					 "those that syncs name are there");
	if (diagnosis->answered)
		check_properties(diagnosis, syncs, MAX_LOOKUPS - list_length(pairs));
}

/* Do the properties exist by which syncs call records?  Of at most so many object types. */
static void
check_properties(HubspotDiagnosis *diagnosis, List *syncs, int most)
{
	List	   *types = NIL;
	ListCell   *lc;

	foreach(lc, syncs)
	{
		const HubspotSync *sync = lfirst(lc);
		const char *sides[] = {sync->from_type, sync->to_type};

		for (size_t i = 0; i < lengthof(sides); i++)
		{
			if (strchr(sides[i], ':'))
				types = list_append_unique(types, makeString(pstrdup(type_name(sides[i]))));
		}
	}
	foreach(lc, types)
	{
		const HubspotError *error = NULL;

		if (most > 0)
			error = check_properties_of(diagnosis, syncs, strVal(lfirst(lc)));
		if (most-- == 0 || (error && error->verdict == HUBSPOT_VERDICT_NOT_SENT))
		{
			hubspot_find(diagnosis, HUBSPOT_TOPIC_SYNCS, HUBSPOT_STATE_WARNING,
						 "hs_assoc_resolve shows whether a property of theirs is there.",
						 "object types whose properties were not looked up, since %s: %d",
						 error ? error->message : "there are many syncs",
						 list_length(types) - foreach_current_index(lc));
			break;
		}
		if (error)
			break;
	}
}

/*
 * Returns why no more can be had, or NULL.  That HubSpot does not let them be read is no
 * finding: sending does without them, and the token may lack the scope.
 */
static const HubspotError *
check_properties_of(HubspotDiagnosis *diagnosis, List *syncs, const char *object_type)
{
	const char *arguments[] = {object_type};
	HubspotCall call;
	const HubspotError *error = hubspot_call_operation(diagnosis->client, HUBSPOT_PROPERTIES_LIST,
													   arguments, NULL, false, &call);
	List	   *names;
	ListCell   *lc;

	if (error)
		return error->verdict == HUBSPOT_VERDICT_SCOPE ||
			error->verdict == HUBSPOT_VERDICT_REQUEST ? NULL : error;
	if (!hubspot_read_property_names(call.reply, &names))
		return NULL;
	foreach(lc, syncs)
	{
		const HubspotSync *sync = lfirst(lc);
		const char *sides[] = {sync->from_type, sync->to_type};

		for (size_t i = 0; i < lengthof(sides); i++)
		{
			const char *property = strchr(sides[i], ':');
			const char *problem = NULL;

			if (property && strcmp(type_name(sides[i]), object_type) == 0)
				problem = hubspot_property_problem(names, property + 1);
			if (problem)
				hubspot_find(diagnosis, HUBSPOT_TOPIC_SYNCS, HUBSPOT_STATE_PROBLEM,
							 psprintf("SELECT hs_assoc_disable_sync(%s), and enable the sync with a property that there is; or create it in HubSpot.",
									  quote_literal_cstr(hubspot_table_text(sync))),
							 "table %s, %s: %s", hubspot_table_text(sync), object_type, problem);
		}
	}
	return NULL;
}

static bool
is_same_pair(const HubspotSync *sync, const HubspotSync *other)
{
	return strcmp(type_name(sync->from_type), type_name(other->from_type)) == 0 &&
		strcmp(type_name(sync->to_type), type_name(other->to_type)) == 0;
}

/* An object type without its property, palloc'd. */
static const char *
type_name(const char *given)
{
	return pnstrdup(given, strcspn(given, ":"));
}

/* Returns why they cannot be looked up, or NULL. */
static const HubspotError *
look_up_labels(HubspotDiagnosis *diagnosis, const HubspotSync *pair, const List *syncs)
{
	const char *from_type = type_name(pair->from_type);
	const char *to_type = type_name(pair->to_type);
	HubspotLabels *labels = hubspot_labels_create(diagnosis->client, from_type, to_type);
	const HubspotError *error = hubspot_labels_look_up(labels);
	ListCell   *lc;

	if (error && error->verdict == HUBSPOT_VERDICT_FOREIGN && error->http_status == 404)
		hubspot_find(diagnosis, HUBSPOT_TOPIC_VERSION, HUBSPOT_STATE_PROBLEM,
					 "Set the option api_version of the server to one that HubSpot has.",
					 "HubSpot does not have %s: %s",
					 diagnosis->options->api_version, hubspot_error_detail(error));
	else if (error && error->verdict == HUBSPOT_VERDICT_REQUEST && OidIsValid(pair->link_table))
		hubspot_find(diagnosis, HUBSPOT_TOPIC_SYNCS, HUBSPOT_STATE_PROBLEM,
					 "Enable the sync with object types that there are; hs_assoc_object_types() lists them.",
					 "table %s, from %s to %s: %s", hubspot_table_text(pair), from_type, to_type, error->message);
	else if (error)
		hubspot_check_failure(diagnosis, HUBSPOT_TOPIC_SCOPES,
							  psprintf("from %s to %s", from_type, to_type), error);
	if (error)
		return error;

	hubspot_find(diagnosis, HUBSPOT_TOPIC_SCOPES, HUBSPOT_STATE_OK, NULL,
				 "the token may read associations; only a write shows what it may write");
	foreach(lc, syncs)
	{
		const HubspotSync *sync = lfirst(lc);

		if (sync->label && is_same_pair(sync, pair) &&
			hubspot_labels_find(labels, sync->label, sync->category, &error) == NULL)
			hubspot_find(diagnosis, HUBSPOT_TOPIC_LABELS, HUBSPOT_STATE_PROBLEM,
						 "Create the label in HubSpot or with hs_assoc_label_create, or enable the sync with another one.",
						 "table %s: %s", hubspot_table_text(sync), error->message);
	}
	return NULL;
}
