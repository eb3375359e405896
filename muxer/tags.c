/* The Tags element of a fragment.
 * Relies on conf.h and media/mkv_writer.
 * Leaves where in the stream it stands to mux.c. */
#include "muxer/tags.h"

#include <string.h>

#include "media/mkv_writer.h"

#define NAME_MAX_BYTES 128
#define VALUE_MAX_BYTES 256

/* The service refuses a whole fragment for one bad item (4012), so a bad one is left out. */
static bool usable(const struct conf_tag *t)
{
    static const char *const reserved[] = {"AWS_KINESISVIDEO_IMAGE_GENERATION",
                                           "AWS_KINESISVIDEO_IMAGE_PREFIX",
                                           "AWS_KINESISVIDEO_NOTIFICATION"};
    if (!t->name || !t->name[0] || strlen(t->name) > NAME_MAX_BYTES ||
        (t->value && strlen(t->value) > VALUE_MAX_BYTES))
        return false;
    if (strncmp(t->name, "AWS", 3) != 0)
        return true;
    for (unsigned i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcmp(t->name, reserved[i]) == 0)
            return true;
    return false;
}

static unsigned collect(const struct conf_stream *conf, bool first,
                        struct mkv_tag tags[TAGS_PER_FRAGMENT])
{
    unsigned n = 0;
    for (unsigned i = 0; i < conf->tags_count && n < TAGS_PER_FRAGMENT; i++) {
        const struct conf_tag *t = &conf->tags[i];
        if ((t->persistent || first) && usable(t))
            tags[n++] = (struct mkv_tag){.name = t->name, .value = t->value ? t->value : ""};
    }
    return n;
}

unsigned tags_count(const struct conf_stream *conf, bool first)
{
    struct mkv_tag tags[TAGS_PER_FRAGMENT];
    return collect(conf, first, tags);
}

int tags_write(struct buf *out, const struct conf_stream *conf, bool first)
{
    struct mkv_tag tags[TAGS_PER_FRAGMENT];
    unsigned n = collect(conf, first, tags);
    return n ? mkv_write_tags(out, tags, n) : 0;
}
