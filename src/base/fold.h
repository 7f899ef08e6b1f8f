/*-------------------------------------------------------------------------
 *
 * fold.h
 *	  Texts without regard to case, the same in every database.
 *
 * IDENTIFICATION
 *	  src/base/fold.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_FOLD_H
#define HUBSPOT_BASE_FOLD_H

/* One character of two bytes may become one of three. */
#define HUBSPOT_FOLDED_SIZE(len)	(2 * (size_t) (len))

extern char *hubspot_fold(const char *text, size_t len);
extern size_t hubspot_fold_utf8(const char *text, size_t len, char *folded);
extern size_t hubspot_lower_utf8(const char *text, size_t len, char *small_letters);

#endif							/* HUBSPOT_BASE_FOLD_H */
