/*-------------------------------------------------------------------------
 *
 * precedence.h
 *	  What an operation does to an earlier one on its pair.
 *
 * Conditions of SQL, for the statements that choose what is sent and that settle
 * what was: n is a later row, o an earlier one.  The tables of PRECEDENCE.md
 * say what they amount to, and test/t/306_precedence.pl tries each cell of
 * these: a change of one is a change of the other.
 *
 * IDENTIFICATION
 *	  src/outbox/precedence.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_PRECEDENCE_H
#define HUBSPOT_OUTBOX_PRECEDENCE_H

#include "hubspot.h"

/* What the indexes of the pairs are on. */
#define HUBSPOT_SQL_PAIR(row) \
	"%1$s.hs_assoc_pair(" row ".server, " row ".from_type, " row ".from_id, " \
	row ".to_type, " row ".to_id)"

/*
 * Are two names of object types (columns or texts) certain to mean the same
 * one?  That is stricter than being of one pair, since rows may be deleted
 * here.
 */
#define HUBSPOT_SQL_TYPE_HASH(name)	"%1$s.hs_assoc_pair('', " name ", '', '', '')"
#define HUBSPOT_SQL_SAME_TYPE(a, b) \
	"(" a " = " b " OR " HUBSPOT_SQL_TYPE_HASH(a) " = " HUBSPOT_SQL_TYPE_HASH(b) \
	" AND " HUBSPOT_SQL_TYPE_HASH(a) " <> " HUBSPOT_SQL_TYPE_HASH("''") ")"

/* Do two rows have the same id on a side, or the same key in any spelling? */
#define HUBSPOT_SQL_SAME_ID(a, b, side) \
	"(" a "." side "_id = " b "." side "_id" \
	" OR %1$s.hs_assoc_normal_key(" a "." side "_type, " a "." side "_id)" \
	" = %1$s.hs_assoc_normal_key(" b "." side "_type, " b "." side "_id))"

/* Are n and o of the same pair and direction, and is n the later one? */
#define HUBSPOT_SQL_SAME_PAIR \
	HUBSPOT_SQL_PAIR("n") " = " HUBSPOT_SQL_PAIR("o") " AND n.id > o.id" \
	" AND n.server IS NOT DISTINCT FROM o.server" \
	" AND " HUBSPOT_SQL_SAME_ID("n", "o", "from") " AND " HUBSPOT_SQL_SAME_ID("n", "o", "to") \
	" AND " HUBSPOT_SQL_SAME_TYPE("n.from_type", "o.from_type") \
	" AND " HUBSPOT_SQL_SAME_TYPE("n.to_type", "o.to_type")

/* What a row was enqueued with, also where its records have been found by keys. */
#define HUBSPOT_SQL_GIVEN_TYPE(row, side) \
	"(" row "." side "_type || coalesce(':' || " row "." side "_property, ''))"
#define HUBSPOT_SQL_GIVEN_ID(row, side) \
	"coalesce(" row "." side "_key, " row "." side "_id)"
#define HUBSPOT_SQL_GIVEN_PAIR(row) \
	"%1$s.hs_assoc_pair(" row ".server, " \
	HUBSPOT_SQL_GIVEN_TYPE(row, "from") ", " HUBSPOT_SQL_GIVEN_ID(row, "from") ", " \
	HUBSPOT_SQL_GIVEN_TYPE(row, "to") ", " HUBSPOT_SQL_GIVEN_ID(row, "to") ")"

/*
 * Do n, whose records were found by keys, and o, whose were not, have the same keys in
 * the same direction, and is n the later one?
 */
#define HUBSPOT_SQL_SAME_KEY(side) \
	HUBSPOT_SQL_SAME_TYPE(HUBSPOT_SQL_GIVEN_TYPE("n", side), "o." side "_type") \
	" AND %1$s.hs_assoc_normal_key(" HUBSPOT_SQL_GIVEN_TYPE("n", side) ", " HUBSPOT_SQL_GIVEN_ID("n", side) ")" \
	" = %1$s.hs_assoc_normal_key(o." side "_type, o." side "_id)"
#define HUBSPOT_SQL_SAME_KEYS \
	"(n.from_key IS NOT NULL OR n.to_key IS NOT NULL)" \
	" AND " HUBSPOT_SQL_GIVEN_PAIR("n") " = " HUBSPOT_SQL_PAIR("o") " AND n.id > o.id" \
	" AND n.server IS NOT DISTINCT FROM o.server" \
	" AND " HUBSPOT_SQL_SAME_KEY("from") " AND " HUBSPOT_SQL_SAME_KEY("to")

