/* The uploader. Enters: Matroska pieces and gaps from the muxer. Leaves: PutMedia requests to the
 * endpoint. Written to the spool before it is acked upstream; dropped only by the full-disk policy,
 * a refusal of the endpoint, or a piece that fits nowhere, each with a line in the gap ledger.
 * Relies on spool (the log), session (the endpoint), common/link_socket (the muxer).
 * Leaves supervision to the monitor. */
#include "uploader/stage.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <event2/event.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/report.h"

#define TICK_MS 100
#define DISK_RETRY_NS (2 * NS_PER_S)
#define DRAIN_NS (3500 * NS_PER_MS)
#define LEAVE_NS (5 * NS_PER_S)
#define ALONE_NS (30 * NS_PER_S)
#define GUESTS_MAX 256
#define PROGRAM_VECTOR 3 /* numbers: of the program, of its outlet, of the muxer's */

static struct upload *find(struct uploader *u, const char *stream)
{
    struct upload *up;
    TAILQ_FOREACH (up, &u->uploads, entry)
        if (strcmp(up->conf->name, stream) == 0)
            return up;
    return NULL;
}

/* --- state for people --- */

static void tell(struct upload *up, const char *state, const char *note)
{
    struct report *r = up->owner->stage->report;
    snprintf(up->state, sizeof up->state, "%s", state);
    snprintf(up->note, sizeof up->note, "%s", note);
    if (!up->disk_failed)
        report_state(r, up->conf->name, state, note);
}

static void on_session_state(void *arg, const char *state, const char *note)
{
    tell(arg, state, note);
}

/* One line when the disk begins to refuse, one when it takes data again. */
static void disk_state(struct upload *up, int error)
{
    char note[256];
    if (error)
        up->disk_retry_ns = clock_mono_ns() + DISK_RETRY_NS;
    if (!error == !up->disk_failed)
        return;
    up->disk_failed = error != 0;
    if (error) {
        snprintf(note, sizeof note, "spool cannot be written: %s; free space or change spool.dir",
                 strerror(-error));
        log_error("uploader.spool.write",
                  "stream=%s dir=%s error=\"%s\" do=\"free space, or change spool.dir\" "
                  "effect=\"the stream "
                  "waits\"",
                  up->conf->name, up->owner->stage->conf->spool.dir, strerror(-error));
        report_state(up->owner->stage->report, up->conf->name, "failed", note);
    } else {
        log_info("uploader.spool.writes_again", "stream=%s", up->conf->name);
        report_state(up->owner->stage->report, up->conf->name, up->state, up->note);
    }
}

/* --- from the muxer --- */

static struct link_positions positions(const struct upload *up)
{
    struct link_positions at = {
        .tracks = up->tracks, .backlog_ms = up->backlog_ms, .backlog_bytes = up->backlog_bytes};
    for (unsigned t = 0; t < LINK_TRACKS_MAX; t++) {
        at.next[t] = spool_next_number(up->spool, t + 1);
        at.credit[t] = up->owner->stage->conf->link.credit;
    }
    return at;
}

/* Answers the Open that waits, as soon as its vector is in the log. */
static void answer(struct upload *up)
{
    uint64_t next[LINK_TRACKS_MAX];
    struct inlet *in = link_client_inlet(up->owner->client);
    struct link_vector v = inlet_session_vector(up->inlet);
    char text[LINK_VECTOR_MAX * 21];
    if (clock_mono_ns() < up->disk_retry_ns)
        return;
    int r = spool_session(up->spool, &v, up->base, next);
    if (r == -EPROTO) {
        struct link_vector greatest = spool_vector(up->spool);
        inlet_fence(in, up->inlet, &greatest);
        up->asks = false;
        return;
    }
    if (r < 0) {
        disk_state(up, r);
        return;
    }
    up->asks = false;
    struct link_positions at = positions(up);
    inlet_resume(in, up->inlet, &at);
    session_kick(up->session, 0);
    log_info("uploader.open", "stream=%s vector=%s next=%" PRIu64 ",%" PRIu64 ",%" PRIu64,
             up->conf->name, link_vector_str(&v, text), next[0], next[1], next[2]);
}

