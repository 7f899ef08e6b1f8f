/*-------------------------------------------------------------------------
 *
 * table_import.c
 *	  IMPORT FOREIGN SCHEMA: a foreign table for each pair of object types.
 *
 * The one schema of an account is "hubspot".  It has a table for each pair of contacts,
 * companies, deals, tickets and the account's custom objects, in each direction, called
 * by their names: contacts_companies.  LIMIT TO may also name pairs with HubSpot's other
 * object types.  Besides, there are tables of the object types and of their labels.  HubSpot is asked for the custom objects where they may be meant.
 *
 * IDENTIFICATION
 *	  src/table/table_import.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "account/client.h"
#include "account/option_table.h"
#include "api/object_type.h"
#include "api/usage.h"
#include "base/closest.h"
#include "base/compat.h"
#include "base/shown.h"
#include "table/object_list.h"
#include "table/table_import.h"

#define SCHEMA		"hubspot"

/* The standard types that stand first in HubSpot's list: those that all accounts use. */
#define USUAL_TYPES	4

/* An object type that tables can be of. */
typedef struct ImportType
{
	const char *name;			/* in names of tables */
	const char *type;			/* in options */
	bool		usual;			/* without LIMIT TO, too */
} ImportType;

/* What the statement's options say. */
typedef struct ImportOptions
{
	bool		types;			/* columns of types */
	bool		bigints;		/* ids are bigint */
	const char *rows_per_key;	/* or NULL */
	const char *writes;			/* likewise */
	const char *scan;			/* likewise */
} ImportOptions;

static void read_options(const List *list, ImportOptions *options);
static void refuse_option(const char *name) pg_attribute_noreturn();
static List *standard_types(void);
static List *add_custom_types(List *types, const char *server);
static List *import_all(const ImportForeignSchemaStmt *statement, const char *server,
						const ImportOptions *options);
static List *import_some(const ImportForeignSchemaStmt *statement, const char *server,
						 const ImportOptions *options);
static bool find_pair(const List *types, const char *table, const ImportType **from,
					  const ImportType **to);
static const ImportType *find_type(const List *types, const char *name, int len);
static void throw_unknown(const List *types, const char *table) pg_attribute_noreturn();
static char *make_list_command(const char *server, HubspotTableKind kind);
static char *make_command(const char *server, const char *table, const ImportType *from,
						  const ImportType *to, const ImportOptions *options);

/* The commands that make the tables. */
List *
hubspot_table_import(ImportForeignSchemaStmt *statement, Oid serverid)
{
	const char *server = GetForeignServer(serverid)->servername;
	ImportOptions options = {.types = true};

	if (strcmp(statement->remote_schema, SCHEMA) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
				 errmsg("schema \"%s\" is not present on foreign server \"%s\"",
						hubspot_shown(statement->remote_schema), server),
				 errhint("The one schema of an account is \"%s\".", SCHEMA)));
	read_options(statement->options, &options);
	if (statement->list_type == FDW_IMPORT_SCHEMA_LIMIT_TO)
		return import_some(statement, server, &options);
	return import_all(statement, server, &options);
}

static void
read_options(const List *list, ImportOptions *options)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "types") == 0)
			options->types = defGetBoolean(def);
		else if (strcmp(def->defname, "ids") == 0)
		{
			const char *value = defGetString(def);

			options->bigints = strcmp(value, "bigint") == 0;
			if (!options->bigints && strcmp(value, "text") != 0)
				ereport(ERROR,
						(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						 errmsg("invalid value for option \"ids\": \"%s\"",
								hubspot_shown(value)),
						 errhint("It must be \"text\" or \"bigint\".")));
		}
		else if (strcmp(def->defname, "rows_per_key") == 0)
			options->rows_per_key = defGetString(def);
		else if (strcmp(def->defname, "writes") == 0)
			options->writes = defGetString(def);
		else if (strcmp(def->defname, "scan") == 0)
			options->scan = defGetString(def);
		else
			refuse_option(def->defname);
	}
}

