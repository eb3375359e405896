/* Restart policy: at once after a good run, then exponential backoff with jitter; hang by silence;
 * a verdict on what crashes again and again; giving up on a config that cannot work. Relies on
 * nothing. Leaves forking, signals and clocks to its callers. */
#include "monitor/supervisor.h"

#include "common/clock.h"

#define BACKOFF_MIN_NS (100 * NS_PER_MS)
#define BACKOFF_MAX_NS (10 * NS_PER_S)
#define GOOD_RUN_NS (5 * NS_PER_S) /* so long up: the next failure is a new one */
#define START_NS (300 * NS_PER_S)
#define SILENCE_NS (5 * NS_PER_S)
#define LOOP_FAILURES 5           /* so many in a row are a crash loop */
#define STABLE_NS (60 * NS_PER_S) /* so long up: no longer */
#define END_NS (4500 * NS_PER_MS) /* a stage's own drain time, before SIGKILL */
#define SETTLE_NS (3 * NS_PER_S)
#define OWN_STALL_NS                                                                               \
    (1 * NS_PER_S) /* our own ticks stayed away so long: silence counts from now                   \
                    */
#define EXIT_BAD_CONFIG 2

void supervisor_init(struct supervisor *s, uint32_t seed)
{
    *s = (struct supervisor){
        .silence_ns = SILENCE_NS, .start_ns = START_NS, .random = seed * 2654435761u + 1};
}

/* 0.75 to 1.25 of the value. */
static int64_t jitter(struct supervisor *s, int64_t value)
{
    s->random = s->random * 1664525u + 1013904223u;
    return value / 4 * 3 + (int64_t)((double)value / 2 * (s->random >> 8) / (1u << 24));
}

static enum supervisor_action silence(struct supervisor *s, int64_t now_ns, int64_t limit_ns)
{
    if (now_ns - s->heard_ns < limit_ns)
        return SUPERVISOR_NOTHING;
    s->state = SUPERVISOR_HUNG;
    return SUPERVISOR_KILL;
}

enum supervisor_action supervisor_tick(struct supervisor *s, int64_t now_ns)
{
    int64_t gap = s->ticked_ns ? now_ns - s->ticked_ns : 0;
    s->ticked_ns = now_ns;
    if (gap > OWN_STALL_NS) /* the monitor itself slept: reports wait unread */
        s->heard_ns = now_ns;
    if (s->state == SUPERVISOR_READY && now_ns - s->started_ns >= STABLE_NS)
        s->failures = 0;
    switch (s->state) {
    case SUPERVISOR_WAITING:
        return SUPERVISOR_START;
    case SUPERVISOR_BACKOFF:
    case SUPERVISOR_LOOPING:
        return now_ns >= s->next_start_ns ? SUPERVISOR_START : SUPERVISOR_NOTHING;
    case SUPERVISOR_STARTING:
        if (s->reported) /* its loop runs, so it can report */
            return silence(s, now_ns, s->silence_ns);
        return silence(s, now_ns, s->adopted ? 2 * s->silence_ns : s->start_ns);
    case SUPERVISOR_READY:
        return silence(s, now_ns, s->silence_ns);
    case SUPERVISOR_ENDING:
        if (now_ns - s->asked_ns < END_NS)
            return SUPERVISOR_NOTHING;
        s->asked_ns = now_ns; /* once in a while, should one not be enough */
        return SUPERVISOR_KILL;
    default:
        return SUPERVISOR_NOTHING;
    }
}

void supervisor_started(struct supervisor *s, int64_t now_ns)
{
    if (s->state == SUPERVISOR_BACKOFF || s->state == SUPERVISOR_LOOPING)
        s->restarts++;
    s->state = SUPERVISOR_STARTING;
    s->started_ns = s->heard_ns = now_ns;
    s->draining = s->adopted = s->reported = false;
}

void supervisor_adopted(struct supervisor *s, int64_t now_ns)
{
    s->state = SUPERVISOR_STARTING;
    s->started_ns = s->heard_ns = now_ns;
    s->draining = s->reported = false;
    s->adopted = true;
}

