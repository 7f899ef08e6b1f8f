/*-------------------------------------------------------------------------
 *
 * token_file.h
 *	  The file that holds an access token.
 *
 * IDENTIFICATION
 *	  src/account/token_file.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ACCOUNT_TOKEN_FILE_H
#define HUBSPOT_ACCOUNT_TOKEN_FILE_H

extern char *hubspot_read_token_file(const char *path, int elevel);

#endif							/* HUBSPOT_ACCOUNT_TOKEN_FILE_H */
