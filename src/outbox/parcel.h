/*-------------------------------------------------------------------------
 *
 * parcel.h
 *	  Rows of one lane on their way to HubSpot and back.
 *
 * IDENTIFICATION
 *	  src/outbox/parcel.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_PARCEL_H
#define HUBSPOT_OUTBOX_PARCEL_H

#include "call/batch.h"
#include "call/labels.h"
#include "outbox/selection.h"

/* What the answers say of the account; all of its parcels write it. */
typedef struct HubspotAnswers
{
	MemoryContext context;		/* of the errors */
	bool		has_doubts;		/* operations of its server may still be done */
	bool		has_letters;	/* it may have dead letters */
	int			nanswers;		/* rows that were confirmed or refused */
	const HubspotError *failure;	/* of a row that was neither, and had not
									 * failed before; or NULL */
	const HubspotError *account_error;	/* of the account itself, or NULL */
} HubspotAnswers;

/* A part of what the account's calls may take up. */
typedef struct HubspotPlaces
{
	int			calls;			/* in flight */
	size_t		bytes;			/* of their replies */
} HubspotPlaces;

/* A lot on its way; see parcel.c. */
typedef struct HubspotParcel HubspotParcel;

extern HubspotParcel *hubspot_parcel_create(const HubspotSelection *chosen,
											const HubspotLot *lot,
											HubspotLabels *labels,
											HubspotAnswers *answers,
											HubspotProgress *progress);
extern size_t hubspot_parcel_least_bytes(const HubspotParcel *parcel);
extern void hubspot_parcel_start(HubspotParcel *parcel, HubspotPlaces places);
extern void hubspot_parcel_widen(HubspotParcel *parcel, HubspotPlaces places);
extern bool hubspot_parcel_looks_up(const HubspotParcel *parcel);
extern bool hubspot_parcel_is_under_way(const HubspotParcel *parcel);
extern int	hubspot_parcel_left(const HubspotParcel *parcel);
extern bool hubspot_parcel_waits(HubspotParcel *parcel, int64 *wake);
extern void hubspot_parcel_record(HubspotParcel *parcel);
extern void hubspot_parcel_put(HubspotParcel *parcel);
extern bool hubspot_parcel_end(HubspotParcel *parcel, HubspotPlaces *places);
extern void hubspot_parcel_wait(HubspotParcel *parcel, int64 until);
extern int	hubspot_parcel_count(const HubspotParcel *parcel);
extern const HubspotError *hubspot_parcel_stopped(const HubspotParcel *parcel);
extern void hubspot_parcel_stop(HubspotParcel *parcel, const HubspotError *error);

#endif							/* HUBSPOT_OUTBOX_PARCEL_H */
