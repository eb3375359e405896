/* User and password in a camera's address: taken out before anything can log them.
 * Pure; relies on nothing. Leaves fetching them from files to source_rtsp.c. */
#ifndef KVPIPE_CAPTURE_URL_H
#define KVPIPE_CAPTURE_URL_H

/* Splits "scheme://user:password@host/path". *plain is the address without user and password, *user
 * and *password are percent-decoded, or NULL when it has none. All are to be freed. */
void url_split(const char *url, char **plain, char **user, char **password);

#endif
