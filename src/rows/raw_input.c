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
#include "utils/typcache.h"

#include "api/endpoint.h"
#include "api/error.h"
#include "base/digits.h"
#include "rows/id_type.h"
#include "rows/raw_input.h"

/* How many bytes of a wrong value are shown. */
#define MAX_SHOWN			100

/* Ids of records are numbers of 64 bits. */
#define MAX_RECORD_DIGITS	19

static bool read_type_id(HubspotColumn *column, Datum value, int32 *type_id);
static bool refuse_long(HubspotRawInput *raw, const ArrayType *array);
static void refuse_many(HubspotRawInput *raw);
static bool refuse_long_label(HubspotRawInput *raw, const char *label, int len);
static char *shown(const char *value, int len);
static bool check_id(HubspotRawInput *raw, HubspotInputShape shape, const char *name,
					 const HubspotObjectType *type, HubspotSlice id);
static bool may_be_record(HubspotSlice id);
static bool has_last_type(const HubspotRawInput *raw, const HubspotLastTypes *last);
static const char *category_of(const HubspotRawInput *raw);
static void check_types(HubspotRawInput *raw, HubspotInputShape shape);
static const HubspotTypeList *share_types(HubspotLastTypes *last, int ntypes,
										  const HubspotAssociationType *types);

/*
 * Read an id as text, which lives as long as the row; that of an integer goes into buffer.
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
 * Refuse an id from a column of numbers that is not all digits: 70100401.00 and 7.01e+07
 * are not ids of a record, though the number may be.
 */
