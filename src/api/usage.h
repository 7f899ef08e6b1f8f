/*-------------------------------------------------------------------------
 *
 * usage.h
 *	  The JSON of replies about the account, its object types, and how much of
 *	  what it may have is used.
 *
 * IDENTIFICATION
 *	  src/api/usage.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_USAGE_H
#define HUBSPOT_API_USAGE_H

#include "nodes/pg_list.h"

#include "http/http.h"

/* Stands for a number that an answer does not tell. */
#define HUBSPOT_UNTOLD	(-1)

typedef struct HubspotAccountDetails
{
	int64		account_id;
	const char *kind;			/* STANDARD, SANDBOX, ...; or NULL */
	const char *time_zone;		/* or NULL */
} HubspotAccountDetails;

/* How many requests of a day are used; texts may be NULL. */
typedef struct HubspotDailyUsage
{
	const char *name;
	int64		most;			/* numbers may be HUBSPOT_UNTOLD */
	int64		used;
	const char *resets_at;		/* as it came: ISO 8601, says HubSpot */
	const char *collected_at;
	const char *status;			/* how HubSpot came to know it */
} HubspotDailyUsage;

/* An object type of the account's own. */
typedef struct HubspotCustomObject
{
	const char *id;
	const char *name;			/* the full name, p<account>_...; or NULL */
	const char *label;			/* in the plural, or NULL */
} HubspotCustomObject;

/* The labels of a pair of object types. */
typedef struct HubspotLabelUsage
{
	const char *from_id;		/* of the object types */
	const char *to_id;
	int64		used;
	int64		most;
	List	   *labels;			/* of char * */
} HubspotLabelUsage;

/* A record that is associated with as many others as it may be, or nearly. */
typedef struct HubspotFullRecord
{
	const char *id;
	const char *name;			/* or NULL */
	bool		at_limit;
	int64		used;			/* HUBSPOT_UNTOLD if it is at the limit */
} HubspotFullRecord;

/* How near the records of a pair of object types are to their limit. */
typedef struct HubspotRecordUsage
{
	int64		most;			/* numbers may be HUBSPOT_UNTOLD */
	int64		at_limit;		/* how many records are at it */
	int64		near_limit;		/* how many records are near it */
	List	   *records;		/* some of these records: HubspotFullRecord */
} HubspotRecordUsage;

extern bool hubspot_read_account_details(const HubspotHttpReply *reply,
										 HubspotAccountDetails *details);
extern bool hubspot_read_daily_usage(const HubspotHttpReply *reply, List **usages);
extern bool hubspot_read_custom_objects(const HubspotHttpReply *reply, List **objects);
extern bool hubspot_read_label_usage(const HubspotHttpReply *reply, List **usages);
extern bool hubspot_read_record_usage(const HubspotHttpReply *reply,
									  HubspotRecordUsage *usage);

#endif							/* HUBSPOT_API_USAGE_H */
