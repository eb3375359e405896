/* Which H.264 encoder works here: each candidate really encodes a few frames of the wanted size,
 * and what comes out is looked at. Answers are kept per encoder name, profile and size. Relies on
 * candidate and codec; runs on a thread of its own, as drivers take long to open. Leaves what to do
 * without an encoder to encoder_stream.c. */
#ifndef KVPIPE_ENCODER_PROBE_H
#define KVPIPE_ENCODER_PROBE_H

#include "encoder/candidate.h"
#include "encoder/codec.h"

struct probe;
struct event_base;

enum probe_state { PROBE_NONE, PROBE_PENDING, PROBE_OK, PROBE_FAILED };

struct probe_result {
    enum probe_state state;
    const struct candidate *candidate; /* when OK */
    char note[512];                    /* when FAILED: what was tried, why not, what to do */
};

/* Encodes a few frames with one candidate. Blocks, up to 5 s with a driver that hangs. Returns 0,
 * or -ENODEV and the reason in why[256]. */
int probe_try(const struct candidate *c, const struct conf_video *conf,
              const struct link_format *format, char *why);
/* Goes through the candidates of conf->encoder with `try` (probe_try) and logs one line for each
 * and one for the choice. */
void probe_choose(const struct conf_video *conf, const struct link_format *format,
                  int (*try)(const struct candidate *, const struct conf_video *,
                             const struct link_format *, char *),
                  struct probe_result *result);

/* Starts the thread. done(arg) runs on the loop whenever an answer came. Returns 0 or a negative
 * errno. */
int probe_create(struct event_base *base, void (*done)(void *arg), void *arg, struct probe **out);
/* Waits up to 1 s for a try that is under way, then leaves its thread to the end of the process. */
void probe_destroy(struct probe **p);
/* The answer for this size, or PENDING: then it is being worked on. Keeps conf. The result is valid
 * until the next call. */
const struct probe_result *probe_ask(struct probe *p, const struct conf_video *conf,
                                     const struct link_format *format);
/* The answer proved wrong, or is to be tried anew: forget it. */
void probe_forget(struct probe *p, const struct conf_video *conf, const struct link_format *format);

#endif