static struct upload *admit(struct uploader *u, const char *name);

static void on_open(void *arg, struct inlet_session *s, const struct link_msg *msg)
{
    struct uploader *u = arg;
    struct upload *up = find(u, inlet_session_stream(s));
    if (!up && msg->vector.n == PROGRAM_VECTOR)
        up = admit(u, inlet_session_stream(s));
    if (!up) {
        log_warn("uploader.unknown_stream",
                 "stream=%s cause=\"not in this config\" do=\"give all stages the same file\"",
                 inlet_session_stream(s));
        return; /* unanswered: nothing is sent, upstream keeps what it has */
    }
    inlet_session_set_user(s, up);
    up->inlet = s;
    up->tracks = 0;
    memset(up->base, 0, sizeof up->base);
    for (unsigned i = 0; i < msg->open.ntracks; i++) {
        unsigned t = msg->open.tracks[i].track - 1u;
        if (t >= LINK_TRACKS_MAX)
            continue;
        up->tracks |= (uint8_t)(1u << t);
        up->base[t] = msg->open.tracks[i].base;
    }
    up->asks = true;
    answer(up);
}

static int on_item(void *arg, struct inlet_session *s, struct link_item *item)
{
    struct upload *up = inlet_session_user(s);
    int r = !up ? -EPROTO : item->gap ? spool_gap(up->spool, item) : spool_append(up->spool, item);
    int64_t captured_ns = item->captured_ns;
    bool frame = !item->gap;
    link_item_fini(item);
    if (!up)
        return r;
    if (r < 0) {
        if (r != -EPROTO)
            disk_state(up, r);
        return r;
    }
    disk_state(up, 0);
    up->frames_in += frame;
    struct link_positions at = positions(up);
    inlet_ack(link_client_inlet(up->owner->client), s, &at);
    session_kick(up->session, frame ? captured_ns : 0);
    return 0;
}

static void on_ended(void *arg, struct inlet_session *s)
{
    struct upload *up = inlet_session_user(s);
    if (!up)
        return;
    int r = spool_end(up->spool);
    if (r < 0)
        disk_state(up, r);
    log_info("uploader.ended", "stream=%s", up->conf->name);
    session_kick(up->session, 0);
}

static void on_moved(void *arg, struct inlet_session *s)
{
    struct upload *up = inlet_session_user(s);
    if (!up)
        return;
    spool_close_fragment(up->spool);
    up->inlet = NULL;
    up->asks = false;
    session_kick(up->session, 0);
    log_info("uploader.moved",
             "stream=%s note=\"another uploader has it now; what is in this spool is still sent\"",
             up->conf->name);
}

/* --- set up, tear down --- */

static void guest_free(struct conf_stream **guest)
{
    if (*guest)
        free((*guest)->name);
    free(*guest);
    *guest = NULL;
}

static void upload_free(struct uploader *u, struct upload *up)
{
    TAILQ_REMOVE(&u->uploads, up, entry);
    session_destroy(&up->session);
    spool_close(&up->spool);
    conf_release(&up->held);
    guest_free(&up->guest);
    free(up);
}

/* The program of a guest is gone, or was before this process was there: nobody goes on with the
 * last fragment. */
static void end_alone(struct upload *up, int64_t now)
{
    if (up->inlet || !up->alone_ns)
        up->alone_ns = now;
    if (!up->guest || spool_is_ended(up->spool) || now - up->alone_ns < ALONE_NS)
        return;
    int r = spool_end(up->spool);
    if (r < 0)
        disk_state(up, r);
    up->alone_ns = now; /* a disk that refuses is asked again later */
    session_kick(up->session, 0);
}

