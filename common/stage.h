/* The one shape of a process: arguments, config, sandbox, loop, reports to the monitor, drain on
 * SIGTERM. Relies on libevent, conf, report, stage_sandbox. Every main.c is `return
 * stage_main(argc, argv, &x_stage);` Leaves what the process does to its struct stage_ops. */
#ifndef KVPIPE_COMMON_STAGE_H
#define KVPIPE_COMMON_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/sandbox.h"

struct event_base;
struct report;
struct report_command;

struct stage {
    const struct stage_ops *ops;
    struct event_base *base;
    const struct conf *conf; /* checked; lives as long as the process */
    const char *only_stream; /* -s NAME: serve this stream alone (isolate), else NULL */
    char instance[129]; /* -i NAME, else "<stage>-<hostname>-1"; names this process on links and in
                           reports */
    struct report *report;  /* counters and states that go to the monitor (report.h) */
    void *state;            /* the stage's own */
    char *identity;         /* stage_identity() of what it runs */
    struct sandbox sandbox; /* what the process may do since its start */
    bool draining;
    char fault[512]; /* why the config that is in the file now is not in use; "" when it is */
};

struct stage_ops {
    const char *name;    /* "muxer" */
    const char *summary; /* one line for --help */
    /* Before setup, while nothing is given up and no other thread is there: makes files and loads
     * what `needs` will not let it. Returns 0 or a negative errno after logging. May be NULL. */
    int (*prepare)(struct stage *st);
    /* What the process needs from setup on when `conf` is its config, beyond the link, the config
     * and the system's files, which every stage has (stage_sandbox.h). All else is given up; a
     * config that needs more is refused by a reload. NULL: nothing is given up. */
    void (*needs)(const struct stage *st, const struct conf *conf, struct sandbox *needs);
    /* Builds everything on st->base; must not block. Returns 0 or a negative errno after logging
     * what is wrong and what to do. */
    int (*setup)(struct stage *st);
    /* SIGHUP brought a config, now in st->conf, in which this stream is new, changed or no longer
     * there, and all else is the same to this process. The old one lives as long as it is held
     * (conf_hold); the first, of setup, as long as the process. NULL: streams are nothing to it. */
    void (*stream)(struct stage *st, const char *name);
    /* The same for a process to which a config is more than its streams; after `stream`. May be
     * NULL. */
    void (*reload)(struct stage *st);
    /* SIGTERM/SIGINT came: finish what can be finished; call stage_quit() when done. Forced after
     * the drain deadline (4 s). */
    void (*drain)(struct stage *st);
    void (*teardown)(struct stage *st); /* after a setup that returned 0 (a failed one cleans up
                                           itself); may be NULL */
    /* Fills counters just before a report goes out (every second); may be NULL. */
    void (*sample)(struct stage *st);
    /* A command from the monitor; returns 0, -ENOTSUP for a verb that is not the stage's, or
     * another negative errno. May be NULL. */
    int (*command)(struct stage *st, const struct report_command *command);
};

/* Runs the process. Options: -c FILE, -n (check and exit), -s STREAM, -i INSTANCE, -v (debug log),
 * --healthy RUN (ask the one that runs), --help, --version. Returns the exit code: 0 done or
 * drained, 1 failed at run time (restart helps), 2 bad arguments or config (it does not). */
int stage_main(int argc, char **argv, const struct stage_ops *ops);

/* What a process runs, in one line without its end: stage, version, what of the config is for the
 * process, stream (NULL: all), what of the config is for its streams. Two processes with the same
 * line can stand in for each other. `conf` as it was loaded. Caller frees. */
char *stage_identity(const struct conf *conf, const char *stage, const char *stream,
                     const char *instance);
/* Whether two such lines differ at most in streams: SIGHUP makes one into the other. */
bool stage_identity_is_close(const char *a, const char *b);
/* True when this process serves the stream (isolate runs one process per stream). */
bool stage_serves(const struct stage *st, const char *stream);
/* The stage serves from now on: READY goes to the monitor. Call once, from setup or later. */
void stage_ready(struct stage *st);
/* Leaves the loop; `code` becomes the exit code. */
void stage_quit(struct stage *st, int code);

#endif
