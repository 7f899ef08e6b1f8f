/*-------------------------------------------------------------------------
 *
 * result.c
 *	  From outcomes to rows of SQL.
 *
 * IDENTIFICATION
 *	  src/rows/result.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "api/association_type.h"
#include "api/error.h"
#include "api/record.h"
#include "rows/result.h"
#include "rows/stencil.h"

/* The columns of hs_assoc_result. */
enum
{
	RESULT_INPUT_NO,
	RESULT_FROM_ID,
	RESULT_TO_ID,
	RESULT_OK,
	RESULT_LABELS,
	RESULT_TYPES,
	RESULT_HTTP_STATUS,
	RESULT_ERROR_CATEGORY,
	RESULT_ERROR_MESSAGE,
	RESULT_CORRELATION_ID,
	RESULT_ERROR,
	RESULT_FROM_RECORD,
	RESULT_TO_RECORD,
	RESULT_NCOLUMNS
};

/* The columns of hs_assoc_association. */
enum
{
	ASSOCIATION_INPUT_NO,
	ASSOCIATION_FROM_ID,
	ASSOCIATION_TO_ID,
	ASSOCIATION_CATEGORY,
	ASSOCIATION_TYPE_ID,
	ASSOCIATION_LABEL,
	ASSOCIATION_IS_PRIMARY,
	ASSOCIATION_ERROR_CATEGORY,
	ASSOCIATION_ERROR_MESSAGE,
	ASSOCIATION_ERROR,
	ASSOCIATION_FROM_RECORD,
	ASSOCIATION_TO_RECORD,
	ASSOCIATION_NCOLUMNS
};

/* The columns of hs_assoc_record. */
enum
{
	RECORD_INPUT_NO,
	RECORD_KEY,
	RECORD_RECORD_ID,
	RECORD_CANDIDATES,
	RECORD_ERROR_CATEGORY,
	RECORD_ERROR_MESSAGE,
	RECORD_ERROR,
	RECORD_NCOLUMNS
};

#define MAX_NCOLUMNS	RESULT_NCOLUMNS

/* The columns of hs_assoc_type. */
enum
{
	TYPE_CATEGORY,
	TYPE_TYPE_ID,
	TYPE_LABEL,
	TYPE_IS_PRIMARY,
	TYPE_NCOLUMNS
};

/* Ids of that length, longer than any of HubSpot's, need no palloc. */
#define USUAL_ID_LEN		100

typedef union IdText
{
	int32		header;			/* for its alignment */
	char		space[VARHDRSZ + USUAL_ID_LEN];
} IdText;

/* A text and the datum that was made of it. */
typedef struct CachedText
{
	char	   *text;			/* or NULL */
	Datum		datum;
} CachedText;

struct HubspotResultRow
{
	MemoryContext context;
	TupleDesc	tupdesc;
	void		(*fill) (HubspotResultRow *row, const HubspotOutcome *outcome);
	Datum		values[MAX_NCOLUMNS];
	bool		isnull[MAX_NCOLUMNS];
	bool		special;		/* apart from the ids, it has a value of its
								 * own that is passed by reference */
	HubspotStencils *stencils;	/* for rows that are not special; NULL: there
								 * was no row so far */

	IdText		ids[4];			/* of the row */
	MemoryContext row_context;	/* reset for each row */
	MemoryContext types_context;	/* of the last types */
	TupleDesc	type_tupdesc;
	int16		type_len;
	bool		type_by_value;
	char		type_align;

	/*
	 * most rows have one type, the same as the last row; its category is a
	 * copy
	 */
	HubspotAssociationType last_type;
	Datum		last_types;

	/* most rows have the last row's labels, too */
	MemoryContext labels_context;
	HubspotLabelList *last_labels;	/* a copy, or NULL */
	Datum		last_labels_datum;

	/*
	 * most associations have the texts of the last one's type; these are
	 * copies
	 */
	CachedText	category;
	CachedText	label;
};

static void fill(HubspotResultRow *row, const HubspotOutcome *outcome);
static void prepare_result(HubspotResultRow *row, TupleDesc tupdesc);
static void fill_result(HubspotResultRow *row, const HubspotOutcome *outcome);
static void fill_association(HubspotResultRow *row,
							 const HubspotOutcome *outcome);
static void fill_record(HubspotResultRow *row, const HubspotOutcome *outcome);
static void fill_records(HubspotResultRow *row, const HubspotOutcome *outcome,
						 int from_record, int to_record);
static Datum candidates_datum(const HubspotError *error);
static Datum text_datum(HubspotResultRow *row, CachedText *last,
						const char *text);
