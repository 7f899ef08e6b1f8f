/*-------------------------------------------------------------------------
 *
 * columns.c
 *	  Which column of a query goes into which field of an input.
 *
 * A query names its columns after the fields of an input; the columns may come in any
 * order, and an operation takes only some of them.  They are found, and their types
 * checked, once for each query; then rows are read by these positions.  The attributes of
 * hs_assoc_input are the same fields, always in one order.
 *
 * IDENTIFICATION
 *	  src/rows/columns.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "base/closest.h"
#include "rows/columns.h"

/*
 * The columns that a query may have, in any order: first the attributes of hs_assoc_input,
 * in theirs, and then further ones.
 */
typedef enum ColumnKind
{
	COLUMN_FROM_ID = HUBSPOT_ATTRIBUTE_FROM_ID,
	COLUMN_TO_ID = HUBSPOT_ATTRIBUTE_TO_ID,
	COLUMN_TYPE_IDS = HUBSPOT_ATTRIBUTE_TYPE_IDS,
	COLUMN_CATEGORY = HUBSPOT_ATTRIBUTE_CATEGORY,
	COLUMN_LABELS = HUBSPOT_ATTRIBUTE_LABELS,
	COLUMN_TYPE_ID = HUBSPOT_NATTRIBUTES,	/* of a query only */
	COLUMN_LABEL,				/* of a query only */
	COLUMN_IS_PRIMARY,			/* of a query only */
	COLUMN_KEY					/* of a query only, for the operation that
								 * looks records up */
} ColumnKind;

#define NCOLUMNS	(COLUMN_KEY + 1)

static const char *const column_names[NCOLUMNS] = {
	[COLUMN_FROM_ID] = "from_id",
	[COLUMN_TO_ID] = "to_id",
	[COLUMN_TYPE_IDS] = "type_ids",
	[COLUMN_CATEGORY] = "category",
	[COLUMN_LABELS] = "labels",
	[COLUMN_TYPE_ID] = "type_id",
	[COLUMN_LABEL] = "label",
	[COLUMN_IS_PRIMARY] = "is_primary",
	[COLUMN_KEY] = "key"
};

/* Pairs of names for the same thing, of which a query may have only one. */
static const struct
{
	ColumnKind	one;
	ColumnKind	other;
}			alternatives[] = {
	{COLUMN_TYPE_ID, COLUMN_TYPE_IDS},
	{COLUMN_LABEL, COLUMN_LABELS}
};

/* The columns that name types; a query of typed pairs has at least one of them. */
static const ColumnKind type_columns[] = {
	COLUMN_TYPE_ID, COLUMN_TYPE_IDS, COLUMN_LABEL, COLUMN_LABELS, COLUMN_IS_PRIMARY
};

/* The columns that a query must have, if the operation takes them. */
static const ColumnKind needed_columns[] = {
	COLUMN_FROM_ID, COLUMN_TO_ID, COLUMN_KEY
};

struct HubspotColumns
{
	int			positions[NCOLUMNS];	/* from 0, or -1: there is none */
	int			nkinds;
	ColumnKind	kinds[NCOLUMNS];	/* the columns that there are, in order */
	HubspotColumn columns[NCOLUMNS];
	char		ids[2][MAXINT8LEN + 1]; /* of the row that was read last */
	bool		are_keys[2];	/* these are keys, not ids of records */
};

static const char *read_category(HubspotColumns *columns, Datum value);
static ColumnKind column_kind(const char *name, HubspotInputShape shape);
static bool takes_column(HubspotInputShape shape, ColumnKind kind);
static char *unknown_column_hint(HubspotInputShape shape, const char *name);
static const char *column_hint(HubspotInputShape shape);
static void check_column_type(Form_pg_attribute attribute, ColumnKind kind);
static void check_columns(const HubspotColumns *columns,
						  HubspotInputShape shape, bool all_primary);
static void check_type_columns(const int *positions, bool all_primary);

/*
 * Find the columns of a query by their names, for an operation whose inputs have that
 * shape; palloc'd.  ERROR for a column that the operation does not know, or whose type
 * does not fit, and for one that is missing; if all inputs have the primary type, no
 * column may name types as well.
 */
