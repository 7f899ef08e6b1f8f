/*-------------------------------------------------------------------------
 *
 * iso_time.c
 *	  Times in the formats of ISO 8601 and of HTTP.
 *
 * They come from outside, in answers to requests that may have been carried
 * out, so a wrong one must not be an ERROR.  The input function of timestamptz
 * raises one, which only 16 and later can avoid; and it takes many other texts
 * for a time.
 *
 * IDENTIFICATION
 *	  src/base/iso_time.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "base/iso_time.h"

static bool has_shape(const char *text, const char *shape);
static bool read_zone(const char *text, int *west);

/* False: the text is not such a time, or has no zone. */
bool
hubspot_read_iso_time(const char *text, TimestampTz *time)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd";
	struct pg_tm tm = {0};
	fsec_t		fsec = 0;
	int			west;

	if (!has_shape(text, shape))
		return false;
	tm.tm_year = atoi(text);
	tm.tm_mon = atoi(text + 5);
	tm.tm_mday = atoi(text + 8);
	tm.tm_hour = atoi(text + 11);
	tm.tm_min = atoi(text + 14);
	tm.tm_sec = atoi(text + 17);
	text += strlen(shape);
	if (*text == '.')
	{
		int			unit = USECS_PER_SEC;

		for (text++; isdigit((unsigned char) *text); text++)
		{
			unit /= 10;
			fsec += (*text - '0') * unit;
		}
	}
	return read_zone(text, &west) &&
		tm.tm_mon >= 1 && tm.tm_mon <= MONTHS_PER_YEAR && tm.tm_mday >= 1 &&
		tm.tm_mday <= day_tab[isleap(tm.tm_year)][tm.tm_mon - 1] &&
		tm.tm_hour < HOURS_PER_DAY && tm.tm_min < MINS_PER_HOUR &&
		tm.tm_sec < SECS_PER_MINUTE &&
		tm2timestamp(&tm, fsec, &west, time) == 0;
}

/* The same of HTTP's own format, as in "Sun, 06 Nov 1994 08:49:37 GMT". */
bool
hubspot_read_http_time(const char *text, TimestampTz *time)
{
	char		iso[sizeof("1994-11-06T08:49:37Z")];

	if (strlen(text) != strlen("Sun, 06 Nov 1994 08:49:37 GMT") ||
		!has_shape(text + 11, " dddd dd:dd:dd GMT"))
		return false;
	for (int i = 0; months[i]; i++)
	{
		if (strncmp(text + 8, months[i], 3) != 0)
			continue;
		snprintf(iso, sizeof(iso), "%.4s-%02d-%.2sT%.8sZ", text + 12, i + 1, text + 5,
				 text + 17);
		return hubspot_read_iso_time(iso, time);
	}
	return false;
}

/* Does a text begin as a shape says, in which d stands for a digit? */
static bool
has_shape(const char *text, const char *shape)
{
	for (; *shape != '\0'; text++, shape++)
	{
		if (*shape == 'd' ? !isdigit((unsigned char) *text) : *text != *shape)
			return false;
	}
	return true;
}

/* Z or +hh:mm, as seconds west of Greenwich. */
static bool
read_zone(const char *text, int *west)
{
	*west = 0;
	if (strcmp(text, "Z") == 0)
		return true;
	if ((*text != '+' && *text != '-') || !has_shape(text + 1, "dd:dd") ||
		text[6] != '\0')
		return false;
	*west = atoi(text + 1) * SECS_PER_HOUR + atoi(text + 4) * SECS_PER_MINUTE;
	if (*text == '+')
		*west = -*west;
	return *west > -SECS_PER_DAY && *west < SECS_PER_DAY;
}