static Datum id_datum(HubspotSlice id, IdText *space);
static void remade(HubspotResultRow *row);
static Datum types_datum(HubspotResultRow *row, const HubspotTypeList *types);
static Datum make_types(const HubspotResultRow *row,
						const HubspotTypeList *types);
static Datum labels_datum(HubspotResultRow *row,
						  const HubspotLabelList *labels);
static bool same_labels(const HubspotLabelList *one,
						const HubspotLabelList *other);

/*
 * Create what makes rows of outcomes, in context.  tupdesc, which must live as long, is
 * that of hs_assoc_result, hs_assoc_association or hs_assoc_record.
 */
HubspotResultRow *
hubspot_result_create(MemoryContext context, TupleDesc tupdesc)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotResultRow *row = palloc0(sizeof(HubspotResultRow));

	row->context = context;
	row->tupdesc = tupdesc;
	row->row_context = AllocSetContextCreate(context, "hubspot_assoc result row",
											 ALLOCSET_SMALL_SIZES);
	row->types_context = AllocSetContextCreate(context, "hubspot_assoc result types",
											   ALLOCSET_SMALL_SIZES);
	row->labels_context = AllocSetContextCreate(context, "hubspot_assoc result labels",
												ALLOCSET_SMALL_SIZES);
	if (tupdesc->natts == ASSOCIATION_NCOLUMNS)
		row->fill = fill_association;
	else if (tupdesc->natts == RECORD_NCOLUMNS)
		row->fill = fill_record;
	else if (tupdesc->natts == RESULT_NCOLUMNS)
		prepare_result(row, tupdesc);
	else
		elog(ERROR, "unexpected row type of %d columns", tupdesc->natts);
	MemoryContextSwitchTo(old);
	return row;
}

static void
prepare_result(HubspotResultRow *row, TupleDesc tupdesc)
{
	Oid			type;

	row->fill = fill_result;
	type = get_element_type(TupleDescAttr(tupdesc, RESULT_TYPES)->atttypid);
	row->type_tupdesc = lookup_rowtype_tupdesc_copy(type, -1);
	get_typlenbyvalalign(type, &row->type_len, &row->type_by_value,
						 &row->type_align);
}

/* An outcome as a datum of the row type, palloc'd. */
Datum
hubspot_result_row(HubspotResultRow *row, const HubspotOutcome *outcome)
{
	fill(row, outcome);
	return HeapTupleGetDatum(heap_form_tuple(row->tupdesc, row->values,
											 row->isnull));
}

/* Put an outcome into a tuplestore. */
void
hubspot_result_put(HubspotResultRow *row, const HubspotOutcome *outcome,
				   Tuplestorestate *tupstore)
{
	if (row->stencils && outcome->kind != 0)
	{
		HubspotStencilRow ids = {outcome->input_no, outcome->from_id, outcome->to_id,
		outcome->from_record, outcome->to_record};

		if (row->fill == fill_record)
			ids.to_id = outcome->from_record;
		else if (outcome->association)
			ids.to_id = outcome->association->to_id;
		if (hubspot_stencils_put_kind(row->stencils, tupstore, outcome->kind, &ids))
			return;
	}
	fill(row, outcome);
	if (row->special)
	{
		tuplestore_putvalues(tupstore, row->tupdesc, row->values, row->isnull);
		return;
	}
	if (row->stencils == NULL)
		row->stencils = hubspot_stencils_create(row->context, row->tupdesc,
												row->fill != fill_record);
	hubspot_stencils_put(row->stencils, tupstore, row->values, row->isnull,
						 outcome->kind);
}

/* Set the values of an outcome's row, which are valid until the next one. */
static void
fill(HubspotResultRow *row, const HubspotOutcome *outcome)
{
	MemoryContext old;

	MemoryContextReset(row->row_context);
	old = MemoryContextSwitchTo(row->row_context);
	memset(row->isnull, true, sizeof(row->isnull));
	row->special = false;
	row->fill(row, outcome);
	MemoryContextSwitchTo(old);
}

#define SET(column, condition, datum) \
	do { \
		if (condition) \
		{ \
			row->values[column] = (datum); \
			row->isnull[column] = false; \
		} \
	} while (0)

