/*-------------------------------------------------------------------------
 *
 * config.h
 *	  What is kept in sync: the rows of hs_assoc_sync_config.
 *
 * IDENTIFICATION
 *	  src/sync/config.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SYNC_CONFIG_H
#define HUBSPOT_SYNC_CONFIG_H

#include "nodes/pg_list.h"

#include "outbox/outbox.h"

/* The most columns that matter to a sync: both ids, and the type. */
#define HUBSPOT_SYNC_COLUMNS	3

/* Two columns that are kept in sync: a row of hs_assoc_sync_config. */
typedef struct HubspotSync
{
	int32		id;
	Oid			link_table;
	const char *from_type;
	const char *from_column;
	const char *to_type;
	const char *to_column;
	int32		type_id;		/* 0: none */
	const char *label;			/* or NULL */
	const char *type_id_column; /* or NULL */
	const char *label_column;	/* or NULL */
	const char *category;		/* or NULL */
	const char *server;			/* not NULL */
	Oid			role;
	bool		replicated;		/* also what a subscription applies */
	const Interval *wait_for_records;	/* NULL: no record is named by a key */
	const Interval *verify;		/* NULL: workers do not compare it */
	const char *on_drift;		/* or NULL */
	const char *table_name;		/* the table's name when the sync was enabled;
								 * or NULL */
} HubspotSync;

extern List *hubspot_syncs(const HubspotSchema *schema, Oid link_table);
extern bool hubspot_syncs_are_replicated(const List *syncs);
extern void hubspot_sync_insert(const HubspotSync *sync);
extern void hubspot_sync_delete(const HubspotSchema *schema, int32 id);
extern void hubspot_sync_rename(const HubspotSchema *schema, Oid link_table,
								const char *column, const char *new_name);

extern int	hubspot_sync_columns(const HubspotSync *sync,
								 const char *columns[HUBSPOT_SYNC_COLUMNS]);
extern bool hubspot_sync_has_column(const HubspotSync *sync,
									const char *column);

#endif							/* HUBSPOT_SYNC_CONFIG_H */
