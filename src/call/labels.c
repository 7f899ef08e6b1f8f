/*-------------------------------------------------------------------------
 *
 * labels.c
 *	  Association types by their labels.
 *
 * HubSpot speaks of types by numbers, which differ from account to account; people speak
 * of them by labels.  The labels of a direction are looked up once, when the first of them
 * is asked for (or before, by a caller that cannot wait then), and if that fails, it has
 * failed for all that are asked for afterwards.
 *
 * A label is compared as HubSpot shows it, and only if none matches, without regard to
 * case, as Unicode sees it (fold.c).  What is found, or isn't, is remembered, because the
 * next row tends to ask for the same.
 *
 * IDENTIFICATION
 *	  src/call/labels.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "api/definition.h"
#include "api/endpoint.h"
#include "api/response.h"
#include "base/closest.h"
#include "base/fold.h"
#include "call/labels.h"
#include "call/perform.h"

/*
 * A reason goes into each row that it is about, where it must not be longer than 1,000
 * bytes.  So the list of labels in it ends before it is longer than this.
 */
#define MAX_LISTED			950

/* How many bytes of each label are shown in a reason. */
#define MAX_SHOWN_LABEL		100

/* A type that has a label. */
typedef struct Candidate
{
	const HubspotAssociationType *type;
	const char *lower;			/* its label, folded */
	int			distance;		/* from a label that isn't found */
	bool		other_category; /* its category is not the one that was asked
								 * for */
} Candidate;

struct HubspotLabels
{
	MemoryContext context;
	const HubspotClient *client;
	Oid			server;
	Oid			user;
	const char *from_type;
	const char *to_type;

	bool		looked_up;
	const HubspotError *failure;	/* of the look-up, or NULL */
	int			ncandidates;
	Candidate  *candidates;

	/* what was asked for last, and what came of it */
	MemoryContext last_context;
	const char *last_label;		/* NULL: nothing was asked for */
	const char *last_category;	/* or NULL */
	const HubspotAssociationType *last_type;	/* NULL: there is none */
	const char *last_problem;	/* why there is none */
};

static const HubspotError *lookup_error(const HubspotCall *call,
										List **definitions);
static void set_candidates(HubspotLabels *labels, List *definitions);
static bool is_last(const HubspotLabels *labels, const char *label,
					const char *category);
static const HubspotAssociationType *find(HubspotLabels *labels,
										  const char *label,
										  const char *category,
										  const char **problem);
static const HubspotAssociationType *match(const HubspotLabels *labels,
										   const char *label,
										   const char *category,
										   bool exact, bool *ambiguous);
static bool matches(const Candidate *candidate, const char *label,
					const char *category, bool exact);
static char *ambiguous_problem(const HubspotLabels *labels, const char *label,
							   const char *compared, const char *category,
							   bool exact);
static char *missing_problem(HubspotLabels *labels, const char *label,
							 const char *lower, const char *category);
static void sort_candidates(HubspotLabels *labels, const char *lower,
							const char *category);
static int	compare_candidates(const void *a, const void *b);
static void append_label(StringInfo text, const char *label);
static bool append_candidate(StringInfo text, const char *before,
							 const HubspotAssociationType *type,
							 bool with_label, bool with_category);

/*
 * The labels from one object type to another, palloc'd.  Nothing is sent
 * before the first of them is asked for.
 */
HubspotLabels *
hubspot_labels_create(const HubspotClient *client,
					  const char *from_type, const char *to_type)
{
	HubspotLabels *labels = palloc0(sizeof(HubspotLabels));

	labels->context = CurrentMemoryContext;
	labels->client = client;
	labels->server = client->options->server;
	labels->user = client->options->user;
	labels->from_type = pstrdup(from_type);
	labels->to_type = pstrdup(to_type);
	labels->last_context = AllocSetContextCreate(CurrentMemoryContext,
												 "hubspot_assoc last label",
												 ALLOCSET_SMALL_SIZES);
	return labels;
}

/*
 * Are the labels those of this account and direction, and worth asking again?
 * True: further look-ups, if any, go through the client.
 */
