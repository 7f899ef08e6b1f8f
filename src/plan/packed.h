/*-------------------------------------------------------------------------
 *
 * packed.h
 *	  Ids of records, types and texts as bytes that sort as they are to.
 *
 * An id of digits is a number of eight bytes, the highest first, so that ids ascend as
 * people count and most comparisons see all of an id at once; any other id comes after
 * these, by its length and its bytes.  No id's bytes are the beginning of another's.
 *
 * IDENTIFICATION
 *	  src/plan/packed.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_PLAN_PACKED_H
#define HUBSPOT_PLAN_PACKED_H

#include "port/pg_bswap.h"
#include "utils/builtins.h"

#include "base/digits.h"
#include "hubspot.h"

/* Bytes of an id of digits, and of the place of one that is not known. */
#define HUBSPOT_PACKED_NUMBER	8

/* So many digits fit; a longer id is an id of another kind. */
#define HUBSPOT_PACKED_DIGITS	18

/* The digits of a number, which has at most that many. */
typedef struct HubspotDigits
{
	char		text[HUBSPOT_PACKED_DIGITS + 3];
} HubspotDigits;

static inline char *
hubspot_pack_uint32(char *to, uint32 number)
{
	uint32		bytes = pg_hton32(number);

	memcpy(to, &bytes, sizeof(bytes));
	return to + sizeof(bytes);
}

static inline const char *
hubspot_unpack_uint32(const char *from, uint32 *number)
{
	uint32		bytes;

	memcpy(&bytes, from, sizeof(bytes));
	*number = pg_ntoh32(bytes);
	return from + sizeof(bytes);
}

static inline char *
hubspot_pack_uint64(char *to, uint64 number)
{
	uint64		bytes = pg_hton64(number);

	memcpy(to, &bytes, sizeof(bytes));
	return to + sizeof(bytes);
}

static inline const char *
hubspot_unpack_uint64(const char *from, uint64 *number)
{
	uint64		bytes;

	memcpy(&bytes, from, sizeof(bytes));
	*number = pg_ntoh64(bytes);
	return from + sizeof(bytes);
}

/* The most bytes of a packed id. */
static inline int
hubspot_packed_id_size(HubspotSlice id)
{
	return HUBSPOT_PACKED_NUMBER + sizeof(uint32) + id.len;
}

/* Pack an id; without data, it is one that comes before all others. */
static inline char *
hubspot_pack_id(char *to, HubspotSlice id)
{
	if (id.data == NULL)
		return hubspot_pack_uint64(to, 0);
	if (id.len > 0 && id.len <= HUBSPOT_PACKED_DIGITS && id.data[0] != '0' &&
		hubspot_all_digits(id.data, id.len))
	{
		uint64		number = 0;

		for (int i = 0; i < id.len; i++)
			number = number * 10 + (id.data[i] - '0');
		return hubspot_pack_uint64(to, number);
	}
	to = hubspot_pack_uint64(to, PG_UINT64_MAX);
	to = hubspot_pack_uint32(to, id.len);
	memcpy(to, id.data, id.len);
	return to + id.len;
}

/* Skip a packed id. */
static inline const char *
hubspot_skip_id(const char *from)
{
	uint32		len;

	/* no number begins like that */
	if ((unsigned char) *from != 0xFF)
		return from + HUBSPOT_PACKED_NUMBER;
	from = hubspot_unpack_uint32(from + HUBSPOT_PACKED_NUMBER, &len);
	return from + len;
}

/* Unpack an id, which lives as long as the bytes and the digits do. */
static inline const char *
hubspot_unpack_id(const char *from, HubspotSlice *id, HubspotDigits *digits)
{
	uint64		number;
	uint32		len;

	from = hubspot_unpack_uint64(from, &number);
	if (number == PG_UINT64_MAX)
	{
		from = hubspot_unpack_uint32(from, &len);
		id->data = from;
		id->len = len;
		return from + id->len;
	}
	id->data = NULL;
	id->len = 0;
	if (number > 0)
	{
		id->len = pg_ulltoa_n(number, digits->text);
		id->data = digits->text;
	}
	return from;
}

/* The most bytes of a packed text. */
static inline int
hubspot_packed_text_size(HubspotSlice text)
{
	return sizeof(uint32) + text.len;
}

/* Pack a text; without data, it is none. */
static inline char *
hubspot_pack_text(char *to, HubspotSlice text)
{
	to = hubspot_pack_uint32(to, text.data ? text.len + 1 : 0);
	if (text.data == NULL || text.len == 0)
		return to;
	memcpy(to, text.data, text.len);
	return to + text.len;
}

static inline const char *
hubspot_unpack_text(const char *from, HubspotSlice *text)
{
	uint32		len;

	from = hubspot_unpack_uint32(from, &len);
	text->data = len > 0 ? from : NULL;
	text->len = len > 0 ? len - 1 : 0;
	return from + text->len;
}

static inline HubspotSlice
hubspot_slice(const char *text)
{
	HubspotSlice slice = {text, text ? strlen(text) : 0};

	return slice;
}

#endif							/* HUBSPOT_PLAN_PACKED_H */
