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

#define GRACE_S 300
#define REFUSED_PAUSE_S 10
#define LONGEST_TIMER_S 3600
#define ERROR_LEN 2048

struct credentials {
    enum credentials_kind kind;
    char *profile, *profile_file, *file;
    int grace_s;
    time_t (*now)(void *);
    void *now_arg;
    credentials_ready_fn on_ready;
    void *arg;

    struct credentials_value value;
    const char *source; /* NULL: none in hand */
    struct stat stamp;  /* the state of the file they were read from */
    time_t looked_at;   /* local sources are looked at once a second at most */
    time_t refused_at;

    struct credentials_iot *iot;
    struct event *timer;
    time_t refresh_at;
    unsigned failures;
    bool fetching, retrying;
    char error[ERROR_LEN];
};

static const struct {
    const char *name;
    enum credentials_kind kind;
} kinds[] = {
    {"auto", CREDENTIALS_AUTO}, {"environment", CREDENTIALS_ENV}, {"profile", CREDENTIALS_PROFILE},
    {"file", CREDENTIALS_FILE}, {"iot", CREDENTIALS_IOT},
};

int credentials_kind_parse(const char *name, enum credentials_kind *out)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            *out = kinds[i].kind;
            return 0;
        }
    }
    return -EINVAL;
}

static time_t wall_clock(void *arg)
{
    (void)arg;
    return time(NULL);
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
        if (!c->source || strcmp(c->value.access_key, v.access_key) != 0)
            log_info("credentials.found", "source=%s access_key=%s", kinds[order[i]].name,
                     v.access_key);
        c->value = v;
        c->stamp = st;
        c->source = kinds[order[i]].name;
        c->error[0] = '\0';
        credentials_value_wipe(&v);
        return;
    }
    add_error(c, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile, a credential "
                 "file or an IoT "
                 "certificate");
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

static void look_again(struct credentials *c, time_t now)
{
    if (c->looked_at == now)
        return;
    c->looked_at = now;
    if (!c->source || file_changed(c))
        look(c);
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
    time_t left = c->refresh_at - c->now(c->now_arg);
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

static void on_fetched(void *arg, int error, const struct credentials_value *v, const char *text)
{
    struct credentials *c = arg;
    time_t now = c->now(c->now_arg);
    c->fetching = false;
    if (error == 0 && v->expires <= now) {
        error = -EKEYEXPIRED;
        text = "iot: the answer's expiration is in the past; is the clock right?";
    }
    if (error) {
        fail(c, error, text);
        return;
    }
    credentials_value_wipe(&c->value);
    c->value = *v;
    c->source = "iot";
    c->failures = 0;
    c->error[0] = '\0';
    c->refresh_at = credentials_refresh_at(v->expires, c->grace_s, now);
    wait_for_refresh(c);
    log_info("credentials.fetched", "source=iot access_key=%s seconds_left=%lld", v->access_key,
             (long long)(v->expires - now));
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
    if (c->retrying || !c->source || c->now(c->now_arg) >= c->refresh_at)
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
    c->grace_s = conf->grace_s > 0 ? conf->grace_s : GRACE_S;
    c->now = conf->now ? conf->now : wall_clock;
    c->now_arg = conf->now_arg;
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

static int get_remote(struct credentials *c, time_t now, struct sigv4_key *out)
{
    if (!c->iot)
        return -ENOENT;
    if (c->source && now >= c->refresh_at && !c->retrying)
        fetch(c); /* the timer stood still while the machine slept */
    if (!c->source || now >= c->value.expires)
        return -EAGAIN;
    fill(c, out);
    return 0;
}

int credentials_get(struct credentials *c, time_t now, struct sigv4_key *out)
{
    if (c->kind == CREDENTIALS_IOT)
        return get_remote(c, now, out);
    look_again(c, now);
    if (!c->source)
        return -ENOENT;
    if (c->value.expires && now >= c->value.expires) {
        snprintf(c->error, sizeof(c->error),
                 "%s: the credentials have expired and the file was not replaced", c->source);
        return -EKEYEXPIRED;
    }
    fill(c, out);
    return 0;
}

void credentials_refused(struct credentials *c, time_t now)
{
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
