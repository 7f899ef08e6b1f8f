/*-------------------------------------------------------------------------
 *
 * key_ring.h
 *	  Memory for keys, with a bound.
 *
 * IDENTIFICATION
 *	  src/call/key_ring.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_KEY_RING_H
#define HUBSPOT_CALL_KEY_RING_H

#include "call/known_key.h"

/* See key_ring.c. */
typedef struct HubspotKeyRing HubspotKeyRing;

/*
 * The owner of a ring is to let a key go, whose memory is about to be used for another
 * one: it must keep nothing that points to the key.  False: the key is needed.
 */
typedef bool (*HubspotLetKeyGo) (void *owner, HubspotKey *key);

/* The place of a walk through all keys; zeroes: before the first. */
typedef struct HubspotKeyPlace
{
	int			block;
	Size		position;		/* in it */
} HubspotKeyPlace;

extern HubspotKeyRing *hubspot_key_ring_create(MemoryContext context,
											   HubspotLetKeyGo let_go, void *owner);
extern HubspotKey *hubspot_key_ring_add(HubspotKeyRing *ring, int len);
extern HubspotKey *hubspot_key_ring_next(const HubspotKeyRing *ring,
										 HubspotKeyPlace *place);
extern Size hubspot_key_ring_size(const HubspotKeyRing *ring);
extern bool hubspot_key_ring_drop_oldest(HubspotKeyRing *ring);

/*
 * Keys take a multiple of so many bytes, which is enough for what makes a hole, of
 * whatever size.  On 32-bit platforms, MAXIMUM_ALIGNOF may not be.
 */
#define HUBSPOT_KEY_ALIGNMENT	8

/* The bytes of a key whose text has len bytes. */
static inline Size
hubspot_key_size(int len)
{
	return TYPEALIGN(HUBSPOT_KEY_ALIGNMENT, offsetof(HubspotKey, text) + len);
}

#endif							/* HUBSPOT_CALL_KEY_RING_H */
