/* The test kit of the link's contract: it stands above and below a stage and judges what it does.
 * Relies on link_wire and raw ZeroMQ, not on our outlet and inlet: a fault of theirs must show.
 * Leaves the rules to conform_inlet.c, conform_relay.c, conform_uploader.c and conform_capture.c.
 */
#ifndef KVPIPE_CLI_CONFORM_H
#define KVPIPE_CLI_CONFORM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/clock.h"
#include "common/link.h"

#define CONFORM_CREDIT 64
#define CONFORM_HEARD_MAX 20000
#define CONFORM_INLETS 2 /* so many instances the kit can be below a stage */

enum conform_stage {
    CONFORM_ENCODER = 1,
    CONFORM_MUXER = 2,
    CONFORM_UPLOADER = 4,
    CONFORM_CAPTURE = 8,
    CONFORM_RELAY = CONFORM_ENCODER | CONFORM_MUXER,
    CONFORM_INLET = CONFORM_RELAY | CONFORM_UPLOADER,
    CONFORM_OUTLET = CONFORM_RELAY | CONFORM_CAPTURE,
};

enum conform_side { CONFORM_ABOVE, CONFORM_BELOW };

/* A message of the stage. */
struct heard {
    enum conform_side side; /* where the kit stood that heard it */
    unsigned inlet;         /* below: which */
    bool taken;             /* awaited already */
    int64_t at_ns;
    struct link_msg msg;
};

/* A stream of the kit above: what it opened and sent. */
struct conform_session {
    char stream[LINK_NAME_MAX + 1];
    struct link_vector vector;
    bool answered, hidden; /* hidden: heartbeats do not list it */
    struct link_positions next;
    uint64_t limit; /* track 1 */
    bool formatted; /* the first frame went, with its format */
};

/* A stream of the kit below: its log. */
struct conform_log {
    char stream[LINK_NAME_MAX + 1];
    struct link_vector vector;
    unsigned inlet;
    bool open, hidden, ended;
    struct link_positions at;       /* position and credit of each track */
    uint64_t came[LINK_TRACKS_MAX]; /* the next number wanted, acked or not */
    uint64_t resumed;               /* what the Resume wanted of track 1 */
    struct link_format *formats[LINK_TRACKS_MAX];
    struct link_item *items; /* in the order they came */
    unsigned nitems;
    unsigned before; /* so many of them came in sessions before this one */
};

struct conform_kit {
    enum conform_stage stage;
    const char *stage_name, *exec;
    char dir[80];
    char *above, *below; /* addresses: where the kit binds; where the stage does */
    double slow;         /* stretches every limit */
    pid_t pid;           /* 0: not ours */
    void *zmq, *router, *dealers[CONFORM_INLETS];
    /* The kit above */
    uint8_t peer[256];
    size_t peer_len;
    uint64_t peer_incarnation;
    char peer_instance[LINK_INSTANCE_MAX + 1];
    struct conform_session sessions[8];
    unsigned nsessions;
    bool above_mute; /* no heartbeats */
    /* The kit below */
    struct conform_log logs[16];
    unsigned nlogs;
    bool answers, acks;        /* Open with Resume; items with Ack */
    bool mute[CONFORM_INLETS]; /* no heartbeats */
    bool hello_said[CONFORM_INLETS];
    uint64_t start_at, credit; /* of new logs */
    uint64_t incarnation;      /* of the kit, both sides */
    int64_t beat_ns, t0_ns;
    struct heard *heard;
    unsigned nheard;
    char fault[256]; /* what the stage did that no rule allows */
    char why[512];   /* of the verdict */
};

/* A rule returns true when the stage keeps it; else, or when it cannot be tried, why says so. */
struct conform_rule {
    const char *name, *where; /* section of proto/README.md */
    const char *claim;
    unsigned stages;
    bool needs_exec;
    bool (*run)(struct conform_kit *k);
};
extern const struct conform_rule conform_inlet_rules[], conform_relay_rules[],
    conform_uploader_rules[], conform_capture_rules[]; /* name NULL at the end */

