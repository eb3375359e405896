/* Which H.264 encoder works here: each candidate really encodes a few frames, and what comes out is
 * looked at. Relies on candidate and codec; the thread has a loop of its own for the codec. Leaves
 * what to do without an encoder to encoder_stream.c. */
#include "encoder/probe.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "media/h264.h"

#define FRAMES 3
#define PUSHED_MAX 12 /* hardware may hold a few back */
#define TRY_S 5
#define ANSWERS_MAX 64

/* ---- one try ---- */

struct attempt {
    struct event_base *base;
    struct codec *codec;
    const struct link_format *format;
    struct blob *picture;
    unsigned pushed, got;
    int rc; /* 1 while it runs */
    char *why;
};

static void finish(struct attempt *a, int rc, const char *why)
{
    if (a->rc != 1)
        return;
    a->rc = rc;
    if (rc)
        snprintf(a->why, 256, "%s", why);
    event_base_loopbreak(a->base);
}

/* Says what is wrong with a first access unit, NULL for nothing. */
static const char *fault(const struct blob *au, const struct link_format *format)
{
    struct h264_parameter_sets sets;
    struct h264_sps sps;

    if (!h264_is_idr(au->data, au->len, false, 0))
        return "its first frame is no IDR picture";
    if (h264_find_parameter_sets(au->data, au->len, &sets) || !sets.nsps || !sets.npps)
        return "its first frame has no SPS and PPS";
    if (h264_parse_sps(&sets.sps[0], &sps))
        return "its SPS cannot be read";
    if (sps.width != (format->width & ~1u) || sps.height != (format->height & ~1u))
        return "its picture has another size";
    return NULL;
}

static void try_output(void *arg, uint64_t token, bool key, struct blob **payload)
{
    struct attempt *a = arg;
    const char *wrong = NULL;

    if (a->got == 0)
        wrong = token ? "it swallows its first frame" : fault(*payload, a->format);
    if (wrong)
        finish(a, -ENODEV, wrong);
    else if (++a->got == FRAMES)
        finish(a, 0, NULL);
    blob_unref(payload);
}

static void try_ready(void *arg)
{
    struct attempt *a = arg;
    uint64_t token;

    while (a->rc == 1 && a->pushed < PUSHED_MAX && codec_gst.ready(a->codec)) {
        int64_t pts = (int64_t)a->pushed++ * 33 * NS_PER_MS;

        if (codec_gst.push(a->codec, a->picture, pts, 33 * NS_PER_MS, false, &token))
            return;
    }
    if (a->pushed == PUSHED_MAX && a->codec)
        codec_gst.drain(a->codec);
}

static void try_drained(void *arg)
{
    finish(arg, -ENODEV, "it gave too few frames");
}

static void try_failed(void *arg, const char *why)
{
    finish(arg, -ENODEV, why);
}

static void try_timeout(evutil_socket_t fd, short what, void *arg)
{
    finish(arg, -ENODEV, "it gave nothing within 5 s");
}

/* Grey in 4:2:0, big enough for default strides. */
static struct blob *grey(const struct link_format *format)
{
    size_t w = (format->width + 3) & ~(size_t)3, half = ((format->width + 1) / 2 + 3) & ~(size_t)3;
    size_t h = (format->height + 1) & ~(size_t)1;
    uint8_t *data;
    struct blob *b = blob_new(w * h + half * h, &data);

    memset(data, 0x80, w * h + half * h);
    return b;
}

static void try_run(struct attempt *a, const struct codec_conf *conf)
{
    static const struct codec_events events = {try_output, try_ready, try_drained, try_failed};
    struct timeval limit = {.tv_sec = TRY_S};
    struct event *timer = evtimer_new(a->base, try_timeout, a);
    int rc;

    evtimer_add(timer, &limit);
    rc = codec_gst.create(a->base, conf, &events, a, &a->codec, a->why);
    if (rc) {
        a->rc = rc;
    } else {
        event_base_dispatch(a->base);
        codec_gst.destroy(&a->codec);
    }
    event_free(timer);
}