/* A stream that left the config goes when nothing more comes and all of it is archived. */
static void let_go(struct uploader *u)
{
    struct upload *up, *next;
    for (up = TAILQ_FIRST(&u->uploads); up; up = next) {
        next = TAILQ_NEXT(up, entry);
        if (!up->left_ns)
            continue;
        end_alone(up, clock_mono_ns());
        if (up->frames_left != (int64_t)up->frames_in ||
            spool_get_stats(up->spool).backlog_fragments) {
            up->frames_left = (int64_t)up->frames_in;
            up->left_ns = clock_mono_ns();
        }
        if (clock_mono_ns() - up->left_ns < LEAVE_NS)
            continue;
        log_info("uploader.left", "stream=%s (not in the config, all of it is archived)",
                 up->conf->name);
        if (up->inlet)
            inlet_session_set_user(up->inlet, NULL);
        char *name = xstrdup(up->conf->name);
        upload_free(u, up);
        report_forget(u->stage->report, name); /* after all that counts */
        free(name);
    }
}

static void quit_when_idle(struct uploader *u)
{
    struct upload *up;
    bool idle = true;
    TAILQ_FOREACH (up, &u->uploads, entry)
        idle = idle && session_is_idle(up->session);
    if (idle || clock_mono_ns() - u->drain_ns > DRAIN_NS)
        stage_quit(u->stage, 0);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct uploader *u = arg;
    struct upload *up;
    if (u->drain_ns) {
        quit_when_idle(u);
        return;
    }
    let_go(u);
    TAILQ_FOREACH (up, &u->uploads, entry)
        if (up->asks && up->inlet)
            answer(up);
}

static void start_session(struct upload *up)
{
    static const struct session_ops session_ops = {.state = on_session_state};
    struct uploader *u = up->owner;
    up->session = session_create(u->stage->base, &u->api, &up->held->endpoint, up->conf, up->spool,
                                 up->metrics, &session_ops, up);
}

static int add_stream(struct uploader *u, const struct conf_stream *conf)
{
    const struct conf_spool *c = &u->stage->conf->spool;
    struct metrics *m = report_metrics(u->stage->report, conf->name);
    struct spool_conf sc = {.dir = c->dir,
                            .stream = conf->name,
                            .max_bytes = (uint64_t)c->max_megabytes * 1000000,
                            .file_ns = c->file_seconds * NS_PER_S,
                            .keep_ns = c->keep_seconds * NS_PER_S,
                            .when_full = c->when_full,
                            .sync = c->sync == CONF_SYNC_FRAGMENT,
                            .durations = metrics_histogram(m, METRIC_FRAGMENT_DURATION),
                            .sizes = metrics_histogram(m, METRIC_FRAGMENT_BYTES)};
    struct upload *up = xcalloc(1, sizeof *up);
    up->owner = u;
    up->conf = conf;
    up->metrics = m;
    int r = spool_open(&sc, u->syncer, &up->spool);
    if (r < 0) {
        free(up);
        return r;
    }
    up->held = conf_hold(u->stage->conf);
    start_session(up);
    pressure_init(&up->pressure,
                  &(struct pressure_conf){
                      .max_latency_ms = u->stage->conf->endpoint.max_latency_s * INT64_C(1000),
                      .staleness_ms = u->stage->conf->endpoint.staleness_s * INT64_C(1000)});
    TAILQ_INSERT_TAIL(&u->uploads, up, entry);
    tell(up, "waiting", "no data yet");
    return 0;
}

/* A program gives the muxer a stream of its own, or left one in the spool, or the config knew it
 * when it was put there: it goes as one that has left the config does. */
static struct upload *admit(struct uploader *u, const char *name)
{
    struct upload *up;
    unsigned guests = 0;
    TAILQ_FOREACH (up, &u->uploads, entry)
        guests += up->guest != NULL;
    if (!link_stream_name_ok(name) || u->stage->only_stream || guests >= GUESTS_MAX)
        return NULL;
    struct conf_stream *guest = xcalloc(1, sizeof *guest);
    guest->name = xstrdup(name);
    guest->absolute = true;
    if (add_stream(u, guest) < 0) { /* said in the log */
        guest_free(&guest);
        return NULL;
    }
    up = find(u, name);
    up->guest = guest;
    up->left_ns = clock_mono_ns();
    log_info("uploader.guest", "stream=%s backlog_fragments=%" PRIu64 " (not in the config)", name,
             spool_get_stats(up->spool).backlog_fragments);
    return up;
}

