/*-------------------------------------------------------------------------
 *
 * table_definition.h
 *	  A foreign table: what its options say, and what its columns hold.
 *
 * IDENTIFICATION
 *	  src/table/table_definition.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_DEFINITION_H
#define HUBSPOT_TABLE_TABLE_DEFINITION_H

#include "access/attnum.h"

#include "account/option.h"
#include "api/key.h"

typedef struct HubspotTable
{
	HubspotTableKind kind;
	Oid			relid;
	char	   *name;			/* with its schema, quoted: for messages */
	Oid			server;
	Oid			owner;
	HubspotTableOptions options;
	HubspotObjectType from_type;	/* of associations */
	HubspotObjectType to_type;
	AttrNumber	columns[HUBSPOT_NROLES];	/* where each is; 0: nowhere */
	Oid			id_types[2];	/* of from_id and to_id: text or bigint */
	double		records;		/* that the account has, as the planner takes
								 * it; 0: nobody knows */
	bool		typed;			/* a row for each type of a pair, not for each
								 * pair */
} HubspotTable;

/* Which of a pair's records conditions name: also the role of that column. */
typedef enum HubspotTableSide
{
	HUBSPOT_SIDE_FROM = HUBSPOT_ROLE_FROM_ID,
	HUBSPOT_SIDE_TO = HUBSPOT_ROLE_TO_ID
} HubspotTableSide;

extern HubspotTable *hubspot_table_read(Oid relid);
extern bool hubspot_table_side(const HubspotTable *table, AttrNumber column,
							   HubspotTableSide *side);
extern HubspotTableRole hubspot_table_role(const HubspotTable *table, AttrNumber column);
extern const char *hubspot_table_column(const HubspotTable *table, HubspotTableRole role);

/* The object type of a side. */
static inline const HubspotObjectType *
hubspot_table_type(const HubspotTable *table, HubspotTableSide side)
{
	return side == HUBSPOT_SIDE_FROM ? &table->from_type : &table->to_type;
}

/* Do columns of ids hold values of a property? */
static inline bool
hubspot_table_has_keys(const HubspotTable *table)
{
	return table->from_type.property || table->to_type.property;
}

#endif							/* HUBSPOT_TABLE_TABLE_DEFINITION_H */
