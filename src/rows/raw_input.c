/*-------------------------------------------------------------------------
 *
 * raw_input.c
 *	  An input while it is read, and what is wrong with it.
 *
 * IDENTIFICATION
 *	  src/rows/raw_input.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "api/endpoint.h"
#include "api/error.h"
#include "base/digits.h"
#include "rows/id_type.h"
#include "rows/raw_input.h"

#define DEFAULT_CATEGORY	"HUBSPOT_DEFINED"

/* So much of a wrong value is shown. */
#define MAX_SHOWN			100

static bool read_type_id(HubspotColumn *column, Datum value, int32 *type_id);
static bool refuse_long(HubspotDraft *draft, const ArrayType *array);
static void refuse_many(HubspotDraft *draft);
static bool refuse_long_label(HubspotDraft *draft, const char *label, int len);
static char *shown(const char *value, int len);
static void check_id(HubspotDraft *draft, const char *name, HubspotSlice id);
static void check_types(HubspotDraft *draft, HubspotInputShape shape);
static const HubspotTypeList *share_types(HubspotLastTypes *last, int ntypes,
										  const HubspotAssociationType *types);

/*
 * An id as text; buffer takes those of integers.  It lives as long as the
 * row.
 */
HubspotSlice
hubspot_read_id(HubspotColumn *column, Datum value, char *buffer)
{
	HubspotSlice id;

	switch (column->type)
	{
		case TEXTOID:
		case VARCHAROID:
			{
				text	   *packed = DatumGetTextPP(value);

				id.data = VARDATA_ANY(packed);
				id.len = VARSIZE_ANY_EXHDR(packed);
				break;
			}
		case BPCHAROID:
			{
				text	   *packed = DatumGetTextPP(value);

				/* without the padding, as its cast to text does */
				id.data = VARDATA_ANY(packed);
				id.len = bpchartruelen(unconstify(char *, id.data),
									   VARSIZE_ANY_EXHDR(packed));
				break;
			}
		case INT8OID:
			id.len = pg_lltoa(DatumGetInt64(value), buffer);
			id.data = buffer;
			break;
		case INT4OID:
			id.len = pg_ltoa(DatumGetInt32(value), buffer);
			id.data = buffer;
			break;
		default:
			id.data = OutputFunctionCall(&column->output, value);
			id.len = strlen(id.data);
			break;
	}
	return id;
}

/*
 * An id that was read from a column of numbers must not be anything but digits:
 * 70100401.00 and 7.01e+07 are no record's, though the number is.
 */
void
hubspot_draft_check_number(HubspotDraft *draft, const char *name,
						   const HubspotColumn *column, HubspotSlice id)
{
	int			sign = (id.len > 0 && id.data[0] == '-') ? 1 : 0;

	if (!hubspot_is_number_type(column->type) ||
		(id.len > sign && hubspot_all_digits(id.data + sign, id.len - sign)))
		return;
	hubspot_draft_refuse(draft, psprintf("%s \"%s\" is not valid: it is of type %s, cast the column to bigint",
										 name, shown(id.data, id.len),
										 format_type_be(column->type)));
}

char *
hubspot_read_text(HubspotColumn *column, Datum value)
{
	if (column->type == TEXTOID)
		return TextDatumGetCString(value);
	if (column->type == BPCHAROID)
	{
		HubspotSlice text = hubspot_read_id(column, value, NULL);

		return pnstrdup(text.data, text.len);
	}
	return OutputFunctionCall(&column->output, value);
}

/* A type's number. */
void
hubspot_draft_type_id(HubspotDraft *draft, HubspotColumn *column, Datum value)
{
	draft->type_ids = &draft->type_id;
	draft->ntype_ids = 1;
	if (!read_type_id(column, value, &draft->type_id))
		hubspot_draft_refuse(draft, psprintf("type_id %s is not valid: it must be from 1 to %d",
											 hubspot_read_text(column, value), PG_INT32_MAX));
}

