/*-------------------------------------------------------------------------
 *
 * evidence.h
 *	  What the answers to a batch have shown of all of its inputs.
 *
 * IDENTIFICATION
 *	  src/call/evidence.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_EVIDENCE_H
#define HUBSPOT_CALL_EVIDENCE_H

#include "nodes/pg_list.h"

#include "call/unit.h"

/* Of the requests of a batch to one endpoint; see evidence.c. */
typedef struct HubspotEvidence
{
	MemoryContext context;

	/* of inputs, by their types */
	List	   *accepted;		/* types that inputs were accepted with */
	bool		any_accepted;	/* types are not told apart (any longer) */
	List	   *refused;		/* Refusals of all inputs with some types */
	const void *leader;			/* who finds out if a refusal is one of all */
	const char *leader_words;
	int			nheld;			/* others that wait for that */

	/* of bodies, in bytes */
	size_t		passed;			/* the largest that was not too large; 0: none */
	int			passed_units;
	size_t		too_large;		/* the smallest that was; 0: none */
	bool		by_content;		/* no bound explains what was too large */
	int			max_units;		/* with more, answers are too large; 0: not
								 * known */
	bool		seeks_size;		/* a part is in flight that shows if it passes */
	const void *larger;			/* the chunk that tries more than passed */
} HubspotEvidence;

extern HubspotEvidence *hubspot_evidence_create(MemoryContext context);
extern void hubspot_evidence_accept(HubspotEvidence *evidence,
									HubspotUnit *const *units, int nunits);
extern bool hubspot_evidence_has_accepted(const HubspotEvidence *evidence,
										  HubspotUnit *const *units, int nunits);
extern void hubspot_evidence_refuse(HubspotEvidence *evidence, const char *words,
									HubspotUnit *const *units, int nunits);
extern bool hubspot_evidence_has_refused(const HubspotEvidence *evidence,
										 const char *words,
										 HubspotUnit *const *units, int nunits);
extern void hubspot_evidence_pass_size(HubspotEvidence *evidence, size_t size,
									   int nunits);
extern bool hubspot_evidence_refuse_size(HubspotEvidence *evidence, size_t size);
extern void hubspot_evidence_refuse_units(HubspotEvidence *evidence, int most);
extern size_t hubspot_evidence_max_size(const HubspotEvidence *evidence);
extern int	hubspot_evidence_limit(HubspotEvidence *evidence, int most,
								   const void *chunk);
extern void hubspot_evidence_recall(HubspotEvidence *evidence, Oid server,
									const void *endpoint);
extern void hubspot_evidence_keep(const HubspotEvidence *evidence, Oid server,
								  const void *endpoint);

#endif							/* HUBSPOT_CALL_EVIDENCE_H */
