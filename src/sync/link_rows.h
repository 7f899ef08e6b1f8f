/*-------------------------------------------------------------------------
 *
 * link_rows.h
 *	  The rows of a link table in SQL: as pairs of records, with a type.
 *
 * IDENTIFICATION
 *	  src/sync/link_rows.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SYNC_LINK_ROWS_H
#define HUBSPOT_SYNC_LINK_ROWS_H

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

extern void hubspot_delta_init(HubspotDelta *delta, const HubspotSync *sync,
							   Oid table);
extern bool hubspot_delta_is_label(const HubspotDelta *delta);
extern char *hubspot_delta_all_rows(const HubspotDelta *delta, bool added);
extern char *hubspot_delta_slice(const HubspotDelta *delta, bool begins, int most);
extern char *hubspot_delta_record(const HubspotDelta *delta);
extern char *hubspot_delta_rows_of(const HubspotDelta *delta, const char *table,
								   const char *mark, bool with_nulls, const Oid *keys);
extern char *hubspot_delta_id_text(const char *alias, const HubspotDeltaColumn *column);
extern char *hubspot_delta_type_value(const HubspotDelta *delta, const char *alias);
extern char *hubspot_delta_folded(const char *label);
extern char *hubspot_delta_normal_key(const char *object_type, const char *value);

#endif							/* HUBSPOT_SYNC_LINK_ROWS_H */
