/*-------------------------------------------------------------------------
 *
 * known_key.h
 *	  A key of a record, and what is known of it.
 *
 * IDENTIFICATION
 *	  src/call/known_key.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_KNOWN_KEY_H
#define HUBSPOT_CALL_KNOWN_KEY_H

#include "hubspot.h"

/* What is known of a key. */
typedef enum HubspotKeyState
{
	HUBSPOT_KEY_UNKNOWN,		/* nothing */
	HUBSPOT_KEY_ASKED,			/* HubSpot is asked, or is to be */
	HUBSPOT_KEY_FOUND,			/* the one record */
	HUBSPOT_KEY_MISSING,		/* that there is none */
	HUBSPOT_KEY_NOT_INDEXED,	/* that HubSpot's index, which is late, has
								 * none */
	HUBSPOT_KEY_AMBIGUOUS,		/* that there are several */
	HUBSPOT_KEY_FAILED			/* why it could not be asked for */
} HubspotKeyState;

/* Ids of records that are no longer than this lie in the key itself. */
#define HUBSPOT_SHORT_ID	16

/* The most candidates of a key that are listed. */
#define HUBSPOT_MAX_CANDIDATES	20

/* Records that a key may have been meant for. */
typedef struct HubspotCandidates
{
	int64		total;			/* how many there are, at least */
	bool		more;			/* there may be more than that */
	bool		near;			/* they have the key in another case */
	int			nids;			/* how many are listed */
	HubspotSlice ids[FLEXIBLE_ARRAY_MEMBER];
} HubspotCandidates;

/*
 * A key in its normal form.  There are up to a hundred thousand of them, so they are
 * kept small.
 */
typedef struct HubspotKey
{
	uint16		nrows;			/* rows that need it, and keep it; if this
								 * comes to its largest value, it stays there,
								 * and the key stays for good */
	uint16		found;			/* when its record was found: keys.c's */
	uint32		len:11;			/* of the text */
	uint32		state:4;		/* a HubspotKeyState */
	uint32		id_len:5;		/* of short_id, if that is where the id is */
	uint32		statement:12;	/* the one that last changed it: keys.c's */
	union
	{
		char		short_id[HUBSPOT_SHORT_ID];
		const HubspotSlice *id; /* of a record whose id is longer */
		const HubspotCandidates *candidates;	/* or NULL, unless AMBIGUOUS */
		struct HubspotKeyFailure *failure;
		const void *asker;		/* ASKED: the request that asks; NULL: none
								 * yet */
	}			answer;
	char		text[FLEXIBLE_ARRAY_MEMBER];
} HubspotKey;

static inline HubspotSlice
hubspot_key_text(const HubspotKey *key)
{
	HubspotSlice text = {key->text, key->len};

	return text;
}

/* Is there nothing more to wait for? */
static inline bool
hubspot_key_is_settled(const HubspotKey *key)
{
	return key->state >= HUBSPOT_KEY_FOUND;
}

#endif							/* HUBSPOT_CALL_KNOWN_KEY_H */
