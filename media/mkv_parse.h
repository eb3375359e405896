/* The bodies of Matroska elements that mkv_reader has whole in memory. Private to it.
 * Relies on ebml.
 * Leaves order, nesting and splitting of the stream to mkv_reader. */
#ifndef KVPIPE_MEDIA_MKV_PARSE_H
#define KVPIPE_MEDIA_MKV_PARSE_H

#include <stddef.h>
#include <stdint.h>

#include "media/mkv.h"
#include "media/mkv_reader.h"

/* Each parses a body of `n` bytes and returns 0, or -EBADMSG / -EFBIG / -ENOMEM with a static text
 * in *reason. */
int mkv_parse_ebml_head(const uint8_t *p, size_t n, const char **reason);
int mkv_parse_info(const uint8_t *p, size_t n, struct mkv_header *header, const char **reason);
/* Fills in header->tracks; each codec_private is the caller's to free, also after an error. */
int mkv_parse_tracks(const uint8_t *p, size_t n, struct mkv_header *header, const char **reason);
/* Fill in all but offset, raw and raw_len. The payload borrows from p. */
int mkv_parse_simple_block(const uint8_t *p, size_t n, struct mkv_block *block,
                           const char **reason);
int mkv_parse_block_group(const uint8_t *p, size_t n, struct mkv_block *block, const char **reason);

/* The simple tags of one Tags element, flattened; texts point into `texts`. */
struct mkv_tag_list {
    struct mkv_tag tags[MKV_TAGS_MAX];
    unsigned n;
    char *texts;
    size_t texts_len;
};

/* Also after an error mkv_tag_list_fini() is due. */
int mkv_parse_tags(const uint8_t *p, size_t n, struct mkv_tag_list *list, const char **reason);
void mkv_tag_list_fini(struct mkv_tag_list *list);

#endif