static void
refuse_option(const char *name)
{
	HubspotClosest closest = {.name = name};

	hubspot_closest_try(&closest, "types");
	hubspot_closest_try(&closest, "ids");
	hubspot_closest_try(&closest, "rows_per_key");
	hubspot_closest_try(&closest, "writes");
	hubspot_closest_try(&closest, "scan");
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", hubspot_shown(name)),
			 closest.found ?
			 errhint("Perhaps you meant the option \"%s\".", closest.found) :
			 errhint("The valid options are: types, ids, rows_per_key, writes, scan.")));
}

/* HubSpot's own object types. */
static List *
standard_types(void)
{
	List	   *types = NIL;
	const HubspotStandardType *standard;

	for (int i = 0; (standard = hubspot_standard_type(i)) != NULL; i++)
	{
		ImportType *type = palloc0(sizeof(ImportType));

		type->name = type->type = standard->plural;
		type->usual = i < USUAL_TYPES;
		types = lappend(types, type);
	}
	return types;
}

/* Add the account's own object types. */
static List *
add_custom_types(List *types, const char *server)
{
	ListCell   *lc;

	foreach(lc, hubspot_custom_objects(hubspot_connect(server)))
	{
		const HubspotCustomObject *object = lfirst(lc);
		const char *name = object->name ? object->name : object->id;
		ImportType *type = palloc0(sizeof(ImportType));

		CHECK_FOR_INTERRUPTS();
		/* p123_cars are called cars */
		if (name[0] == 'p' && isdigit((unsigned char) name[1]) && strchr(name, '_'))
			name = strchr(name, '_') + 1;
		/* where two are called the same, the id tells them apart */
		if (find_type(types, name, strlen(name)))
			name = object->id;
		type->name = name;
		type->type = object->id;
		type->usual = true;
		types = lappend(types, type);
	}
	return types;
}

/* Tables of all pairs, but for those that EXCEPT names. */
static List *
import_all(const ImportForeignSchemaStmt *statement, const char *server,
		   const ImportOptions *options)
{
	List	   *types = add_custom_types(standard_types(), server);
	List	   *commands = NIL;
	ListCell   *lc;
	ListCell   *other;

	for (HubspotTableKind kind = HUBSPOT_KIND_OBJECT_TYPES; kind < HUBSPOT_NKINDS; kind++)
	{
		if (IsImportableForeignTable(hubspot_kind_names[kind],
									 unconstify(ImportForeignSchemaStmt *, statement)))
			commands = lappend(commands, make_list_command(server, kind));
	}
	foreach(lc, types)
	{
		const ImportType *from = lfirst(lc);

		foreach(other, types)
		{
			const ImportType *to = lfirst(other);
			char	   *table;

			CHECK_FOR_INTERRUPTS();
			if (!from->usual || !to->usual)
				continue;
			table = psprintf("%s_%s", from->name, to->name);
			if (IsImportableForeignTable(table, unconstify(ImportForeignSchemaStmt *, statement)))
				commands = lappend(commands, make_command(server, table, from, to, options));
		}
	}
	return commands;
}

/* The tables that LIMIT TO names.  ERROR if one of them is not a pair of object types. */
static List *
import_some(const ImportForeignSchemaStmt *statement, const char *server,
			const ImportOptions *options)
{
	List	   *types = standard_types();
	List	   *commands = NIL;
	bool		asked = false;
	ListCell   *lc;

	foreach(lc, statement->table_list)
	{
		const char *table = lfirst_node(RangeVar, lc)->relname;
		const ImportType *from;
		const ImportType *to;
		int			kind = hubspot_find_choice(hubspot_kind_names, table);
		bool		found;

		if (kind > HUBSPOT_KIND_ASSOCIATIONS)
		{
			commands = lappend(commands, make_list_command(server, kind));
			continue;
		}
		found = find_pair(types, table, &from, &to);
		if (!found && !asked)
		{
			types = add_custom_types(types, server);
			asked = true;
			found = find_pair(types, table, &from, &to);
		}
		if (!found)
			throw_unknown(types, table);
		commands = lappend(commands, make_command(server, table, from, to, options));
	}
	return commands;
}

