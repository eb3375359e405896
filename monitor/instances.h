/* The processes of the plan while they run: each with its policy, pid and log file. Most are our
 * children; those that an earlier monitor left are adopted when they run what we would start.
 * Relies on plan, supervisor, child, report_table, pidfile.
 * Leaves signals to the process itself and the looks to status.c. */
#ifndef KVPIPE_MONITOR_INSTANCES_H
#define KVPIPE_MONITOR_INSTANCES_H

#include <sys/types.h>

#include <event2/event.h>

#include "common/conf.h"
#include "monitor/plan.h"
#include "monitor/report_table.h"
#include "monitor/supervisor.h"

struct instance {
    struct plan_entry *plan; /* own */
    const struct conf *conf; /* held: the plan borrows from it */
    struct supervisor supervisor;
    char *identity;           /* stage_identity of what it shall run */
    char *started;            /* of what it ran when it came; NULL: it never did */
    char *program, *log_path; /* log_path NULL: our stderr */
    pid_t pid;                /* 0: none */
    int pidfd;                /* of one that is adopted, else -1 */
    struct event *gone;       /* an adopted one's end */
    int64_t blocked_ns;       /* another process has its name since then; 0: none */
    bool moved;               /* reload_plan has it in the new list */
    bool leaving;             /* not in the plan any longer */
    bool ended;               /* last_code is of a process that ended */
    int last_code;
    char verdict[512]; /* why it does not run well, for people; "" when it does */
};

struct instances {
    struct event_base *base;
    const struct conf *conf; /* held */
    const char *fault; /* why the config in the file is not the one that runs; NULL or "": it is */
    char *log_dir;
    struct instance *list;
    size_t count;
    int step; /* of a change of config, see reload.c; < 0: none is under way */
    bool applied;
    uint32_t seed;
    int64_t step_ns;
    unsigned group;    /* started up to and with this group */
    int64_t looked_ns; /* at sizes of logs and processes */
};

/* log_dir NULL: children write to our stderr. Starts nothing yet. */
void instances_init(struct instances *all, struct event_base *base, const struct conf *conf,
                    const char *log_dir);
void instances_fini(struct instances *all);
/* Takes over what runs already with the same version and config. Call once, before the first tick;
 * one that comes up later is adopted when its turn to start comes. */
void instances_adopt(struct instances *all, int64_t now_ns);
/* Whether a process is one of these, and whether the plan has an instance of this name. */
bool instances_own(const struct instances *all, pid_t pid);
bool instances_planned(const struct instances *all, const char *instance);
/* Starts what is due and kills what hangs. Call often. A group starts when the one before has
 * settled. */
void instances_tick(struct instances *all, int64_t now_ns);
/* Ends one and starts it again, or starts it when it had ended or given up. Returns 0, or -ENOENT
 * when the plan has no such instance. Does not wait. */
int instances_restart(struct instances *all, const char *instance, int64_t now_ns);
void instances_heard(struct instances *all, const struct report_row *row);
/* Collects what ended, as PID 1 also what nobody else waits for, and starts at once what is to be
 * started at once. Call on SIGCHLD. */
void instances_collect(struct instances *all, int64_t now_ns);
/* Asks a group to end. Returns how many of it run. */
size_t instances_stop(struct instances *all, unsigned group);
size_t instances_running(const struct instances *all, unsigned group);
size_t instances_running_all(const struct instances *all);
void instances_kill_all(struct instances *all);
/* For reload.c. Shall run as `instance` says from now on; the entry's strings are taken. */
void instance_init(struct instances *all, struct instance *in, struct plan_entry *entry);
void instance_fini(struct instance *in);
/* It lies at another address now. */
void instance_moved(struct instances *all, struct instance *in);
void instance_signal(const struct instance *in, int sig);
/* Ends it and starts it again. */
void instance_restart(struct instance *in, int64_t now_ns);
/* All started and serving. */
bool instances_ready(const struct instances *all);

#endif
