/*-------------------------------------------------------------------------
 *
 * entry.h
 *	  A wanted or a held association, as packed rows have it.
 *
 * IDENTIFICATION
 *	  src/plan/entry.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_PLAN_ENTRY_H
#define HUBSPOT_PLAN_ENTRY_H

#include "plan/packed.h"
#include "plan/plan_task.h"

/* What an entry says of its record, or pair; those of one pair or type in this order. */
typedef enum HubspotEntryKind
{
	HUBSPOT_ENTRY_SCOPE,		/* the record is in the scope */
	HUBSPOT_ENTRY_READ,			/* it was read, and how */
	HUBSPOT_ENTRY_WANTED,
	HUBSPOT_ENTRY_REVERSE,		/* the pair is wanted from the other side */
	HUBSPOT_ENTRY_HELD
} HubspotEntryKind;

/* What is known of an entry besides, as bits. */
#define HUBSPOT_ENTRY_DEFAULT	1	/* a type that has no label */
#define HUBSPOT_ENTRY_MANAGED	2	/* a type that may be removed */
#define HUBSPOT_ENTRY_FAILED	4	/* the record was not read to its end */
#define HUBSPOT_ENTRY_SPARED	8	/* the record loses nothing */

typedef struct HubspotEntry
{
	HubspotSlice from;			/* ids of records */
	HubspotSlice to;			/* no data: the entry is about the record */
	HubspotAssociationType type;	/* if the plan is typed */
	HubspotEntryKind kind;
	int			flags;
	uint64		key_hash;		/* of from_given */
	HubspotSlice from_given;	/* where the side has keys, of what is wanted */
	HubspotSlice to_given;
	HubspotDigits digits[2];	/* of the ids, if they were unpacked */
} HubspotEntry;

extern int	hubspot_entry_size(const HubspotEntry *entry);
extern char *hubspot_pack_entry(const HubspotPlan *plan, const HubspotEntry *entry,
								char *to);
extern void hubspot_put_entry(const HubspotPlan *plan, HubspotPackedSort *sort,
							  const HubspotEntry *entry);
extern char *hubspot_pack_type(char *to, const HubspotAssociationType *type);
extern const char *hubspot_unpack_type(const char *from, HubspotAssociationType *type);
extern void hubspot_unpack_entry(const HubspotPlan *plan, const char *from,
								 HubspotEntry *entry);
extern int	hubspot_type_size(const HubspotAssociationType *type);
extern const char *hubspot_unpack_key(const char *end_of_place, uint64 *key_hash,
									  HubspotSlice *from_given);
extern int	hubspot_packed_place_len(const HubspotPlan *plan, const char *entry);

#endif							/* HUBSPOT_PLAN_ENTRY_H */