int probe_try(const struct candidate *c, const struct conf_video *conf,
              const struct link_format *format, char *why)
{
    struct attempt a = {.rc = 1, .why = why};
    struct link_format *input = link_format_new();
    struct codec_conf codec = {.input = input, .candidate = c, .video = conf};

    input->codec = LINK_CODEC_RAW_VIDEO;
    input->video = true;
    snprintf(input->layout, sizeof input->layout, "I420");
    input->width = format->width;
    input->height = format->height;
    input->rate_num = format->rate_num;
    input->rate_den = format->rate_den;
    a.format = input;
    a.picture = grey(input);
    a.base = event_base_new();
    if (a.base)
        try_run(&a, &codec);
    else
        finish(&a, -ENOMEM, "no event base");
    if (a.base)
        event_base_free(a.base);
    blob_unref(&a.picture);
    link_format_unref(&input);
    return a.rc == 1 ? -ENODEV : a.rc;
}

void probe_choose(const struct conf_video *conf, const struct link_format *format,
                  int (*try)(const struct candidate *, const struct conf_video *,
                             const struct link_format *, char *),
                  struct probe_result *r)
{
    const struct candidate *c;
    char why[256] = "there is no encoder of that name";
    int used;

    memset(r, 0, sizeof *r);
    used = snprintf(r->note, sizeof r->note, "encoder %s does not work for %ux%u:", conf->encoder,
                    format->width, format->height);
    for (unsigned i = 0; (c = candidate_get(conf->encoder, i)); i++) {
        why[0] = '\0';
        if (try(c, conf, format, why) == 0) {
            log_info("encoder.probe.chosen", "encoder=%s element=%s size=%ux%u", c->name,
                     c->element, format->width, format->height);
            r->state = PROBE_OK;
            r->candidate = c;
            r->note[0] = '\0';
            return;
        }
        log_info("encoder.probe.no", "encoder=%s element=%s size=%ux%u why=\"%s\"", c->name,
                 c->element, format->width, format->height, why);
        if (used < (int)sizeof r->note && strcmp(conf->encoder, "auto") != 0)
            used += snprintf(r->note + used, sizeof r->note - (size_t)used, " %s;", why);
    }
    if (used < (int)sizeof r->note)
        snprintf(r->note + used, sizeof r->note - (size_t)used, " %s",
                 strcmp(conf->encoder, "auto") == 0
                     ? "install gstreamer1.0-plugins-ugly (x264) or give this process the GPU's "
                       "device"
                     : "check driver, device and plugin, or set video.encoder to auto");
    r->state = PROBE_FAILED;
    log_error("encoder.probe.none", "encoder=%s size=%ux%u note=\"%s\"", conf->encoder,
              format->width, format->height, r->note);
}

/* ---- answers ---- */

struct answer {
    TAILQ_ENTRY(answer) link;
    struct conf_video conf; /* own: a config may go while the answer is of use */
    uint32_t width, height, rate_num, rate_den;
    bool running;
    struct probe_result result;
};
TAILQ_HEAD(answers, answer);

struct probe {
    _Atomic unsigned refs; /* the loop's and the thread's */
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool stop, stopped;
    int fd;
    struct answers answers; /* newest first */
    unsigned nanswers;
    struct probe_result copy; /* what ask() gave last */
    struct event *event;
    void (*done)(void *arg);
    void *arg;
};

static void answer_free(struct answer *a)
{
    free(a->conf.encoder);
    free(a->conf.profile);
    free(a->conf.preset);
    free(a);
}

static void probe_unref(struct probe *p)
{
    struct answer *a;

    if (--p->refs > 0)
        return;
    while ((a = TAILQ_FIRST(&p->answers))) {
        TAILQ_REMOVE(&p->answers, a, link);
        answer_free(a);
    }
    close(p->fd);
    pthread_cond_destroy(&p->cond);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static struct answer *next_pending(struct probe *p)
{
    struct answer *a;

    TAILQ_FOREACH_REVERSE(a, &p->answers, answers, link)
    {
        if (a->result.state == PROBE_PENDING)
            return a;
    }
    return NULL;
}

/* Works on one answer; the lock is held on entry and exit, not meanwhile. */
static void work(struct probe *p, struct answer *a)
{
    struct link_format format = {
        .width = a->width, .height = a->height, .rate_num = a->rate_num, .rate_den = a->rate_den};
    struct probe_result result;
    uint64_t one = 1;

    a->running = true;
    pthread_mutex_unlock(&p->lock);
    probe_choose(&a->conf, &format, probe_try, &result);
    pthread_mutex_lock(&p->lock);
    a->running = false;
    a->result = result;
    if (write(p->fd, &one, sizeof one) < 0)
        log_debug("encoder.probe.wake", "error=%s", strerror(errno));
}

static void *run(void *arg)
{
    struct probe *p = arg;
    struct answer *a;

    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        if ((a = next_pending(p)))
            work(p, a);
        else
            pthread_cond_wait(&p->cond, &p->lock);
    }
    p->stopped = true;
    pthread_cond_broadcast(&p->cond);
    pthread_mutex_unlock(&p->lock);
    probe_unref(p);
    return NULL;
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
    struct probe *p = arg;
    uint64_t n;

    if (read(fd, &n, sizeof n) < 0)
        return;
    p->done(p->arg);
}

