/* When to start, kill and restart one process: the policy alone.
 * Relies on nothing; time comes in with every call, so tests own it.
 * Leaves forking, signals and clocks to its callers. */
#ifndef KVPIPE_MONITOR_SUPERVISOR_H
#define KVPIPE_MONITOR_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

enum supervisor_state {
    SUPERVISOR_WAITING,  /* not started yet */
    SUPERVISOR_STARTING, /* runs, has not said that it is ready */
    SUPERVISOR_READY,
    SUPERVISOR_HUNG,     /* killed because its reports stayed away; not collected yet */
    SUPERVISOR_ENDING,   /* was asked to end, to be started again */
    SUPERVISOR_BACKOFF,  /* exited; will be started again at next_start_ns */
    SUPERVISOR_LOOPING,  /* the same, after so many failures that a restart alone will not help */
    SUPERVISOR_DONE,     /* ended by itself with 0: its sources are at their end */
    SUPERVISOR_GAVE_UP,  /* bad arguments or config (exit code 2): a restart does not help */
    SUPERVISOR_STOPPING, /* was asked to end */
    SUPERVISOR_STOPPED,
};

enum supervisor_action { SUPERVISOR_NOTHING, SUPERVISOR_START, SUPERVISOR_KILL };

struct supervisor {
    enum supervisor_state state;
    int64_t started_ns, heard_ns, next_start_ns, ticked_ns, asked_ns;
    int64_t silence_ns; /* no report for so long is a hang; 5 s */
    int64_t start_ns;   /* no first report for so long is one, too; 300 s */
    int64_t backoff_ns; /* of the next restart, before jitter; 0 after a good run */
    unsigned restarts;  /* after failures, not those that were asked for */
    unsigned failures;  /* since it last ran for a minute */
    bool at_fault;      /* it ends because it did wrong, not because somebody asked for it */
    bool reported;      /* this process did, at least once */
    bool draining;      /* the process said that it drains */
    bool adopted;       /* another monitor started it; until its first report */
    uint32_t random;
};

/* `seed` makes the jitter of instances differ. */
void supervisor_init(struct supervisor *s, uint32_t seed);
/* What to do now. START may be answered any number of times until supervisor_started or _exited. */
enum supervisor_action supervisor_tick(struct supervisor *s, int64_t now_ns);
void supervisor_started(struct supervisor *s, int64_t now_ns);
/* It runs already: another monitor started it. */
void supervisor_adopted(struct supervisor *s, int64_t now_ns);
/* A report came in. */
void supervisor_heard(struct supervisor *s, int64_t now_ns, bool ready, bool draining);
/* It ended: its exit code, or 128 + the signal that killed it. Also for a start that failed. */
void supervisor_exited(struct supervisor *s, int64_t now_ns, int code);
/* It shall be started anew, also when it had given up. Returns true when a process of it is there
 * and must be asked to end (SIGTERM); one that does not is killed by a later tick. */
bool supervisor_restart(struct supervisor *s, int64_t now_ns);
/* The same for one that runs and does wrong: counts as a failure, with its backoff. */
bool supervisor_fail(struct supervisor *s, int64_t now_ns);
/* It fails again and again. */
bool supervisor_loops(const struct supervisor *s);
/* It shall end and not be started again. */
void supervisor_stop(struct supervisor *s);
/* What supervisor_stop() began is not meant any longer. */
void supervisor_stay(struct supervisor *s, int64_t now_ns);
/* A process of it is there. */
bool supervisor_running(const struct supervisor *s);
/* It has had its chance to become ready: others need not wait for it any longer. */
bool supervisor_settled(const struct supervisor *s, int64_t now_ns);
const char *supervisor_state_name(enum supervisor_state state);

#endif
