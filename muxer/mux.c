/* One stream's way from access units to Matroska pieces.
 * Relies on interleave, fragment, track, segment, tags and media/mkv_writer.
 * Leaves links, reports and time to stage.c. */
#include "muxer/mux.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/mem.h"
#include "media/mkv_writer.h"
#include "muxer/tags.h"

#define STARTS_KEPT 32       /* fragment starts remembered over sessions */
#define HEAD_MAX (64u << 10) /* Tags (10 items of 400 bytes), Cluster and block head */
#define TAGS_TWICE_MAX (TAGS_PER_FRAGMENT / 2)

/* A fragment start that was put: what the log has open when it ends behind it. */
struct start {
    uint8_t track;
    uint64_t seq;
    int64_t fragment_ns, alias_ns;
    bool tagged, alone;
    struct segment *segment;
};

/* What is known of the Tags of the open fragment. */
enum tagged { TAGS_PENDING, TAGS_WRITTEN, TAGS_UNKNOWN };

struct mux_track {
    struct link_format
        *format;            /* of the last frame taken out of the queue, at first as announced */
    struct track_desc desc; /* made of it */
};

struct mux {
    const struct conf_stream *conf;
    struct mux_ops ops;
    void *arg;
    struct mux_stats stats;
    struct buf scratch, head;

    bool in_session;
    uint64_t epoch;
    struct interleave queue;
    struct fragment fragment;
    struct mux_track tracks[LINK_TRACKS_MAX];
    struct segment *segment; /* of the open fragment */
    bool alone;              /* the open fragment goes on without video */
    bool adopted; /* the open fragment was begun before this session, by whom is not known */
    enum tagged tagged;
    int64_t order_ns;     /* dts of the last item put */
    uint64_t number;      /* of the last segment */
    struct metadata live; /* put while it runs; outlives sessions */

    struct start starts[STARTS_KEPT]; /* ring, newest at (nstarts - 1) % STARTS_KEPT */
    uint64_t nstarts;
};

struct mux *mux_create(const struct conf_stream *conf, const struct mux_ops *ops, void *arg)
{
    struct mux *m = xcalloc(1, sizeof *m);
    m->conf = conf;
    m->ops = *ops;
    m->arg = arg;
    buf_init(&m->scratch, TRACK_PAYLOAD_MAX);
    buf_init(&m->head, HEAD_MAX);
    interleave_init(&m->queue, 0, 0);
    return m;
}

static void forget_starts(struct mux *m)
{
    for (unsigned i = 0; i < STARTS_KEPT; i++)
        segment_unref(&m->starts[i].segment);
    memset(m->starts, 0, sizeof m->starts);
    m->nstarts = 0;
    m->number = 0;
}

void mux_drop(struct mux *m)
{
    m->in_session = false;
    interleave_fini(&m->queue);
    interleave_init(&m->queue, 0, 0);
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        link_format_unref(&m->tracks[i].format);
        track_desc_fini(&m->tracks[i].desc);
    }
    segment_unref(&m->segment);
    buf_fini(&m->scratch); /* the largest frame ever is not kept while nothing flows */
}

void mux_take_metadata(struct mux *m, struct mux *from)
{
    metadata_fini(&m->live);
    m->live = from->live;
    from->live = (struct metadata){0};
}

void mux_destroy(struct mux **mp)
{
    struct mux *m = *mp;
    *mp = NULL;
    if (!m)
        return;
    mux_drop(m);
    forget_starts(m);
    metadata_fini(&m->live);
    buf_fini(&m->head);
    free(m);
}

int mux_metadata(struct mux *m, const char *name, const char *value, bool persistent)
{
    return metadata_put(&m->live, name, value, persistent);
}

const struct mux_stats *mux_stats(const struct mux *m)
{
    return &m->stats;
}

/* ---- sessions ---- */

static void remember(struct mux *m, const struct link_item *item)
{
    struct start *s = &m->starts[m->nstarts++ % STARTS_KEPT];
    segment_unref(&s->segment);
    *s = (struct start){.track = item->track,
                        .seq = item->seq,
                        .fragment_ns = item->pts_ns,
                        .alias_ns = m->fragment.alias_ns,
                        .tagged = m->tagged == TAGS_WRITTEN,
                        .alone = m->alone,
                        .segment = segment_ref(m->segment)};
}

/* The log has a prefix of what was put: the newest start before its position is the fragment it has
 * open. */
