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

PG_FUNCTION_INFO_V1(hs_assoc_fold);

/*
 * hs_assoc_fold(label)
 *
 * A label as it is looked up if none matches exactly: the same for labels that
 * differ by case alone, whatever the database's locale is.
 */
Datum
hs_assoc_fold(PG_FUNCTION_ARGS)
{
	text	   *label = PG_GETARG_TEXT_PP(0);

	PG_RETURN_TEXT_P(cstring_to_text(hubspot_fold(VARDATA_ANY(label),
												  VARSIZE_ANY_EXHDR(label))));
}
