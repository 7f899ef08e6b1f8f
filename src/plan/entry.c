/*-------------------------------------------------------------------------
 *
 * entry.c
 *	  A wanted or a held association, as packed rows have it.
 *
 * Entries sort by their records, first the one that associations are of, then by their
 * types, so that all of a record stand together, those of a pair do, and what is wanted of
 * it stands beside what is held.  Of several names of one record, which are texts that were
 * given, the shortest one is shown.  The id of the first record comes apart from the rest
 * of the entry, which is kept without it where all are of one record.
 *
 * IDENTIFICATION
 *	  src/plan/entry.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/association_type.h"
#include "plan/entry.h"

/* Categories that nearly all types have, by a byte; any other is written out. */
static const char *const categories[] = {
	HUBSPOT_DEFINED_CATEGORY, "USER_DEFINED", "INTEGRATOR_DEFINED"
};

#define NO_CATEGORY		0
#define OTHER_CATEGORY	0xFF

/* The most bytes of an entry without its first id. */
int
hubspot_entry_size(const HubspotEntry *entry)
{
	return hubspot_packed_id_size(entry->to) + hubspot_type_size(&entry->type) +
		2 + sizeof(uint64) + hubspot_packed_text_size(entry->from_given) +
		hubspot_packed_text_size(entry->to_given);
}

/* Pack an entry, without its first id; its end. */
char *
hubspot_pack_entry(const HubspotPlan *plan, const HubspotEntry *entry, char *to)
{
	to = hubspot_pack_id(to, entry->to);
	if (plan->typed)
		to = hubspot_pack_type(to, &entry->type);
	*to++ = entry->kind;
	*to++ = entry->flags;
	if (entry->kind == HUBSPOT_ENTRY_HELD)
		return to;
	if (plan->from_type.property)
	{
		to = hubspot_pack_text(to, entry->from_given);
		to = hubspot_pack_uint64(to, entry->key_hash);
	}
	if (plan->to_type.property)
		to = hubspot_pack_text(to, entry->to_given);
	return to;
}

/* Put a whole entry into a sort. */
void
hubspot_put_entry(const HubspotPlan *plan, HubspotPackedSort *sort,
				  const HubspotEntry *entry)
{
	char	   *room = hubspot_packed_sort_room(sort, hubspot_packed_id_size(entry->from) +
												hubspot_entry_size(entry));

	hubspot_packed_sort_put(sort, hubspot_pack_entry(plan, entry,
													 hubspot_pack_id(room, entry->from)));
}

/* The most bytes of a packed type. */
int
hubspot_type_size(const HubspotAssociationType *type)
{
	return sizeof(uint32) + 1 + hubspot_packed_text_size(hubspot_slice(type->category));
}

char *
hubspot_pack_type(char *to, const HubspotAssociationType *type)
{
	to = hubspot_pack_uint32(to, type->type_id);
	if (type->category == NULL)
	{
		*to++ = NO_CATEGORY;
		return to;
	}
	for (size_t i = 0; i < lengthof(categories); i++)
	{
		if (strcmp(categories[i], type->category) == 0)
		{
			*to++ = i + 1;
			return to;
		}
	}
	*to++ = (char) OTHER_CATEGORY;
	return hubspot_pack_text(to, hubspot_slice(type->category));
}

/* Unpack a type, without its label.  Its category is a constant, or palloc'd. */
const char *
hubspot_unpack_type(const char *from, HubspotAssociationType *type)
{
	HubspotSlice category;
	uint32		type_id;
	unsigned char code;

	from = hubspot_unpack_uint32(from, &type_id);
	type->type_id = type_id;
	type->label = NULL;
	type->category = NULL;
	code = *from++;
	if (code == NO_CATEGORY)
		return from;
	if (code != OTHER_CATEGORY)
	{
		type->category = categories[code - 1];
		return from;
	}
	from = hubspot_unpack_text(from, &category);
	type->category = pnstrdup(category.data, category.len);
	return from;
}

/*
 * Unpack an entry, without its first id.  What it points to lives as long as the bytes and
 * the entry; for its category see hubspot_unpack_type().
 */
void
hubspot_unpack_entry(const HubspotPlan *plan, const char *from, HubspotEntry *entry)
{
	const HubspotSlice none = {NULL, 0};

	from = hubspot_unpack_id(from, &entry->to, &entry->digits[1]);
	if (plan->typed)
		from = hubspot_unpack_type(from, &entry->type);
	entry->kind = (unsigned char) *from++;
	entry->flags = (unsigned char) *from++;
	entry->from_given = entry->to_given = none;
	if (entry->kind == HUBSPOT_ENTRY_HELD)
		return;
	if (plan->from_type.property)
		from = hubspot_unpack_key(from - 1, &entry->key_hash, &entry->from_given);
	if (plan->to_type.property)
		(void) hubspot_unpack_text(from, &entry->to_given);
}

/* Unpack only the key of an entry that has one, of which the end of its place is known. */
const char *
hubspot_unpack_key(const char *end_of_place, uint64 *key_hash, HubspotSlice *from_given)
{
	const char *from = hubspot_unpack_text(end_of_place + 1, from_given);

	return hubspot_unpack_uint64(from, key_hash);
}

/*
 * How many bytes of an entry, without its first id, say what it is about: another entry
 * with the same ones says the same again.
 */
int
hubspot_packed_place_len(const HubspotPlan *plan, const char *entry)
{
	const char *end = hubspot_skip_id(entry);
	HubspotSlice category;

	if (plan->typed)
	{
		end += sizeof(uint32);
		if ((unsigned char) *end++ == OTHER_CATEGORY)
			end = hubspot_unpack_text(end, &category);
	}
	return end + 1 - entry;
}