void
hubspot_raw_input_check_number(HubspotRawInput *raw, const char *name,
							   const HubspotColumn *column, HubspotSlice id)
{
	int			sign = (id.len > 0 && id.data[0] == '-') ? 1 : 0;

	if (!hubspot_is_number_type(column->type) ||
		(id.len > sign && hubspot_all_digits(id.data + sign, id.len - sign)))
		return;
	hubspot_raw_input_refuse(raw, psprintf("%s \"%s\" is not valid: it is of type %s; cast the column to bigint",
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

/* Take the number of a type. */
void
hubspot_raw_input_type_id(HubspotRawInput *raw, HubspotColumn *column, Datum value)
{
	raw->type_ids = &raw->type_id;
	raw->ntype_ids = 1;
	if (!read_type_id(column, value, &raw->type_id))
		hubspot_raw_input_refuse(raw, psprintf("type_id %s is not valid: it must be from 1 to %d",
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

/* Take the numbers of types from an integer[]. */
void
hubspot_raw_input_type_ids(HubspotRawInput *raw, ArrayType *array)
{
	Datum	   *elements;
	bool	   *isnull;
	int32	   *type_ids;

	raw->has_types = true;
	if (refuse_long(raw, array))
		return;
	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &elements, &isnull, &raw->ntype_ids);
	type_ids = palloc(sizeof(int32) * raw->ntype_ids);
	for (int i = 0; i < raw->ntype_ids; i++)
	{
		if (isnull[i])
			hubspot_raw_input_refuse(raw, pstrdup("type_ids contains a null"));
		type_ids[i] = isnull[i] ? 0 : DatumGetInt32(elements[i]);
	}
	raw->type_ids = type_ids;
}

/* Refuse an array that is too long, before it is taken apart. */
static bool
refuse_long(HubspotRawInput *raw, const ArrayType *array)
{
	if (ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) <= HUBSPOT_MAX_TYPES)
		return false;
	refuse_many(raw);
	return true;
}

static void
refuse_many(HubspotRawInput *raw)
{
	hubspot_raw_input_refuse(raw, psprintf("there are more than %d type_ids and labels",
										   HUBSPOT_MAX_TYPES));
}

/* Take the label of a type. */
void
hubspot_raw_input_label(HubspotRawInput *raw, char *label)
{
	refuse_long_label(raw, label, strlen(label));
	raw->label = label;
	raw->labels = &raw->label;
	raw->nlabels = 1;
}

/*
 * Refuse a label that is too long: it is compared in lower case, which may take four times
 * its space.
 */
static bool
refuse_long_label(HubspotRawInput *raw, const char *label, int len)
{
	if (len <= HUBSPOT_MAX_TEXT)
		return false;
	hubspot_raw_input_refuse(raw, psprintf("label \"%s...\" is longer than %d bytes",
										   shown(label, len), HUBSPOT_MAX_TEXT));
	return true;
}

/* Take the labels of types from a text[]. */
void
hubspot_raw_input_labels(HubspotRawInput *raw, ArrayType *array)
{
	Datum	   *elements;
	bool	   *isnull;

	raw->has_types = true;
	if (refuse_long(raw, array))
		return;
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &isnull, &raw->nlabels);
	raw->labels = palloc(sizeof(char *) * raw->nlabels);
	for (int i = 0; i < raw->nlabels; i++)
	{
		const		text *label = (const text *) DatumGetPointer(elements[i]);

		raw->labels[i] = "";
		if (isnull[i])
			hubspot_raw_input_refuse(raw, pstrdup("labels contains a null"));
		else if (!refuse_long_label(raw, VARDATA_ANY(label), VARSIZE_ANY_EXHDR(label)))
			raw->labels[i] = text_to_cstring(label);
	}
}

/*
 * Give an input the primary type of the direction, whose number is given (0: there is
 * none).  It must not have other types.
 */
void
hubspot_raw_input_set_primary(HubspotRawInput *raw, const HubspotDirection *direction,
							  int32 primary_type)
{
	if (raw->ntype_ids + raw->nlabels > 0)
		hubspot_raw_input_refuse(raw, pstrdup("is_primary is true, but there is a type_id or a label as well"));
	else if (primary_type == 0)
		hubspot_raw_input_refuse(raw, psprintf("there is no primary type from %s to %s; %s",
											   direction->from_type.name, direction->to_type.name,
											   HUBSPOT_PRIMARY_DIRECTIONS));
	else if (raw->category && strcmp(raw->category, HUBSPOT_DEFINED_CATEGORY) != 0)
		hubspot_raw_input_refuse(raw, psprintf("is_primary is true, but the category is \"%s\"; the primary type is %s",
											   shown(raw->category, strlen(raw->category)),
											   HUBSPOT_DEFINED_CATEGORY));
	raw->type_id = primary_type;
	raw->type_ids = &raw->type_id;
	raw->ntype_ids = 1;
}

/* Take note of why an input is not to be sent; the first reason counts. */
void
hubspot_raw_input_refuse(HubspotRawInput *raw, char *problem)
{
	if (raw->error == NULL)
		raw->error = hubspot_make_error(HUBSPOT_VERDICT_INVALID,
										ERRCODE_INVALID_PARAMETER_VALUE, problem);
}

/* The beginning of a value, to be shown. */
static char *
shown(const char *value, int len)
{
	return pnstrdup(value, pg_mbcliplen(value, len, MAX_SHOWN));
}

/*
 * Check what can be checked without asking HubSpot.  If the input has the same single type
 * as the last one, the types of that are set.
 */
void
hubspot_raw_input_check(HubspotRawInput *raw, HubspotInputShape shape,
						const HubspotDirection *direction,
						const HubspotLastTypes *last)
{
	if (raw->error == NULL)
		raw->input.from_is_normal =
			check_id(raw, shape, shape == HUBSPOT_INPUT_KEY ? "key" : "from_id",
					 &direction->from_type, raw->input.from_id);
	if (shape == HUBSPOT_INPUT_RECORD || shape == HUBSPOT_INPUT_KEY)
		raw->input.to_id.data = ""; /* there is none, and none is needed */
	else if (raw->error == NULL)
		raw->input.to_is_normal =
			check_id(raw, shape, "to_id", &direction->to_type, raw->input.to_id);
	if (raw->error == NULL && shape == HUBSPOT_INPUT_TYPED_PAIR && has_last_type(raw, last))
		raw->input.types = last->types;
	else if (raw->error == NULL)
		check_types(raw, shape);
}

/* Does an input have one type, given by its number, which is also the last one's? */
static bool
has_last_type(const HubspotRawInput *raw, const HubspotLastTypes *last)
{
	const HubspotTypeList *types = last->types;

	return types && types->ntypes == 1 && raw->ntype_ids == 1 && raw->nlabels == 0 &&
		types->types[0].type_id == raw->type_ids[0] &&
		(types->types[0].category == category_of(raw) ||
		 strcmp(types->types[0].category, category_of(raw)) == 0);
}

/* The category of the types that are given by their numbers. */
static const char *
category_of(const HubspotRawInput *raw)
{
	return raw->category ? raw->category : hubspot_defined_category;
}

/* True: it is a key in its normal form. */
static bool
check_id(HubspotRawInput *raw, HubspotInputShape shape, const char *name,
		 const HubspotObjectType *type, HubspotSlice id)
{
	/* one id that is none would have HubSpot refuse all that it is asked for */
	bool		looked_up = (shape == HUBSPOT_INPUT_KEY);
	const char *problem;

	if (id.data == NULL)
	{
		hubspot_raw_input_refuse(raw, psprintf("%s is null", name));
		return false;
	}
	if (type->property && hubspot_key_is_normal(type, id))
		return true;
	problem = type->property ? hubspot_key_problem(id) :
		hubspot_id_problem(id.data, id.len);
	if (problem == NULL && looked_up && type->property == NULL && !may_be_record(id))
		problem = psprintf("an id has 1 to %d digits, and does not begin with 0; to look up values of a property, name it, as in \"contacts:email\"",
						   MAX_RECORD_DIGITS);
	if (problem)
		hubspot_raw_input_refuse(raw, psprintf("%s \"%s\" is not valid: %s", name,
											   shown(id.data, id.len), problem));
	return false;
}

/* Can it be the id of a record, as HubSpot gives them? */
static bool
may_be_record(HubspotSlice id)
{
	return id.len <= MAX_RECORD_DIGITS && hubspot_all_digits(id.data, id.len) &&
		id.data[0] != '0';
}

static void
check_types(HubspotRawInput *raw, HubspotInputShape shape)
{
	if (shape != HUBSPOT_INPUT_TYPED_PAIR)
	{
		if (raw->has_types || raw->category)
			hubspot_raw_input_refuse(raw, pstrdup("the operation takes no type_ids, category or labels"));
		return;
	}
	if (raw->ntype_ids + raw->nlabels == 0)
		hubspot_raw_input_refuse(raw, pstrdup("there is neither a type_id nor a label"));
	else if (raw->ntype_ids + raw->nlabels > HUBSPOT_MAX_TYPES)
		refuse_many(raw);
	for (int i = 0; i < raw->ntype_ids && raw->error == NULL; i++)
	{
		if (raw->type_ids[i] < 1)
			hubspot_raw_input_refuse(raw, psprintf("type_id %d is not valid: it must be from 1 to %d",
												   raw->type_ids[i], PG_INT32_MAX));
	}
	if (raw->category && !hubspot_is_category(raw->category))
		hubspot_raw_input_refuse(raw, psprintf("category \"%s\" is not valid: it must be HUBSPOT_DEFINED, USER_DEFINED, INTEGRATOR_DEFINED or another one in capital letters",
											   shown(raw->category, strlen(raw->category))));
}

/*
 * Set the types of an input, unless it has an error.  Those of the last input are shared
 * if they are the same.
 */
void
hubspot_raw_input_make_types(HubspotRawInput *raw, HubspotLabels *labels,
							 HubspotLastTypes *last)
{
	HubspotAssociationType types[HUBSPOT_MAX_TYPES];
	int			ntypes = 0;

	if (raw->error || raw->input.types)
		return;

	for (int i = 0; i < raw->ntype_ids; i++)
	{
		types[ntypes].category = category_of(raw);
		types[ntypes].type_id = raw->type_ids[i];
		types[ntypes++].label = NULL;
	}
	for (int i = 0; i < raw->nlabels; i++)
	{
		const HubspotAssociationType *type;

		type = hubspot_labels_find(labels, raw->labels[i],
								   raw->category, &raw->error);
		if (type == NULL)
			return;
		types[ntypes++] = *type;
	}
	raw->input.types = share_types(last, ntypes, types);
}

/* A list of types: the last input's again if it is the same. */
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
		const char *category = hubspot_known_category(types[i].category,
													  strlen(types[i].category));

		if (category == NULL && i > 0 && strcmp(types[i].category, types[i - 1].category) == 0)
			category = list->types[i - 1].category;
		list->types[i].category = category ? category :
			MemoryContextStrdup(context, types[i].category);
		list->types[i].type_id = types[i].type_id;
		list->types[i].label = NULL;
	}
	last->types = list;
	return list;
}
