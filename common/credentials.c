/* Which credentials this process signs with now: order of sources, rereading of files, renewal of
 * temporary ones. Relies on credentials_*.c for the sources and on libevent for the renewal timer.
 * Leaves signing to sigv4 and HTTP to http_client. */
#include "common/credentials.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <event2/event.h>

#include "common/credentials_source.h"
#include "common/log.h"
#include "common/mem.h"

#define REFUSED_PAUSE_S 10
#define LONGEST_TIMER_S 3600
#define ERROR_LEN 2048

struct credentials {
    enum credentials_kind kind;
    char *profile, *profile_file, *file;
    time_t (*now)(void *);
    void (*date)(void *, const char *);
    void *clock_arg;
    credentials_ready_fn on_ready;
    void *arg;

    struct credentials_value value;
    unsigned serial;    /* counts the values that were in hand */
    time_t renew_at;    /* when this one should have a successor, if it expires */
    bool late_said;     /* that it has none */
    const char *source; /* NULL: none in hand */
    struct stat stamp;  /* the state of the file they were read from */
    time_t looked_at;   /* local sources are looked at once a second at most */
    time_t refused_at;

    struct credentials_iot *iot;
    struct event *timer;
    unsigned failures;
    bool fetching, retrying;
    char error[ERROR_LEN];
};

static const char *const names[] = {[CREDENTIALS_ENV] = "environment",
                                    [CREDENTIALS_PROFILE] = "profile",
                                    [CREDENTIALS_FILE] = "file",
                                    [CREDENTIALS_IOT] = "iot"};

static time_t now_of(const struct credentials *c)
{
    return c->now(c->clock_arg);
}

static bool same_value(const struct credentials_value *a, const struct credentials_value *b)
{
    return strcmp(a->access_key, b->access_key) == 0 && strcmp(a->secret_key, b->secret_key) == 0 &&
           strcmp(a->session_token, b->session_token) == 0 && a->expires == b->expires;
}

/* Takes a value that was found or fetched in place of the one in hand. */
static void take(struct credentials *c, const struct credentials_value *v,
                 enum credentials_kind from)
{
    time_t now = now_of(c);
    c->error[0] = '\0';
    if (c->source == names[from] && same_value(&c->value, v))
        return;
    c->value = *v;
    c->source = names[from];
    c->serial++;
    c->late_said = false;
    c->renew_at = v->expires ? credentials_renew_at(v->expires, now) : 0;
    if (v->expires)
        log_info("credentials.found", "source=%s access_key=%s seconds_left=%lld", c->source,
                 v->access_key, (long long)(v->expires - now));
    else
        log_info("credentials.found", "source=%s access_key=%s", c->source, v->access_key);
}

static bool configured(const char *s)
{
    return s && *s;
}

/* ---- local sources ---- */

static int load(struct credentials *c, enum credentials_kind kind, struct credentials_value *v,
                struct stat *st, char error[CREDENTIALS_ERROR_LEN])
{
    switch (kind) {
    case CREDENTIALS_ENV:
        return credentials_env_load(v, error);
    case CREDENTIALS_PROFILE:
        if (c->profile_file)
            return credentials_profile_load(c->profile_file, c->profile, v, st, error);
        snprintf(error, CREDENTIALS_ERROR_LEN,
                 "profile: neither HOME nor AWS_SHARED_CREDENTIALS_FILE is set");
        return -ENOENT;
    case CREDENTIALS_FILE:
        if (c->file)
            return credentials_file_load(c->file, v, st, error);
        snprintf(error, CREDENTIALS_ERROR_LEN, "file: none is configured");
        return -ENOENT;
    default:
        return -ENOENT;
    }
}

static void add_error(struct credentials *c, const char *text)
{
    size_t len = strlen(c->error);
    snprintf(c->error + len, sizeof(c->error) - len, "%s%s", len ? "; " : "", text);
}

static bool tries(const struct credentials *c, enum credentials_kind kind)
{
    return c->kind == kind || c->kind == CREDENTIALS_AUTO;
}

