/*-------------------------------------------------------------------------
 *
 * template.c
 *	  A JSON text by which others are recognized that differ in numbers only.
 *
 * The items of a large answer tend to be the same, byte for byte, but for their ids.  Who
 * has read one of them, and knows where its ids are, need not read those that follow: they
 * are compared with it.  A text that matches is as well-formed as the template is, and says
 * the same of other ids.
 *
 * A number is the digits of a JSON number, or of a string of nothing else.  One that begins
 * with 0 never matches: it would be no JSON number.
 *
 * IDENTIFICATION
 *	  src/json/template.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/digits.h"
#include "json/template.h"

/* The most digits of a number that matches. */
#define MAX_DIGITS	19

/*
 * Make a template of a text that was read, which has to outlive it, with its numbers in the
 * order in which they stand there.  False, and there is no template: there are none or too
 * many, or one of them is something else.
 */
bool
hubspot_template_set(HubspotJsonTemplate *template, HubspotSlice text,
					 const HubspotSlice *numbers, int nnumbers)
{
	const char *end = text.data + text.len;
	const char *p = text.data;

	template->nplaces = 0;
	if (nnumbers == 0 || nnumbers > HUBSPOT_TEMPLATE_PLACES)
		return false;
	for (int i = 0; i < nnumbers; i++)
	{
		/* a number that had to be decoded is elsewhere */
		if (numbers[i].len == 0 || numbers[i].data < p || numbers[i].data + numbers[i].len > end ||
			!hubspot_all_digits(numbers[i].data, numbers[i].len))
			return false;
		template->before[i].data = p;
		template->before[i].len = numbers[i].data - p;
		p = numbers[i].data + numbers[i].len;
	}
	template->last.data = p;
	template->last.len = end - p;
	template->nplaces = nnumbers;
	return true;
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
 * How many bytes at the beginning of a text are like the template, or 0; and the numbers in
 * it, as many as the template has.
 */
int
hubspot_template_match(const HubspotJsonTemplate *template, HubspotSlice text,
					   HubspotSlice *numbers)
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
		p = hubspot_skip_digits(p, end);
		if (p == start || p - start > MAX_DIGITS || *start == '0')
			return 0;
		numbers[i].data = start;
		numbers[i].len = p - start;
	}
	return take(&p, end, template->last) ? p - text.data : 0;
}