static void recall(struct mux *m, const struct link_positions *at)
{
    while (m->nstarts) {
        struct start *s = &m->starts[(m->nstarts - 1) % STARTS_KEPT];
        if (!s->segment)
            break; /* older than the ring is long */
        if (s->seq < at->next[s->track - 1]) {
            fragment_adopt(&m->fragment, s->fragment_ns);
            m->fragment.alias_ns = s->alias_ns;
            m->tagged = s->tagged ? TAGS_WRITTEN : TAGS_PENDING;
            m->alone = s->alone;
            m->segment = segment_ref(s->segment);
            return;
        }
        segment_unref(&s->segment); /* never got there: it will be put again */
        m->nstarts--;
    }
    m->nstarts = 0;
}

/* Video leads: its key frames start fragments. Without video every track does. */
static uint8_t lead_of(const struct link_track *tracks, unsigned n, uint8_t *declared)
{
    uint8_t lead = 0;
    *declared = 0;
    for (unsigned i = 0; i < n; i++) {
        *declared |= (uint8_t)(1u << (tracks[i].track - 1));
        if (!lead && tracks[i].format && tracks[i].format->video)
            lead = (uint8_t)(1u << (tracks[i].track - 1));
    }
    return lead;
}

void mux_begin(struct mux *m, uint64_t epoch, const struct link_track *tracks, unsigned ntracks,
               const struct link_positions *at)
{
    struct fragment_conf fc = {.scale_ns = (int64_t)m->conf->timecode_scale_us * 1000,
                               .duration_ns = (int64_t)m->conf->fragment.duration_ms * NS_PER_MS};
    uint8_t declared, lead;

    mux_drop(m);
    if (epoch != m->epoch)
        forget_starts(m);
    m->epoch = epoch;
    m->in_session = true;
    if (fc.scale_ns <= 0)
        fc.scale_ns = NS_PER_MS;
    if (fc.duration_ns < FRAGMENT_SHORTEST_NS)
        fc.duration_ns = FRAGMENT_SHORTEST_NS;
    if (!m->conf->absolute && epoch < (uint64_t)(FRAGMENT_TIME_MAX_NS / NS_PER_MS))
        fc.origin_ns = (int64_t)epoch * NS_PER_MS;
    lead = lead_of(tracks, ntracks, &declared);
    interleave_init(&m->queue, declared, lead);
    fragment_init(&m->fragment, &fc);
    for (unsigned i = 0; i < ntracks; i++) {
        struct mux_track *t = &m->tracks[tracks[i].track - 1];
        t->format = tracks[i].format ? link_format_ref(tracks[i].format) : NULL;
    }
    m->alone = m->adopted = false;
    bool pristine = true; /* the log has nothing of this epoch */
    for (unsigned i = 0; i < ntracks; i++)
        pristine = pristine && at->next[tracks[i].track - 1] == 0;
    m->fragment.fresh = !pristine;
    m->tagged = TAGS_UNKNOWN;
    m->order_ns = INT64_MIN;
    recall(m, at);
}

static bool leads(const struct mux *m, unsigned track)
{
    return !m->queue.lead || m->queue.lead & (1u << (track - 1));
}

/* ---- putting ---- */

/* When the outlet has several tracks to choose from (after a reconnect) it sends the earliest dts
 * first; the order in which pieces must be appended is the order in which they are put. The bytes
 * are made by now, dts has no other use below. */
static int put(struct mux *m, struct link_item *item)
{
    if (!item->gap) {
        if (item->dts_ns <= m->order_ns || item->dts_ns > FRAGMENT_TIME_MAX_NS)
            item->dts_ns = m->order_ns + 1;
        m->order_ns = item->dts_ns;
    }
    return m->ops.put(m->arg, item);
}

static int put_gap(struct mux *m, struct link_item *item, enum link_gap_reason reason)
{
    struct link_item gap = {
        .gap = true, .track = item->track, .seq = item->seq, .last = item->last, .reason = reason};
    m->stats.dropped++;
    m->stats.reasons[reason]++;
    link_item_fini(item);
    return put(m, &gap);
}

static int put_unusable(struct mux *m, struct link_item *item, const char *why)
{
    m->stats.why = why;
    if (leads(m, item->track))
        fragment_skip(&m->fragment, LINK_GAP_FORMAT);
    return put_gap(m, item, LINK_GAP_FORMAT);
}

/* Tags and Cluster, where the piece starts a fragment. `fresh_segment`: it is the first of its
 * segment. */
