/* Tags of a stream: read from requests, kept as a JSON object of strings.
 * Relies on jansson, field.h and error.h: the first violation answers the request.
 * Leaves storing them to the operations. */
#ifndef KVPIPE_SERVER_TAGS_H
#define KVPIPE_SERVER_TAGS_H

#include <stdbool.h>

#include <jansson.h>

#include "server/field.h"

#define TAGS_MAX 50

/* The member Tags as a map (borrowed), checked: at most 50 pairs, TAGKEY to TAGVAL. NULL when
 * absent or after an answer. */
json_t *tags_map(struct fields *f, bool required);
/* The member Tags as a list of {"Key", "Value"}, as a map (new). NULL after an answer. */
json_t *tags_list(struct fields *f);
/* The member TagKeyList (borrowed): 1 to 50 keys. NULL after an answer. */
json_t *tags_keys(struct fields *f);

#endif
