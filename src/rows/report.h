/*-------------------------------------------------------------------------
 *
 * report.h
 *	  From error values to an ERROR, or to the words of one.
 *
 * IDENTIFICATION
 *	  src/rows/report.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ROWS_REPORT_H
#define HUBSPOT_ROWS_REPORT_H

#include "base/compat.h"
#include "call/call.h"
#include "hubspot.h"

/* What may have been done where HubSpot's answer does not tell. */
typedef enum HubspotDoubt
{
	HUBSPOT_MAYBE_DONE,			/* all of it, or nothing */
	HUBSPOT_REPEATABLE,			/* all of it, or nothing; to do it twice is as
								 * good as once */
	HUBSPOT_NOTHING_DONE		/* HubSpot cannot have acted */
} HubspotDoubt;

extern void hubspot_throw_error(const HubspotError *error, const char *what,
								HubspotDoubt doubt) pg_attribute_noreturn();
extern void hubspot_throw_with_hint(const HubspotError *error, const char *what,
									const char *hint) pg_attribute_noreturn();
extern const char *hubspot_error_hint(const HubspotError *error,
									  HubspotDoubt doubt);
extern HubspotDoubt hubspot_call_doubt(const HubspotCall *call);
extern char *hubspot_error_detail(const HubspotError *error);

#endif							/* HUBSPOT_ROWS_REPORT_H */
