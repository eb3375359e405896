/* Allocation that ends the process when there is no memory for small things.
 * Relies on malloc. Not for sizes that a peer, file or camera chooses: check those against a limit
 * first. Leaves freeing to free(3). */
#ifndef KVPIPE_COMMON_MEM_H
#define KVPIPE_COMMON_MEM_H

#include <stddef.h>
#include <stdio.h>

void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s); /* NULL gives NULL */
/* A stream that writes to a text in memory, *text after fclose; free it. */
FILE *xmemstream(char **text, size_t *len);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