static int write_front(struct mux *m, const struct fragment_place *p, const struct link_tags *given,
                       bool fresh_segment)
{
    int r = 0;
    if (p->what != FRAGMENT_START)
        return 0;
    struct tags_fragment of = {.start_ns = fresh_segment ? p->start_ns : p->previous_ns,
                               .first = fresh_segment && p->previous_ns == 0,
                               .given = given,
                               .previous = !fresh_segment};
    /* After a restart the fragment before may have been the first of its segment and have its Tags
     * already. Twice the same does no harm as long as the service's limit of items is not passed.
     */
    of.late = !fresh_segment &&
              (m->tagged == TAGS_WRITTEN ||
               (m->tagged == TAGS_UNKNOWN && tags_count(m->conf, &m->live, &of) > TAGS_TWICE_MAX));
    r = tags_write(&m->head, m->conf, &m->live, &of);
    if (r == 0)
        r = mkv_write_cluster(&m->head, p->timecode);
    return r;
}

static struct link_item make_item(struct mux *m, struct link_item *in,
                                  const struct fragment_place *p, const uint8_t *data, size_t len)
{
    struct link_item out = *in;
    uint8_t *to;
    out.tags = NULL;
    out.fragment_ns = p->start_ns;
    out.previous_fragment_ns = p->previous_ns;
    out.format = link_format_ref(m->segment->formats[in->track - 1]);
    out.payload = blob_new(m->head.len + len, &to);
    memcpy(to, m->head.data, m->head.len);
    memcpy(to + m->head.len, data, len);
    return out;
}

/* Writes the piece and puts it. `data`: the block's payload. */
static int put_piece(struct mux *m, struct link_item *item, const struct fragment_place *p,
                     bool fresh_segment, const uint8_t *data, size_t len)
{
    struct link_item out;
    bool start = p->what == FRAGMENT_START;
    int r;

    buf_clear(&m->head);
    r = write_front(m, p, item->tags, fresh_segment);
    if (r == 0)
        r = mkv_write_block_header(&m->head, item->track, p->relative, item->key, false, len);
    if (r < 0)
        return put_unusable(m, item, "the frame cannot be written as Matroska");
    fragment_commit(&m->fragment, p, m->head.len + len);
    out = make_item(m, item, p, data, len);
    if (start) {
        m->adopted = false;
        m->tagged = fresh_segment ? TAGS_WRITTEN : TAGS_PENDING;
        m->stats.fragments++;
        remember(m, &out);
    }
    m->stats.frames_out++;
    m->stats.bytes_out += out.payload->len;
    link_item_fini(item);
    return put(m, &out);
}

/* ---- tracks ---- */

/* Brings the track's description up to the frame. Cheap while neither format nor parameter sets
 * change. */
static int describe(struct mux *m, const struct link_item *item, const char **why)
{
    struct mux_track *t = &m->tracks[item->track - 1];
    struct track_desc d;
    bool in_band = item->key && item->format->video && strcmp(item->format->layout, "annexb") == 0;
    int r;

    if (t->format == item->format && t->desc.codec && !in_band)
        return 0;
    r = track_describe(item->format, t->desc.codec ? &t->desc : NULL,
                       in_band ? item->payload : NULL, &d, why);
    if (r < 0) {
        track_desc_fini(&t->desc);
        return r;
    }
    track_desc_fini(&t->desc);
    t->desc = d;
    if (t->format != item->format) {
        link_format_unref(&t->format);
        t->format = link_format_ref(item->format);
    }
    return 0;
}

/* A track counts for the fragment that starts at `start_ns` when its next frame surely lies in it:
 * no fragment is shorter than this. */
static bool takes_part(struct mux *m, unsigned track, int64_t start_ns, bool early)
{
    const struct link_item *head = interleave_head(&m->queue, track);
    const char *why = NULL;
    if (!head || head->gap || (!early && m->queue.lead && leads(m, track)))
        return false;
    if (head->pts_ns < 0 || head->pts_ns >= start_ns + FRAGMENT_SHORTEST_NS)
        return false;
    return describe(m, head, &why) == 0;
}

/* Chooses the segment of a fragment that starts with `item`. Returns 0 and whether it is a new one.
 */