void supervisor_heard(struct supervisor *s, int64_t now_ns, bool ready, bool draining)
{
    s->heard_ns = now_ns;
    s->draining = s->draining || draining;
    s->adopted = false;
    s->reported = true;
    if (ready && s->state == SUPERVISOR_STARTING)
        s->state = SUPERVISOR_READY;
}

static void back_off(struct supervisor *s, int64_t now_ns)
{
    int64_t up_ns = s->started_ns ? now_ns - s->started_ns : 0;
    if (up_ns >= GOOD_RUN_NS)
        s->backoff_ns = 0;
    if (up_ns >= STABLE_NS)
        s->failures = 0;
    s->failures++;
    s->state = supervisor_loops(s) ? SUPERVISOR_LOOPING : SUPERVISOR_BACKOFF;
    s->next_start_ns = now_ns + jitter(s, s->backoff_ns);
    s->backoff_ns = s->backoff_ns ? s->backoff_ns * 2 : BACKOFF_MIN_NS;
    if (s->backoff_ns > BACKOFF_MAX_NS)
        s->backoff_ns = BACKOFF_MAX_NS;
}

bool supervisor_loops(const struct supervisor *s)
{
    return s->failures >= LOOP_FAILURES;
}

void supervisor_exited(struct supervisor *s, int64_t now_ns, int code)
{
    if (s->state == SUPERVISOR_STOPPING)
        s->state = SUPERVISOR_STOPPED;
    else if (s->state == SUPERVISOR_ENDING && !s->at_fault)
        s->state = SUPERVISOR_WAITING;
    else if (s->state == SUPERVISOR_ENDING)
        back_off(s, now_ns);
    else if (code == EXIT_BAD_CONFIG)
        s->state = SUPERVISOR_GAVE_UP;
    else if (code == 0 && !s->draining)
        s->state = SUPERVISOR_DONE;
    else
        back_off(s, now_ns);
}

static bool end(struct supervisor *s, int64_t now_ns, bool at_fault)
{
    if (s->state != SUPERVISOR_STARTING && s->state != SUPERVISOR_READY)
        return false; /* it is on its way out */
    s->state = SUPERVISOR_ENDING;
    s->at_fault = at_fault;
    s->asked_ns = now_ns;
    return true;
}

bool supervisor_restart(struct supervisor *s, int64_t now_ns)
{
    s->failures = 0;
    s->backoff_ns = 0;
    if (!supervisor_running(s)) {
        if (s->state != SUPERVISOR_STOPPED)
            s->state = SUPERVISOR_WAITING;
        return false;
    }
    return end(s, now_ns, false);
}

bool supervisor_fail(struct supervisor *s, int64_t now_ns)
{
    return end(s, now_ns, true);
}

bool supervisor_running(const struct supervisor *s)
{
    return s->state == SUPERVISOR_STARTING || s->state == SUPERVISOR_READY ||
           s->state == SUPERVISOR_HUNG || s->state == SUPERVISOR_ENDING ||
           s->state == SUPERVISOR_STOPPING;
}

void supervisor_stop(struct supervisor *s)
{
    if (supervisor_running(s))
        s->state = SUPERVISOR_STOPPING;
    else if (s->state != SUPERVISOR_GAVE_UP && s->state != SUPERVISOR_DONE)
        s->state = SUPERVISOR_STOPPED;
}

void supervisor_stay(struct supervisor *s, int64_t now_ns)
{
    if (s->state == SUPERVISOR_STOPPING) {
        s->state = SUPERVISOR_ENDING;
        s->at_fault = false;
        s->asked_ns = now_ns;
    } else if (s->state == SUPERVISOR_STOPPED) {
        s->state = SUPERVISOR_WAITING;
    }
}

bool supervisor_settled(const struct supervisor *s, int64_t now_ns)
{
    if (s->state == SUPERVISOR_WAITING)
        return false;
    return s->state != SUPERVISOR_STARTING || s->adopted || now_ns - s->started_ns >= SETTLE_NS;
}

const char *supervisor_state_name(enum supervisor_state state)
{
    static const char *const names[] = {"waiting",    "starting",   "ready",      "hung",
                                        "restarting", "restarting", "crash loop", "done",
                                        "gave up",    "stopping",   "stopped"};
    return names[state];
}
