/* The monitor as a process.
 * Relies on the stage runtime.
 * Leaves the parts to plan, supervisor, child, report_table, status and status_http. */
#ifndef KVPIPE_MONITOR_STAGE_H
#define KVPIPE_MONITOR_STAGE_H

#include "common/stage.h"

extern const struct stage_ops monitor_stage;

#endif
