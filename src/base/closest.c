/*-------------------------------------------------------------------------
 *
 * closest.c
 *	  Which existing name an unknown one was probably meant to be.
 *
 * The measure is that of the server's own hints (ClosestMatchState, which only
 * 16 and later have): at most four characters to change, and no more than half
 * of those that were written.
 *
 * IDENTIFICATION
 *	  src/base/closest.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/varlena.h"

#include "base/closest.h"

/*
 * How many bytes of a name are compared: varstr_levenshtein() takes no more.
 */
#define MAX_COMPARED	255

static int	compared_len(const char *name);

/* How many characters have to be changed, or HUBSPOT_UNLIKE. */
int
hubspot_name_distance(const char *name, const char *other)
{
	int			len = compared_len(name);
	int			most = Min(HUBSPOT_UNLIKE - 1, pg_mbstrlen_with_len(name, len) / 2);
	int			distance;

	distance = varstr_levenshtein_less_equal(name, len, other, compared_len(other),
											 1, 1, 1, most, true);
	return distance <= most ? distance : HUBSPOT_UNLIKE;
}

static int
compared_len(const char *name)
{
	/* a few bytes more, so that the last character is whole */
	size_t		len = strnlen(name, MAX_COMPARED + MAX_MULTIBYTE_CHAR_LEN);

	return pg_mbcliplen(name, len, MAX_COMPARED);
}

/* Take the candidate, which is not copied, if it is closer than those before. */
void
hubspot_closest_try(HubspotClosest *closest, const char *candidate)
{
	int			distance = hubspot_name_distance(closest->name, candidate);

	if (distance < (closest->found ? closest->distance : HUBSPOT_UNLIKE))
	{
		closest->found = candidate;
		closest->distance = distance;
	}
}
