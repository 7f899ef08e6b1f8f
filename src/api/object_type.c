/*-------------------------------------------------------------------------
 *
 * object_type.c
 *	  HubSpot's standard object types, by all of their names.
 *
 * Object types have several names: contacts, contact and 0-1 are the same.
 *
 * IDENTIFICATION
 *	  src/api/object_type.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/object_type.h"

/* Object types by all of their names in lower case, and their numbers (0-n). */
typedef struct StandardType
{
	const char *name;
	int			number;
} StandardType;

/*
 * In the order of strcmp().  The indexes of the outbox hold hashes of the numbers: whoever
 * changes these has to rebuild the indexes in the extension's update script.
 */
static const StandardType standard_types[] = {
	{"0-1", 1},
	{"0-101", 101},
	{"0-116", 116},
	{"0-123", 123},
	{"0-136", 136},
	{"0-14", 14},
	{"0-162", 162},
	{"0-18", 18},
	{"0-19", 19},
	{"0-2", 2},
	{"0-27", 27},
	{"0-3", 3},
	{"0-410", 410},
	{"0-420", 420},
	{"0-421", 421},
	{"0-46", 46},
	{"0-47", 47},
	{"0-48", 48},
	{"0-49", 49},
	{"0-5", 5},
	{"0-53", 53},
	{"0-69", 69},
	{"0-7", 7},
	{"0-8", 8},
	{"appointment", 421},
	{"appointments", 421},
	{"call", 48},
	{"calls", 48},
	{"communication", 18},
	{"communications", 18},
	{"companies", 2},
	{"company", 2},
	{"contact", 1},
	{"contacts", 1},
	{"course", 410},
	{"courses", 410},
	{"deal", 3},
	{"deals", 3},
	{"email", 49},
	{"emails", 49},
	{"feedback_submission", 19},
	{"feedback_submissions", 19},
	{"invoice", 53},
	{"invoices", 53},
	{"lead", 136},
	{"leads", 136},
	{"line_item", 8},
	{"line_items", 8},
	{"listing", 420},
	{"listings", 420},
	{"meeting", 47},
	{"meeting_event", 47},
	{"meeting_events", 47},
	{"meetings", 47},
	{"note", 46},
	{"notes", 46},
	{"order", 123},
	{"orders", 123},
	{"payment", 101},
	{"payments", 101},
	{"postal_mail", 116},
	{"postal_mails", 116},
	{"product", 7},
	{"products", 7},
	{"quote", 14},
	{"quotes", 14},
	{"service", 162},
	{"services", 162},
	{"subscription", 69},
	{"subscriptions", 69},
	{"task", 27},
	{"tasks", 27},
	{"ticket", 5},
	{"tickets", 5}
};

/* All of the names are shorter than this. */
#define MAX_NAME	32

static int	compare_names(const void *a, const void *b);

/*
 * The number of an object type, whatever its case; 0: it is not a standard one, or one
 * that HubSpot has added since.
 */
int
hubspot_standard_type(HubspotSlice type)
{
	char		name[MAX_NAME];
	StandardType key = {0};
	const StandardType *found;

	if (type.len >= MAX_NAME)
		return 0;
	for (int i = 0; i < type.len; i++)
		name[i] = pg_ascii_tolower((unsigned char) type.data[i]);
	name[type.len] = '\0';
	key.name = name;
	found = bsearch(&key, standard_types, lengthof(standard_types),
					sizeof(StandardType), compare_names);
	return found ? found->number : 0;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(((const StandardType *) a)->name, ((const StandardType *) b)->name);
}
