/* When a PutMedia request gets IDLE acks, and when it is over.
 * Relies on nothing: the time is passed in.
 * Leaves acks and the connection to op_put_media. */
#include "server/put_clock.h"

#include "common/clock.h"
#include "common/conf.h"

void put_clock_start(struct put_clock *c, int64_t now_ns)
{
    c->start_ns = c->data_ns = c->idle_ns = now_ns;
}

void put_clock_data(struct put_clock *c, int64_t now_ns)
{
    c->data_ns = c->idle_ns = now_ns;
}

enum put_event put_clock_tick(struct put_clock *c, const struct conf_limits *l, bool held,
                              int64_t now_ns)
{
    if (held)
        c->data_ns = now_ns;
    if (now_ns - c->start_ns >= l->connection_s * NS_PER_S)
        return PUT_TOO_OLD;
    if (now_ns - c->data_ns >= l->silence_s * NS_PER_S)
        return PUT_SILENT;
    if (now_ns - c->idle_ns < l->idle_ack_s * NS_PER_S)
        return PUT_NONE;
    c->idle_ns = now_ns;
    return PUT_IDLE;
}
