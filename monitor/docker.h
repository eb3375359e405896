/* The Docker Engine, asked over its socket to restart the container in which a process runs.
 * Relies on http_client, Jansson.
 * Leaves when to ask to remote.c. */
#ifndef KVPIPE_MONITOR_DOCKER_H
#define KVPIPE_MONITOR_DOCKER_H

#include <jansson.h>

struct docker;
struct event_base;

/* Copies the path of the socket. Never NULL. */
struct docker *docker_create(struct event_base *base, const char *socket);
void docker_destroy(struct docker **d);
/* Finds the container of the instance and restarts it; how that went is in the log. Does not wait.
 * Returns 0, -EALREADY while the same is under way, -EBUSY when too much is. */
int docker_restart(struct docker *d, const char *instance);

/* The container of an instance among those that /containers/json lists: the one whose label
 * kvpipe.instance is its name, else the one whose id its host name is (as in
 * "muxer-4f5e6d7c8b9a-1", the default where no host name is set), else the one with its name, else
 * the only one of the compose service that its host name or, without one, its stage is called.
 * Returns its id, borrowed from the list, or NULL. */
const char *docker_find(const json_t *containers, const char *instance);

#endif
