/* Fuzzes common/link_wire and what stands behind it: whatever decodes must encode and decode to the
 * same bytes, and may be given to an outlet and an inlet with an open session.
 * Relies on link_wire, link_outlet, link_inlet.
 * Leaves expected results to tests/unit/test_link_wire. */
#include "common/link_wire.h"

#include <stdlib.h>
#include <string.h>

#include "common/link_inlet.h"
#include "common/link_outlet.h"
#include "common/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int send_down(void *arg, uint64_t peer, const struct link_msg *msg)
{
    struct blob *b = link_wire_encode(msg);
    (void)arg, (void)peer;
    blob_unref(&b);
    return 0;
}

static void send_up(void *arg, unsigned link, const struct link_msg *msg)
{
    (void)link;
    send_down(arg, 0, msg);
}

static void on_open(void *arg, struct inlet_session *s, const struct link_msg *msg)
{
    struct link_positions at = {0};
    (void)msg;
    inlet_resume(*(struct inlet **)arg, s, &at);
}

static int on_item(void *arg, struct inlet_session *s, struct link_item *item)
{
    (void)arg, (void)s;
    link_item_fini(item);
    return 0;
}

static struct link_format *format(void)
{
    struct link_format *f = link_format_new();
    f->number = 1;
    f->codec = LINK_CODEC_AAC;
    return f;
}

static void to_outlet(const struct link_msg *msg)
{
    static const struct outlet_conf conf = {
        .heartbeat_ns = 1000, .silence_ns = 4000, .source = true, .incarnation = 1};
    static const struct outlet_ops ops = {.send = send_down};
    static const struct outlet_window window = {.frames = 8, .bytes = 1 << 20, .ns = 1 << 30};
    struct link_msg hello = {.type = LINK_HELLO};
    struct link_track track = {.track = 1, .format = format()};
    struct outlet *o = outlet_create(&conf, &ops, NULL);
    struct outlet_stream *s = outlet_source_add(o, "cam", 1, &track, 1, &window, true, 1);
    hello.hello.version = LINK_VERSION;
    strcpy(hello.hello.instance, "a");
    outlet_receive(o, 1, &hello, 1);
    for (int i = 0; i < 3; i++) {
        uint8_t *bytes;
        struct link_item it = {.track = 1, .dts_ns = i, .format = link_format_ref(track.format)};
        it.payload = blob_new(1, &bytes);
        *bytes = 0;
        outlet_put(o, s, &it, 1);
        outlet_receive(o, 1, msg, 2 + i);
        outlet_tick(o, 1000 * i);
    }
    link_format_unref(&track.format);
    outlet_destroy(&o);
}

static void to_inlet(struct link_msg *msg)
{
    struct inlet *in = NULL;
    struct inlet_conf conf = {.instance = "a", .incarnation = 1, .heartbeat_ns = 1000};
    struct inlet_ops ops = {.send = send_up, .open = on_open, .item = on_item};
    struct link_msg open = {.type = LINK_OPEN, .stream = "cam", .vector = {.n = 2, .v = {1, 1}}};
    in = inlet_create(&conf, &ops, &in);
    inlet_link_up(in, 0, 1);
    open.open.ntracks = 1;
    open.open.tracks[0] = (struct link_track){.track = 1, .format = format()};
    inlet_receive(in, 0, &open, 1);
    link_msg_fini(&open);
    inlet_receive(in, 0, msg, 1);
    inlet_tick(in, 2000);
    inlet_destroy(&in);
}

/* Our own bytes must come back as they were. */
static void encode_again(const struct link_msg *msg)
{
    struct blob *first = link_wire_encode(msg), *second, *payload = NULL;
    struct link_msg again;
    const char *why;
    if (msg->type == LINK_FRAME)
        payload = blob_ref(msg->item.item.payload);
    if (link_wire_decode(first->data, first->len, payload, &again, &why) < 0)
        abort();
    second = link_wire_encode(&again);
    if (first->len != second->len || memcmp(first->data, second->data, first->len) != 0)
        abort();
    link_msg_fini(&again);
    blob_unref(&first);
    blob_unref(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct link_msg msg;
    const char *why = NULL;

    log_init("fuzz", LOG_NONE);
    for (int with_payload = 0; with_payload < 2; with_payload++) {
        struct blob *payload = with_payload ? blob_copy("x", 1) : NULL;
        if (link_wire_decode(data, size, payload, &msg, &why) < 0) {
            if (!why || msg.type != LINK_NONE)
                abort();
            blob_unref(&payload);
            continue;
        }
        encode_again(&msg);
        to_outlet(&msg);
        to_inlet(&msg);
        link_msg_fini(&msg);
    }
    return 0;
}
