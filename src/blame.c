/*-------------------------------------------------------------------------
 *
 * blame.c
 *	  Which of the inputs that were sent an error is about.
 *
 * What an error means is decided from what it names: inputs of which HubSpot
 * said so exactly, or of one side's id.  An id that may be meant of either
 * side makes suspects, not offenders: they are sent again, apart from the
 * others.
 *
 * IDENTIFICATION
 *	  src/blame.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"

#include "blame.h"
#include "context.h"
#include "endpoint.h"

static int	settle_sides(const HubspotMatch *match, const HubspotNames *names,
						 const HubspotError *error, bool refused);
static bool named_pair(const HubspotNames *names, const HubspotInput *input);
static bool contains(const List *ids, HubspotSlice id);
static int	settle_ids(const HubspotMatch *match, const HubspotNames *names,
					   const HubspotError *error, bool refused);
static int	settle_id(const HubspotMatch *match, const HubspotNamedId *named,
					  const HubspotError *error, bool refused);
static int	settle_types(const HubspotMatch *match, const HubspotNames *names,
						 const HubspotError *error);

static inline HubspotSlice
slice_of(const char *text)
{
	HubspotSlice slice = {text, (int) strlen(text)};

	return slice;
}

/* The unit of a match that has the pair of ids, or NULL. */
HubspotUnit *
hubspot_match_unit(const HubspotMatch *match, HubspotSlice from_id, HubspotSlice to_id)
{
	HubspotInput key = {.from_id = from_id,.to_id = to_id};
	HubspotUnit *unit = hubspot_pairs_chain(match->pairs, &key,
											hubspot_pair_hash(&key));

	while (unit && !(unit->sent_with == match->sent_with &&
					 hubspot_same_pair(&unit->input, &key)))
		unit = unit->older;
	return unit;
}

/*
 * Settle a unit by an error, unless that says no more than what was wanted:
 * there is nothing to remove, or nothing to read.
 */
void
hubspot_settle(const HubspotMatch *match, HubspotUnit *unit, const HubspotError *error)
{
	bool		nothing_to_do =
	(match->shape == HUBSPOT_REPLY_SILENT && error->not_found) ||
	(hubspot_match_reads(match) && error->no_associations);

	unit->confirmed = nothing_to_do;
	unit->types = NULL;
	unit->labels = NULL;
	if (unit->page)
	{
		unit->page->associations = NULL;
		unit->page->nassociations = 0;
		unit->page->after.data = NULL;
	}
	unit->error = nothing_to_do ? NULL : error;
	unit->http_status = error->http_status;
	unit->correlation_id = nothing_to_do && match->many ? NULL :
		error->correlation_id;
}

/*
 * Settle the units that an error names.  If the whole request was refused,
 * those that it only may have named become suspects instead.  Returns how
 * many it named, suspects left out.
 */
int
hubspot_blame(const HubspotMatch *match, const HubspotError *error,
			  bool refused)
{
	int			nnamed = 0;
	ListCell   *lc;

	CHECK_FOR_INTERRUPTS();
	foreach(lc, hubspot_error_names(error))
	{
		const HubspotNames *names = lfirst(lc);
		int			n = 0;

		if (names->from_ids || names->to_ids)
			n = settle_sides(match, names, error, refused);
		if (n == 0 && names->ids)
			n = settle_ids(match, names, error, refused);
		if (n == 0 && names->types)
			n = settle_types(match, names, error);
		nnamed += n;
	}
	return nnamed;
}

/*
 * Units of a from id, of a to id, or of both.  Only the last is as sure as a
 * result that says otherwise.
 */
