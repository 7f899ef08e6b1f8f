/*-------------------------------------------------------------------------
 *
 * suspects.h
 *	  Inputs that were refused together, in an error that names none of them.
 *
 * IDENTIFICATION
 *	  src/call/suspects.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_SUSPECTS_H
#define HUBSPOT_CALL_SUSPECTS_H

#include "call/evidence.h"

/* To halve fewer units to their end takes no more requests than a sample. */
#define HUBSPOT_MIN_SUSPECTS	21

/* All that it has, except the units, lives in the memory context in which it was made. */
typedef struct HubspotSuspects
{
	HubspotUnit **units;
	int			nunits;
	int			nlists;			/* different lists of types that they have */
	const HubspotError *error;
	const char *words;			/* of the error */
	bool		by_size;		/* the request was too large */
	bool		doubted;		/* not all are refused alike */
	bool		has_waited;		/* it has waited for what another chunk finds
								 * out */
	bool		known;			/* others with these types were all refused */
	const HubspotRefusal *met;	/* the refusal of others, if these units were
								 * not refused themselves; or NULL */
	int			nhalves;		/* halves that have been answered */
	struct HubspotSuspects *halves[2];	/* those that were refused */

	/* the sample */
	HubspotUnit **sample;
	int			nsample;
	int			nsent;
	int			nrefused;		/* units of it that were refused in the same
								 * words */
} HubspotSuspects;

extern HubspotSuspects *hubspot_suspects_create(HubspotUnit **units, int nunits,
												const HubspotError *error);
extern HubspotSuspects *hubspot_suspects_like(const HubspotRefusal *refusal,
											  HubspotUnit **units, int nunits);
extern void hubspot_suspects_drop_settled(HubspotSuspects *suspects);
extern bool hubspot_suspects_may_be_all(const HubspotSuspects *suspects,
										const HubspotEvidence *evidence);
extern void hubspot_suspects_take_sample(HubspotSuspects *suspects,
										 HubspotEvidence *evidence);
extern int	hubspot_suspects_sample_size(const HubspotSuspects *suspects,
										 const HubspotEvidence *evidence);
extern void hubspot_suspects_answer(HubspotSuspects *suspects,
									const HubspotError *refusal);

#endif							/* HUBSPOT_CALL_SUSPECTS_H */
