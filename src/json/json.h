/*-------------------------------------------------------------------------
 *
 * json.h
 *	  Reading JSON by declared fields.
 *
 * IDENTIFICATION
 *	  src/json/json.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_JSON_JSON_H
#define HUBSPOT_JSON_JSON_H

#include "nodes/pg_list.h"

#include "hubspot.h"

typedef struct HubspotJsonShape HubspotJsonShape;

typedef enum HubspotJsonKind
{
	HUBSPOT_JSON_TEXT,			/* const char *, in the server's encoding */
	HUBSPOT_JSON_ID,			/* HubspotSlice, of a string or a number */
	HUBSPOT_JSON_INT,			/* int32, of a number or a string */
	HUBSPOT_JSON_RAW,			/* HubspotSlice, any value as it came */
	HUBSPOT_JSON_IGNORED,		/* is expected, but stored nowhere */
	HUBSPOT_JSON_OBJECT,		/* fields of a nested object, into the same
								 * struct */
	HUBSPOT_JSON_LIST,			/* array of objects, each given to item() */
	HUBSPOT_JSON_NOTED_LIST		/* a LIST, and a bool tells that it was there */
} HubspotJsonKind;

typedef struct HubspotJsonField
{
	const char *key;			/* the name in quotes, and the colon */
	int			key_len;
	HubspotJsonKind kind;
	size_t		offset;			/* in the struct that it is read into */
	const HubspotJsonShape *shape;	/* of an OBJECT, or of a LIST's elements */
} HubspotJsonField;

#define HUBSPOT_JSON_KEY(name)	"\"" name "\":", sizeof("\"" name "\":") - 1

/* A field whose value goes into a member of struct type. */
#define HUBSPOT_JSON_FIELD(name, kind, type, member) \
	{HUBSPOT_JSON_KEY(name), kind, offsetof(type, member), NULL}

/*
 * A field whose value is not wanted.  Most of these are not declared; this one
 * comes so often that it should be recognized at once.
 */
#define HUBSPOT_JSON_UNWANTED(name) \
	{HUBSPOT_JSON_KEY(name), HUBSPOT_JSON_IGNORED, 0, NULL}

/* A field that holds other fields, or a list of objects that do. */
#define HUBSPOT_JSON_NESTED(name, kind, shape) \
	{HUBSPOT_JSON_KEY(name), kind, 0, shape}

/* A list whose presence goes into a member of struct type. */
#define HUBSPOT_JSON_LIST_NOTED_IN(name, shape, type, member) \
	{HUBSPOT_JSON_KEY(name), HUBSPOT_JSON_NOTED_LIST, offsetof(type, member), shape}

struct HubspotJsonShape
{
	int			nfields;
	const HubspotJsonField *fields;
	size_t		item_size;		/* of a LIST's element */
	/* raw is the element's own text */
	void		(*item) (void *state, const void *item, HubspotSlice raw);
	/* for what is not a list, or an element that is not an object; or NULL */
	void		(*odd) (void *state);

	/*
	 * Takes an object at the beginning of a text without its being read, and
	 * says how long it is; 0: it is to be read.  Or NULL
	 */
	int			(*take) (void *state, HubspotSlice text);
};

#define HUBSPOT_JSON_FIELDS(array)	.nfields = lengthof(array), .fields = (array)

extern bool hubspot_json_read(HubspotSlice text, const HubspotJsonShape *shape,
							  void *target, void *state);
extern void hubspot_json_each_member(HubspotSlice object, void *state,
									 void (*member) (void *state,
													 HubspotSlice name,
													 HubspotSlice value));
extern void hubspot_json_each_text(HubspotSlice value, void *state,
								   void (*text) (void *state,
												 HubspotSlice text));
extern List *hubspot_json_texts(HubspotSlice value, int most);

#endif							/* HUBSPOT_JSON_JSON_H */
