/* The Tags element of a fragment.
 * Relies on conf.h, common/metadata and media/mkv_writer.
 * Leaves where in the stream it stands to mux.c. */
#include "muxer/tags.h"

#include <string.h>

#include "media/mkv_writer.h"

static bool counts(const struct link_tag *tag, const struct tags_fragment *f)
{
    return tag->previous == f->previous && (!f->late || tag->late) &&
           metadata_usable(tag->name, tag->value);
}

static bool is_given(const struct tags_fragment *f, const char *name)
{
    for (unsigned i = 0; f->given && i < f->given->n; i++)
        if (counts(&f->given->tag[i], f) && strcmp(f->given->tag[i].name, name) == 0)
            return true;
    return false;
}

static unsigned configured(const struct conf_stream *conf, const struct metadata *live,
                           const struct tags_fragment *f, struct mkv_tag tags[TAGS_PER_FRAGMENT])
{
    unsigned n = 0;
    for (unsigned i = 0; i < conf->tags_count && n < TAGS_PER_FRAGMENT; i++) {
        const struct conf_tag *t = &conf->tags[i];
        if ((t->persistent || f->first) && metadata_usable(t->name, t->value) &&
            !metadata_persistent(live, t->name) && !is_given(f, t->name))
            tags[n++] = (struct mkv_tag){.name = t->name, .value = t->value ? t->value : ""};
    }
    return n;
}

/* Returns how many there are; of[i] is the item of the live ones, NULL for a configured one. */
static unsigned collect(const struct conf_stream *conf, const struct metadata *live,
                        const struct tags_fragment *f, struct mkv_tag tags[TAGS_PER_FRAGMENT],
                        struct metadata_item *of[TAGS_PER_FRAGMENT])
{
    unsigned n = f->late ? 0 : configured(conf, live, f, tags);
    memset(of, 0, TAGS_PER_FRAGMENT * sizeof *of);
    for (unsigned i = 0; f->given && i < f->given->n && n < TAGS_PER_FRAGMENT; i++)
        if (counts(&f->given->tag[i], f))
            tags[n++] =
                (struct mkv_tag){.name = f->given->tag[i].name, .value = f->given->tag[i].value};
    for (size_t i = 0; !f->late && i < live->count && n < TAGS_PER_FRAGMENT; i++) {
        struct metadata_item *item = &live->items[i];
        if (metadata_is_for(item, f->start_ns)) {
            of[n] = item;
            tags[n++] = (struct mkv_tag){.name = item->name, .value = item->value};
        }
    }
    return n;
}

unsigned tags_count(const struct conf_stream *conf, const struct metadata *live,
                    const struct tags_fragment *fragment)
{
    struct mkv_tag tags[TAGS_PER_FRAGMENT];
    struct metadata_item *of[TAGS_PER_FRAGMENT];
    return collect(conf, live, fragment, tags, of);
}

int tags_write(struct buf *out, const struct conf_stream *conf, struct metadata *live,
               const struct tags_fragment *fragment)
{
    struct mkv_tag tags[TAGS_PER_FRAGMENT];
    struct metadata_item *of[TAGS_PER_FRAGMENT];
    unsigned n = collect(conf, live, fragment, tags, of);
    int r = n ? mkv_write_tags(out, tags, n) : 0;
    for (unsigned i = 0; r == 0 && i < n; i++)
        if (of[i])
            metadata_given(of[i], fragment->start_ns);
    return r;
}
