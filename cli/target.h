/* Which monitor a command talks to: "-c FILE", a URL, or the default address.
 * Relies on conf.
 * Leaves the talking to fetch.c. */
#ifndef KVPIPE_CLI_TARGET_H
#define KVPIPE_CLI_TARGET_H

/* Takes "-c FILE" or "http://..." out of argv (argc is lowered). Returns the base URL to be freed,
 * or NULL after printing what is wrong. */
char *target_take(int *argc, char **argv);
/* Says that no monitor answered at `base`, for a negative errno. */
void target_silent(const char *base, int error);

#endif
