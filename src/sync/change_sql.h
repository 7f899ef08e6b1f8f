/*-------------------------------------------------------------------------
 *
 * change_sql.h
 *	  The rows that are added to a link table or removed from it, in SQL, and
 *	  the statement that puts them into the outbox.
 *
 * IDENTIFICATION
 *	  src/sync/change_sql.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SYNC_CHANGE_SQL_H
#define HUBSPOT_SYNC_CHANGE_SQL_H

#include "sync/link_rows.h"

/* Where the rows come from. */
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

extern char *hubspot_delta_rows(const HubspotDelta *delta,
								HubspotDeltaSource source);
extern char *hubspot_delta_checked_rows(const HubspotDelta *delta,
										HubspotDeltaSource source);
extern int	hubspot_delta_key_functions(const HubspotDelta *delta,
										Oid functions[HUBSPOT_SYNC_COLUMNS]);
extern char *hubspot_delta_insertion(const HubspotDelta *delta,
									 const char *rows, HubspotInsertion kind);

#endif							/* HUBSPOT_SYNC_CHANGE_SQL_H */
