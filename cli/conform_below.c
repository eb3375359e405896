/* The kit below a stage: its logs, and what comes down to them.
 * What no stage may ever do is noted as a fault here. Leaves sockets to conform_kit.c. */
#include <stdlib.h>
#include <string.h>

#include "cli/conform_private.h"
#include "common/mem.h"

struct conform_log *conform_log(struct conform_kit *k, const char *stream)
{
    for (unsigned i = 0; i < k->nlogs; i++)
        if (!stream || strcmp(k->logs[i].stream, stream) == 0)
            return &k->logs[i];
    return NULL;
}

static void send_positions(struct conform_kit *k, struct conform_log *l, enum link_type type,
                           const struct link_vector *vector)
{
    struct link_msg m = {.type = type, .vector = *vector, .positions = l->at};
    strcpy(m.stream, l->stream);
    conform_send_below(k, l->inlet, &m);
}

void conform_ack(struct conform_kit *k, struct conform_log *l, const struct link_vector *vector,
                 uint64_t next, uint64_t credit)
{
    struct link_msg m = {.type = LINK_ACK, .vector = *vector, .positions = l->at};
    strcpy(m.stream, l->stream);
    m.positions.next[0] = next;
    m.positions.credit[0] = credit;
    if (link_vector_cmp(vector, &l->vector) == 0)
        l->at = m.positions;
    conform_send_below(k, l->inlet, &m);
}

void conform_resume(struct conform_kit *k, struct conform_log *l, uint64_t next, uint64_t credit)
{
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
        l->at.next[i] = i ? l->at.next[i] : next;
        l->at.credit[i] = i ? k->credit : credit;
        l->came[i] = l->at.next[i];
    }
    l->resumed = next;
    l->open = true;
    send_positions(k, l, LINK_RESUME, &l->vector);
}

static void on_open(struct conform_kit *k, unsigned inlet, const struct link_msg *m)
{
    struct conform_log *l = conform_log(k, m->stream);
    if (!l && k->nlogs < sizeof k->logs / sizeof *k->logs) {
        l = &k->logs[k->nlogs++];
        *l = (struct conform_log){0};
        strcpy(l->stream, m->stream);
        for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
            l->at.next[i] = k->start_at;
            l->at.credit[i] = k->credit;
        }
    }
    if (!l)
        return;
    if (link_vector_cmp(&m->vector, &l->vector) <= 0)
        conform_fault(k, "Open of %s with a vector that is not greater than the one before",
                      m->stream);
    if (m->vector.n && l->vector.n && m->vector.v[0] > l->vector.v[0])
        memset(l->at.next, 0, sizeof l->at.next); /* an epoch begins at 0 */
    l->vector = m->vector;
    l->inlet = inlet;
    l->open = l->ended = false;
    l->before = l->nitems;
    l->at.tracks = 0;
    for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
        link_format_unref(&l->formats[i]);
    for (unsigned i = 0; i < m->open.ntracks; i++) {
        unsigned t = m->open.tracks[i].track - 1u;
        l->at.tracks |= (uint8_t)(1u << t);
        if (l->at.next[t] < m->open.tracks[i].base)
            l->at.next[t] = m->open.tracks[i].base;
        l->came[t] = l->at.next[t];
    }
    if (k->answers && !k->mute[inlet])
        conform_resume(k, l, l->at.next[0], k->credit);
}

static void keep(struct conform_log *l, const struct link_item *item)
{
    l->items = xrealloc(l->items, (l->nitems + 1) * sizeof *l->items);
    l->items[l->nitems++] = link_item_ref(item);
}

