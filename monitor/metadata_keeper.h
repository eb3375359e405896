/* Fragment metadata that stays: what was put into a stream for all its fragments, so that a muxer
 * that is started again gets it, too. Relies on common/metadata and report_table. Kept as long as
 * the monitor runs. Leaves items of one fragment to the muxer. */
#ifndef KVPIPE_MONITOR_METADATA_KEEPER_H
#define KVPIPE_MONITOR_METADATA_KEEPER_H

#include <stdbool.h>

#include "monitor/report_table.h"

struct metadata_keeper;

/* Borrows the table. Never NULL. */
struct metadata_keeper *metadata_keeper_create(struct report_table *table);
void metadata_keeper_destroy(struct metadata_keeper **k);
/* A report came in: a muxer that is new is told what is kept. */
void metadata_keeper_heard(struct metadata_keeper *k, const struct report_row *row);
/* Puts an item into a stream that is in the config and has so many persistent tags there. Returns
 * 0; -EINVAL, -ENOENT, -ENOSPC as metadata_put(); -ENXIO: no muxer is there that could take it. */
int metadata_keeper_put(struct metadata_keeper *k, const char *stream, const char *name,
                        const char *value, bool persistent, size_t configured);

#endif
