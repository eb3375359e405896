/* A door at which a process of this machine, or container, is asked whether its loop turns: the
 * loop itself answers. Relies on a unix socket, RUN/sockets/INSTANCE.health, in a folder that is
 * there; no config, disk or monitor has a part in it. Leaves to others what follows from it:
 * Docker, Kubernetes, people. */
#ifndef KVPIPE_COMMON_HEALTH_H
#define KVPIPE_COMMON_HEALTH_H

struct event_base;
struct health;

#define HEALTH_STATE_MAX 16
#define HEALTH_WAIT_S 5 /* a loop that does not answer for so long hangs */

/* Opens the door; `starting` is answered until health_say. Call with the pid file's lock held: a
 * door that a dead process left is replaced. Returns 0, or a negative errno (-ENAMETOOLONG: RUN is
 * too long for a socket's path). Does not block. */
int health_open(struct event_base *base, const char *run, const char *instance,
                struct health **out);
/* What is answered from now on: one word, below HEALTH_STATE_MAX, borrowed. h may be NULL. */
void health_say(struct health *h, const char *state);
/* NULL is fine. Nulls *h. */
void health_close(struct health **h);

/* Asks. Returns 0 with the answer in `state`, -ETIMEDOUT when the process is there and its loop
 * does not answer, -ENOENT or -ECONNREFUSED when there is none, or another negative errno. Blocks
 * for HEALTH_WAIT_S at most. */
int health_ask(const char *run, const char *instance, char state[HEALTH_STATE_MAX]);

#endif
