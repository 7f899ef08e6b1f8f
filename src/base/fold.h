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

extern char *hubspot_fold(const char *text, size_t len);

#endif							/* HUBSPOT_BASE_FOLD_H */
