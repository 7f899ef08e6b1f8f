/*-------------------------------------------------------------------------
 *
 * units.h
 *	  Inputs that were sent, as a fuzz target makes them of its own input.
 *
 * IDENTIFICATION
 *	  test/fuzz/units.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_UNITS_H
#define FUZZ_UNITS_H

#include "fuzz.h"

#include "call/blame.h"

/* Enough to be halved a few times. */
#define FUZZ_MAX_UNITS	40

typedef struct FuzzUnits
{
	HubspotUnit *all[FUZZ_MAX_UNITS];
	HubspotUnit saved[FUZZ_MAX_UNITS];	/* as they were */
	HubspotPage saved_pages[FUZZ_MAX_UNITS];
	int			nall;
	HubspotUnit *sent[FUZZ_MAX_UNITS];	/* a match's units */
	HubspotPairs *pairs;
	bool		reads;
} FuzzUnits;

extern void fuzz_units_begin(FuzzUnits *units, HubspotMatch *match,
							 bool symmetric, HubspotReplyShape shape, bool many);
extern void fuzz_units_read(FuzzUnits *units, HubspotMatch *match, FuzzInput *input);
extern void fuzz_units_save(FuzzUnits *units);
extern bool fuzz_unit_is_as_saved(const FuzzUnits *units, int i);
extern void fuzz_units_check_others(const FuzzUnits *units);

#endif							/* FUZZ_UNITS_H */