static bool is_folder(const char *dir, const char *name)
{
    struct stat st;
    char *path = xasprintf("%s/%s", dir, name);
    bool is = lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
    free(path);
    return is;
}

/* What is in the spool of a stream that the config does not know is sent, too. */
static void admit_left(struct uploader *u)
{
    const char *dir = u->stage->conf->spool.dir;
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d)))
        if (is_folder(dir, e->d_name) && !find(u, e->d_name))
            admit(u, e->d_name);
    if (d)
        closedir(d);
}

static int add_streams(struct uploader *u)
{
    const struct conf *conf = u->stage->conf;
    int r = 0;
    for (unsigned i = 0; i < conf->streams_count && r == 0; i++)
        if (stage_serves(u->stage, conf->streams[i].name))
            r = add_stream(u, &conf->streams[i]);
    if (r == 0)
        admit_left(u);
    return r;
}

static void know_vector(struct uploader *u, struct upload *up)
{
    struct link_vector v = spool_vector(up->spool);
    if (v.n)
        inlet_set_greatest(link_client_inlet(u->client), up->conf->name, &v);
}

/* The stream is in the config, as it was or otherwise: what is under way to the endpoint begins
 * again where it was. */
static void take_settings(struct upload *up, const struct conf_stream *conf)
{
    session_destroy(&up->session);
    conf_release(&up->held);
    up->held = conf_hold(up->owner->stage->conf);
    up->conf = conf;
    guest_free(&up->guest);
    up->left_ns = 0;
    start_session(up);
    session_kick(up->session, 0);
}

static void on_stream(struct stage *st, const char *name)
{
    struct uploader *u = st->state;
    struct upload *up = find(u, name);
    const struct conf_stream *conf = conf_stream(st->conf, name);
    if (up && conf) {
        take_settings(up, conf);
    } else if (up) {
        up->left_ns = clock_mono_ns();
    } else if (add_stream(u, conf) < 0) {
        stage_quit(st, 1); /* said in the log: a restart tries again */
    } else {
        know_vector(u, find(u, name));
    }
}

static void on_signable(void *arg)
{
    struct uploader *u = arg;
    struct upload *up;
    TAILQ_FOREACH (up, &u->uploads, entry)
        session_signable(up->session);
}

static void on_credentials(void *arg, int error)
{
    if (error == 0)
        on_signable(arg);
}

static int connect_link(struct uploader *u)
{
    static const struct inlet_ops ops = {
        .open = on_open, .item = on_item, .ended = on_ended, .moved = on_moved};
    const struct conf *conf = u->stage->conf;
    int r = link_client_create(u->stage->base, conf->uploader.connect, &conf->link,
                               u->stage->instance, &ops, u, &u->client);
    struct upload *up;
    if (r < 0)
        return r;
    TAILQ_FOREACH (up, &u->uploads, entry)
        know_vector(u, up);
    return 0;
}

static void teardown(struct stage *st)
{
    struct uploader *u = st->state;
    struct upload *up;
    link_client_destroy(&u->client, false);
    while ((up = TAILQ_FIRST(&u->uploads)))
        upload_free(u, up);
    credentials_destroy(u->credentials);
    http_client_destroy(u->http);
    syncer_destroy(&u->syncer);
    if (u->tick)
        event_free(u->tick);
    free(u);
    st->state = NULL;
}

static void needs(const struct stage *st, const struct conf *conf, struct sandbox *needs)
{
    sandbox_allow(needs, conf->spool.dir, LANDLOCK_READ | LANDLOCK_WRITE);
    api_needs(&conf->endpoint, needs);
}

