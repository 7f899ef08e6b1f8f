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

/*
 * How many refused requests it may take to find out that all inputs are refused, and that
 * nothing has changed since.
 */
#define HUBSPOT_MOST_REFUSED	40

/*
 * All inputs with these types (or without any) were refused in these words, and none was
 * ever accepted.
 */
typedef struct HubspotRefusal
{
	const char *words;
	const HubspotTypeList *types;	/* or NULL */
	const HubspotError *not_sent;	/* the error of others like them */
	int			nmet;			/* chunks that had others like them */
} HubspotRefusal;

/* What a process remembers from one batch to the next; see hubspot_evidence_recall(). */
typedef struct HubspotEvidenceKey
{
	Oid			server;
	Oid			user;			/* whose inputs they are, so that they hold up
								 * no one else's */
	Oid			mapping;		/* by which the user uses the server */
	const void *endpoint;
	const char *from_type;
	const char *to_type;
} HubspotEvidenceKey;

/* What the requests of a batch to one endpoint have shown; see evidence.c. */
typedef struct HubspotEvidence
{
	MemoryContext context;

	/* of inputs, by their types */
	List	   *accepted;		/* types that inputs were accepted with */
	bool		any_accepted;	/* types are not told apart (any longer) */
	List	   *refused;		/* HubspotRefusals */
	int			nspent;			/* requests that were refused without a name,
								 * since one was accepted */
	const void *leader;			/* the search that finds out if all are
								 * refused */
	const char *leader_words;
	int			nheld;			/* other searches that wait for the leader */

	/* of bodies, in bytes */
	size_t		passed;			/* the largest body that was not too large; 0:
								 * none */
	int			passed_units;
	size_t		passed_now;		/* the largest body in this batch that was not
								 * too large */
	int			passed_now_units;
	size_t		too_large;		/* the smallest body that was too large; 0:
								 * none */
	bool		by_content;		/* no bound explains what was too large */
	int			max_units;		/* with more, answers are too large; 0: not
								 * known */
	bool		seeks_size;		/* a part is in flight that shows if its size
								 * passes */
	const void *larger;			/* the chunk that tries more than passed */
	bool		is_kept;		/* it is kept for other batches, under key */
	HubspotEvidenceKey key;
} HubspotEvidence;

extern HubspotEvidence *hubspot_evidence_create(MemoryContext context);
extern void hubspot_evidence_accept(HubspotEvidence *evidence,
									HubspotUnit *const *units, int nunits);
extern bool hubspot_evidence_has_accepted(const HubspotEvidence *evidence,
										  HubspotUnit *const *units, int nunits);
extern void hubspot_evidence_refuse(HubspotEvidence *evidence,
									const HubspotError *error, const char *words,
									HubspotUnit *const *units, int nunits);
extern bool hubspot_evidence_has_refused(const HubspotEvidence *evidence,
										 const char *words,
										 HubspotUnit *const *units, int nunits);
extern HubspotRefusal *hubspot_evidence_refusal(const HubspotEvidence *evidence,
												const HubspotUnit *unit);
extern bool hubspot_evidence_wants_try(const HubspotEvidence *evidence,
									   const HubspotRefusal *refusal);
extern int	hubspot_evidence_pass_over(const HubspotEvidence *evidence,
									   HubspotUnit **units, int nunits);
extern bool hubspot_evidence_meets(const HubspotEvidence *evidence,
								   HubspotUnit *const *units, int nunits);
extern void hubspot_evidence_pass_size(HubspotEvidence *evidence, size_t size,
									   int nunits);
extern bool hubspot_evidence_refuse_size(HubspotEvidence *evidence, size_t size);
extern void hubspot_evidence_refuse_units(HubspotEvidence *evidence, int most);
extern size_t hubspot_evidence_max_size(const HubspotEvidence *evidence);
extern int	hubspot_evidence_limit(HubspotEvidence *evidence, int most,
								   const void *chunk);
extern void hubspot_evidence_recall(HubspotEvidence *evidence,
									const HubspotEvidenceKey *key);
extern void hubspot_evidence_keep_sizes(const HubspotEvidence *evidence);
extern void hubspot_evidence_keep_refused(const HubspotEvidence *evidence);

#endif							/* HUBSPOT_CALL_EVIDENCE_H */