static void look(struct credentials *c)
{
    static const enum credentials_kind order[] = {CREDENTIALS_ENV, CREDENTIALS_PROFILE,
                                                  CREDENTIALS_FILE};
    struct credentials_value v = {0};
    c->error[0] = '\0';
    for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++) {
        char error[CREDENTIALS_ERROR_LEN] = "";
        struct stat st = {0};
        if (!tries(c, order[i]))
            continue;
        if (load(c, order[i], &v, &st, error) != 0) {
            add_error(c, error);
            continue;
        }
        take(c, &v, order[i]);
        c->stamp = st;
        credentials_value_wipe(&v);
        return;
    }
    add_error(c, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile, a credential "
                 "file or an IoT certificate");
}

static const char *watched_path(const struct credentials *c)
{
    if (!c->source)
        return NULL;
    if (strcmp(c->source, "profile") == 0)
        return c->profile_file;
    return strcmp(c->source, "file") == 0 ? c->file : NULL;
}

static bool file_changed(const struct credentials *c)
{
    const char *path = watched_path(c);
    struct stat st;
    if (!path || stat(path, &st) != 0)
        return false; /* between two renames: what we hold stays good */
    return st.st_ino != c->stamp.st_ino || st.st_size != c->stamp.st_size ||
           st.st_mtim.tv_sec != c->stamp.st_mtim.tv_sec ||
           st.st_mtim.tv_nsec != c->stamp.st_mtim.tv_nsec;
}

static void look_again(struct credentials *c)
{
    time_t now = now_of(c);
    if (c->looked_at == now)
        return;
    c->looked_at = now;
    if (!c->source || file_changed(c))
        look(c);
    if (!c->source || !c->value.expires || now < c->renew_at || c->late_said)
        return;
    c->late_said = true;
    log_warn("credentials.late",
             "source=%s seconds_left=%lld cause=\"nobody has replaced the file, whose credentials "
             "end soon\" do=\"see after the program that writes %s\"",
             c->source, (long long)(c->value.expires - now), watched_path(c));
}

/* ---- the remote source ---- */

static void set_timer(struct credentials *c, int64_t ms)
{
    if (ms > LONGEST_TIMER_S * 1000LL)
        ms = LONGEST_TIMER_S * 1000LL;
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};
    event_add(c->timer, &tv);
}

static void wait_for_refresh(struct credentials *c)
{
    time_t left = c->renew_at - now_of(c);
    set_timer(c, left > 0 ? left * 1000LL : 1000);
}

static void retry_later(struct credentials *c)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
        random = 0;
    int64_t ms = credentials_retry_ms(c->failures, random);
    if (c->failures < 16)
        c->failures++;
    c->retrying = true;
    set_timer(c, ms);
    log_warn("credentials.fetch_failed", "retry_ms=%lld error=\"%s\"", (long long)ms, c->error);
}

static void fail(struct credentials *c, int error, const char *text)
{
    snprintf(c->error, sizeof(c->error), "%s", text);
    retry_later(c);
    if (c->on_ready)
        c->on_ready(c->arg, error);
}

/* An answer that is over already: it, or our clock, is wrong. What its Date says may settle that.
 */
static bool is_over(struct credentials *c, const struct credentials_value *v, const char *date)
{
    if (v->expires <= now_of(c) && c->date && *date)
        c->date(c->clock_arg, date);
    return v->expires <= now_of(c);
}

static void on_fetched(void *arg, int error, const struct credentials_value *v, const char *date,
                       const char *text)
{
    struct credentials *c = arg;
    c->fetching = false;
    if (error == 0 && is_over(c, v, date)) {
        error = -EKEYEXPIRED;
        text = "iot: the answer's expiration is in the past; set this machine's clock (NTP)";
    }
    if (error) {
        fail(c, error, text);
        return;
    }
    take(c, v, CREDENTIALS_IOT);
    c->failures = 0;
    wait_for_refresh(c);
    if (c->on_ready)
        c->on_ready(c->arg, 0);
}

static void fetch(struct credentials *c)
{
    if (c->fetching)
        return;
    c->retrying = false;
    c->fetching = true;
    int r = credentials_iot_fetch(c->iot);
    if (r == 0)
        return;
    c->fetching = false;
    snprintf(c->error, sizeof(c->error), "iot: the request cannot be made: %s", strerror(-r));
    retry_later(c);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct credentials *c = arg;
    if (c->retrying || !c->source || now_of(c) >= c->renew_at)
        fetch(c);
    else
        wait_for_refresh(c);
}

/* ---- public ---- */

static char *first_of(const char *conf, const char *env, const char *fallback)
{
    const char *e = env ? getenv(env) : NULL;
    return xstrdup(configured(conf) ? conf : configured(e) ? e : fallback);
}