static void
fill_result(HubspotResultRow *row, const HubspotOutcome *outcome)
{
	const HubspotError *error = outcome->error;

	SET(RESULT_INPUT_NO, true, Int64GetDatum(outcome->input_no));
	SET(RESULT_FROM_ID, outcome->from_id.data, id_datum(outcome->from_id, &row->ids[0]));
	SET(RESULT_TO_ID, outcome->to_id.data, id_datum(outcome->to_id, &row->ids[1]));
	SET(RESULT_OK, true, BoolGetDatum(error == NULL));
	SET(RESULT_LABELS, outcome->labels, labels_datum(row, outcome->labels));
	SET(RESULT_TYPES, outcome->types, types_datum(row, outcome->types));
	SET(RESULT_HTTP_STATUS, outcome->http_status != 0,
		Int32GetDatum(outcome->http_status));
	SET(RESULT_CORRELATION_ID, outcome->correlation_id,
		CStringGetTextDatum(outcome->correlation_id));
	if (outcome->correlation_id)
		row->special = true;
	if (error)
	{
		Jsonb	   *object = hubspot_error_object(error);

		row->special = true;
		SET(RESULT_ERROR_CATEGORY, true, CStringGetTextDatum(error->category));
		SET(RESULT_ERROR_MESSAGE, true, CStringGetTextDatum(error->message));
		SET(RESULT_ERROR, object, JsonbPGetDatum(object));
	}
	fill_records(row, outcome, RESULT_FROM_RECORD, RESULT_TO_RECORD);
}

/* Set the ids of records that are called by keys. */
static void
fill_records(HubspotResultRow *row, const HubspotOutcome *outcome, int from_record,
			 int to_record)
{
	SET(from_record, outcome->from_record.data,
		id_datum(outcome->from_record, &row->ids[2]));
	SET(to_record, outcome->to_record.data, id_datum(outcome->to_record, &row->ids[3]));
}

/* Set the columns of an association, or of an error. */
static void
fill_association(HubspotResultRow *row, const HubspotOutcome *outcome)
{
	const HubspotError *error = outcome->error;
	const HubspotAssociation *association = outcome->association;

	SET(ASSOCIATION_INPUT_NO, true, Int64GetDatum(outcome->input_no));
	SET(ASSOCIATION_FROM_ID, outcome->from_id.data,
		id_datum(outcome->from_id, &row->ids[0]));
	if (outcome->name)
		SET(ASSOCIATION_TO_ID, outcome->to_id.data, id_datum(outcome->to_id, &row->ids[1]));
	else if (association)
		SET(ASSOCIATION_TO_ID, true, id_datum(association->to_id, &row->ids[1]));
	if (association && association->type)
	{
		const HubspotAssociationType *type = association->type;

		SET(ASSOCIATION_CATEGORY, type->category,
			text_datum(row, &row->category, type->category));
		SET(ASSOCIATION_TYPE_ID, type->type_id != 0, Int32GetDatum(type->type_id));
		SET(ASSOCIATION_LABEL, type->label,
			text_datum(row, &row->label, type->label));
		SET(ASSOCIATION_IS_PRIMARY, true, BoolGetDatum(hubspot_is_primary(type)));
	}
	if (error)
	{
		Jsonb	   *object = hubspot_error_object(error);

		row->special = true;
		SET(ASSOCIATION_ERROR_CATEGORY, true, CStringGetTextDatum(error->category));
		SET(ASSOCIATION_ERROR_MESSAGE, true, CStringGetTextDatum(error->message));
		SET(ASSOCIATION_ERROR, object, JsonbPGetDatum(object));
	}
	fill_records(row, outcome, ASSOCIATION_FROM_RECORD, ASSOCIATION_TO_RECORD);
}

/* Set the columns of a record that was looked up, or of why it is not known. */
static void
fill_record(HubspotResultRow *row, const HubspotOutcome *outcome)
{
	const HubspotError *error = outcome->error;

	SET(RECORD_INPUT_NO, true, Int64GetDatum(outcome->input_no));
	SET(RECORD_KEY, outcome->from_id.data, id_datum(outcome->from_id, &row->ids[0]));
	SET(RECORD_RECORD_ID, outcome->from_record.data,
		id_datum(outcome->from_record, &row->ids[1]));
	if (error)
	{
		Jsonb	   *object = hubspot_error_object(error);
		Datum		candidates = candidates_datum(error);

		row->special = true;
		SET(RECORD_CANDIDATES, DatumGetPointer(candidates), candidates);
		SET(RECORD_ERROR_CATEGORY, true, CStringGetTextDatum(error->category));
		SET(RECORD_ERROR_MESSAGE, true, CStringGetTextDatum(error->message));
		SET(RECORD_ERROR, object, JsonbPGetDatum(object));
	}
}

#undef SET

/* The ids of the records that may have been meant, as a text[], or a null pointer. */
static Datum
candidates_datum(const HubspotError *error)
{
	List	   *ids = hubspot_error_candidates(error);
	Datum	   *elements;
	ListCell   *lc;

	if (ids == NIL)
		return PointerGetDatum(NULL);
	elements = palloc(sizeof(Datum) * list_length(ids));
	foreach(lc, ids)
		elements[foreach_current_index(lc)] = CStringGetTextDatum(lfirst(lc));
	return PointerGetDatum(construct_array(elements, list_length(ids), TEXTOID, -1,
										   false, TYPALIGN_INT));
}

