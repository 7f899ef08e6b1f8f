/*-------------------------------------------------------------------------
 *
 * fuzz_context.c
 *	  What an error names and says, and which inputs it is about.
 *
 * Input: a line of letters, the encoding, the kind of match (w(rite), r(ead),
 * s(ilent)), whether both sides have one object type (y, n) and whether the
 * whole request was refused (y, n); then a line "from to category=number" for
 * each unit until an empty line; the rest is the error object.
 *
 * IDENTIFICATION
 *	  test/fuzz/fuzz_context.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fuzz.h"
#include "names.h"
#include "units.h"

#include "api/error.h"
#include "api/error_words.h"
#include "call/blame.h"

/* Ids of contexts, as slices of what they are compared with. */
static HubspotSlice
slice_of(const char *text)
{
	HubspotSlice slice = {text, (int) strlen(text)};

	return slice;
}

/* It stands in the error, as it is; escapes and their like apart. */
static void
check_id(HubspotSlice object, const char *id)
{
	HubspotSlice slice = slice_of(id);

	fuzz_check_text(id);
	if (slice.len == 0 || memchr(object.data, '\\', object.len) != NULL)
		return;
	for (int i = 0; i < slice.len; i++)
	{
		/* a character that the encoding doesn't have is replaced */
		if (IS_HIGHBIT_SET(id[i]) || id[i] == '?')
			return;
	}
	fuzz_check(memmem(object.data, object.len, slice.data, slice.len) != NULL);
}

static void
check_ids(HubspotSlice object, const List *ids)
{
	ListCell   *lc;

	foreach(lc, ids)
		check_id(object, lfirst(lc));
}

static void
check_names(HubspotSlice object, const FuzzNames *names)
{
	ListCell   *lc;

	check_ids(object, names->from_ids);
	check_ids(object, names->to_ids);
	foreach(lc, names->ids)
	{
		const FuzzNamedId *named = lfirst(lc);

		check_id(object, named->id);
		if (named->object_type)
			check_id(object, named->object_type);
	}
	foreach(lc, names->types)
	{
		const HubspotAssociationType *type = lfirst(lc);
		char	   *number = psprintf("%d", type->type_id);

		check_id(object, type->category);
		fuzz_check(type->type_id >= 0);
		check_id(object, number);
	}
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

/* May any of the contexts be about the unit? */
static bool
is_named(const List *contexts, const HubspotInput *input)
{
	ListCell   *lc;
	ListCell   *other;

	foreach(lc, contexts)
	{
		const FuzzNames *names = lfirst(lc);

		if (contains(names->from_ids, input->from_id) ||
			contains(names->to_ids, input->to_id))
			return true;
		foreach(other, names->ids)
		{
			HubspotSlice id = slice_of(((const FuzzNamedId *) lfirst(other))->id);

			if (hubspot_same_id(id, input->from_id) || hubspot_same_id(id, input->to_id))
				return true;
		}
		foreach(other, names->types)
		{
			if (hubspot_has_type(input->types, lfirst(other)))
				return true;
		}
	}
	return false;
}

/* What it may have in common with others, in at least five lines. */
static void
check_words(const HubspotError *error)
{
	const char *words = hubspot_error_words(error);
	int			nlines = 0;

	fuzz_check(strncmp(words, "400\n", 4) == 0);
	fuzz_check(strncmp(words + 4, error->category, strlen(error->category)) == 0);
	for (const char *newline = words; (newline = strchr(newline, '\n')) != NULL; newline++)
		nlines++;
	fuzz_check(nlines >= 4);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	FuzzInput	input = {(const char *) data, (const char *) data + size};
	HubspotSlice line = fuzz_line(&input);
	FuzzUnits	units;
	HubspotHttpReply reply = {.status = 400};
	HubspotError *error;
	HubspotMatch match;
	List	   *contexts;
	ListCell   *lc;
	bool		refused;
	int			kind;
	int			nnamed;
	int			nabout = 0;
	int			nsuspects = 0;

	fuzz_begin(fuzz_choice(&line, "ULA"));
	kind = fuzz_choice(&line, "wrs");
	fuzz_units_begin(&units, &match, fuzz_choice(&line, "yn") == 'y',
					 kind == 'r' ? HUBSPOT_REPLY_RECORDS :
					 kind == 's' ? HUBSPOT_REPLY_SILENT : HUBSPOT_REPLY_ENVELOPE, true);
	refused = (fuzz_choice(&line, "yn") == 'y');
	fuzz_units_read(&units, &match, &input);

	reply.body = input.p;
	reply.body_len = input.end - input.p;
	error = hubspot_item_error(&reply, hubspot_reply_body(&reply), NULL);
	contexts = fuzz_error_names(error);
	foreach(lc, contexts)
		check_names(error->answer, lfirst(lc));
	check_words(error);

	nnamed = hubspot_blame(hubspot_blame_begin(&match, refused), error);
	for (int i = 0; i < match.nunits; i++)
	{
		const HubspotUnit *unit = match.units[i];

		fuzz_check(!unit->suspect || refused);
		if (hubspot_unit_is_settled(unit))
			nabout++;
		if (unit->suspect)
			nsuspects++;
		if (hubspot_unit_is_settled(unit) || unit->suspect)
			fuzz_check(is_named(contexts, &unit->input));
		fuzz_check(!unit->confirmed ||
				   (match.shape == HUBSPOT_REPLY_SILENT && error->not_found) ||
				   (match.shape == HUBSPOT_REPLY_RECORDS && error->no_associations));
		if (unit->error)
			fuzz_check_error(unit->error);
	}
	fuzz_check(nnamed >= nabout);
	fuzz_check((nnamed > 0) == (nabout > 0));
	fuzz_units_check_others(&units);
	fuzz_end();
	return 0;
}