static void start_iot(struct credentials *c, struct event_base *base, struct http_client *http,
                      const struct credentials_iot_conf *conf)
{
    c->kind = CREDENTIALS_IOT;
    c->iot = credentials_iot_create(http, conf, on_fetched, c, c->error);
    if (!c->iot)
        return;
    c->timer = event_new(base, -1, 0, on_timer, c);
    fetch(c);
}

struct credentials *credentials_create(struct event_base *base, struct http_client *http,
                                       const struct credentials_conf *conf,
                                       credentials_ready_fn on_ready, void *arg)
{
    struct credentials *c = xcalloc(1, sizeof(*c));
    c->kind = conf->kind;
    c->profile = first_of(conf->profile, "AWS_PROFILE", "default");
    c->profile_file =
        configured(conf->profile_file) ? xstrdup(conf->profile_file) : credentials_profile_path();
    c->file = configured(conf->file) ? xstrdup(conf->file) : NULL;
    c->now = conf->now;
    c->date = conf->date;
    c->clock_arg = conf->clock_arg;
    c->on_ready = on_ready;
    c->arg = arg;
    c->looked_at = (time_t)-1;
    if (c->kind == CREDENTIALS_IOT ||
        (c->kind == CREDENTIALS_AUTO && configured(conf->iot.endpoint)))
        start_iot(c, base, http, &conf->iot);
    else
        look(c);
    return c;
}

void credentials_destroy(struct credentials *c)
{
    if (!c)
        return;
    credentials_iot_destroy(c->iot);
    if (c->timer)
        event_free(c->timer);
    credentials_value_wipe(&c->value);
    free(c->profile);
    free(c->profile_file);
    free(c->file);
    free(c);
}

static void fill(const struct credentials *c, struct sigv4_key *out)
{
    out->access_key = c->value.access_key;
    out->secret_key = c->value.secret_key;
    out->session_token = c->value.session_token[0] ? c->value.session_token : NULL;
}

/* The timer stood still while the machine slept, or the clock was set. */
static void renew_in_time(struct credentials *c)
{
    if (c->iot && c->source && now_of(c) >= c->renew_at && !c->retrying)
        fetch(c);
}

static int get_remote(struct credentials *c, struct sigv4_key *out)
{
    if (!c->iot)
        return -ENOENT;
    renew_in_time(c);
    if (!c->source || now_of(c) >= c->value.expires)
        return -EAGAIN;
    fill(c, out);
    return 0;
}

static int get_local(struct credentials *c, struct sigv4_key *out)
{
    look_again(c);
    if (!c->source)
        return -ENOENT;
    if (c->value.expires && now_of(c) >= c->value.expires) {
        snprintf(c->error, sizeof(c->error),
                 "%s: the credentials in %s have expired; see after the program that replaces them",
                 c->source, watched_path(c));
        return -EKEYEXPIRED;
    }
    fill(c, out);
    return 0;
}

int credentials_get(struct credentials *c, struct sigv4_key *out)
{
    return c->kind == CREDENTIALS_IOT ? get_remote(c, out) : get_local(c, out);
}

void credentials_note(const struct credentials *c, struct credentials_use *use)
{
    *use = (struct credentials_use){.serial = c->serial,
                                    .temporary = c->value.session_token[0] || c->value.expires,
                                    .renew_at = c->renew_at,
                                    .expires = c->value.expires};
}

bool credentials_over(struct credentials *c, const struct credentials_use *use)
{
    time_t now = now_of(c);
    if (!use->temporary)
        return false;
    if (c->kind == CREDENTIALS_IOT)
        renew_in_time(c);
    else
        look_again(c);
    if (use->expires && now >= use->expires)
        return true;
    return c->serial != use->serial && (!use->expires || now >= use->renew_at);
}

void credentials_refused(struct credentials *c)
{
    time_t now = now_of(c);
    if (now < c->refused_at + REFUSED_PAUSE_S && now >= c->refused_at)
        return;
    c->refused_at = now;
    if (c->iot)
        fetch(c);
    else if (c->kind != CREDENTIALS_IOT)
        look(c);
}

const char *credentials_error(const struct credentials *c)
{
    return c->error;
}

const char *credentials_source(const struct credentials *c)
{
    return c->source ? c->source : "none";
}
