/* Rules of the end of the chain: the log decides, and survives.
 * Relies on the kit above.
 * Leaves the rules of any inlet to conform_inlet.c. */
#include <signal.h>
#include <string.h>

#include "cli/conform.h"

static bool base(struct conform_kit *k)
{
    struct conform_session *s = conform_opened(k, "conform-base", 1, 100);
    if (!s)
        return false;
    if (s->next.next[0] != 100)
        return conform_fail(k, "an empty log and a base of 100: Resume says %llu",
                            (unsigned long long)s->next.next[0]);
    conform_frame(k, s, 100);
    return conform_safe(k, s, 101);
}

static bool gap(struct conform_kit *k)
{
    struct conform_session *s = conform_opened(k, "conform-gap", 1, 0);
    if (!s)
        return false;
    conform_frame(k, s, 0);
    conform_gap(k, s, 1, 24, LINK_GAP_WINDOW_FULL);
    conform_frame(k, s, 25);
    return conform_safe(k, s, 26);
}

static bool durable(struct conform_kit *k)
{
    struct conform_session *s = conform_opened(k, "conform-durable", 3, 0);
    for (uint64_t n = 0; s && n < 10; n++)
        conform_frame(k, s, n);
    if (!s || !conform_safe(k, s, 10))
        return false;
    conform_kill(k, SIGKILL);
    k->peer_len = 0;
    s->hidden = true;
    if (!conform_start(k))
        return false;
    conform_open(k, "conform-durable", 3, 0);
    struct heard *h = conform_await(k, CONFORM_ABOVE, LINK_CLOSE, "conform-durable");
    if (!h || h->msg.close.reason != LINK_CLOSE_FENCED)
        return conform_fail(k, "after kill -9 it takes a vector that it had taken before");
    if (!(s = conform_opened(k, "conform-durable", 4, 0)))
        return false;
    return s->next.next[0] == 10 || conform_fail(k, "10 were acked, after kill -9 it has %llu",
                                                 (unsigned long long)s->next.next[0]);
}

static bool epoch(struct conform_kit *k)
{
    struct conform_session *s = conform_begun(k, "conform-epoch", 1);
    if (!s)
        return false;
    s->hidden = true;
    k->t0_ns += NS_PER_S; /* of which the epoch is made */
    s = conform_opened(k, "conform-epoch", 1, 0);
    if (!s)
        return false;
    if (s->next.next[0] != 0)
        return conform_fail(k, "a new epoch begins at %llu", (unsigned long long)s->next.next[0]);
    conform_frame(k, s, 0);
    return conform_safe(k, s, 1);
}

const struct conform_rule conform_uploader_rules[] = {
    {"base", "16", "never answers below the base", CONFORM_UPLOADER, false, base},
    {"gap", "9, 16", "takes and acks a gap like a frame", CONFORM_UPLOADER, false, gap},
    {"epoch", "3, rule 9", "begins at 0 with a new epoch", CONFORM_UPLOADER, false, epoch},
    {"durable", "rules 2, 5", "has after kill -9 what it acked, and whom it let in",
     CONFORM_UPLOADER, true, durable},
    {0},
};