static void on_item(struct conform_kit *k, unsigned inlet, const struct link_msg *m)
{
    const struct link_item *it = &m->item.item;
    struct conform_log *l = conform_log(k, m->stream);
    unsigned t = it->track - 1u;

    if (!l || l->inlet != inlet || link_vector_cmp(&m->vector, &l->vector) != 0)
        return; /* of a session before this one: on its way still */
    if (!l->open)
        conform_fault(k, "%s of %s before its Resume", link_type_name(m->type), m->stream);
    if (!(l->at.tracks & 1u << t))
        conform_fault(k, "%s of track %u, which Open did not name", link_type_name(m->type),
                      it->track);
    if (it->seq != l->came[t])
        conform_fault(k, "%s %llu of track %u, but %llu is next", link_type_name(m->type),
                      (unsigned long long)it->seq, it->track, (unsigned long long)l->came[t]);
    if (!it->gap && it->seq >= l->at.next[t] + l->at.credit[t])
        conform_fault(k, "frame %llu of track %u is beyond position %llu + credit %llu",
                      (unsigned long long)it->seq, it->track, (unsigned long long)l->at.next[t],
                      (unsigned long long)l->at.credit[t]);
    if (m->item.new_format) {
        link_format_unref(&l->formats[t]);
        l->formats[t] = link_format_ref(m->item.new_format);
    }
    if (!it->gap && (!l->formats[t] || l->formats[t]->number != m->item.format_number))
        conform_fault(k, "frame %llu has format %llu, which was not announced in its session",
                      (unsigned long long)it->seq, (unsigned long long)m->item.format_number);
    l->came[t] = it->last + 1;
    l->ended = false;
    keep(l, it);
    if (k->acks && !k->mute[inlet]) {
        l->at.next[t] = l->came[t];
        send_positions(k, l, LINK_ACK, &l->vector);
    }
}

void conform_below_heard(struct conform_kit *k, unsigned inlet, const struct link_msg *m)
{
    if (m->type == LINK_HELLO && !m->hello.instance[0]) {
        if (k->hello_said[inlet])
            conform_hello(k, inlet);
    } else if (m->type == LINK_HELLO || m->type == LINK_RESUME || m->type == LINK_ACK) {
        conform_fault(k, "%s goes down", link_type_name(m->type));
    } else if (!k->hello_said[inlet]) {
        conform_fault(k, "%s before any Hello", link_type_name(m->type));
    } else if (m->type == LINK_OPEN) {
        on_open(k, inlet, m);
    } else if (m->type == LINK_FRAME || m->type == LINK_GAP) {
        on_item(k, inlet, m);
    } else if (m->type == LINK_CLOSE && conform_log(k, m->stream)) {
        struct conform_log *l = conform_log(k, m->stream);
        if (m->close.reason == LINK_CLOSE_ENDED && link_vector_cmp(&m->vector, &l->vector) == 0)
            l->ended = true;
        if (m->close.reason == LINK_CLOSE_MOVED && link_vector_cmp(&m->vector, &l->vector) == 0)
            l->open = false;
    }
}

void conform_below_beat(struct conform_kit *k, unsigned inlet)
{
    struct link_msg m = {.type = LINK_HEARTBEAT};
    struct link_heartbeat_session list[sizeof k->logs / sizeof *k->logs] = {0};
    m.heartbeat.incarnation = k->incarnation + inlet;
    m.heartbeat.sessions = list;
    for (unsigned i = 0; i < k->nlogs; i++) {
        struct conform_log *l = &k->logs[i];
        struct link_heartbeat_session *h = &list[m.heartbeat.nsessions];
        if (l->inlet != inlet || l->hidden || !l->vector.n)
            continue;
        strcpy(h->stream, l->stream);
        h->vector = l->vector;
        if (l->open) {
            h->at = h->acked = l->at;
            memcpy(h->at.next, l->came, sizeof h->at.next);
        }
        m.heartbeat.nsessions++;
    }
    conform_send_below(k, inlet, &m);
}

void conform_forget_logs(struct conform_kit *k)
{
    for (unsigned i = 0; i < k->nlogs; i++) {
        struct conform_log *l = &k->logs[i];
        for (unsigned t = 0; t < LINK_TRACKS_MAX; t++)
            link_format_unref(&l->formats[t]);
        for (unsigned n = 0; n < l->nitems; n++)
            link_item_fini(&l->items[n]);
        free(l->items);
    }
    k->nlogs = 0;
}