static int choose_segment(struct mux *m, const struct link_item *item,
                          const struct fragment_place *p, bool *fresh)
{
    struct segment_conf sc = {
        .stream = m->conf->name, .epoch = m->epoch, .scale_ns = m->fragment.conf.scale_ns};
    uint8_t mask = (uint8_t)(1u << (item->track - 1));
    struct track_desc descs[LINK_TRACKS_MAX] = {0};
    struct segment *s = NULL;
    bool unknown = !m->segment || m->segment->number == SEGMENT_NUMBER_UNKNOWN;
    int r;

    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        if (m->queue.declared & (1u << i) & ~mask &&
            takes_part(m, i + 1, item->pts_ns, p->alias_ns != 0))
            mask |= (uint8_t)(1u << i);
        descs[i] = m->tracks[i].desc; /* borrowed */
    }
    if (mask != m->queue.declared)
        m->stats.silent++;
    m->queue.active = mask;
    if (segment_fits(m->segment, mask, descs)) {
        *fresh = false;
        return 0;
    }
    r = segment_create(&sc, mask, descs, m->number, &s);
    if (r < 0)
        return r;
    /* After a restart the log may well have this very segment open; the fragment before it says
     * that there was one. */
    *fresh = !(unknown && p->previous_ns);
    if (m->number != s->number)
        m->stats.segments++;
    m->number = s->number;
    segment_unref(&m->segment);
    m->segment = s;
    return 0;
}

static void unknown_segment(struct mux *m, uint8_t mask, const struct track_desc *descs)
{
    m->segment = segment_unknown(mask, descs);
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        if (m->segment->formats[i] && m->tracks[i].format) {
            m->segment->formats[i]->codec = m->tracks[i].format->codec;
            m->segment->formats[i]->video = m->tracks[i].format->video;
        }
}

/* The log has a fragment open that this process did not begin. Its segment can only be guessed: the
 * tracks that are heard. */
static void guess_segment(struct mux *m, unsigned track)
{
    struct segment_conf sc = {
        .stream = m->conf->name, .epoch = m->epoch, .scale_ns = m->fragment.conf.scale_ns};
    uint8_t mask = (uint8_t)(1u << (track - 1));
    struct track_desc descs[LINK_TRACKS_MAX];
    const char *why = NULL;
    bool known = true;

    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        const struct link_item *head;
        if (!(m->queue.declared & (1u << i)))
            continue;
        head = interleave_head(&m->queue, i + 1);
        if (i + 1 != track && head && !head->gap && describe(m, head, &why) < 0)
            continue;
        if (m->queue.tracks[i].heard)
            mask |= (uint8_t)(1u << i);
    }
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        descs[i] = m->tracks[i].desc;
        known = known && (!(mask & (1u << i)) || m->tracks[i].desc.codec);
    }
    m->adopted = true;
    if (known && segment_create(&sc, mask, descs, 0, &m->segment) == 0)
        m->number = m->segment->number;
    else
        unknown_segment(m, mask, descs);
}

/* ---- placing ---- */

/* After a restart, with parameter sets inside the stream: of a delta frame nothing but its layout
 * is known. That is enough. */
static int describe_continuing(struct mux *m, const struct link_item *item, const char **why)
{
    struct mux_track *t = &m->tracks[item->track - 1];
    int r = describe(m, item, why);
    if (r == -ENODATA && (!m->segment || m->adopted)) {
        t->desc.annexb = strcmp(item->format->layout, "annexb") == 0;
        if (t->format != item->format) {
            link_format_unref(&t->format);
            t->format = link_format_ref(item->format);
        }
        return 0;
    }
    return r;
}

static int continue_fragment(struct mux *m, struct link_item *item, const struct fragment_place *p)
{
    unsigned i = item->track - 1u;
    struct track_desc as;
    const uint8_t *data;
    const char *why = NULL;
    size_t len;

    if (describe_continuing(m, item, &why) < 0)
        return put_unusable(m, item, why);
    if (!m->segment)
        guess_segment(m, item->track);
    if (!(m->segment->mask & (1u << i)))
        return put_unusable(m, item,
                            "the track fell silent and waits for the next fragment to come back");
    if (m->segment->tracks[i].codec &&
        !track_desc_equal(&m->segment->tracks[i], &m->tracks[i].desc))
        return put_unusable(m, item, "the track changed in the middle of a fragment");
    as = m->tracks[i].desc;
    as.codec = item->format->codec;
    if (track_payload(&as, item->payload, &m->scratch, &data, &len) < 0)
        return put_unusable(m, item, "the frame is damaged");
    return put_piece(m, item, p, false, data, len);
}

static int start_fragment(struct mux *m, struct link_item *item, const struct fragment_place *p,
                          bool alone)
{
    const uint8_t *data;
    const char *why = NULL;
    size_t len;
    bool fresh = false;

    if (describe(m, item, &why) < 0)
        return put_unusable(m, item, why);
    if (track_payload(&m->tracks[item->track - 1].desc, item->payload, &m->scratch, &data, &len) <
        0)
        return put_unusable(m, item, "the frame is damaged");
    if (choose_segment(m, item, p, &fresh) < 0)
        return put_unusable(m, item, "the track cannot be described in a Matroska header");
    m->alone = alone;
    return put_piece(m, item, p, fresh, data, len);
}