static bool
read_type_id(HubspotColumn *column, Datum value, int32 *type_id)
{
	int64		number;

	switch (column->type)
	{
		case INT8OID:
			number = DatumGetInt64(value);
			break;
		case INT2OID:
			number = DatumGetInt16(value);
			break;
		default:
			number = DatumGetInt32(value);
			break;
	}
	*type_id = (int32) number;
	return number >= 1 && number <= PG_INT32_MAX;
}

/* Types' numbers, of an integer[]. */
void
hubspot_draft_type_ids(HubspotDraft *draft, ArrayType *array)
{
	Datum	   *elements;
	bool	   *isnull;
	int32	   *type_ids;

	draft->has_types = true;
	if (refuse_long(draft, array))
		return;
	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &elements, &isnull, &draft->ntype_ids);
	type_ids = palloc(sizeof(int32) * draft->ntype_ids);
	for (int i = 0; i < draft->ntype_ids; i++)
	{
		if (isnull[i])
			hubspot_draft_refuse(draft, pstrdup("type_ids has a null"));
		type_ids[i] = isnull[i] ? 0 : DatumGetInt32(elements[i]);
	}
	draft->type_ids = type_ids;
}

/* An array that is too long is not taken apart. */
static bool
refuse_long(HubspotDraft *draft, const ArrayType *array)
{
	if (ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) <= HUBSPOT_MAX_TYPES)
		return false;
	refuse_many(draft);
	return true;
}

static void
refuse_many(HubspotDraft *draft)
{
	hubspot_draft_refuse(draft, psprintf("there are more than %d type_ids and labels",
										 HUBSPOT_MAX_TYPES));
}

/* A type's label. */
void
hubspot_draft_label(HubspotDraft *draft, char *label)
{
	refuse_long_label(draft, label, strlen(label));
	draft->label = label;
	draft->labels = &draft->label;
	draft->nlabels = 1;
}

/* To be compared, a label is made lower case, which may take four times its space. */
static bool
refuse_long_label(HubspotDraft *draft, const char *label, int len)
{
	if (len <= HUBSPOT_MAX_TEXT)
		return false;
	hubspot_draft_refuse(draft, psprintf("label \"%s...\" is longer than %d bytes",
										 shown(label, len), HUBSPOT_MAX_TEXT));
	return true;
}

/* Types' labels, of a text[]. */
void
hubspot_draft_labels(HubspotDraft *draft, ArrayType *array)
{
	Datum	   *elements;
	bool	   *isnull;

	draft->has_types = true;
	if (refuse_long(draft, array))
		return;
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &isnull, &draft->nlabels);
	draft->labels = palloc(sizeof(char *) * draft->nlabels);
	for (int i = 0; i < draft->nlabels; i++)
	{
		const		text *label = (const text *) DatumGetPointer(elements[i]);

		draft->labels[i] = "";
		if (isnull[i])
			hubspot_draft_refuse(draft, pstrdup("labels has a null"));
		else if (!refuse_long_label(draft, VARDATA_ANY(label), VARSIZE_ANY_EXHDR(label)))
			draft->labels[i] = text_to_cstring(label);
	}
}

/* The row is not to be sent; the first reason is the one that is told. */
void
hubspot_draft_refuse(HubspotDraft *draft, char *problem)
{
	if (draft->error == NULL)
		draft->error = hubspot_make_error(ERRCODE_INVALID_PARAMETER_VALUE,
										  HUBSPOT_INVALID_INPUT, problem);
}

/* The beginning of a value, to be shown. */
static char *
shown(const char *value, int len)
{
	return pnstrdup(value, pg_mbcliplen(value, len, MAX_SHOWN));
}

/* Check what is known without asking HubSpot. */
void
hubspot_draft_check(HubspotDraft *draft, HubspotInputShape shape)
{
	if (draft->error == NULL)
		check_id(draft, "from_id", draft->input.from_id);
	if (shape == HUBSPOT_INPUT_RECORD)
		draft->input.to_id.data = "";	/* there is none, nor need it be */
	else if (draft->error == NULL)
		check_id(draft, "to_id", draft->input.to_id);
	if (draft->error == NULL)
		check_types(draft, shape);
}