static int setup(struct stage *st)
{
    static const struct timeval period = {.tv_usec = TICK_MS * 1000};
    struct uploader *u = xcalloc(1, sizeof *u);
    TAILQ_INIT(&u->uploads);
    u->stage = st;
    st->state = u;
    u->syncer = syncer_create();
    u->http = http_client_create(st->base);
    u->credentials = api_credentials(&u->api, st->base, u->http, &st->conf->endpoint.credentials,
                                     on_credentials, u);
    u->api = (struct api){.http = u->http,
                          .credentials = u->credentials,
                          .region = st->conf->endpoint.region,
                          .ca_file = st->conf->endpoint.ca_file,
                          .signable = on_signable,
                          .arg = u};
    int r = u->syncer && u->http && u->credentials ? add_streams(u) : -ENOMEM;
    if (r == 0)
        r = connect_link(u);
    if (r < 0) {
        teardown(st);
        return r;
    }
    u->tick = event_new(st->base, -1, EV_PERSIST, on_tick, u);
    event_add(u->tick, &period);
    stage_ready(st);
    return 0;
}

static void drain(struct stage *st)
{
    struct uploader *u = st->state;
    struct upload *up;
    u->drain_ns = clock_mono_ns();
    link_client_destroy(&u->client, true);
    TAILQ_FOREACH (up, &u->uploads, entry) {
        up->inlet = NULL;
        up->asks = false;
        session_drain(up->session);
    }
}

/* --- pressure --- */

static const struct {
    const char *begins, *over, *advice; /* log */
    enum metric now, events;            /* 0 or 1, counter */
} pressures[PRESSURE_KINDS] = {
    [PRESSURE_STORAGE] = {"uploader.pressure.storage", "uploader.pressure.storage_over",
                          "raise spool.max_megabytes or free the disk; lower the bitrate or give a "
                          "faster uplink",
                          METRIC_STORAGE_PRESSURE, METRIC_STORAGE_PRESSURE_EVENTS},
    [PRESSURE_LATENCY] = {"uploader.pressure.latency", "uploader.pressure.latency_over",
                          "lower the bitrate (video.adapt does it by itself) or give a faster "
                          "uplink; check that the endpoint is there",
                          METRIC_LATENCY_PRESSURE, METRIC_LATENCY_PRESSURE_EVENTS},
    [PRESSURE_STALE] = {"uploader.pressure.stale", "uploader.pressure.stale_over",
                        "a new session begins; check the endpoint and what is in front of it",
                        METRIC_STALE, METRIC_STALE_EVENTS},
};

static void say_pressure(const struct upload *up, const struct pressure_event *e,
                         const struct pressure_sample *now)
{
    if (e->on)
        log_warn(pressures[e->kind].begins,
                 "stream=%s backlog_ms=%" PRId64 " free_bytes=%" PRIu64 " capacity_bytes=%" PRIu64
                 " unacked_ms=%" PRId64 " do=\"%s\"",
                 up->conf->name, now->backlog_ms, now->free_bytes, now->capacity_bytes,
                 now->unacked_ms, pressures[e->kind].advice);
    else
        log_info(pressures[e->kind].over, "stream=%s lasted_s=%.1f backlog_ms=%" PRId64,
                 up->conf->name, (double)e->lasted_ns / NS_PER_S, now->backlog_ms);
}

/* The encoder wants to know, also while no frame comes that would be acked. */
static void tell_backlog(struct upload *up, const struct spool_stats *sp)
{
    bool news =
        up->backlog_ms != (uint64_t)sp->backlog_ms || up->backlog_bytes != sp->backlog_bytes;
    up->backlog_ms = (uint64_t)sp->backlog_ms;
    up->backlog_bytes = sp->backlog_bytes;
    if (!news || !up->inlet)
        return;
    struct link_positions at = positions(up);
    inlet_ack(link_client_inlet(up->owner->client), up->inlet, &at);
}

