/* What of a config concerns which process, so that a change reaches those alone that it is for.
 * Relies on conf_write and OpenSSL's SHA-256.
 * Leaves reading a changed config to stage_reload and the monitor. */
#ifndef KVPIPE_COMMON_CONF_SLICE_H
#define KVPIPE_COMMON_CONF_SLICE_H

#include <stdbool.h>

#include "common/conf.h"

#define CONF_SLICE_HEX 17 /* bytes of a digest as text, with its end */

/* Everything but streams that a process of this stage can see; when it changes, the process must be
 * started anew. `stream` is the one that an isolated process serves, else NULL. `conf` as it was
 * loaded, not localized. */
void conf_slice_process(const struct conf *conf, const char *stage, const char *stream,
                        const char *instance, char hex[CONF_SLICE_HEX]);
/* What may change while it runs: its streams and the log level. */
void conf_slice_streams(const struct conf *conf, const char *stage, const char *stream,
                        char hex[CONF_SLICE_HEX]);
/* Whether a stream is in both configs, or in neither, and the same to this stage. */
bool conf_slice_same_stream(const struct conf *a, const struct conf *b, const char *stage,
                            const char *name);

#endif