static int
settle_sides(const HubspotMatch *match, const HubspotNames *names,
			 const HubspotError *error, bool refused)
{
	bool		exact = (names->from_ids && names->to_ids);
	int			n = 0;

	if (list_length(names->from_ids) == 1 &&
		(list_length(names->to_ids) == 1 || hubspot_match_reads(match)))
	{
		HubspotUnit *unit = hubspot_match_unit(match,
											   slice_of(linitial(names->from_ids)),
											   slice_of(hubspot_match_reads(match) ? "" :
														linitial(names->to_ids)));

		if (unit == NULL)
			return 0;

		/* that there is nothing is belied by a result */
		if (!(error->no_associations && hubspot_unit_is_settled(unit)))
			hubspot_settle(match, unit, error);
		return 1;
	}
	for (int i = 0; i < match->nunits; i++)
	{
		HubspotUnit *unit = match->units[i];

		CHECK_FOR_INTERRUPTS();
		if (exact ? !named_pair(names, &unit->input) :
			!(contains(names->from_ids, unit->input.from_id) ||
			  contains(names->to_ids, unit->input.to_id)))
			continue;
		if (exact || !hubspot_unit_is_settled(unit))
			hubspot_settle(match, unit, error);
		n++;
	}

	/* lists of both sides that are no pairs: each may name units of its own */
	for (int i = 0; exact && refused && n == 0 && i < match->nunits; i++)
		match->units[i]->suspect =
			contains(names->from_ids, match->units[i]->input.from_id) ||
			contains(names->to_ids, match->units[i]->input.to_id);
	return n;
}

/* Both sides in one context: pairs if there are as many, else all of them. */
static bool
named_pair(const HubspotNames *names, const HubspotInput *input)
{
	ListCell   *from_cell;
	ListCell   *to_cell;

	if (list_length(names->from_ids) != list_length(names->to_ids))
		return contains(names->from_ids, input->from_id) &&
			contains(names->to_ids, input->to_id);
	forboth(from_cell, names->from_ids, to_cell, names->to_ids)
	{
		if (hubspot_same_id(slice_of(lfirst(from_cell)), input->from_id) &&
			hubspot_same_id(slice_of(lfirst(to_cell)), input->to_id))
			return true;
	}
	return false;
}

static bool
contains(const List *ids, HubspotSlice id)
{
	ListCell   *lc;

	foreach(lc, ids)
	{
		if (hubspot_same_id(slice_of(lfirst(lc)), id))
			return true;
	}
	return false;
}

/* Units of ids that may be of either side. */
static int
settle_ids(const HubspotMatch *match, const HubspotNames *names,
		   const HubspotError *error, bool refused)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, names->ids)
		n += settle_id(match, lfirst(lc), error, refused);
	return n;
}

/*
 * Which side an id means is sure if its object type tells, if both sides have
 * that type, or if it stands on one side only.
 */
static int
settle_id(const HubspotMatch *match, const HubspotNamedId *named,
		  const HubspotError *error, bool refused)
{
	HubspotSlice id = slice_of(named->id);
	bool		may_be_from = true;
	bool		may_be_to = true;
	bool		in_from = false;
	bool		in_to = false;
	bool		sure;
	int			n = 0;

	CHECK_FOR_INTERRUPTS();
	if (named->object_type)
	{
		may_be_from = hubspot_same_object_type(match->from_type, named->object_type);
		may_be_to = hubspot_same_object_type(match->to_type, named->object_type);
		if (!may_be_from && !may_be_to)
			may_be_from = may_be_to = true;
	}
	for (int i = 0; i < match->nunits; i++)
	{
		in_from |= hubspot_same_id(match->units[i]->input.from_id, id);
		in_to |= hubspot_same_id(match->units[i]->input.to_id, id);
	}
	sure = !refused || !(may_be_from && may_be_to && in_from && in_to) ||
		match->symmetric;

	for (int i = 0; i < match->nunits; i++)
	{
		HubspotUnit *unit = match->units[i];

		if (!((may_be_from && hubspot_same_id(unit->input.from_id, id)) ||
			  (may_be_to && hubspot_same_id(unit->input.to_id, id))))
			continue;
		if (sure)
			n++;
		else
			unit->suspect = true;
		if (sure && !hubspot_unit_is_settled(unit))
			hubspot_settle(match, unit, error);
	}
	return n;
}

/* Units that were to get a type which the error refuses. */
static int
settle_types(const HubspotMatch *match, const HubspotNames *names,
			 const HubspotError *error)
{
	int			n = 0;
	ListCell   *lc;

	/* a type that isn't there is no pair that is gone */
	if (error->not_found)
	{
		HubspotError *copy = palloc(sizeof(HubspotError));

		*copy = *error;
		copy->not_found = false;
		error = copy;
	}
	foreach(lc, names->types)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < match->nunits; i++)
		{
			HubspotUnit *unit = match->units[i];

			if (!hubspot_has_type(unit->input.types, lfirst(lc)))
				continue;
			if (!hubspot_unit_is_settled(unit))
				hubspot_settle(match, unit, error);
			n++;
		}
	}
	return n;
}