HubspotColumns *
hubspot_columns_find(TupleDesc tupdesc, HubspotInputShape shape,
					 const HubspotDirection *direction)
{
	HubspotColumns *columns = palloc0(sizeof(HubspotColumns));

	for (int i = 0; i < NCOLUMNS; i++)
		columns->positions[i] = -1;

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);
		ColumnKind	kind = column_kind(NameStr(attribute->attname), shape);
		HubspotColumn *column = &columns->columns[kind];
		Oid			output;
		bool		is_varlena;

		if (columns->positions[kind] >= 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("the query has more than one column \"%s\"",
							column_names[kind])));
		check_column_type(attribute, kind);
		columns->positions[kind] = i;
		column->type = getBaseType(attribute->atttypid);
		getTypeOutputInfo(attribute->atttypid, &output, &is_varlena);
		fmgr_info(output, &column->output);
	}
	check_columns(columns, shape, direction->all_primary);
	columns->are_keys[0] = (direction->from_type.property != NULL);
	columns->are_keys[1] = (direction->to_type.property != NULL);

	for (int kind = 0; kind < NCOLUMNS; kind++)
	{
		if (columns->positions[kind] >= 0)
			columns->kinds[columns->nkinds++] = kind;
	}
	return columns;
}

/* The column of that name; ERROR: the operation has none. */
static ColumnKind
column_kind(const char *name, HubspotInputShape shape)
{
	for (int kind = 0; kind < NCOLUMNS; kind++)
	{
		if (takes_column(shape, kind) && strcmp(column_names[kind], name) == 0)
			return kind;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
			 errmsg("the query has a column \"%s\" that the operation does not know", name),
			 errhint("%s", unknown_column_hint(shape, name))));
}

/* May inputs of a shape have that column? */
static bool
takes_column(HubspotInputShape shape, ColumnKind kind)
{
	switch (shape)
	{
		case HUBSPOT_INPUT_RECORD:
			return kind == COLUMN_FROM_ID;
		case HUBSPOT_INPUT_KEY:
			return kind == COLUMN_KEY;
		case HUBSPOT_INPUT_TYPED_PAIR:
		case HUBSPOT_INPUT_ANY_PAIR:
			return kind != COLUMN_KEY;
		default:
			return kind == COLUMN_FROM_ID || kind == COLUMN_TO_ID;
	}
}

/* A hint: the column that may have been meant, and those that there may be. */
static char *
unknown_column_hint(HubspotInputShape shape, const char *name)
{
	HubspotClosest closest = {.name = name};

	for (int kind = 0; kind < NCOLUMNS; kind++)
	{
		/* it was meant, but belongs to another operation */
		if (strcmp(column_names[kind], name) == 0)
			return pstrdup(column_hint(shape));
		if (takes_column(shape, kind))
			hubspot_closest_try(&closest, column_names[kind]);
	}

	/*
	 * "type" and "FROM_ID" differ in too many characters, but begin like a
	 * name
	 */
	for (int kind = NCOLUMNS - 1; kind >= 0 && closest.found == NULL; kind--)
	{
		if (takes_column(shape, kind) &&
			pg_strncasecmp(column_names[kind], name, strlen(name)) == 0)
			closest.found = column_names[kind];
	}
	if (closest.found == NULL)
		return pstrdup(column_hint(shape));
	return psprintf("Perhaps you meant \"%s\". %s", closest.found, column_hint(shape));
}

/* A hint: the columns that there may be. */
static const char *
column_hint(HubspotInputShape shape)
{
	switch (shape)
	{
		case HUBSPOT_INPUT_RECORD:
			return "The column is from_id.";
		case HUBSPOT_INPUT_KEY:
			return "The column is key.";
		case HUBSPOT_INPUT_TYPED_PAIR:
		case HUBSPOT_INPUT_ANY_PAIR:
			return "The columns are from_id, to_id, type_id or type_ids, label or labels, is_primary, and category.";
		default:
			return "The columns are from_id and to_id.";
	}
}

/*
 * ERROR if a column's type does not fit.  Ids and categories may be of any type, a label
 * of any but an array.
 */