static int start_thread(struct probe *p)
{
    pthread_attr_t attr;
    pthread_t thread;
    int rc;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    rc = pthread_create(&thread, &attr, run, p);
    pthread_attr_destroy(&attr);
    return -rc;
}

int probe_create(struct event_base *base, void (*done)(void *arg), void *arg, struct probe **out)
{
    struct probe *p = xcalloc(1, sizeof *p);
    int rc;

    p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->fd < 0) {
        rc = -errno;
        free(p);
        return rc;
    }
    p->refs = 2;
    p->done = done;
    p->arg = arg;
    TAILQ_INIT(&p->answers);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->cond, NULL);
    rc = start_thread(p);
    if (rc) {
        probe_unref(p);
        probe_unref(p);
        return rc;
    }
    p->event = event_new(base, p->fd, EV_READ | EV_PERSIST, on_answer, p);
    event_add(p->event, NULL);
    *out = p;
    return 0;
}

void probe_destroy(struct probe **pp)
{
    struct probe *p = *pp;
    struct timespec until;

    *pp = NULL;
    if (!p)
        return;
    event_free(p->event);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->cond);
    while (!p->stopped && pthread_cond_clockwait(&p->cond, &p->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
    pthread_mutex_unlock(&p->lock);
    probe_unref(p);
}

static bool same_question(const struct answer *a, const struct conf_video *conf,
                          const struct link_format *f)
{
    return strcmp(a->conf.encoder, conf->encoder) == 0 &&
           strcmp(a->conf.profile, conf->profile) == 0 && a->width == f->width &&
           a->height == f->height;
}

static struct answer *find(struct probe *p, const struct conf_video *conf,
                           const struct link_format *f)
{
    struct answer *a;

    TAILQ_FOREACH (a, &p->answers, link) {
        if (same_question(a, conf, f))
            return a;
    }
    return NULL;
}

static void forget(struct probe *p, struct answer *a)
{
    TAILQ_REMOVE(&p->answers, a, link);
    p->nanswers--;
    answer_free(a);
}

/* Sizes come from outside: only so many are remembered. */
static void make_room(struct probe *p)
{
    struct answer *a;

    if (p->nanswers < ANSWERS_MAX)
        return;
    TAILQ_FOREACH_REVERSE(a, &p->answers, answers, link)
    {
        if (!a->running) {
            forget(p, a);
            return;
        }
    }
}

const struct probe_result *probe_ask(struct probe *p, const struct conf_video *conf,
                                     const struct link_format *f)
{
    struct answer *a;

    pthread_mutex_lock(&p->lock);
    a = find(p, conf, f);
    if (!a) {
        make_room(p);
        a = xcalloc(1, sizeof *a);
        a->conf = *conf;
        a->conf.encoder = xstrdup(conf->encoder);
        a->conf.profile = xstrdup(conf->profile);
        a->conf.preset = xstrdup(conf->preset);
        a->width = f->width;
        a->height = f->height;
        a->rate_num = f->rate_num;
        a->rate_den = f->rate_den;
        a->result.state = PROBE_PENDING;
        TAILQ_INSERT_HEAD(&p->answers, a, link);
        p->nanswers++;
        pthread_cond_broadcast(&p->cond);
    }
    p->copy = a->result;
    pthread_mutex_unlock(&p->lock);
    return &p->copy;
}

void probe_forget(struct probe *p, const struct conf_video *conf, const struct link_format *f)
{
    struct answer *a;

    pthread_mutex_lock(&p->lock);
    a = find(p, conf, f);
    if (a && a->result.state != PROBE_PENDING)
        forget(p, a);
    pthread_mutex_unlock(&p->lock);
}
