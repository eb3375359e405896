/* From one status to the next, in words.
 * Relies on the status as status.c makes it.
 * Leaves keeping what is said to events.c. */
#include "monitor/watch.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct watch {
    struct events *events;
    json_t *stages;  /* by instance: pid, state, restarts */
    json_t *streams; /* by name: said (the state that was said), seen (the last one), lost, gaps */
};

struct watch *watch_create(struct events *events)
{
    struct watch *w = xcalloc(1, sizeof *w);
    *w = (struct watch){.events = events, .stages = json_object(), .streams = json_object()};
    return w;
}

void watch_destroy(struct watch **w)
{
    if (!*w)
        return;
    json_decref((*w)->stages);
    json_decref((*w)->streams);
    free(*w);
    *w = NULL;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static json_int_t number_of(const json_t *o, const char *key)
{
    return (json_int_t)json_number_value(json_object_get(o, key));
}

static bool is(const json_t *o, const char *key, const char *word)
{
    return strcmp(text_of(o, key), word) == 0;
}

/* ---- processes ---- */

/* How a process ended, in words, and what that asks for. */
static const char *cause_of(int code, char *text, size_t size)
{
    static const struct {
        int code;
        const char *text, *advice;
    } table[] = {
        {128 + SIGKILL, "was killed (SIGKILL)",
         "nothing, if somebody did that; else the kernel may have been out of memory: dmesg | grep "
         "-i oom"},
        {128 + SIGSEGV, "crashed (SIGSEGV)",
         "please report it with the end of its log and `coredumpctl info`"},
        {128 + SIGABRT, "crashed (SIGABRT)",
         "please report it with the end of its log and `coredumpctl info`"},
        {128 + SIGTERM, "was ended (SIGTERM)", ""},
        {2, "says that its arguments or config are wrong",
         "read the end of its log, then `kvpipe check` the config"},
        {127, "could not be started", "is its program installed beside kvpipe-monitor?"},
        {0, "ended", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == code) {
            snprintf(text, size, "%s", table[i].text);
            return table[i].advice;
        }
    if (code > 128)
        snprintf(text, size, "was ended by signal %d", code - 128);
    else
        snprintf(text, size, "ended with exit code %d", code);
    return "read the end of its log";
}

static void say(struct watch *w, int64_t wall_ms, enum event_level level, const char *kind,
                const char *about, const char *text, const char *advice)
{
    events_add(w->events, wall_ms,
               &(struct event_text){
                   .level = level, .kind = kind, .about = about, .text = text, .advice = advice});
}

/* "ended with exit code 3", or without a code that anybody knows. */
static const char *ending(const json_t *now, char *text, size_t size)
{
    const json_t *code = json_object_get(now, "last_exit");
    if (json_is_integer(code))
        return cause_of((int)json_integer_value(code), text, size);
    snprintf(text, size, "ended");
    return "";
}

static void say_state(struct watch *w, const json_t *now, int64_t wall_ms)
{
    const char *name = text_of(now, "instance"), *verdict = text_of(now, "note");
    char how[128];
    const char *advice = ending(now, how, sizeof how);
    if (is(now, "state", "hung"))
        say(w, wall_ms, EVENT_ERROR, "hung", name, "gave no sign of life and was killed",
            "it is started again; if this repeats, look at the machine's load and its log");
    else if (is(now, "state", "restarting") && !number_of(now, "pid"))
        say(w, wall_ms, EVENT_WARN, "ended", name, how, advice);
    else if (is(now, "state", "crash loop"))
        say(w, wall_ms, EVENT_ERROR, "crash_loop", name,
            *verdict ? verdict : "fails again and again",
            "read the end of its log; what is wrong there does not heal by itself");
    else if (is(now, "state", "gave up"))
        say(w, wall_ms, EVENT_ERROR, "gave_up", name, how,
            "it is not tried again: correct that, then `kvpipe restart` it");
    else if (is(now, "state", "silent"))
        say(w, wall_ms, EVENT_ERROR, "silent", name, "no longer reports",
            "is it running, and does it reach monitor.socket?");
    else if (is(now, "state", "done"))
        say(w, wall_ms, EVENT_INFO, "done", name, "its sources are at their end", "");
}

static void say_restart(struct watch *w, const json_t *before, const json_t *now, int64_t wall_ms)
{
    const char *name = text_of(now, "instance"), *advice = "";
    char how[128], text[192];
    if (number_of(now, "restarts") == number_of(before, "restarts")) {
        say(w, wall_ms, EVENT_INFO, "restarted", name, "was started again as asked", "");
        return;
    }
    if (number_of(before, "pid")) { /* its end was not seen by itself */
        advice = ending(now, how, sizeof how);
        snprintf(text, sizeof text, "%s and was restarted", how);
    } else {
        snprintf(text, sizeof text, "was restarted");
    }
    say(w, wall_ms, EVENT_WARN, "restarted", name, text, advice);
}

static void compare_stage(struct watch *w, const json_t *before, const json_t *now, int64_t wall_ms)
{
    json_int_t pid = number_of(now, "pid"), old = number_of(before, "pid");
    if (pid && pid != old && (old || json_is_true(json_object_get(before, "ran"))))
        say_restart(w, before, now, wall_ms);
    if (!is(before, "state", text_of(now, "state")))
        say_state(w, now, wall_ms);
}

void watch_stages(struct watch *w, const json_t *stages, int64_t wall_ms)
{
    json_t *seen = json_object(); /* what is gone is forgotten */
    const json_t *now;
    size_t i;
    json_array_foreach(stages, i, now)
    {
        const char *name = text_of(now, "instance");
        const json_t *before = json_object_get(w->stages, name);
        bool ran = json_is_true(json_object_get(before, "ran")) || number_of(now, "pid");
        if (before)
            compare_stage(w, before, now, wall_ms);
        json_object_set_new(seen, name,
                            json_pack("{s:I,s:s,s:I,s:b}", "pid", number_of(now, "pid"), "state",
                                      text_of(now, "state"), "restarts", number_of(now, "restarts"),
                                      "ran", ran));
    }
    json_decref(w->stages);
    w->stages = seen;
}

/* ---- streams ---- */

static void say_stream(struct watch *w, const json_t *now, const char *said, int64_t wall_ms)
{
    const char *name = text_of(now, "name"), *note = text_of(now, "note");
    char text[640];
    if (is(now, "state", "live")) {
        if (*said)
            say(w, wall_ms, EVENT_INFO, "live", name, "is live again", "");
        return;
    }
    if (is(now, "state", "waiting") && !*said)
        return; /* a start takes a moment */
    if (is(now, "state", "ended")) {
        say(w, wall_ms, EVENT_INFO, "source_ended", name, "its source is at its end", "");
        return;
    }
    snprintf(text, sizeof text, "is %s%s%s", text_of(now, "state"), *note ? ": " : "", note);
    say(w, wall_ms, is(now, "state", "failed") ? EVENT_ERROR : EVENT_WARN,
        is(now, "state", "failed") ? "failed" : "not_live", name, text, "");
}

static const char *loss_advice(const char *cause)
{
    static const char *const table[][2] = {
        {"camera", "look at the camera's power, network and password"},
        {"window_full", "what follows capture was too slow or away for too long: see the stages"},
        {"disk_full", "free disk space, or raise spool.max_megabytes"},
        {"endpoint_refused", "the endpoint will not have it: `kvpipe gaps` names the error; the "
                             "fragments are kept in the spool's folder 'refused'"},
        {"capture_restarted", "what capture held was lost with it: see why it ended"},
        {"no_key_frame", "set the camera's key-frame interval below 10 s"},
        {"bad_format", "the camera sends what it does not announce: see the muxer's note"},
        {"bad_timestamp", "look at the camera's clock, and at this machine's load"},
        {"fragment_limit", "set the camera's key-frame interval below 10 s"},
        {"encoder", "look at the encoder's log"},
        {"disk_damaged", "the disk gave back other bytes than were written: replace it"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i][0], cause) == 0)
            return table[i][1];
    return "";
}

/* The total by cause grew. */
static void say_losses(struct watch *w, const json_t *before, const json_t *now, int64_t wall_ms)
{
    const json_t *lost = json_object_get(now, "lost"), *gaps = json_object_get(now, "gaps");
    const json_t *lost_before = json_object_get(before, "lost");
    const json_t *gaps_before = json_object_get(before, "gaps");
    const char *cause, *name = text_of(now, "name");
    json_t *value;
    char text[256];
    json_object_foreach((json_t *)gaps, cause, value)
    {
        json_int_t frames = number_of(lost, cause) - number_of(lost_before, cause);
        json_int_t more = number_of(gaps, cause) - number_of(gaps_before, cause);
        if (frames > 0)
            snprintf(text, sizeof text, "lost %lld captured frame%s: %s", (long long)frames,
                     frames == 1 ? "" : "s", cause);
        else if (more > 0)
            snprintf(text, sizeof text, "has a gap in which nothing was captured: %s", cause);
        else
            continue;
        say(w, wall_ms, frames > 0 ? EVENT_ERROR : EVENT_WARN, frames > 0 ? "lost" : "gap", name,
            text, loss_advice(cause));
    }
}

/* An uploader that is away tells of no gaps: what was known stays. */
static json_t *kept(const json_t *before, const json_t *now, const char *key)
{
    bool told = json_is_number(json_object_get(now, "backlog_s"));
    json_t *o = json_object_get(told || !before ? now : before, key);
    return o ? json_incref(o) : json_object();
}

static void compare_stream(struct watch *w, json_t *before, const json_t *now, int64_t wall_ms)
{
    const char *state = text_of(now, "state");
    bool steady = is(before, "seen", state);
    if (steady && !is(before, "said", state)) {
        say_stream(w, now, text_of(before, "said"), wall_ms);
        json_object_set_new(before, "said", json_string(state));
    }
    if (json_is_number(json_object_get(now, "backlog_s")) && number_of(before, "told"))
        say_losses(w, before, now, wall_ms);
}

void watch_streams(struct watch *w, const json_t *streams, int64_t wall_ms)
{
    json_t *seen = json_object();
    const json_t *now;
    size_t i;
    json_array_foreach(streams, i, now)
    {
        const char *name = text_of(now, "name");
        json_t *before = json_object_get(w->streams, name);
        if (before)
            compare_stream(w, before, now, wall_ms);
        bool told = json_is_number(json_object_get(now, "backlog_s")) || number_of(before, "told");
        json_t *entry = json_pack("{s:s,s:s,s:o,s:o,s:i}", "said", text_of(before, "said"), "seen",
                                  text_of(now, "state"), "lost", kept(before, now, "lost"), "gaps",
                                  kept(before, now, "gaps"), "told", (int)told);
        json_object_set_new(seen, name, entry);
    }
    json_decref(w->streams);
    w->streams = seen;
}
