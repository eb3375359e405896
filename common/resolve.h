/* Link addresses to connectable ones: every address a DNS name resolves to, every socket whose
 * path fits a pattern, looked up again and again. Relies on getaddrinfo(3) in a thread of its own,
 * so that a slow name server blocks nobody, and on glob(3) of local folders. Leaves connecting to
 * link_socket.c. */
#ifndef KVPIPE_COMMON_RESOLVE_H
#define KVPIPE_COMMON_RESOLVE_H

#include <stdint.h>

struct event_base;
struct resolve;

/* The whole set as of now, as ipc:// and numeric tcp:// addresses; borrowed for the call. Not
 * called while nothing is known; a name that fails to resolve keeps its last addresses. A socket
 * that somebody serves when it is found stays as long as its file is there. */
typedef void (*resolve_fn)(void *arg, char *const *addresses, unsigned n);

/* `addresses`: one or more of ipc://PATH and tcp://HOST:PORT with spaces between; PATH may have a *
 * (every 250 ms, whatever every_ms). Calls fn at once for those without a name, then after each
 * look-up. Returns 0, or -EINVAL after logging the
 * address that is not one. */
int resolve_create(struct event_base *base, const char *addresses, uint32_t every_ms, resolve_fn fn,
                   void *arg, struct resolve **out);
/* No call of fn follows. Does not block. */
void resolve_destroy(struct resolve **r);

#endif
