/*-------------------------------------------------------------------------
 *
 * tokenfile.h
 *	  The file that holds an access token.
 *
 * IDENTIFICATION
 *	  src/tokenfile.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TOKENFILE_H
#define HUBSPOT_TOKENFILE_H

extern char *hubspot_read_token_file(const char *path, int elevel);

#endif							/* HUBSPOT_TOKENFILE_H */