static void
check_id(HubspotDraft *draft, const char *name, HubspotSlice id)
{
	const char *problem;

	if (id.data == NULL)
	{
		hubspot_draft_refuse(draft, psprintf("%s is null", name));
		return;
	}
	problem = hubspot_id_problem(id.data, id.len);
	if (problem)
		hubspot_draft_refuse(draft, psprintf("%s \"%s\" is not valid: %s", name,
											 shown(id.data, id.len), problem));
}

static void
check_types(HubspotDraft *draft, HubspotInputShape shape)
{
	if (shape != HUBSPOT_INPUT_TYPED_PAIR)
	{
		if (draft->has_types || draft->category)
			hubspot_draft_refuse(draft, pstrdup("the operation takes no type_ids, category or labels"));
		return;
	}
	if (draft->ntype_ids + draft->nlabels == 0)
		hubspot_draft_refuse(draft, pstrdup("there is no type_id and no label"));
	else if (draft->ntype_ids + draft->nlabels > HUBSPOT_MAX_TYPES)
		refuse_many(draft);
	for (int i = 0; i < draft->ntype_ids && draft->error == NULL; i++)
	{
		if (draft->type_ids[i] < 1)
			hubspot_draft_refuse(draft, psprintf("type_id %d is not valid: it must be from 1 to %d",
												 draft->type_ids[i], PG_INT32_MAX));
	}
	if (draft->category && !hubspot_is_category(draft->category))
		hubspot_draft_refuse(draft, psprintf("category \"%s\" is not valid: it must be HUBSPOT_DEFINED, USER_DEFINED, INTEGRATOR_DEFINED or another one in capital letters",
											 shown(draft->category, strlen(draft->category))));
}

/*
 * Set the types of an input that is right so far.  Those of the last one are
 * shared if they are the same.
 */
void
hubspot_draft_make_types(HubspotDraft *draft, HubspotLabels *labels,
						 HubspotLastTypes *last)
{
	HubspotAssociationType types[HUBSPOT_MAX_TYPES];
	int			ntypes = 0;

	if (draft->error)
		return;

	for (int i = 0; i < draft->ntype_ids; i++)
	{
		types[ntypes].category = draft->category ? draft->category : DEFAULT_CATEGORY;
		types[ntypes].type_id = draft->type_ids[i];
		types[ntypes++].label = NULL;
	}
	for (int i = 0; i < draft->nlabels; i++)
	{
		const HubspotAssociationType *type;

		type = hubspot_labels_find(labels, draft->labels[i],
								   draft->category, &draft->error);
		if (type == NULL)
			return;
		types[ntypes++] = *type;
	}
	draft->input.types = share_types(last, ntypes, types);
}

/* A list of types; the last row's again if it is the same. */
static const HubspotTypeList *
share_types(HubspotLastTypes *last, int ntypes,
			const HubspotAssociationType *types)
{
	HubspotTypeList *list = last->types;
	MemoryContext context = last->context ? last->context : CurrentMemoryContext;
	int			i = 0;

	if (list && list->ntypes == ntypes)
	{
		while (i < ntypes && list->types[i].type_id == types[i].type_id &&
			   strcmp(list->types[i].category, types[i].category) == 0)
			i++;
		if (i == ntypes)
			return list;
	}

	if (last->context)
		MemoryContextReset(last->context);
	list = MemoryContextAlloc(context,
							  offsetof(HubspotTypeList, types) +
							  sizeof(HubspotAssociationType) * ntypes);
	list->ntypes = ntypes;
	for (i = 0; i < ntypes; i++)
	{
		bool		same = (i > 0 && strcmp(types[i].category, types[i - 1].category) == 0);

		list->types[i].category = same ? list->types[i - 1].category :
			MemoryContextStrdup(context, types[i].category);
		list->types[i].type_id = types[i].type_id;
		list->types[i].label = NULL;
	}
	last->types = list;
	return list;
}