static void
check_column_type(Form_pg_attribute attribute, ColumnKind kind)
{
	Oid			type = getBaseType(attribute->atttypid);
	bool		is_array = type_is_array(type);
	const char *wanted = NULL;
	const char *hint = NULL;

	if (kind == COLUMN_TYPE_ID && type != INT4OID && type != INT8OID && type != INT2OID)
	{
		wanted = "an integer";
		hint = is_array ? "If it holds the numbers of several types, name it type_ids." :
			"If it holds labels, name it label; if it holds numbers, cast it to integer.";
	}
	else if (kind == COLUMN_TYPE_IDS && type != INT4ARRAYOID)
	{
		wanted = "integer[]";
		hint = is_array ? "Cast it to integer[]." :
			"If it holds the number of one type, name it type_id.";
	}
	else if (kind == COLUMN_LABELS && type != TEXTARRAYOID)
	{
		wanted = "text[]";
		hint = is_array ? "Cast it to text[]." : "If it holds one label, name it label.";
	}
	else if (kind == COLUMN_LABEL && is_array)
	{
		wanted = "text";
		hint = "If it holds several labels, name it labels.";
	}
	else if (kind == COLUMN_IS_PRIMARY && type != BOOLOID)
	{
		wanted = "boolean";
		hint = "Cast it to boolean.";
	}
	if (wanted)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of the query is of type %s, not %s",
						column_names[kind],
						format_type_be(attribute->atttypid), wanted),
				 errhint("%s", hint)));
}

/* ERROR if a column is missing, or if two columns are for the same thing. */
static void
check_columns(const HubspotColumns *columns, HubspotInputShape shape,
			  bool all_primary)
{
	const int  *positions = columns->positions;

	for (size_t i = 0; i < lengthof(needed_columns); i++)
	{
		ColumnKind	kind = needed_columns[i];

		if (takes_column(shape, kind) && positions[kind] < 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("the query has no column \"%s\"", column_names[kind]),
					 errhint("Name the column of the query with AS %s.", column_names[kind])));
	}
	if (shape == HUBSPOT_INPUT_TYPED_PAIR ||
		(shape == HUBSPOT_INPUT_ANY_PAIR && positions[COLUMN_CATEGORY] >= 0))
		check_type_columns(positions, all_primary);
	for (size_t i = 0; i < lengthof(alternatives); i++)
	{
		if (positions[alternatives[i].one] >= 0 &&
			positions[alternatives[i].other] >= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
					 errmsg("the query has both a column \"%s\" and a column \"%s\"",
							column_names[alternatives[i].one],
							column_names[alternatives[i].other])));
	}
}

/* ERROR if no column names types, or if one does although the argument gives the type. */
static void
check_type_columns(const int *positions, bool all_primary)
{
	size_t		i = 0;

	while (i < lengthof(type_columns) && positions[type_columns[i]] < 0)
		i++;
	if (all_primary && i < lengthof(type_columns))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
				 errmsg("the query has a column \"%s\", but argument \"%s\" is true",
						column_names[type_columns[i]], "is_primary"),
				 errhint("The argument gives all rows the primary type; to give it to some of them, leave it out and add a column is_primary.")));
	if (!all_primary && i == lengthof(type_columns))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("the query has no column \"type_id\", \"type_ids\", \"label\", \"labels\" or \"is_primary\""),
				 errhint("To associate with the default type, use the operation create_default (hs_assoc_batch_create_default); to remove all types, archive (hs_assoc_batch_archive).")));
}

/* Does a column name types? */
bool
hubspot_columns_are_typed(const HubspotColumns *columns)
{
	for (size_t i = 0; i < lengthof(type_columns); i++)
	{
		if (columns->positions[type_columns[i]] >= 0)
			return true;
	}
	return false;
}

/*
 * Read an input from a row of the query.  Its texts live until the next row is read, but
 * no longer than the current memory context.
 */
