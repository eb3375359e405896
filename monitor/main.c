/* kvpipe-monitor: starts the stages of a config, restarts what exits or hangs, says how all is.
 * Relies on the stage runtime.
 * Leaves everything else to stage.c. */
#include "common/stage.h"
#include "monitor/stage.h"

int main(int argc, char **argv)
{
    return stage_main(argc, argv, &monitor_stage);
}
