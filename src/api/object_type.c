/*-------------------------------------------------------------------------
 *
 * object_type.c
 *	  HubSpot's own object types, by their names and ids.
 *
 * A path takes any of the three, and of custom objects the id or the name, so
 * nothing depends on this list being complete: it tells what is there, reads
 * answers that name a type in another way than the request did, gives the
 * id where HubSpot takes nothing else, and tells which names are one type's.
 *
 * IDENTIFICATION
 *	  src/api/object_type.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/object_type.h"

/*
 * The indexes of the outbox hold hashes of the numbers: if names or ids change, the
 * extension's update script has to rebuild these indexes.
 */
static const HubspotStandardType standard_types[] = {
	{"0-1", "contact", "contacts"},
	{"0-2", "company", "companies"},
	{"0-3", "deal", "deals"},
	{"0-5", "ticket", "tickets"},
	{"0-7", "product", "products"},
	{"0-8", "line_item", "line_items"},
	{"0-14", "quote", "quotes"},
	{"0-18", "communication", "communications"},
	{"0-19", "feedback_submission", "feedback_submissions"},
	{"0-27", "task", "tasks"},
	{"0-46", "note", "notes"},
	{"0-47", "meeting", "meetings"},
	{"0-48", "call", "calls"},
	{"0-49", "email", "emails"},
	{"0-53", "invoice", "invoices"},
	{"0-69", "subscription", "subscriptions"},
	{"0-101", "payment", "payments"},
	{"0-116", "postal_mail", "postal_mails"},
	{"0-123", "order", "orders"},
	{"0-136", "lead", "leads"},
	{"0-162", "service", "services"},
	{"0-410", "course", "courses"},
	{"0-420", "listing", "listings"},
	{"0-421", "appointment", "appointments"},
	{"0-11", "conversation", "conversations"},
	{"0-54", "marketing_event", "marketing_events"},
	{"0-64", "quote_template", "quote_templates"},
	{"0-72", "deal_split", "deal_splits"},
	{"0-74", "goal_target", "goal_targets"},
	{"0-84", "discount", "discounts"},
	{"0-85", "fee", "fees"},
	{"0-86", "tax", "taxes"},
	{"0-115", "user", "users"},
	{"0-142", "cart", "carts"},
	{"0-145", "partner_client", "partner_clients"},
	{"0-970", "project", "projects"}
};

/* Further names */
static const struct
{
	const char *id;
	const char *name;
}			aliases[] = {
	{"0-47", "meeting_event"},
	{"0-47", "meeting_events"}
};

/* What comes before the number in an id of a standard type */
#define ID_PREFIX	"0-"

/* All of the names are shorter than this. */
#define MAX_NAME	32

#define NNAMES		(3 * lengthof(standard_types) + lengthof(aliases))

typedef struct TypeName
{
	const char *name;
	int			number;
} TypeName;

/* In the order of strcmp(), once they are needed. */
static TypeName names[NNAMES];
static bool names_are_made = false;

/* The names that were looked up last: nearly always the two of the same lane. */
#define NRECENT		2

typedef struct RecentName
{
	int			len;
	int			number;
	char		name[MAX_NAME];
} RecentName;

static RecentName recent_names[NRECENT];
static int	oldest_recent = 0;

static int	look_up_number(HubspotSlice type);
static void make_names(void);
static int	add_name(int n, const char *name, const char *id);
static int	compare_names(const void *a, const void *b);

/* The standard type in a place of the list, from 0; NULL: there are no more. */
const HubspotStandardType *
hubspot_standard_type(int place)
{
	return place < (int) lengthof(standard_types) ? &standard_types[place] : NULL;
}

/*
 * The object type that HubSpot does not know, by the message of an error, where that ends
 * with it; NULL: the message is about something else.
 */
const char *
hubspot_unknown_object_type(const char *message)
{
	static const char words[] = "Unable to infer object type from: ";
	const char *found = strstr(message, words);

	return found ? found + strlen(words) : NULL;
}

/* The number of a standard type (0-n), by any of its names in any case; 0: it is not one. */
int
hubspot_standard_number(HubspotSlice type)
{
	RecentName *recent;

	if (type.len >= MAX_NAME)
		return 0;
	for (int i = 0; i < NRECENT; i++)
	{
		recent = &recent_names[i];
		if (recent->len == type.len && memcmp(recent->name, type.data, type.len) == 0)
			return recent->number;
	}
	recent = &recent_names[oldest_recent];
	oldest_recent = (oldest_recent + 1) % NRECENT;
	recent->number = look_up_number(type);
	recent->len = type.len;
	memcpy(recent->name, type.data, type.len);
	return recent->number;
}

static int
look_up_number(HubspotSlice type)
{
	char		name[MAX_NAME];
	TypeName	key = {0};
	const TypeName *found;

	if (!names_are_made)
		make_names();
	for (int i = 0; i < type.len; i++)
		name[i] = pg_ascii_tolower((unsigned char) type.data[i]);
	name[type.len] = '\0';
	key.name = name;
	found = bsearch(&key, names, NNAMES, sizeof(TypeName), compare_names);
	return found ? found->number : 0;
}

static void
make_names(void)
{
	int			n = 0;

	for (size_t i = 0; i < lengthof(standard_types); i++)
	{
		n = add_name(n, standard_types[i].id, standard_types[i].id);
		n = add_name(n, standard_types[i].singular, standard_types[i].id);
		n = add_name(n, standard_types[i].plural, standard_types[i].id);
	}
	for (size_t i = 0; i < lengthof(aliases); i++)
		n = add_name(n, aliases[i].name, aliases[i].id);
	qsort(names, NNAMES, sizeof(TypeName), compare_names);
	names_are_made = true;
}

/* Add a name, with its type's id, in place n; returns the place of the next one. */
static int
add_name(int n, const char *name, const char *id)
{
	names[n].name = name;
	names[n].number = atoi(id + strlen(ID_PREFIX));
	return n + 1;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(((const TypeName *) a)->name, ((const TypeName *) b)->name);
}

/* The id of an object type, palloc'd, or what was given if that is not a name we know. */
const char *
hubspot_object_type_id(const char *name)
{
	HubspotSlice slice = {name, strlen(name)};
	int			number = hubspot_standard_number(slice);

	return number > 0 ? psprintf(ID_PREFIX "%d", number) : name;
}

/*
 * Does an answer's name of an object type (CONTACT, 0-1) mean the one in the
 * path (contacts)?
 */
bool
hubspot_same_object_type(const char *path_type, const char *reply_type)
{
	HubspotSlice path = {path_type, strlen(path_type)};
	HubspotSlice reply = {reply_type, strlen(reply_type)};
	int			number;

	if (pg_strcasecmp(path_type, reply_type) == 0)
		return true;
	number = hubspot_standard_number(path);
	return number != 0 && number == hubspot_standard_number(reply);
}