void
hubspot_columns_read(HubspotColumns *columns, TupleTableSlot *slot,
					 HubspotRawInput *raw)
{
	slot_getallattrs(slot);
	for (int i = 0; i < columns->nkinds; i++)
	{
		ColumnKind	kind = columns->kinds[i];
		HubspotColumn *column = &columns->columns[kind];
		int			position = columns->positions[kind];
		Datum		value;

		if (slot->tts_isnull[position])
			continue;
		value = slot->tts_values[position];
		switch (kind)
		{
			case COLUMN_FROM_ID:
			case COLUMN_KEY:
				raw->input.from_id = hubspot_read_id(column, value, columns->ids[0]);
				if (!columns->are_keys[0])
					hubspot_raw_input_check_number(raw, column_names[kind], column,
												   raw->input.from_id);
				break;
			case COLUMN_TO_ID:
				raw->input.to_id = hubspot_read_id(column, value, columns->ids[1]);
				if (!columns->are_keys[1])
					hubspot_raw_input_check_number(raw, column_names[kind], column,
												   raw->input.to_id);
				break;
			case COLUMN_TYPE_ID:
				hubspot_raw_input_type_id(raw, column, value);
				break;
			case COLUMN_TYPE_IDS:
				hubspot_raw_input_type_ids(raw, DatumGetArrayTypeP(value));
				break;
			case COLUMN_CATEGORY:
				raw->category = read_category(columns, value);
				break;
			case COLUMN_LABEL:
				hubspot_raw_input_label(raw, hubspot_read_text(column, value));
				break;
			case COLUMN_LABELS:
				hubspot_raw_input_labels(raw, DatumGetArrayTypeP(value));
				break;
			case COLUMN_IS_PRIMARY:
				raw->is_primary = DatumGetBool(value);
				break;
		}
	}
}

/* A category; a known one is not copied. */
static const char *
read_category(HubspotColumns *columns, Datum value)
{
	HubspotColumn *column = &columns->columns[COLUMN_CATEGORY];
	HubspotSlice text;
	const char *known;

	if (column->type != TEXTOID)
		return hubspot_read_text(column, value);
	text = hubspot_read_id(column, value, NULL);
	known = hubspot_known_category(text.data, text.len);
	return known ? known : hubspot_read_text(column, value);
}

/* The attributes of hs_assoc_input, whose type is given; palloc'd. */
TupleDesc
hubspot_input_tupdesc(Oid type)
{
	TupleDesc	tupdesc = lookup_rowtype_tupdesc_copy(type, -1);

	if (tupdesc->natts != HUBSPOT_NATTRIBUTES)
		elog(ERROR, "hs_assoc_input has %d columns", tupdesc->natts);
	return tupdesc;
}

/* Read an hs_assoc_input, in the current memory context. */
void
hubspot_input_read(TupleDesc tupdesc, Datum element, HubspotRawInput *raw)
{
	HeapTupleHeader header;
	HeapTupleData tuple;
	Datum		values[NCOLUMNS];
	bool		isnull[NCOLUMNS];
	HubspotColumn text = {.type = TEXTOID};

	header = DatumGetHeapTupleHeader(element);
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, tupdesc, values, isnull);
	if (!isnull[COLUMN_FROM_ID])
		raw->input.from_id = hubspot_read_id(&text, values[COLUMN_FROM_ID], NULL);
	if (!isnull[COLUMN_TO_ID])
		raw->input.to_id = hubspot_read_id(&text, values[COLUMN_TO_ID], NULL);
	if (!isnull[COLUMN_TYPE_IDS])
		hubspot_raw_input_type_ids(raw, DatumGetArrayTypeP(values[COLUMN_TYPE_IDS]));
	if (!isnull[COLUMN_CATEGORY])
		raw->category = hubspot_read_text(&text, values[COLUMN_CATEGORY]);
	if (!isnull[COLUMN_LABELS])
		hubspot_raw_input_labels(raw, DatumGetArrayTypeP(values[COLUMN_LABELS]));
}

/* Read a text that is the id of a record, or its key, in the current memory context. */
void
hubspot_input_read_id(Datum element, HubspotRawInput *raw)
{
	HubspotColumn text = {.type = TEXTOID};

	raw->input.from_id = hubspot_read_id(&text, element, NULL);
}
