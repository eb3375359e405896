/* Where fragments begin: marks each coded frame with the start of its fragment.
 * Relies on link.h and conf.h.
 * Leaves bounds of size and duration, and the placing of audio, to the muxer. */
#include "common/fragmenter.h"

#include "common/clock.h"

#define SHORTEST_NS                                                                                \
    NS_PER_S /* a fragment below 1 s may be throttled, five a second is the service's limit */

void fragmenter_mark(struct fragmenter *f, const struct conf_fragment *conf, bool has_video,
                     struct link_item *item)
{
    bool video = item->format && item->format->video;
    int64_t least = conf->by == CONF_FRAGMENT_DURATION || !has_video ? conf->duration_ms * NS_PER_MS
                                                                     : SHORTEST_NS;

    if (has_video && !video)
        return;
    if (item->key && (!f->start_ns || f->cut || (video && item->format->number != f->format) ||
                      item->pts_ns - f->start_ns >= least || item->pts_ns < f->start_ns)) {
        item->previous_fragment_ns = f->start_ns;
        f->start_ns = item->pts_ns;
        f->cut = false;
        f->format = item->format ? item->format->number : 0;
    }
    item->fragment_ns = f->start_ns;
}

uint32_t fragmenter_longest_ms(const struct conf_fragment *conf, uint32_t keyframe_ms)
{
    uint32_t least = (uint32_t)(SHORTEST_NS / NS_PER_MS);

    if (conf->by == CONF_FRAGMENT_DURATION)
        return conf->duration_ms + keyframe_ms;
    return keyframe_ms < least ? 2 * least : keyframe_ms;
}
