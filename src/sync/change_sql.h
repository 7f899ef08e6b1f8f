/*-------------------------------------------------------------------------
 *
 * change_sql.h
 *	  The rows that are added to a link table or removed from it, in SQL.
 *
 * IDENTIFICATION
 *	  src/sync/change_sql.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SYNC_CHANGE_SQL_H
#define HUBSPOT_SYNC_CHANGE_SQL_H

#include "access/attnum.h"

#include "sync/link_table.h"

/* The columns of a sync in HubspotDelta. */
enum
{
	HUBSPOT_COLUMN_FROM,
	HUBSPOT_COLUMN_TO,
	HUBSPOT_COLUMN_TYPE			/* if the sync has one */
};

typedef struct HubspotDeltaColumn
{
	const char *name;			/* quoted if need be */
	AttrNumber	number;
	Oid			type;			/* a domain's base */
	bool		not_null;
	bool		by_value;
	bool		is_key;			/* its values are keys of records */
	bool		sorts_by_text;	/* by its collation, equal values are equal
								 * texts */
	int16		length;
} HubspotDeltaColumn;

/* A sync's view of a table. */
typedef struct HubspotDelta
{
	const HubspotSync *sync;
	Oid			table;			/* the link table, or a partition of it */
	int			ncolumns;
	HubspotDeltaColumn columns[HUBSPOT_SYNC_COLUMNS];
	bool		has_spellings;	/* may two rows have one label, in two
								 * spellings? */
} HubspotDelta;

/*
 * Tuplestores that queries about differences from HubSpot name: the differences, with the
 * columns no, removes, category, type_id, label and is_default; and what their records may
 * be called in the sync's columns, with no and name.
 */
#define HUBSPOT_DIFFERENCES	"differences"
#define HUBSPOT_FROM_NAMES	"from_names"
#define HUBSPOT_TO_NAMES	"to_names"

/* Where its rows come from. */
typedef enum HubspotDeltaSource
{
	HUBSPOT_INSERTED,			/* the transition tables of a trigger */
	HUBSPOT_UPDATED,
	HUBSPOT_DELETED,
	HUBSPOT_NDELTAS				/* how many there are */
} HubspotDeltaSource;

/* How rows are inserted into the outbox. */
typedef enum HubspotInsertion
{
	HUBSPOT_INSERT_ALL,
	HUBSPOT_INSERT_SORTED,		/* by their pairs */
	HUBSPOT_INSERT_NET,			/* without what this transaction has removed
								 * before */
	HUBSPOT_NINSERTIONS			/* how many there are */
} HubspotInsertion;

extern void hubspot_delta_init(HubspotDelta *delta, const HubspotSync *sync,
							   Oid table);
extern int	hubspot_delta_key_functions(const HubspotDelta *delta,
										Oid functions[HUBSPOT_SYNC_COLUMNS]);
extern bool hubspot_delta_is_label(const HubspotDelta *delta);
extern char *hubspot_delta_rows(const HubspotDelta *delta,
								HubspotDeltaSource source);
extern char *hubspot_delta_checked_rows(const HubspotDelta *delta,
										HubspotDeltaSource source);
extern char *hubspot_delta_all_rows(const HubspotDelta *delta, bool added);
extern char *hubspot_delta_slice(const HubspotDelta *delta, bool begins, int most);
extern char *hubspot_delta_record(const HubspotDelta *delta);
extern char *hubspot_delta_matching(const HubspotDelta *delta, bool reverse);
extern char *hubspot_delta_types_matching(const HubspotDelta *delta);
extern char *hubspot_delta_insertion(const HubspotDelta *delta,
									 const char *rows, HubspotInsertion kind);

#endif							/* HUBSPOT_SYNC_CHANGE_SQL_H */