bool
hubspot_labels_serve(HubspotLabels *labels, const HubspotClient *client,
					 const char *from_type, const char *to_type)
{
	if (labels->server != client->options->server ||
		labels->user != client->options->user || labels->failure ||
		strcmp(labels->from_type, from_type) != 0 ||
		strcmp(labels->to_type, to_type) != 0)
		return false;
	labels->client = client;
	return true;
}

/*
 * Look the labels up with GET .../labels, unless that has been done.  NULL, or
 * why it has failed, for as long as the labels live.
 */
const HubspotError *
hubspot_labels_look_up(HubspotLabels *labels)
{
	const HubspotEndpoint *endpoint = hubspot_endpoint(HUBSPOT_LABELS);
	const char *arguments[] = {labels->from_type, labels->to_type};
	MemoryContext context;
	MemoryContext old;
	StringInfoData path;
	HubspotCall call = {0};
	List	   *definitions = NIL;

	if (labels->looked_up)
		return labels->failure;

	/* an ERROR is to end what is in flight, and does not end the labels */
	context = AllocSetContextCreate(CurrentMemoryContext,
									"hubspot_assoc look-up of labels",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	initStringInfo(&path);
	hubspot_append_path(&path, endpoint,
						labels->client->options->api_version, arguments);
	call.method = endpoint->method;
	call.operation = hubspot_endpoint_operation(endpoint);
	call.path = path.data;
	call.repeatable = endpoint->repeatable;
	hubspot_call_perform(labels->client, &call);

	/* what is read is kept, the reply isn't */
	MemoryContextSwitchTo(labels->context);
	labels->failure = lookup_error(&call, &definitions);
	if (labels->failure == NULL)
		set_candidates(labels, definitions);
	labels->looked_up = true;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return labels->failure;
}

/*
 * The failure of the look-up, if whatever is sent next would meet the same; or NULL.  An
 * access token may lack the scope of labels alone.
 */
const HubspotError *
hubspot_labels_refusal(const HubspotLabels *labels)
{
	const HubspotError *failure = labels->failure;

	return failure && hubspot_ends_sending(failure->verdict) &&
		failure->verdict != HUBSPOT_VERDICT_SCOPE ? failure : NULL;
}

/*
 * Read the answer to the look-up.  NULL, or why the rows that it was for
 * cannot be sent.
 */
static const HubspotError *
lookup_error(const HubspotCall *call, List **definitions)
{
	const HubspotError *failure = hubspot_call_error(call);

	if (failure == NULL && !hubspot_read_definitions(call->reply, definitions))
		failure = hubspot_unreadable_reply(call->reply, "the answer is not a list of labels");
	if (failure == NULL)
		return NULL;

	/* the call's error may go with the call */
	return hubspot_error_before(failure, "could not look up the labels");
}

static void
set_candidates(HubspotLabels *labels, List *definitions)
{
	ListCell   *lc;

	labels->candidates = palloc(sizeof(Candidate) * list_length(definitions));
	foreach(lc, definitions)
	{
		const HubspotDefinition *definition = lfirst(lc);
		const char *label = definition->type.label;
		Candidate  *candidate;

		if (label == NULL)
			continue;
		candidate = &labels->candidates[labels->ncandidates++];
		candidate->type = &definition->type;
		candidate->lower = hubspot_fold(label, strlen(label));
	}
}

/*
 * The type that has a label, among those of a category, or of any if that is
 * NULL; it lives as long as the labels do.
 *
 * NULL, and *error set, if there is none or more than one, or if the look-up
 * has failed.  The error lives as long as the current memory context, or as
 * the labels do.
 */
const HubspotAssociationType *
hubspot_labels_find(HubspotLabels *labels, const char *label,
					const char *category, const HubspotError **error)
{
	*error = hubspot_labels_look_up(labels);
	if (*error)
		return NULL;
	if (!is_last(labels, label, category))
	{
		MemoryContext old;

		labels->last_label = NULL;
		MemoryContextReset(labels->last_context);
		old = MemoryContextSwitchTo(labels->last_context);
		labels->last_type = find(labels, label, category, &labels->last_problem);
		labels->last_category = category ? pstrdup(category) : NULL;
		labels->last_label = pstrdup(label);
		MemoryContextSwitchTo(old);
	}
	if (labels->last_type == NULL)
		*error = hubspot_make_error(HUBSPOT_VERDICT_INVALID,
									ERRCODE_INVALID_PARAMETER_VALUE,
									pstrdup(labels->last_problem));
	return labels->last_type;
}

/*
 * The label of a type, for as long as the labels live; NULL: it has none, or they could
 * not be looked up.
 */
const char *
hubspot_labels_name(HubspotLabels *labels, const HubspotAssociationType *type)
{
	if (hubspot_labels_look_up(labels) != NULL || type->category == NULL)
		return NULL;
	for (int i = 0; i < labels->ncandidates; i++)
	{
		const HubspotAssociationType *candidate = labels->candidates[i].type;

		if (candidate->type_id == type->type_id &&
			strcmp(candidate->category, type->category) == 0)
			return candidate->label;
	}
	return NULL;
}

/* Was this asked for last?  A million rows ask for the same few labels. */
static bool
is_last(const HubspotLabels *labels, const char *label, const char *category)
{
	if (labels->last_label == NULL || strcmp(labels->last_label, label) != 0)
		return false;
	if (category == NULL || labels->last_category == NULL)
		return category == labels->last_category;
	return strcmp(labels->last_category, category) == 0;
}

/* The type of a label; or NULL, and *problem says why, palloc'd. */
static const HubspotAssociationType *
find(HubspotLabels *labels, const char *label, const char *category,
	 const char **problem)
{
	const HubspotAssociationType *type;
	const char *lower;
	bool		ambiguous;

	type = match(labels, label, category, true, &ambiguous);
	if (ambiguous)
		*problem = ambiguous_problem(labels, label, label, category, true);
	else if (type == NULL)
	{
		lower = hubspot_fold(label, strlen(label));
		type = match(labels, lower, category, false, &ambiguous);
		if (ambiguous)
			*problem = ambiguous_problem(labels, label, lower, category, false);
		else if (type == NULL)
			*problem = missing_problem(labels, label, lower, category);
	}
	return ambiguous ? NULL : type;
}

/* The first type that matches, or NULL; ambiguous: another one does, too. */
static const HubspotAssociationType *
match(const HubspotLabels *labels, const char *label, const char *category,
	  bool exact, bool *ambiguous)
{
	const HubspotAssociationType *found = NULL;

	*ambiguous = false;
	for (int i = 0; i < labels->ncandidates; i++)
	{
		const HubspotAssociationType *type = labels->candidates[i].type;

		if (!matches(&labels->candidates[i], label, category, exact))
			continue;
		if (found == NULL)
			found = type;
		else if (found->type_id != type->type_id ||
				 strcmp(found->category, type->category) != 0)
			*ambiguous = true;
	}
	return found;
}

/*
 * Does a candidate have that label, which is in lower case if not exact, and that
 * category?
 */
static bool
matches(const Candidate *candidate, const char *label, const char *category,
		bool exact)
{
	return strcmp(exact ? candidate->type->label : candidate->lower, label) == 0 &&
		(category == NULL || strcmp(candidate->type->category, category) == 0);
}

/*
 * Why a label is ambiguous, with the types that match; compared is the label, in lower case
 * if not exact.
 */
static char *
ambiguous_problem(const HubspotLabels *labels, const char *label,
				  const char *compared, const char *category, bool exact)
{
	StringInfoData problem;
	const char *before = " is ambiguous: ";
	const HubspotAssociationType *first = NULL;
	bool		labels_differ = false;
	bool		categories_differ = false;

	initStringInfo(&problem);
	appendStringInfoString(&problem, "label ");
	append_label(&problem, label);
	for (int i = 0; i < labels->ncandidates; i++)
	{
		const HubspotAssociationType *type = labels->candidates[i].type;

		if (!matches(&labels->candidates[i], compared, category, exact))
			continue;
		if (first == NULL)
			first = type;
		labels_differ |= (strcmp(first->label, type->label) != 0);
		categories_differ |= (strcmp(first->category, type->category) != 0);
		if (!append_candidate(&problem, before, type, !exact, true))
			break;
		before = ", ";
	}
	appendStringInfoString(&problem,
						   labels_differ ? "; write it as HubSpot shows it" :
						   categories_differ ? "; give the category" :
						   "; give the type_id instead");
	return problem.data;
}

/* Why a label is not found, with the labels that there are, the closest first. */
static char *
missing_problem(HubspotLabels *labels, const char *label, const char *lower,
				const char *category)
{
	StringInfoData problem;
	const char *before = labels->ncandidates == 1 ? "; the only one is " : "; the labels are ";
	int			i = 0;

	initStringInfo(&problem);
	appendStringInfo(&problem, "there is no %s%slabel ",
					 category ? category : "", category ? " " : "");
	append_label(&problem, label);
	appendStringInfo(&problem, " from %s to %s", labels->from_type, labels->to_type);
	if (labels->ncandidates == 0)
		appendStringInfoString(&problem, ", nor any other");

	sort_candidates(labels, lower, category);
	if (labels->ncandidates > 0 && labels->candidates[0].distance < HUBSPOT_UNLIKE)
	{
		(void) append_candidate(&problem, "; did you mean ", labels->candidates[0].type,
								true, category != NULL);
		appendStringInfoChar(&problem, '?');
		before = labels->ncandidates == 2 ? " The only other one is " : " The others are ";
		i = 1;
	}
	for (; i < labels->ncandidates; i++)
	{
		if (!append_candidate(&problem, before, labels->candidates[i].type,
							  true, category != NULL))
			break;
		before = ", ";
	}
	return problem.data;
}

/*
 * Sort the candidates: those that are like a label first, with those of its category
 * before others; the rest alphabetically.
 */
static void
sort_candidates(HubspotLabels *labels, const char *lower, const char *category)
{
	for (int i = 0; i < labels->ncandidates; i++)
	{
		Candidate  *candidate = &labels->candidates[i];

		CHECK_FOR_INTERRUPTS();
		candidate->distance = hubspot_name_distance(lower, candidate->lower);
		candidate->other_category = category &&
			strcmp(candidate->type->category, category) != 0;
	}
	qsort(labels->candidates, labels->ncandidates, sizeof(Candidate),
		  compare_candidates);
}

static int
compare_candidates(const void *a, const void *b)
{
	const Candidate *left = a;
	const Candidate *right = b;
	int			order;

	if (left->distance != right->distance)
		return left->distance < right->distance ? -1 : 1;
	if (left->other_category != right->other_category)
		return left->other_category ? 1 : -1;
	order = strcmp(left->lower, right->lower);
	if (order == 0)
		order = strcmp(left->type->label, right->type->label);
	if (order == 0)
		order = strcmp(left->type->category, right->type->category);
	return order;
}

/* Append a label in quotes; a long one is cut off. */
static void
append_label(StringInfo text, const char *label)
{
	int			len = strlen(label);
	int			shown = pg_mbcliplen(label, len, MAX_SHOWN_LABEL);

	appendStringInfo(text, "\"%.*s%s\"", shown, label, shown < len ? "..." : "");
}

/*
 * Append a type: its label in quotes, with or without its category; or its category and
 * number.  False: there is no room for it, and dots say so.
 */
static bool
append_candidate(StringInfo text, const char *before,
				 const HubspotAssociationType *type, bool with_label,
				 bool with_category)
{
	StringInfoData candidate;
	bool		fits;

	initStringInfo(&candidate);
	appendStringInfoString(&candidate, before);
	if (with_label)
		append_label(&candidate, type->label);
	if (with_label && with_category)
		appendStringInfo(&candidate, " (%s)", type->category);
	else if (with_category)
		appendStringInfo(&candidate, "%s %d", type->category, type->type_id);
	fits = (text->len + candidate.len <= MAX_LISTED);
	appendStringInfoString(text, fits ? candidate.data : ", ...");
	pfree(candidate.data);
	return fits;
}