/* The datum of a text; the last row's if that had the same. */
static Datum
text_datum(HubspotResultRow *row, CachedText *last, const char *text)
{
	MemoryContext old;

	if (last->text && strcmp(last->text, text) == 0)
		return last->datum;
	remade(row);
	if (last->text)
	{
		pfree(last->text);
		pfree(DatumGetPointer(last->datum));
		last->text = NULL;
	}
	old = MemoryContextSwitchTo(row->types_context);
	last->datum = CStringGetTextDatum(text);
	last->text = pstrdup(text);
	MemoryContextSwitchTo(old);
	return last->datum;
}

/* Take note that a cached value is made anew, maybe in the place of the one before. */
static void
remade(HubspotResultRow *row)
{
	row->special = true;
	if (row->stencils)
		hubspot_stencils_forget(row->stencils);
}

static Datum
id_datum(HubspotSlice id, IdText *space)
{
	if (id.len > USUAL_ID_LEN)
		return PointerGetDatum(cstring_to_text_with_len(id.data, id.len));
	SET_VARSIZE(space, VARHDRSZ + id.len);
	memcpy(VARDATA(space), id.data, id.len);
	return PointerGetDatum(space);
}

static Datum
types_datum(HubspotResultRow *row, const HubspotTypeList *types)
{
	MemoryContext old;

	if (types->ntypes != 1)
	{
		row->special = true;
		return make_types(row, types);
	}
	if (row->last_type.category &&
		row->last_type.type_id == types->types[0].type_id &&
		strcmp(row->last_type.category, types->types[0].category) == 0)
		return row->last_types;

	remade(row);
	row->last_type.category = NULL;
	MemoryContextReset(row->types_context);
	old = MemoryContextSwitchTo(row->types_context);
	row->last_types = make_types(row, types);
	row->last_type.type_id = types->types[0].type_id;
	row->last_type.category = pstrdup(types->types[0].category);
	MemoryContextSwitchTo(old);
	return row->last_types;
}

/* An hs_assoc_type[]. */
static Datum
make_types(const HubspotResultRow *row, const HubspotTypeList *types)
{
	Datum	   *elements = palloc(sizeof(Datum) * types->ntypes);
	ArrayType  *array;

	for (int i = 0; i < types->ntypes; i++)
	{
		Datum		values[TYPE_NCOLUMNS];
		bool		isnull[TYPE_NCOLUMNS] = {false};

		values[TYPE_CATEGORY] = CStringGetTextDatum(types->types[i].category);
		values[TYPE_TYPE_ID] = Int32GetDatum(types->types[i].type_id);
		values[TYPE_LABEL] = (Datum) 0;
		isnull[TYPE_LABEL] = true;
		values[TYPE_IS_PRIMARY] = BoolGetDatum(hubspot_is_primary(&types->types[i]));
		elements[i] = HeapTupleGetDatum(heap_form_tuple(row->type_tupdesc,
														values, isnull));
	}
	array = construct_array(elements, types->ntypes, row->type_tupdesc->tdtypeid,
							row->type_len, row->type_by_value, row->type_align);
	return PointerGetDatum(array);
}

/* A text[]; the last row's if that had the same. */
static Datum
labels_datum(HubspotResultRow *row, const HubspotLabelList *labels)
{
	MemoryContext old;
	HubspotLabelList *copy;
	Datum	   *elements;

	if (row->last_labels && same_labels(row->last_labels, labels))
		return row->last_labels_datum;

	remade(row);
	row->last_labels = NULL;
	MemoryContextReset(row->labels_context);
	old = MemoryContextSwitchTo(row->labels_context);
	copy = palloc(offsetof(HubspotLabelList, labels) + sizeof(char *) * labels->nlabels);
	copy->nlabels = labels->nlabels;
	elements = palloc(sizeof(Datum) * Max(labels->nlabels, 1));
	for (int i = 0; i < labels->nlabels; i++)
	{
		copy->labels[i] = pstrdup(labels->labels[i]);
		elements[i] = CStringGetTextDatum(labels->labels[i]);
	}
	row->last_labels_datum = PointerGetDatum(construct_array(elements, labels->nlabels, TEXTOID,
															 -1, false, TYPALIGN_INT));
	row->last_labels = copy;
	MemoryContextSwitchTo(old);
	return row->last_labels_datum;
}

static bool
same_labels(const HubspotLabelList *one, const HubspotLabelList *other)
{
	if (one->nlabels != other->nlabels)
		return false;
	for (int i = 0; i < one->nlabels; i++)
	{
		if (strcmp(one->labels[i], other->labels[i]) != 0)
			return false;
	}
	return true;
}
