/*-------------------------------------------------------------------------
 *
 * template.c
 *	  JSON texts by which others are recognized that differ in some values only.
 *
 * The items of a large answer tend to be the same, byte for byte, but for their ids or
 * names.  Who has read one of them, and knows where these are, need not read those that
 * follow: they are compared with it.  A text that matches is as well-formed as the template
 * is, and says the same of other values.
 *
 * These values are numbers or strings.  A number is the digits of a JSON number, or of a
 * string of nothing else.  One that begins with 0 never matches: it would be no JSON number.
 * A string matches if it has no escape.
 *
 * The last texts that were read are kept as templates.  Where no text is like another, that
 * is tried now and then.
 *
 * IDENTIFICATION
 *	  src/json/template.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/digits.h"
#include "json/lexer.h"
#include "json/template.h"

/* The most digits of a number that matches. */
#define MAX_DIGITS	19

/* After so many texts in a row that were like no template, one of so many is tried. */
#define PATIENCE	16

static int	match(const HubspotJsonTemplate *template, HubspotSlice text, HubspotSlice *values);

/* Is the next text compared with templates, and if it is like none, becomes one? */
static inline bool
is_tried(const HubspotJsonTemplates *templates)
{
	return templates->nread < PATIENCE || templates->nread % PATIENCE <= HUBSPOT_TEMPLATES;
}

/*
 * Which template the text begins like: the values that it has in its places, and how long
 * it is.  -1: it is to be read.
 */
int
hubspot_templates_match(HubspotJsonTemplates *templates, HubspotSlice text,
						HubspotSlice *values, int *len)
{
	for (int i = 0; i < HUBSPOT_TEMPLATES && is_tried(templates); i++)
	{
		int			n = (templates->latest + i) % HUBSPOT_TEMPLATES;

		*len = match(&templates->templates[n], text, values);
		if (*len == 0)
			continue;
		templates->latest = n;
		templates->nread = 0;
		return n;
	}
	*len = 0;
	return -1;
}

/*
 * A text was read, which is fit for a template or not: which one it is to become, in place
 * of the one that was of no use for longest, which is gone.  -1: none.
 */
int
hubspot_templates_next(HubspotJsonTemplates *templates, bool fit)
{
	bool		tried = is_tried(templates);

	templates->nread++;
	if (!tried || !fit)
		return -1;
	templates->latest = (templates->latest + 1) % HUBSPOT_TEMPLATES;
	templates->templates[templates->latest].nplaces = 0;
	return templates->latest;
}

/*
 * Add a place with this value, which begins at or after p; returns where the text after it
 * begins.
 */
static inline const char *
add_place(HubspotJsonTemplate *template, const char *p, HubspotSlice value)
{
	HubspotSlice *before = &template->before[template->nplaces++];

	before->data = p;
	before->len = value.data - p;
	return value.data + value.len;
}

static void
set_last(HubspotJsonTemplate *template, const char *p, const char *end)
{
	template->last.data = p;
	template->last.len = end - p;
}

/*
 * Make a template of a text that was read, which has to outlive it, with its numbers in the
 * order in which they stand there.  False, and there is no template: there are none or too
 * many, or one of them is something else.
 */
bool
hubspot_template_set_numbers(HubspotJsonTemplate *template, HubspotSlice text,
							 const HubspotSlice *numbers, int nnumbers)
{
	const char *end = text.data + text.len;
	const char *p = text.data;

	template->nplaces = 0;
	template->strings = false;
	if (nnumbers > HUBSPOT_TEMPLATE_PLACES)
		return false;
	for (int i = 0; i < nnumbers; i++)
	{
		/* a number that had to be decoded is elsewhere */
		if (numbers[i].len == 0 || numbers[i].data < p || numbers[i].data + numbers[i].len > end ||
			!hubspot_all_digits(numbers[i].data, numbers[i].len))
		{
			template->nplaces = 0;
			return false;
		}
		p = add_place(template, p, numbers[i]);
	}
	set_last(template, p, end);
	return nnumbers > 0;
}

/* Likewise, with all strings that are values as its places; they are given back. */
bool
hubspot_template_set_strings(HubspotJsonTemplate *template, HubspotSlice text,
							 HubspotSlice *strings)
{
	const char *end = text.data + text.len;
	const char *p = text.data;
	HubspotLexer lexer;
	bool		more = hubspot_lexer_begin(&lexer, text);

	template->nplaces = 0;
	template->strings = true;
	while (more && lexer.token != HUBSPOT_TOKEN_END)
	{
		bool		is_string = (lexer.token == HUBSPOT_TOKEN_STRING);
		HubspotSlice string = hubspot_lexer_scalar(&lexer);

		CHECK_FOR_INTERRUPTS();
		more = hubspot_lexer_next(&lexer);
		if (!is_string || lexer.token == HUBSPOT_TOKEN_COLON)
			continue;
		if (template->nplaces == HUBSPOT_TEMPLATE_PLACES)
		{
			more = false;
			break;
		}
		strings[template->nplaces] = string;
		p = add_place(template, p, string);
	}
	if (!more)
		template->nplaces = 0;
	set_last(template, p, end);
	return template->nplaces > 0;
}

/* Take what is at p, if it stands there, and go on behind it. */
static inline bool
take(const char **p, const char *end, HubspotSlice text)
{
	if (end - *p < text.len || !hubspot_same_bytes(*p, text.data, text.len))
		return false;
	*p += text.len;
	return true;
}

/*
 * How many bytes at the beginning of a text are like the template, or 0; and the values in
 * it, as many as the template has places.
 */
static int
match(const HubspotJsonTemplate *template, HubspotSlice text, HubspotSlice *values)
{
	const char *end = text.data + text.len;
	const char *p = text.data;

	if (template->nplaces == 0)
		return 0;
	for (int i = 0; i < template->nplaces; i++)
	{
		const char *start;

		if (!take(&p, end, template->before[i]))
			return 0;
		start = p;
		if (template->strings)
			p = hubspot_skip_plain(p, end); /* a quote comes next */
		else
		{
			p = hubspot_skip_digits(p, end);
			if (p == start || p - start > MAX_DIGITS || *start == '0')
				return 0;
		}
		values[i].data = start;
		values[i].len = p - start;
	}
	return take(&p, end, template->last) ? p - text.data : 0;
}
