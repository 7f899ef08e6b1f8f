/*-------------------------------------------------------------------------
 *
 * failure.c
 *	  Rows that are not done, and their reasons, as parameters of statements.
 *
 * Where HubSpot names what it refuses, each row has a reason of its own, and a
 * statement for each row would cost ten times what it takes to send it.  Where
 * a request fails, its rows have one reason, which may be large.  So rows and
 * reasons are separate arrays.
 *
 * IDENTIFICATION
 *	  src/outbox/failure.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "api/error.h"
#include "outbox/failure.h"
#include "outbox/row_ids.h"

/*
 * An error object that is larger than this, as jsonb, is not repeated for each
 * of the rows that it is about, but kept with the first of them.
 */
#define MAX_REPEATED_OBJECT		4096

/* An array that grows, with nulls in it. */
typedef struct Elements
{
	Datum	   *values;
	bool	   *isnull;
	int			count;
} Elements;

static bool is_new_reason(const HubspotFailure *failures, int i);
static Elements make_elements(int most);
static void add_element(Elements *elements, bool given, Datum value);
static void add_text(Elements *elements, const char *text);
static void set_elements(HubspotValues *values, int parameter,
						 const Elements *elements, Oid type);

/* Set the first parameters of a statement on failures. */
void
hubspot_set_failures(HubspotValues *values, const HubspotFailure *failures,
					 int nfailures)
{
	int64	   *ids = palloc(sizeof(int64) * Max(nfailures, 1));
	Elements	reasons = make_elements(nfailures);
	Elements	statuses = make_elements(nfailures);
	Elements	categories = make_elements(nfailures);
	Elements	messages = make_elements(nfailures);
	Elements	correlation_ids = make_elements(nfailures);

	for (int i = 0; i < nfailures; i++)
	{
		const HubspotError *error = failures[i].error;

		if (is_new_reason(failures, i))
		{
			add_element(&statuses, error->http_status != 0,
						Int32GetDatum(error->http_status));
			add_text(&categories, error->category);
			add_text(&messages, error->message);
			add_text(&correlation_ids, error->correlation_id);
		}
		ids[i] = failures[i].id;
		add_element(&reasons, true, Int32GetDatum(statuses.count));
	}
	hubspot_set_datum(values, HUBSPOT_FAILURE_IDS, hubspot_row_ids(ids, nfailures));
	set_elements(values, HUBSPOT_FAILURE_REASONS, &reasons, INT4OID);
	set_elements(values, HUBSPOT_FAILURE_STATUSES, &statuses, INT4OID);
	set_elements(values, HUBSPOT_FAILURE_CATEGORIES, &categories, TEXTOID);
	set_elements(values, HUBSPOT_FAILURE_MESSAGES, &messages, TEXTOID);
	set_elements(values, HUBSPOT_FAILURE_CORRELATION_IDS, &correlation_ids, TEXTOID);
}

/*
 * Set two more parameters, which have an element for each reason: its error
 * object, and whether that is kept with the first row alone, since it is
 * large.
 */
void
hubspot_set_failure_objects(HubspotValues *values, int objects, int once,
							const HubspotFailure *failures, int nfailures)
{
	Elements	all_objects = make_elements(nfailures);
	Elements	all_once = make_elements(nfailures);

	for (int i = 0; i < nfailures; i++)
	{
		Jsonb	   *object;

		if (!is_new_reason(failures, i))
			continue;
		object = hubspot_error_object(failures[i].error);
		add_element(&all_objects, object != NULL, object ? JsonbPGetDatum(object) : 0);
		add_element(&all_once, true,
					BoolGetDatum(object && VARSIZE(object) > MAX_REPEATED_OBJECT));
	}
	set_elements(values, objects, &all_objects, JSONBOID);
	set_elements(values, once, &all_once, BOOLOID);
}

static bool
is_new_reason(const HubspotFailure *failures, int i)
{
	return i == 0 || failures[i].error != failures[i - 1].error;
}

static Elements
make_elements(int most)
{
	Elements	elements;

	elements.values = palloc(sizeof(Datum) * Max(most, 1));
	elements.isnull = palloc(sizeof(bool) * Max(most, 1));
	elements.count = 0;
	return elements;
}

static void
add_element(Elements *elements, bool given, Datum value)
{
	elements->values[elements->count] = value;
	elements->isnull[elements->count++] = !given;
}

/* Add a text; NULL is null. */
static void
add_text(Elements *elements, const char *text)
{
	add_element(elements, text != NULL, text ? CStringGetTextDatum(text) : 0);
}

/*
 * Set a parameter to an expanded array, so that a subscript need not count
 * elements.
 */
static void
set_elements(HubspotValues *values, int parameter, const Elements *elements,
			 Oid type)
{
	int			count = elements->count;
	int			first = 1;
	int16		len;
	bool		byval;
	char		align;
	ArrayType  *array;

	get_typlenbyvalalign(type, &len, &byval, &align);
	array = construct_md_array(elements->values, elements->isnull,
							   1, &count, &first, type, len, byval, align);
	hubspot_set_datum(values, parameter,
					  expand_array(PointerGetDatum(array), CurrentMemoryContext, NULL));
}

/* Rows with one reason, palloc'd. */
HubspotFailure *
hubspot_failures_alike(const int64 *ids, int nids, const HubspotError *error)
{
	HubspotFailure *failures = palloc(sizeof(HubspotFailure) * Max(nids, 1));

	for (int i = 0; i < nids; i++)
	{
		failures[i].id = ids[i];
		failures[i].error = error;
	}
	return failures;
}
