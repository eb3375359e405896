/* When a PutMedia request gets IDLE acks, and when it is over. Relies on nothing: the time is
 * passed in. Leaves acks and the connection to op_put_media. */
#ifndef KVPIPE_SERVER_PUT_CLOCK_H
#define KVPIPE_SERVER_PUT_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct conf_limits;

struct put_clock {
    int64_t start_ns, data_ns, idle_ns; /* of the request, the last data, the last IDLE ack */
};

enum put_event {
    PUT_NONE,
    PUT_IDLE,    /* an IDLE ack is due */
    PUT_SILENT,  /* no data for too long */
    PUT_TOO_OLD, /* the request is: ERROR 4003 */
};

/* now_ns: a clock that only goes on. */
void put_clock_start(struct put_clock *c, int64_t now_ns);
void put_clock_data(struct put_clock *c, int64_t now_ns);
/* What is due now, once each. held: it is us who does not read, so silence is not the client's. */
enum put_event put_clock_tick(struct put_clock *c, const struct conf_limits *l, bool held,
                              int64_t now_ns);

#endif