/* Before session_tick, which ends a stale session. */
static void watch_pressure(struct metrics *m, struct upload *up)
{
    struct spool_stats sp = spool_get_stats(up->spool);
    struct pressure_sample now = {.backlog_ms = sp.backlog_ms,
                                  .free_bytes = sp.free_bytes,
                                  .capacity_bytes = sp.capacity_bytes,
                                  .unacked_ms = session_unacked_ns(up->session) / NS_PER_MS,
                                  .acks = session_get_stats(up->session)->acks};
    struct pressure_event events[PRESSURE_KINDS];
    unsigned n = pressure_feed(&up->pressure, &now, clock_mono_ns(), events);
    for (unsigned i = 0; i < n; i++)
        say_pressure(up, &events[i], &now);
    for (unsigned k = 0; k < PRESSURE_KINDS; k++) {
        metrics_set(m, pressures[k].now, up->pressure.states[k].on);
        metrics_set(m, pressures[k].events, (double)up->pressure.states[k].events);
    }
    tell_backlog(up, &sp);
}

/* Those that are not 0. */
static void sample_gaps(struct metrics *m, const struct ledger_totals *gaps)
{
    for (unsigned i = 0; i < GAPS_CAUSES; i++)
        if (gaps->intervals[i]) {
            metrics_set_of(m, METRIC_GAPS, gaps_cause_name(i), (double)gaps->intervals[i]);
            metrics_set_of(m, METRIC_GAP_FRAMES, gaps_cause_name(i), (double)gaps->frames[i]);
        }
}

static void sample_spool(struct metrics *m, const struct spool_stats *sp)
{
    metrics_set(m, METRIC_FRAGMENTS, (double)sp->fragments);
    metrics_set(m, METRIC_FRAGMENTS_PERSISTED, (double)sp->fragments_done);
    metrics_set(m, METRIC_BACKLOG_FRAGMENTS, (double)sp->backlog_fragments);
    metrics_set(m, METRIC_BACKLOG_BYTES, (double)sp->backlog_bytes);
    metrics_set(m, METRIC_BACKLOG, (double)sp->backlog_ms / 1000);
    metrics_set(m, METRIC_SPOOL_AGE, clock_age_s(sp->oldest_ns));
    metrics_set(m, METRIC_SPOOL_USED, (double)sp->used_bytes);
    metrics_set(m, METRIC_SPOOL_FREE, (double)sp->free_bytes);
    metrics_set(m, METRIC_SPOOL_CAPACITY, (double)sp->capacity_bytes);
    metrics_set(m, METRIC_FRAMES_DROPPED, (double)sp->dropped);
}

static void sample_stream(struct metrics *m, struct upload *up)
{
    const struct session_stats *ss = session_get_stats(up->session);
    struct spool_stats sp = spool_get_stats(up->spool);
    metrics_set(m, METRIC_FRAMES_IN, (double)up->frames_in);
    metrics_set(m, METRIC_BYTES_OUT, (double)ss->bytes_out);
    metrics_set(m, METRIC_PUT_BYTES, (double)ss->bytes_out);
    metrics_set(m, METRIC_PUT_REQUESTS, (double)ss->sessions);
    metrics_set(m, METRIC_PUT_CONNECTIONS, ss->open);
    metrics_set(m, METRIC_RECONNECTS, (double)ss->reconnects);
    sample_gaps(m, sp.gaps);
    sample_spool(m, &sp);
    if (spool_is_ended(up->spool) && !sp.backlog_fragments && strcmp(up->state, "ended") != 0)
        tell(up, "ended", "");
}

static void sample(struct stage *st)
{
    struct uploader *u = st->state;
    struct upload *up;
    TAILQ_FOREACH (up, &u->uploads, entry) {
        spool_tick(up->spool, clock_wall_ns());
        watch_pressure(up->metrics, up);
        session_tick(up->session);
        sample_stream(up->metrics, up);
    }
    if (u->client)
        metrics_set(report_metrics(st->report, NULL), METRIC_REFUSED,
                    (double)link_client_refused(u->client));
}

const struct stage_ops uploader_stage = {
    .name = "uploader",
    .summary = "keeps media in a durable spool and sends it by PutMedia",
    .needs = needs,
    .setup = setup,
    .drain = drain,
    .teardown = teardown,
    .stream = on_stream,
    .sample = sample,
};