/* Sets why and returns false. */
bool conform_fail(struct conform_kit *k, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- the stage (conform_stage.c) ---- */

/* Makes the folder and, with exec, the config. */
int conform_prepare(struct conform_kit *k);
/* Starts the stage, or just waits for one that is not ours. False when it does not come. */
bool conform_start(struct conform_kit *k);
bool conform_alive(struct conform_kit *k);
void conform_kill(struct conform_kit *k, int sig);
/* Waits for its end. Returns false when it does not come. */
bool conform_wait_exit(struct conform_kit *k, int ms);
/* Ends the stage and removes the folder unless `keep`. */
void conform_clean(struct conform_kit *k, bool keep);

/* ---- neighbours (conform_kit.c, conform_above.c, conform_below.c) ---- */

void conform_open_sockets(struct conform_kit *k);
void conform_close_sockets(struct conform_kit *k);
/* Closes and opens the kit's end above, as after a cut cable. */
void conform_cut_above(struct conform_kit *k);
/* Reads, answers and beats for so long. */
void conform_pump(struct conform_kit *k, int ms);
/* Pumps while the condition holds, at most 5 s. */
#define CONFORM_WHILE(k, condition)                                                                \
    do {                                                                                           \
        int64_t end_ = conform_deadline(k);                                                        \
        while ((condition) && clock_mono_ns() < end_)                                              \
            conform_pump(k, 10);                                                                   \
    } while (0)
int64_t conform_deadline(const struct conform_kit *k);
/* Forgets what was heard, sessions and logs (but a capture's, which goes on): a rule begins. */
void conform_reset(struct conform_kit *k);
void conform_forget_logs(struct conform_kit *k);
/* Waits for a message that was not awaited yet. stream NULL: any. Returns NULL after 5 s. Borrowed
 * until conform_reset. */
struct heard *conform_await(struct conform_kit *k, enum conform_side side, enum link_type type,
                            const char *stream);
/* The same without waiting: what was heard already. */
struct heard *conform_heard(struct conform_kit *k, enum conform_side side, enum link_type type,
                            const char *stream);
/* Waits until fn is true; false after 5 s. */
bool conform_until(struct conform_kit *k, bool (*fn)(struct conform_kit *));
void conform_send_above(struct conform_kit *k,
                        const struct link_msg *msg); /* to the stage's inlet */
void conform_send_below(struct conform_kit *k, unsigned inlet,
                        const struct link_msg *msg); /* to its outlet */
/* Parts as they are, to where the stage stands on that side. */
void conform_send_raw(struct conform_kit *k, enum conform_side side, const void *const *parts,
                      const size_t *lens, unsigned n);
/* The kit's inlet `i` below says Hello, as "conform-<i>". */
void conform_hello(struct conform_kit *k, unsigned i);
void conform_drop_inlet(struct conform_kit *k, unsigned i);

/* Above: opens a stream whose own number is g; the session heartbeats tell of. */
struct conform_session *conform_open(struct conform_kit *k, const char *stream, uint64_t g,
                                     uint64_t base);
/* The same and waits for Resume. NULL after setting why. */
struct conform_session *conform_opened(struct conform_kit *k, const char *stream, uint64_t g,
                                       uint64_t base);
/* The same, and frame 0 is sent and acked. */
struct conform_session *conform_begun(struct conform_kit *k, const char *stream, uint64_t g);
/* Sends frame `seq` of track 1, when the credit allows it, and counts it as sent. */
void conform_frame(struct conform_kit *k, struct conform_session *s, uint64_t seq);
/* The same without counting it, under any vector. */
void conform_frame_as(struct conform_kit *k, struct conform_session *s,
                      const struct link_vector *vector, uint64_t seq);
void conform_gap(struct conform_kit *k, struct conform_session *s, uint64_t first, uint64_t last,
                 enum link_gap_reason reason);
void conform_close_stream(struct conform_kit *k, struct conform_session *s,
                          enum link_close_reason reason);
struct conform_log *conform_log(struct conform_kit *k, const char *stream);
/* Below: everything so far is durable. */
void conform_ack(struct conform_kit *k, struct conform_log *l, const struct link_vector *vector,
                 uint64_t next, uint64_t credit);
void conform_resume(struct conform_kit *k, struct conform_log *l, uint64_t next, uint64_t credit);
/* Waits until everything below `n` of track 1 is safe: acked to the kit above. */
bool conform_safe(struct conform_kit *k, struct conform_session *s, uint64_t n);

/* ---- media (conform_feed.c) ---- */

/* The format the stage under test takes. Caller frees. */
struct link_format *conform_format(const struct conform_kit *k);
struct link_item conform_item(const struct conform_kit *k, uint64_t seq);

#endif
