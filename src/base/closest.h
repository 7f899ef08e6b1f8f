/*-------------------------------------------------------------------------
 *
 * closest.h
 *	  What a name that there isn't may have been meant for.
 *
 * IDENTIFICATION
 *	  src/base/closest.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_CLOSEST_H
#define HUBSPOT_BASE_CLOSEST_H

/* The distance of names that are not like each other; all others are less. */
#define HUBSPOT_UNLIKE	5

/* The closest of some names; name is set at the beginning, the rest is zero. */
typedef struct HubspotClosest
{
	const char *name;			/* that there isn't */
	const char *found;			/* the closest so far, or NULL */
	int			distance;		/* of found */
} HubspotClosest;

extern int	hubspot_name_distance(const char *name, const char *other);
extern void hubspot_closest_try(HubspotClosest *closest, const char *candidate);

#endif							/* HUBSPOT_BASE_CLOSEST_H */
