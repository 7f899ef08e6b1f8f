/*-------------------------------------------------------------------------
 *
 * argument.h
 *	  Arguments of SQL functions, checked.
 *
 * IDENTIFICATION
 *	  src/sql/argument.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SQL_ARGUMENT_H
#define HUBSPOT_SQL_ARGUMENT_H

#include "fmgr.h"
#include "utils/array.h"
#include "utils/timestamp.h"

#include "api/key.h"

extern char *hubspot_object_type_argument(FunctionCallInfo fcinfo, int argument,
										  const char *name);
extern char *hubspot_given_type_argument(FunctionCallInfo fcinfo, int argument,
										 const char *name, bool *has_keys);
extern const Interval *hubspot_wait_argument(FunctionCallInfo fcinfo, int argument,
											 const char *name, bool has_keys);
extern const Interval *hubspot_period_argument(FunctionCallInfo fcinfo, int argument,
											   const char *name);
extern const char *hubspot_on_drift_argument(FunctionCallInfo fcinfo, int argument);
extern bool hubspot_all_directions(FunctionCallInfo fcinfo, const char *things);
extern void hubspot_record_type_argument(FunctionCallInfo fcinfo, int argument,
										 const char *name, HubspotObjectType *type);
extern char *hubspot_text_argument(FunctionCallInfo fcinfo, int argument,
								   const char *name, const char *hint);
extern char *hubspot_query_argument(FunctionCallInfo fcinfo, int argument,
									const char *name, const char *array_type);
extern char *hubspot_label_argument(FunctionCallInfo fcinfo, int argument,
									const char *name);
extern char *hubspot_category_argument(FunctionCallInfo fcinfo, int argument,
									   const char *name);
extern int32 hubspot_int_argument(FunctionCallInfo fcinfo, int argument,
								  const char *name);
extern int64 hubspot_bigint_argument(FunctionCallInfo fcinfo, int argument,
									 const char *name);
extern bool hubspot_bool_argument(FunctionCallInfo fcinfo, int argument,
								  const char *name);
extern int64 hubspot_count_argument(FunctionCallInfo fcinfo, int argument,
									const char *name);
extern bool hubspot_on_error_argument(FunctionCallInfo fcinfo, int argument);
extern bool hubspot_mode_argument(FunctionCallInfo fcinfo, int argument);
extern bool hubspot_flag_argument(FunctionCallInfo fcinfo, int argument);
extern const char *hubspot_name_argument(FunctionCallInfo fcinfo, int argument,
										 const char *name);
extern Oid	hubspot_oid_argument(FunctionCallInfo fcinfo, int argument,
								 const char *name);
extern Oid	hubspot_link_table_argument(FunctionCallInfo fcinfo, int argument);
extern void hubspot_check_owner(Oid link_table);
extern ArrayType *hubspot_array_argument(FunctionCallInfo fcinfo, int argument,
										 const char *name);
extern const char *hubspot_server_argument(FunctionCallInfo fcinfo,
										   int argument);
extern Oid	hubspot_usable_server_argument(FunctionCallInfo fcinfo,
										   int argument);

#endif							/* HUBSPOT_SQL_ARGUMENT_H */