/* After a restart the first video frame tells which fragment the log has open, also for audio
 * before it. */
static void adopt_from_lead(struct mux *m, const struct link_item *head)
{
    int64_t ns =
        fragment_is_start(&m->fragment, head) ? head->previous_fragment_ns : head->fragment_ns;
    if (!head->gap && ns > 0 && ns <= FRAGMENT_TIME_MAX_NS)
        fragment_adopt(&m->fragment, ns);
}

static const struct link_item *lead_head(const struct mux *m)
{
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        if (m->queue.lead & (1u << i))
            return interleave_head(&m->queue, i + 1);
    return NULL;
}

static struct fragment_place place_beside(struct mux *m, const struct link_item *item, bool *alone)
{
    const struct link_item *head = lead_head(m);
    bool silent = !head;
    struct fragment_place p;

    if (m->fragment.fresh && !silent)
        adopt_from_lead(m, head);
    *alone = m->alone;
    if (m->alone)
        return fragment_alone(&m->fragment, item, false);
    /* Most files begin with a little sound. The same when encoder and muxer restarted both, and
     * nobody knows any more which fragment the log has open: the sound begins the next one. Should
     * that reach back into the one before, the uploader parts them by a new session. */
    if (!m->fragment.open && !silent && fragment_is_start(&m->fragment, head)) {
        p = fragment_early(&m->fragment, item, head);
        silent = true; /* for longer than that, as yet */
    } else {
        p = fragment_beside(&m->fragment, item);
    }
    /* Video has fallen silent and its last fragment is full, or there is none: go on without it. */
    if (silent && p.what == FRAGMENT_GAP && p.reason != LINK_GAP_TIMESTAMP) {
        *alone = true;
        p = fragment_alone(&m->fragment, item, true);
    }
    return p;
}

static int place(struct mux *m, struct link_item *item)
{
    bool lead = leads(m, item->track), alone = false;
    struct fragment_place p =
        lead ? fragment_lead(&m->fragment, item) : place_beside(m, item, &alone);

    switch (p.what) {
    case FRAGMENT_START:
        return start_fragment(m, item, &p, alone);
    case FRAGMENT_CONTINUE:
        return continue_fragment(m, item, &p);
    default:
        return put_gap(m, item, p.reason);
    }
}

static int run(struct mux *m, int64_t now_ns, bool flush)
{
    struct link_item item;
    int r = 0;
    while (r == 0 && m->in_session && interleave_pop(&m->queue, now_ns, flush, &item))
        r = item.gap ? put(m, &item) : place(m, &item);
    return r;
}

/* ---- what comes in ---- */

static bool item_ok(const struct mux *m, const struct link_item *item)
{
    return item->track >= 1 && item->track <= LINK_TRACKS_MAX &&
           m->queue.declared & (1u << (item->track - 1)) &&
           (item->gap || (item->format && item->payload));
}

/* The tick that orders a frame: a fragment starts when its first picture is shown, otherwise decode
 * order counts. */
static int64_t order_tick(const struct mux *m, const struct link_item *item)
{
    bool video = m->queue.lead & (1u << (item->track - 1));
    int64_t ns = item->pts_ns;
    if (video && !fragment_is_start(&m->fragment, item))
        ns = item->dts_ns;
    return fragment_tick(&m->fragment.conf, ns);
}

int mux_item(struct mux *m, struct link_item *item, int64_t now_ns)
{
    if (!m->in_session || !item_ok(m, item)) {
        link_item_fini(item);
        return -EPROTO;
    }
    if (!item->gap)
        m->stats.frames_in++;
    interleave_push(&m->queue, item, item->gap ? 0 : order_tick(m, item), now_ns);
    return run(m, now_ns, false);
}

int mux_tick(struct mux *m, int64_t now_ns)
{
    return run(m, now_ns, false);
}

int mux_flush(struct mux *m, int64_t now_ns)
{
    int r = run(m, now_ns, true);
    if (m->in_session) {
        uint8_t declared = m->queue.declared, lead = m->queue.lead;
        interleave_fini(&m->queue); /* no track counts as silent when it goes on */
        interleave_init(&m->queue, declared, lead);
        fragment_end(&m->fragment);
        m->alone = false;
    }
    return r;
}
