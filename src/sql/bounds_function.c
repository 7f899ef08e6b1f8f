/*-------------------------------------------------------------------------
 *
 * bounds_function.c
 *	  How large an operation of the outbox may be.
 *
 * A CHECK is parsed anew by each statement that inserts, at a cost that grows with
 * its length.  So the outbox's has one call, and not a condition for each column:
 * those took half of the time of inserting a row.
 *
 * IDENTIFICATION
 *	  src/sql/bounds_function.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"

#include "base/compat.h"
#include "hubspot.h"

/* The most bytes of all labels of an operation. */
#define MAX_LABELS_SIZE		100000

/* The arguments */
enum
{
	BOUNDS_SERVER,				/* the first of the texts */
	BOUNDS_CATEGORY = 6,		/* the last one */
	BOUNDS_TYPE_IDS,
	BOUNDS_LABELS
};

PG_FUNCTION_INFO_V1(hs_assoc_is_bounded);

static bool has_few_elements(ArrayType *array);
static bool has_short_labels(ArrayType *labels);

/*
 * hs_assoc_is_bounded(server, operation, from_type, from_id, to_type, to_id, category,
 *					   type_ids, labels)
 *
 * Does an operation have texts of at most 1,000 bytes, arrays of at most 100
 * elements, and labels of at most 100,000 bytes together?  Each may be null.
 */
Datum
hs_assoc_is_bounded(PG_FUNCTION_ARGS)
{
	for (int i = BOUNDS_SERVER; i <= BOUNDS_CATEGORY; i++)
	{
		if (!PG_ARGISNULL(i) &&
			toast_raw_datum_size(PG_GETARG_DATUM(i)) > VARHDRSZ + HUBSPOT_MAX_TEXT)
			PG_RETURN_BOOL(false);
	}
	if (!PG_ARGISNULL(BOUNDS_TYPE_IDS) &&
		!has_few_elements(PG_GETARG_ARRAYTYPE_P(BOUNDS_TYPE_IDS)))
		PG_RETURN_BOOL(false);
	if (!PG_ARGISNULL(BOUNDS_LABELS))
	{
		ArrayType  *labels = PG_GETARG_ARRAYTYPE_P(BOUNDS_LABELS);

		PG_RETURN_BOOL(has_few_elements(labels) && has_short_labels(labels));
	}
	PG_RETURN_BOOL(true);
}

static bool
has_few_elements(ArrayType *array)
{
	return ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) <= HUBSPOT_MAX_TYPES;
}

static bool
has_short_labels(ArrayType *labels)
{
	Datum	   *elements;
	bool	   *nulls;
	int			nelements;
	Size		size = 0;

	deconstruct_array(labels, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &nelements);
	for (int i = 0; i < nelements; i++)
	{
		if (!nulls[i])
			size += VARSIZE_ANY_EXHDR(DatumGetPointer(elements[i]));
	}
	return size <= MAX_LABELS_SIZE;
}
