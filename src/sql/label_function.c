/*-------------------------------------------------------------------------
 *
 * label_function.c
 *	  The function that tells which labels are the same.
 *
 * IDENTIFICATION
 *	  src/sql/label_function.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "base/fold.h"
#include "hubspot.h"

PG_FUNCTION_INFO_V1(hs_assoc_fold);

/*
 * hs_assoc_fold(label)
 *
 * A label as it is looked up if none matches exactly: the same for labels that
 * differ by case alone, whatever the database's locale is.  No label is longer than
 * HUBSPOT_MAX_TEXT, and what is stays as it is.
 */
Datum
hs_assoc_fold(PG_FUNCTION_ARGS)
{
	text	   *label = PG_GETARG_TEXT_PP(0);

	if (VARSIZE_ANY_EXHDR(label) > HUBSPOT_MAX_TEXT)
		PG_RETURN_TEXT_P(label);
	PG_RETURN_TEXT_P(cstring_to_text(hubspot_fold(VARDATA_ANY(label),
												  VARSIZE_ANY_EXHDR(label))));
}
