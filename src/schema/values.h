/*-------------------------------------------------------------------------
 *
 * values.h
 *	  Values into statements, and out of their rows.
 *
 * Parameters and columns are numbered from 0, by an enum beside their statement:
 * its first member is $1, or the first column.
 *
 * IDENTIFICATION
 *	  src/schema/values.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SCHEMA_VALUES_H
#define HUBSPOT_SCHEMA_VALUES_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "utils/array.h"

#include "hubspot.h"

#define HUBSPOT_MAX_PARAMETERS	24
#define HUBSPOT_MAX_COLUMNS		28

/* Values of a statement's parameters.  All zeroes: each is null until it is set. */
typedef struct HubspotValues
{
	Datum		values[HUBSPOT_MAX_PARAMETERS];
	bool		given[HUBSPOT_MAX_PARAMETERS];	/* it is not null */
} HubspotValues;

/* Rows that a statement has returned, in a memory context of their own. */
typedef struct HubspotRows
{
	MemoryContext context;
	uint64		count;
	TupleDesc	tupdesc;
	HeapTuple  *tuples;
} HubspotRows;

/*
 * One of these rows, taken apart; what is not passed by value is in the row's
 * memory.
 */
typedef struct HubspotRow
{
	Datum		values[HUBSPOT_MAX_COLUMNS];
	bool		isnull[HUBSPOT_MAX_COLUMNS];
} HubspotRow;

/*
 * Set a parameter.  What the value points to has to outlive the run of the
 * statement.
 */

static inline void
hubspot_set_datum(HubspotValues *values, int parameter, Datum value)
{
	values->values[parameter] = value;
	values->given[parameter] = true;
}

static inline void
hubspot_set_bool(HubspotValues *values, int parameter, bool value)
{
	hubspot_set_datum(values, parameter, BoolGetDatum(value));
}

static inline void
hubspot_set_int32(HubspotValues *values, int parameter, int32 value)
{
	hubspot_set_datum(values, parameter, Int32GetDatum(value));
}

static inline void
hubspot_set_int64(HubspotValues *values, int parameter, int64 value)
{
	hubspot_set_datum(values, parameter, Int64GetDatum(value));
}

/* A timestamptz, of which timestamp.h makes a Datum as of an int64. */
static inline void
hubspot_set_time(HubspotValues *values, int parameter, TimestampTz value)
{
	hubspot_set_datum(values, parameter, Int64GetDatum(value));
}

/* An oid, regrole or regclass. */
static inline void
hubspot_set_oid(HubspotValues *values, int parameter, Oid value)
{
	hubspot_set_datum(values, parameter, ObjectIdGetDatum(value));
}

extern void hubspot_set_text(HubspotValues *values, int parameter,
							 const char *value);
extern void hubspot_set_null(HubspotValues *values, int parameter);

extern void hubspot_take_apart(HeapTuple tuple, TupleDesc tupdesc,
							   HubspotRow *row);
extern void hubspot_read_row(const HubspotRows *rows, uint64 number,
							 HubspotRow *row);

/* Get a column.  A null is false, 0 or NULL. */

static inline bool
hubspot_get_bool(const HubspotRow *row, int column)
{
	return !row->isnull[column] && DatumGetBool(row->values[column]);
}

static inline int32
hubspot_get_int32(const HubspotRow *row, int column)
{
	return row->isnull[column] ? 0 : DatumGetInt32(row->values[column]);
}

static inline int64
hubspot_get_int64(const HubspotRow *row, int column)
{
	return row->isnull[column] ? 0 : DatumGetInt64(row->values[column]);
}

static inline TimestampTz
hubspot_get_time(const HubspotRow *row, int column)
{
	return hubspot_get_int64(row, column);
}

static inline Oid
hubspot_get_oid(const HubspotRow *row, int column)
{
	return row->isnull[column] ? InvalidOid : DatumGetObjectId(row->values[column]);
}

extern char *hubspot_get_text(const HubspotRow *row, int column);
extern HubspotSlice hubspot_get_slice(const HubspotRow *row, int column);
extern ArrayType *hubspot_get_array(const HubspotRow *row, int column);
extern bool hubspot_equals_text(const HubspotRow *row, int column,
								const char *expected);
extern Size hubspot_get_size(const HubspotRow *row, int column);

#endif							/* HUBSPOT_SCHEMA_VALUES_H */
