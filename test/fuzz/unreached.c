/*-------------------------------------------------------------------------
 *
 * unreached.c
 *	  Functions that the code under test names and that no fuzz target gets to;
 *	  that it does is a finding.
 *
 * No header declares them here, since they return nothing.
 *
 * IDENTIFICATION
 *	  test/fuzz/unreached.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>

#define UNREACHED(name) \
void		name(void); \
void \
name(void) \
{ \
	fprintf(stderr, "%s was called\n", #name); \
	abort(); \
}

UNREACHED(AlterUserMapping)
UNREACHED(CommandCounterIncrement)
UNREACHED(DirectFunctionCall1Coll)
UNREACHED(DirectFunctionCall2Coll)
UNREACHED(JsonbToCString)
UNREACHED(date2j)
UNREACHED(interval_cmp)
UNREACHED(interval_out)
UNREACHED(j2date)
UNREACHED(makeDefElemExtended)
UNREACHED(makeString)
UNREACHED(systable_beginscan)
UNREACHED(systable_endscan)
UNREACHED(systable_getnext)
UNREACHED(table_close)
UNREACHED(table_open)
UNREACHED(list_delete_first)
UNREACHED(list_sort)
UNREACHED(aclcheck_error)
UNREACHED(get_rel_name)
UNREACHED(get_rel_relkind)
UNREACHED(get_relkind_objtype)
UNREACHED(object_aclcheck)
UNREACHED(object_ownercheck)
UNREACHED(pg_strong_random)
UNREACHED(pg_class_ownercheck)
UNREACHED(pg_foreign_server_aclcheck)
UNREACHED(get_foreign_data_wrapper_oid)
UNREACHED(get_foreign_server_oid)
UNREACHED(SearchSysCache2)
UNREACHED(SysCacheGetAttr)
UNREACHED(ReleaseSysCache)
UNREACHED(GetForeignServerExtended)
UNREACHED(GetUserId)
UNREACHED(GetUserNameFromId)
UNREACHED(GetTransactionSnapshot)
UNREACHED(InvalidateCatalogSnapshotConditionally)
UNREACHED(PopActiveSnapshot)
UNREACHED(PushActiveSnapshot)

/* account.c's */
UNREACHED(hubspot_account_count_error)
UNREACHED(hubspot_account_count_inputs)

/* server.c's */
UNREACHED(hubspot_get_usable_server)
