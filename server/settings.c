/* What a stream keeps besides its data: one JSON object under a name each.
 * Relies on jansson and the store.
 * Leaves the meaning to the operations. */
#include "server/settings.h"

#include <stdlib.h>

#include "server/store.h"

static json_t *all(const struct stream *st)
{
    json_t *o = st->settings ? json_loads(st->settings, 0, NULL) : NULL;
    return o ? o : json_object();
}

json_t *settings_get(const struct stream *st, const char *name)
{
    json_t *o = all(st), *value = json_incref(json_object_get(o, name));
    json_decref(o);
    return value;
}

void settings_put(struct stream *st, const char *name, json_t *value)
{
    json_t *o = all(st);
    if (value)
        json_object_set(o, name, value);
    else
        json_object_del(o, name);
    free(st->settings);
    st->settings = json_dumps(o, JSON_COMPACT);
    json_decref(o);
}
