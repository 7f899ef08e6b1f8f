/*-------------------------------------------------------------------------
 *
 * id_type.c
 *	  Types whose text is good for an id.
 *
 * The outbox holds ids as text, and what a statement has changed is found by comparing
 * texts.  So the text of a value has to be the same in all sessions: that of float8
 * depends on extra_float_digits, that of bytea on bytea_output, those of dates on
 * datestyle, and so on.  Types that are known to be fit are the integers, numeric
 * (without trailing zeroes, see link_rows.c), uuid, enums, all strings, and domains over
 * these.
 *
 * IDENTIFICATION
 *	  src/rows/id_type.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "rows/id_type.h"

/* What the text of a type's values looks like. */
typedef enum TextKind
{
	KIND_UNFIT,
	KIND_INTEGER,
	KIND_WHOLE,					/* numeric(n) */
	KIND_NUMERIC,				/* numeric, with or without decimal places */
	KIND_UUID,
	KIND_ENUM,
	KIND_STRING,				/* text, varchar and the like */
	KIND_PADDED					/* char(n): its blanks at the end don't count */
} TextKind;

static TextKind kind_of(Oid type, int32 typmod);
static TextKind numeric_kind(int32 typmod);
static TextKind kind_of_other(Oid type);
static bool casts_by_text(Oid type, Oid new_type);
static bool has_room(Oid type, int32 typmod, Oid new_type, int32 new_typmod);

/* Can the values of a type be ids, or labels, of a sync? */
bool
hubspot_is_id_type(Oid type, int32 typmod)
{
	type = getBaseTypeAndTypmod(type, &typmod);
	return kind_of(type, typmod) != KIND_UNFIT;
}

/* The kind of a type, which is not a domain. */
static TextKind
kind_of(Oid type, int32 typmod)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return KIND_INTEGER;
		case NUMERICOID:
			return numeric_kind(typmod);
		case UUIDOID:
			return KIND_UUID;
		case BPCHAROID:
			return KIND_PADDED;
		default:
			return kind_of_other(type);
	}
}

/*
 * The kind of a numeric.  The scale is in the lower 11 bits of the modifier, and has a
 * sign.
 */
static TextKind
numeric_kind(int32 typmod)
{
	int			scale = (((typmod - VARHDRSZ) & 0x7FF) ^ 1024) - 1024;

	if (typmod < VARHDRSZ)
		return KIND_NUMERIC;
	return scale == 0 ? KIND_WHOLE : KIND_UNFIT;
}

static TextKind
kind_of_other(Oid type)
{
	char		category;
	bool		is_preferred;

	if (get_typtype(type) == TYPTYPE_ENUM)
		return KIND_ENUM;
	if (get_typtype(type) != TYPTYPE_BASE)
		return KIND_UNFIT;
	get_type_category_preferred(type, &category, &is_preferred);
	return category == TYPCATEGORY_STRING ? KIND_STRING : KIND_UNFIT;
}

/*
 * If a column's type is changed, without an expression, does the text of each value stay
 * the same, unless there is an ERROR?
 */
bool
hubspot_keeps_text(Oid old_type, int32 old_typmod, Oid new_type, int32 new_typmod)
{
	TextKind	old_kind;
	TextKind	new_kind;

	/* a type that is gone is not the one that the column had just before */
	if (!SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(old_type)))
		return true;
	old_type = getBaseTypeAndTypmod(old_type, &old_typmod);
	new_type = getBaseTypeAndTypmod(new_type, &new_typmod);
	if (old_type == new_type && old_typmod == new_typmod)
		return true;
	old_kind = kind_of(old_type, old_typmod);
	new_kind = kind_of(new_type, new_typmod);

	switch (old_kind)
	{
		case KIND_INTEGER:
		case KIND_WHOLE:

			/*
			 * a value that is too long for a string is refused, unless the
			 * rest is blanks
			 */
			return new_kind == KIND_INTEGER || new_kind == KIND_WHOLE ||
				new_kind == KIND_NUMERIC || new_kind == KIND_PADDED ||
				(new_kind == KIND_STRING && new_type != NAMEOID);
		case KIND_NUMERIC:
			return new_kind == KIND_NUMERIC;
		case KIND_UUID:
		case KIND_ENUM:
			return old_type == new_type ||
				(new_kind == KIND_STRING && new_type != NAMEOID &&
				 casts_by_text(old_type, new_type));
		case KIND_STRING:
			return new_kind == KIND_STRING &&
				has_room(old_type, old_typmod, new_type, new_typmod);
		case KIND_PADDED:
			return (new_kind == KIND_STRING || new_kind == KIND_PADDED) &&
				has_room(old_type, old_typmod, new_type, new_typmod);
		default:
			return false;
	}
}

/* Is the cast made by way of text?  An enum's owner may have made one of another kind. */
static bool
casts_by_text(Oid type, Oid new_type)
{
	Oid			function;

	return find_coercion_pathway(new_type, type, COERCION_ASSIGNMENT,
								 &function) == COERCION_PATH_COERCEVIAIO;
}

/*
 * Is nothing cut off from any string?  Casts between the server's own types copy it;
 * others are good only if they do nothing at all.
 */
static bool
has_room(Oid type, int32 typmod, Oid new_type, int32 new_typmod)
{
	bool		known = (type == TEXTOID || type == VARCHAROID ||
						 type == BPCHAROID || type == NAMEOID);
	bool		new_known = (new_type == TEXTOID || new_type == VARCHAROID ||
							 new_type == BPCHAROID);

	/* a name has at most this many bytes, and so characters */
	if (type == NAMEOID)
		typmod = VARHDRSZ + NAMEDATALEN - 1;
	if (new_typmod >= 0 && (typmod < 0 || typmod > new_typmod))
		return false;
	return (known && new_known) || IsBinaryCoercible(type, new_type);
}

/* Does the type hold numbers that may have a point, or an exponent? */
bool
hubspot_is_number_type(Oid type)
{
	return type == NUMERICOID || type == FLOAT4OID || type == FLOAT8OID ||
		type == MONEYOID;
}
