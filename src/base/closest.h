/*-------------------------------------------------------------------------
 *
 * closest.h
 *	  Which existing name an unknown one was probably meant to be.
 *
 * IDENTIFICATION
 *	  src/base/closest.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_CLOSEST_H
#define HUBSPOT_BASE_CLOSEST_H

/*
 * The distance between names that are not alike; any other distance is less.
 */
#define HUBSPOT_UNLIKE	5

/*
 * A search for the closest of some names.  name is set at the start, the rest
 * is zero.
 */
typedef struct HubspotClosest
{
	const char *name;			/* the unknown one */
	const char *found;			/* the closest so far, or NULL */
	int			distance;		/* of found */
} HubspotClosest;

extern int	hubspot_name_distance(const char *name, const char *other);
extern void hubspot_closest_try(HubspotClosest *closest, const char *candidate);

#endif							/* HUBSPOT_BASE_CLOSEST_H */
