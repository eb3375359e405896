/* Sockets around the link's state machines: a ROUTER for an outlet, one DEALER per upstream address
 * for an inlet. Relies on libzmq and libevent; payloads travel as their own message part, never
 * copied. Leaves all rules to link_outlet.c and link_inlet.c. */
#ifndef KVPIPE_COMMON_LINK_SOCKET_H
#define KVPIPE_COMMON_LINK_SOCKET_H

#include "common/conf.h"
#include "common/link_inlet.h"
#include "common/link_outlet.h"

struct event_base;
struct link_server; /* outlet + ROUTER */
struct link_client; /* inlet + DEALERs */

/* What an outlet is, as bits of `role`. */
#define LINK_RELAY 0u
#define LINK_SOURCE 1u
#define LINK_STICKY                                                                                \
    2u /* towards the uploader: a stream leaves it (and its spool) only when it is gone or drained \
        */

/* Binds `address` (ipc:// or tcp://). Keeps ops and arg (ops->send is ignored: it is the socket's).
 * Returns 0, or -EADDRINUSE and so on after logging which address and why. */
int link_server_create(struct event_base *base, const char *address, const struct conf_link *conf,
                       unsigned role, const struct outlet_ops *ops, void *arg,
                       struct link_server **out);
struct outlet *link_server_outlet(struct link_server *s);
/* Closes at once (linger 0). With drain, peers are told and given up to 100 ms; that may block so
 * long. */
void link_server_destroy(struct link_server **s, bool drain);

/* Connects to every address that `address` (one, or several with spaces between) resolves to, and
 * looks again every conf->resolve_ms. */
int link_client_create(struct event_base *base, const char *address, const struct conf_link *conf,
                       const char *instance, const struct inlet_ops *ops, void *arg,
                       struct link_client **out);
struct inlet *link_client_inlet(struct link_client *c);
void link_client_destroy(struct link_client **c, bool drain);

/* Messages refused so far (undecodable, too big, wrong version, out of order), for the report. */
uint64_t link_server_refused(const struct link_server *s);
uint64_t link_client_refused(const struct link_client *c);

#endif
