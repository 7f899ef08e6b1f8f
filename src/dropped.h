/*-------------------------------------------------------------------------
 *
 * dropped.h
 *	  What DDL has dropped of tables that are kept in sync.
 *
 * IDENTIFICATION
 *	  src/dropped.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DROPPED_H
#define HUBSPOT_DROPPED_H

#include "link.h"

extern void hubspot_after_drop(const HubspotSchema *schema, Node *command);

#endif							/* HUBSPOT_DROPPED_H */
