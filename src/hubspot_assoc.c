/*-------------------------------------------------------------------------
 *
 * hubspot_assoc.c
 *	  The door: what the server calls when it loads the library.
 *
 * The folders beside this file are rooms, each with a README.md; ARCHITECTURE.md
 * has their plan, and test/headerscheck the rule which may use which.
 *
 * IDENTIFICATION
 *	  src/hubspot_assoc.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "account/account.h"
#include "account/shared_token.h"
#include "base/compat.h"
#include "base/setting.h"
#include "base/text_hash.h"
#include "outbox/damper.h"
#include "outbox/fault.h"
#include "outbox/horizon.h"
#include "table/table_join.h"
#include "worker/launcher.h"
#include "worker/slot.h"
#include "worker/utility_hook.h"
#include "worker/wake.h"

HUBSPOT_MODULE_MAGIC("hubspot_assoc", "1.0");

void		_PG_init(void);

void
_PG_init(void)
{
	hubspot_make_hash_secret();
	hubspot_define_settings();
	hubspot_table_joins_add();
	hubspot_accounts_add();
	hubspot_damper_add();
	hubspot_faults_add();
	if (process_shared_preload_libraries_in_progress)
		hubspot_shared_tokens_add();
	/* what pg_upgrade does is no reason to send anything */
	if (process_shared_preload_libraries_in_progress && !IsBinaryUpgrade)
	{
		hubspot_slots_add();
		hubspot_horizon_add();
		hubspot_wake_add();
		hubspot_hold_add();
		hubspot_launcher_register();
	}
}
