/*-------------------------------------------------------------------------
 *
 * units.c
 *	  Inputs that were sent, as a fuzz target makes them of its own input.
 *
 * They keep to what the batch keeps to: a pair is in a request once, and its
 * reverse only where both sides have one object type or answers don't name
 * pairs.  Those on a line that begins with an exclamation mark are of another
 * request, whatever their pair.
 *
 * IDENTIFICATION
 *	  test/fuzz/units.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "units.h"

static HubspotTypeList *read_types(HubspotSlice *line);
static bool may_be_sent(const HubspotMatch *match, const HubspotInput *input);

void
fuzz_units_begin(FuzzUnits *units, HubspotMatch *match, bool symmetric,
				 HubspotReplyShape shape, bool many)
{
	memset(units, 0, sizeof(*units));
	memset(match, 0, sizeof(*match));
	units->pairs = hubspot_pairs_create(CurrentMemoryContext);
	units->reads = shape == HUBSPOT_REPLY_RECORDS || shape == HUBSPOT_REPLY_PAGE;
	match->units = units->sent;
	match->pairs = units->pairs;
	match->sent_with = match;
	match->from_type = "contacts";
	match->to_type = symmetric ? "0-1" : "companies";
	match->symmetric = symmetric;
	match->shape = shape;
	match->types = hubspot_types_create(CurrentMemoryContext);
	match->many = many;
}

/* Lines of units, until an empty one; where there may be only one, the first. */
void
fuzz_units_read(FuzzUnits *units, HubspotMatch *match, FuzzInput *input)
{
	HubspotSlice line;

	while ((line = fuzz_line(input)).len > 0)
	{
		bool		other = (line.data[0] == '!');
		const char *from_id;
		const char *to_id;
		HubspotUnit *unit;

		if (units->nall == FUZZ_MAX_UNITS)
			continue;
		if (other)
		{
			line.data++;
			line.len--;
		}
		from_id = fuzz_word(&line);
		to_id = fuzz_word(&line);
		if (from_id == NULL || hubspot_id_problem(from_id, strlen(from_id)) ||
			(to_id && hubspot_id_problem(to_id, strlen(to_id))) ||
			(to_id == NULL && !units->reads))
			continue;
		if (units->reads)
			to_id = NULL;
		unit = palloc0(sizeof(HubspotUnit));
		unit->input.from_id.data = from_id;
		unit->input.from_id.len = strlen(from_id);
		if (to_id)
		{
			unit->input.to_id.data = to_id;
			unit->input.to_id.len = strlen(to_id);
		}
		unit->input.types = read_types(&line);
		unit->hash = hubspot_pair_hash(&unit->input);
		unit->chunk = match;
		if (units->reads)
			unit->page = palloc0(sizeof(HubspotPage));
		if (other)
			unit->sent_with = units;
		else if (!may_be_sent(match, &unit->input))
			continue;
		else
		{
			unit->sent_with = match;
			match->units[match->nunits++] = unit;
		}
		hubspot_pairs_add(units->pairs, unit);
		units->all[units->nall++] = unit;
	}

	/* the first to look for a pair would change the units */
	if (units->nall > 0)
		(void) hubspot_pairs_chain(units->pairs, &units->all[0]->input,
								   units->all[0]->hash);
	fuzz_units_save(units);
}

/* CATEGORY=number,... */
static HubspotTypeList *
read_types(HubspotSlice *line)
{
	HubspotTypeList *list = palloc0(offsetof(HubspotTypeList, types) +
									sizeof(HubspotAssociationType) * HUBSPOT_MAX_TYPES);
	const char *word;

	while ((word = fuzz_word(line)) != NULL && list->ntypes < HUBSPOT_MAX_TYPES)
	{
		const char *equals = strchr(word, '=');
		HubspotAssociationType type = {"USER_DEFINED", atoi(word), NULL};

		if (equals)
		{
			type.category = pnstrdup(word, equals - word);
			type.type_id = atoi(equals + 1);
		}
		if (!hubspot_is_category(type.category) || type.type_id < 1 ||
			hubspot_has_type(list, &type))
			continue;
		list->types[list->ntypes++] = type;
	}
	return list;
}

static bool
may_be_sent(const HubspotMatch *match, const HubspotInput *input)
{
	if (!match->many && match->nunits > 0)
		return false;
	for (int i = 0; i < match->nunits; i++)
	{
		const HubspotInput *other = &match->units[i]->input;

		if (hubspot_same_pair(other, input) ||
			(match->shape == HUBSPOT_REPLY_ENVELOPE && !match->symmetric &&
			 hubspot_reverse_pair(other, input)))
			return false;
	}
	return true;
}

/* Remember all units, before something is done to some of them. */
void
fuzz_units_save(FuzzUnits *units)
{
	for (int i = 0; i < units->nall; i++)
	{
		units->saved[i] = *units->all[i];
		if (units->all[i]->page)
			units->saved_pages[i] = *units->all[i]->page;
	}
}

bool
fuzz_unit_is_as_saved(const FuzzUnits *units, int i)
{
	const HubspotUnit *unit = units->all[i];

	return memcmp(unit, &units->saved[i], sizeof(HubspotUnit)) == 0 &&
		(unit->page == NULL ||
		 memcmp(unit->page, &units->saved_pages[i], sizeof(HubspotPage)) == 0);
}

/* Those that belong to no match are as they were. */
void
fuzz_units_check_others(const FuzzUnits *units)
{
	for (int i = 0; i < units->nall; i++)
	{
		if (units->all[i]->sent_with == units)
			fuzz_check(fuzz_unit_is_as_saved(units, i));
	}
}
