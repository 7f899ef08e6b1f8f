/*-------------------------------------------------------------------------
 *
 * record_values.c
 *	  The values by which a record of a reply is called.
 *
 * An answer may have a hundred thousand records, most of which have the same properties with
 * other values.  So the last ones whose properties were read are kept as models: where a
 * record is like one of them but for its strings, it is known which of these are its id and
 * its values.
 *
 * IDENTIFICATION
 *	  src/api/record_values.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/object_type.h"
#include "api/record_values.h"
#include "json/json.h"

/* A property that tells what else a record is called; semicolons separate its values. */
#define SECONDARY_EMAILS	"hs_additional_emails"
#define VALUE_SEPARATOR		';'

/* A record's values, while they are given away. */
typedef struct ValuesState
{
	const HubspotObjectType *type;
	bool		has_secondary;	/* has_secondary() of the type */
	HubspotValueKind kind;		/* of the value that is being read */
	void	   *state;
	void		(*value) (void *state, HubspotValueKind kind, HubspotSlice value);
} ValuesState;

/* A model, while it is made. */
typedef struct ModelState
{
	const HubspotObjectType *type;
	bool		has_secondary;
	const HubspotSlice *strings;
	int			nstrings;
	HubspotRecordModel *model;
	bool		fit;			/* all values are strings */
} ModelState;

static bool has_secondary(const HubspotObjectType *type);
static bool find_kind(const HubspotObjectType *type, bool secondary, HubspotSlice name,
					  HubspotValueKind *kind);
static void take_property(void *state, HubspotSlice name, HubspotSlice raw);
static void take_text(void *state, HubspotSlice text);
static void take_value(ValuesState *values, HubspotSlice text);
static void note_property(void *state, HubspotSlice name, HubspotSlice raw);
static int	find_string(const HubspotSlice *strings, int nstrings, const char *start);

/* Can records of a type have more than one e-mail? */
static bool
has_secondary(const HubspotObjectType *type)
{
	return type->property && strcmp(type->property, "email") == 0 &&
		hubspot_same_object_type(type->name, "contacts");
}

/*
 * The property whose value has further keys of a record, and what is between two of them.
 * NULL: there is none.
 */
const char *
hubspot_secondary_property(const HubspotObjectType *type, char *separator)
{
	*separator = VALUE_SEPARATOR;
	return has_secondary(type) ? SECONDARY_EMAILS : NULL;
}

/*
 * Give value() all values by which a record is called, where keys of its type were asked
 * for.  There may be any number of each kind.
 */
void
hubspot_record_values(const HubspotRecord *record, void *state,
					  void (*value) (void *state, HubspotValueKind kind,
									 HubspotSlice value))
{
	const HubspotRecordModel *model = record->model;
	ValuesState values = {.type = record->type,.state = state,.value = value};

	if (model == NULL)
	{
		values.has_secondary = has_secondary(record->type);
		hubspot_json_each_member(record->properties, &values, take_property);
		return;
	}
	for (int i = 0; i < model->nvalues; i++)
	{
		values.kind = model->values[i].kind;
		take_text(&values, record->strings[model->values[i].string]);
	}
}

static inline bool
is_named(HubspotSlice name, const char *property)
{
	return name.len == (int) strlen(property) && memcmp(name.data, property, name.len) == 0;
}

/* Which kind of values does a property hold?  False: of none that is wanted. */
static bool
find_kind(const HubspotObjectType *type, bool secondary, HubspotSlice name,
		  HubspotValueKind *kind)
{
	if (type->property && is_named(name, type->property))
		*kind = HUBSPOT_VALUE_PROPERTY;
	else if (type->shows && is_named(name, type->shows))
		*kind = HUBSPOT_VALUE_SHOWN;
	else if (type->property == NULL && type->shows == NULL && is_named(name, HUBSPOT_MERGED_IDS))
		*kind = HUBSPOT_VALUE_MERGED;
	else if (secondary && is_named(name, SECONDARY_EMAILS))
		*kind = HUBSPOT_VALUE_SECONDARY;
	else
		return false;
	return true;
}

static void
take_property(void *state, HubspotSlice name, HubspotSlice raw)
{
	ValuesState *values = state;

	if (find_kind(values->type, values->has_secondary, name, &values->kind))
		hubspot_json_each_text(raw, values, take_text);
}

/* Take a text of the current kind, which may have several values with separators between them. */
static void
take_text(void *state, HubspotSlice text)
{
	ValuesState *values = state;
	const char *end = text.data + text.len;

	if (values->kind == HUBSPOT_VALUE_PROPERTY || values->kind == HUBSPOT_VALUE_SHOWN)
	{
		take_value(values, text);
		return;
	}
	while (text.data < end)
	{
		const char *separator = memchr(text.data, VALUE_SEPARATOR, end - text.data);

		text.len = (separator ? separator : end) - text.data;
		take_value(values, text);
		text.data += text.len + 1;
	}
}

static void
take_value(ValuesState *values, HubspotSlice text)
{
	if (text.len > 0)
		values->value(values->state, values->kind, text);
}

/*
 * Keep a record that was read from a text as a model, if its id and its values are strings,
 * or null.  The text has to outlive the models.
 */
void
hubspot_record_models_learn(HubspotRecordModels *models, const HubspotRecord *record,
							HubspotSlice text)
{
	int			n = hubspot_templates_next(&models->texts, true);
	HubspotSlice strings[HUBSPOT_TEMPLATE_PLACES];
	HubspotJsonTemplate *template;
	ModelState	state = {.type = record->type,.strings = strings,.fit = true};

	if (n < 0)
		return;
	template = &models->texts.templates[n];
	if (!hubspot_template_set_strings(template, text, strings))
		return;
	state.nstrings = template->nplaces;
	state.model = &models->models[n];
	state.model->nvalues = 0;
	state.model->id = find_string(strings, state.nstrings, record->id.data);
	state.fit = (state.model->id >= 0);
	if (record->type)
	{
		state.has_secondary = has_secondary(record->type);
		hubspot_json_each_member(record->properties, &state, note_property);
	}
	if (!state.fit)
		template->nplaces = 0;
}

/* Note which string a value of the model is.  A null is none. */
static void
note_property(void *state, HubspotSlice name, HubspotSlice raw)
{
	ModelState *noted = state;
	HubspotRecordModel *model = noted->model;
	HubspotValueKind kind;
	int			string;

	if (!find_kind(noted->type, noted->has_secondary, name, &kind) || raw.data[0] == 'n')
		return;
	string = find_string(noted->strings, noted->nstrings, raw.data + 1);
	if (string < 0)
	{
		noted->fit = false;
		return;
	}
	model->values[model->nvalues].kind = kind;
	model->values[model->nvalues++].string = string;
}

/* The string that begins there; -1: none does. */
static int
find_string(const HubspotSlice *strings, int nstrings, const char *start)
{
	for (int i = 0; i < nstrings; i++)
	{
		if (strings[i].data == start)
			return i;
	}
	return -1;
}

/*
 * The record that a text begins with, if it is like a model, and how long its text is.  0:
 * it is to be read.
 */
int
hubspot_record_models_take(HubspotRecordModels *models, HubspotSlice text,
						   HubspotRecord *record)
{
	int			len;
	int			n = hubspot_templates_match(&models->texts, text, record->strings, &len);

	if (n < 0)
		return 0;
	record->model = &models->models[n];
	record->id = record->strings[record->model->id];
	return len;
}