/* The object types of a table's name, whose first one may have a _ in its name, too. */
static bool
find_pair(const List *types, const char *table, const ImportType **from,
		  const ImportType **to)
{
	for (const char *end = strchr(table, '_'); end; end = strchr(end + 1, '_'))
	{
		*from = find_type(types, table, end - table);
		*to = find_type(types, end + 1, strlen(end + 1));
		if (*from && *to)
			return true;
	}
	return false;
}

static const ImportType *
find_type(const List *types, const char *name, int len)
{
	ListCell   *lc;

	foreach(lc, types)
	{
		const ImportType *type = lfirst(lc);

		if (strncmp(type->name, name, len) == 0 && type->name[len] == '\0')
			return type;
	}
	return NULL;
}

static void
throw_unknown(const List *types, const char *table)
{
	HubspotClosest closest = {.name = table};
	ListCell   *lc;
	ListCell   *other;

	foreach(lc, types)
	{
		const ImportType *from = lfirst(lc);

		foreach(other, types)
		{
			const ImportType *to = lfirst(other);

			if (from->usual && to->usual)
				hubspot_closest_try(&closest, psprintf("%s_%s", from->name, to->name));
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
			 errmsg("schema \"%s\" has no table \"%s\"", SCHEMA, hubspot_shown(table)),
			 closest.found ?
			 errhint("Perhaps you meant \"%s\".", closest.found) :
			 errhint("A table is named after two object types in the plural, such as \"contacts_companies\".")));
}

/* The command that makes the table of what the account defines. */
static char *
make_list_command(const char *server, HubspotTableKind kind)
{
	const char *columns = kind == HUBSPOT_KIND_OBJECT_TYPES ?
	"object_type_id pg_catalog.text NOT NULL, name pg_catalog.text, label pg_catalog.text" :
	"from_type pg_catalog.text NOT NULL, to_type pg_catalog.text NOT NULL,"
	" category pg_catalog.text, type_id pg_catalog.int4, label pg_catalog.text,"
	" is_primary pg_catalog.bool";

	return psprintf("CREATE FOREIGN TABLE %s (%s) SERVER %s OPTIONS (kind '%s')",
					hubspot_kind_names[kind], columns, quote_identifier(server),
					hubspot_kind_names[kind]);
}

/* The command that makes the table of a pair. */
static char *
make_command(const char *server, const char *table, const ImportType *from,
			 const ImportType *to, const ImportOptions *options)
{
	const char *id = options->bigints ? "int8" : "text";
	StringInfoData command;

	initStringInfo(&command);
	appendStringInfo(&command,
					 "CREATE FOREIGN TABLE %s (from_id pg_catalog.%s NOT NULL, to_id pg_catalog.%s NOT NULL",
					 quote_identifier(table), id, id);
	if (options->types)
		appendStringInfoString(&command,
							   ", category pg_catalog.text, type_id pg_catalog.int4, label pg_catalog.text");
	appendStringInfo(&command, ") SERVER %s OPTIONS (from_type %s, to_type %s",
					 quote_identifier(server), quote_literal_cstr(from->type),
					 quote_literal_cstr(to->type));
	if (options->rows_per_key)
		appendStringInfo(&command, ", rows_per_key %s",
						 quote_literal_cstr(options->rows_per_key));
	if (options->writes)
		appendStringInfo(&command, ", writes %s", quote_literal_cstr(options->writes));
	if (options->scan)
		appendStringInfo(&command, ", scan %s", quote_literal_cstr(options->scan));
	appendStringInfoChar(&command, ')');
	return command.data;
}