#define HUBSPOT_SQL_SAME_TYPES \
	"n.type_ids IS NOT DISTINCT FROM o.type_ids" \
	" AND n.category IS NOT DISTINCT FROM o.category" \
	" AND n.labels IS NOT DISTINCT FROM o.labels"

/*
 * Does n override o, so that o need not be sent?  A create_default overrides
 * an archive before it, so that a pair that goes and comes back keeps its
 * labels; but a label that was to go before the two still has to go.
 */
#define HUBSPOT_SQL_OVERRIDES \
	"CASE n.operation" \
	" WHEN 'archive' THEN o.operation <> 'archive_labels'" \
	"  OR (SELECT d.id FROM %1$s.hs_assoc_outbox AS d" \
	"   WHERE " HUBSPOT_SQL_PAIR("d") " = " HUBSPOT_SQL_PAIR("n") " AND d.id > n.id" \
	"    AND " HUBSPOT_SQL_SAME_ID("d", "n", "from") " AND " HUBSPOT_SQL_SAME_ID("d", "n", "to") \
	"    AND d.operation = 'create_default'" \
	"    AND " HUBSPOT_SQL_SAME_TYPE("d.from_type", "n.from_type") \
	"    AND " HUBSPOT_SQL_SAME_TYPE("d.to_type", "n.to_type") \
	"   ORDER BY " HUBSPOT_SQL_PAIR("d") ", d.id LIMIT 1) IS NULL" \
	" WHEN 'create_default' THEN o.operation IN ('create_default', 'archive')" \
	" ELSE o.operation IN ('create', 'archive_labels') AND " HUBSPOT_SQL_SAME_TYPES \
	"  AND (o.operation = 'archive_labels' OR o.keep_labels" \
	"   OR (n.operation = 'create' AND NOT n.keep_labels))" \
	" END"

/*
 * Operations that only add to a pair, or only take away, can be joined; as a
 * column, and as a value.
 */
#define HUBSPOT_SQL_ADDS_UP(row) \
	"(" row ".keep_labels OR " row ".operation = 'archive_labels')"

static inline bool
hubspot_adds_up(const char *operation, bool keep_labels)
{
	return keep_labels || strcmp(operation, "archive_labels") == 0;
}

/*
 * Can n join o, the row before it of its pair, that is, go into one input with
 * it?  Only if o is due, too; after a failed attempt, each goes by itself.
 */
#define HUBSPOT_SQL_JOINS(n, o) \
	HUBSPOT_SQL_ADDS_UP(n) \
	" AND " o ".operation = " n ".operation AND " o ".keep_labels = " n ".keep_labels" \
	" AND " o ".role = " n ".role" \
	" AND " o ".from_type = " n ".from_type AND " o ".to_type = " n ".to_type" \
	" AND " o ".from_id = " n ".from_id AND " o ".to_id = " n ".to_id" \
	" AND " o ".attempts = 0 AND " n ".attempts = 0"

/* Operations that take something away; as a column, and as a value. */
#define HUBSPOT_SQL_REMOVES(row) \
	"(" row ".operation IN ('archive', 'archive_labels'))"

static inline bool
hubspot_removes(const char *operation)
{
	return strcmp(operation, "archive") == 0 || strcmp(operation, "archive_labels") == 0;
}

/* The category of the type_ids, since numbers repeat across categories. */
#define HUBSPOT_SQL_CATEGORY(row) \
	"coalesce(" row ".category, '" HUBSPOT_DEFINED_CATEGORY "')"

/*
 * Would o, which has failed, undo something of n, which is confirmed, if it were
 * sent now?  Labels are compared as they are looked up, without regard to case.
 */
#define HUBSPOT_SQL_OUTDATES \
	"CASE" \
	" WHEN n.operation = 'archive' OR o.operation = 'archive'" \
	"  OR n.operation = o.operation AND " HUBSPOT_SQL_SAME_TYPES " THEN true" \
	" WHEN o.operation = 'create' AND NOT o.keep_labels THEN n.operation <> 'create_default'" \
	" ELSE n.type_ids && o.type_ids" \
	"   AND " HUBSPOT_SQL_CATEGORY("n") " = " HUBSPOT_SQL_CATEGORY("o") \
	"  OR EXISTS (SELECT FROM unnest(n.labels) AS a (label), unnest(o.labels) AS b (label)" \
	"   WHERE %1$s.hs_assoc_fold(a.label) = %1$s.hs_assoc_fold(b.label))" \
	" END"

#endif							/* HUBSPOT_OUTBOX_PRECEDENCE_H */
