/* A change of config while everything runs: only processes that it is for are touched.
 * Relies on instances, and on the line in a process's pid file that says what it runs.
 * Leaves reading and checking the config to common/stage_reload. */
#ifndef KVPIPE_MONITOR_RELOAD_H
#define KVPIPE_MONITOR_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

struct conf;
struct instances;

/* The plan of this config, held, takes the place of the one before. What is new is started by
 * instances_tick as ever, the rest by reload_tick. */
void reload_plan(struct instances *all, const struct conf *conf);
/* Looks at every process whether it runs what it shall, from the next reload_tick on. */
void reload_begin(struct instances *all);
/* First what is no longer in the plan is ended, from capture to the server, while all that it sends
 * to is as it was. Then group by group, from the server to capture: a process that differs in
 * streams alone is told (SIGHUP), another one is started anew; the next group has its turn when
 * this one serves. */
void reload_tick(struct instances *all, int64_t now_ns);
/* The first part is under way: what is new in the plan waits for its end. */
bool reload_leaves(const struct instances *all);

#endif
