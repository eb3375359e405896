/* One track of a stream: from buffers as they came to payloads with a format, a key flag and
 * running times. Relies on pull, format, blocks, dts.
 * Leaves absolute time and the link to stream.h. */
#ifndef KVPIPE_CAPTURE_TRACK_H
#define KVPIPE_CAPTURE_TRACK_H

#include "capture/blocks.h"
#include "capture/dts.h"
#include "capture/format.h"
#include "capture/pull.h"

enum track_verdict {
    TRACK_READY,  /* the track can begin with this buffer */
    TRACK_SKIP,   /* not with this one: no key frame yet, or damaged */
    TRACK_REFUSE, /* never: not supported */
};

struct track {
    enum pull_kind kind;
    char name[PULL_NAME_MAX];
    bool trust_dts; /* the source's decode times are meant for decoding (files) */
    bool live;      /* holes that the source tells of are counted as lost */

    struct link_format *format; /* of the payloads now; NULL before the first that has one */
    uint64_t lost;              /* frames the source lost, not told to the link yet */
    uint64_t lead_in;           /* frames thrown away because no key frame came before, likewise */
    uint64_t damaged;           /* part of lost: buffers that could not be used */

    /* private */
    GstCaps *caps;
    struct format_facts facts;
    uint64_t formats;
    bool need_key, fill_dts, cutting;
    struct dts dts;
    struct blocks blocks;
    int64_t last_pts_ns, last_dts_ns, step_ns; /* running; PULL_NONE before the first */
};

struct track_out {
    struct blob *payload; /* the receiver takes it over */
    bool key;
    int64_t pts_ns, dts_ns, duration_ns; /* running time, pts >= dts */
};
typedef void track_fn(void *arg, struct track *t, const struct track_out *out);

void track_init(struct track *t, enum pull_kind kind, const char *name, bool trust_dts, bool live);
void track_fini(struct track *t);
/* A new connection: coded video waits for a key frame, times begin anew. Formats keep counting. */
void track_connect(struct track *t);
/* Judges the first buffers of a track that has not begun; sets t->format with TRACK_READY. `why` is
 * static text for TRACK_REFUSE. Puts nothing out. */
enum track_verdict track_look(struct track *t, const struct pull_item *item, const char **why);
/* Takes a buffer in and calls fn for each payload it gives (0 or 1; raw audio also more). What
 * cannot be used is counted in lost or lead_in. Returns 0, or -ENOTSUP when the track turned into
 * something not supported (reason in *why). Borrows the item. */
int track_take(struct track *t, const struct pull_item *item, track_fn *fn, void *arg,
               const char **why);
/* The connection ends: puts out an unfinished block of raw audio. */
void track_flush(struct track *t, track_fn *fn, void *arg);

#endif
