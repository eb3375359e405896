/* kvpipe-server: the self-hosted endpoint.
 * Relies on the stage runtime.
 * Leaves everything to stage.c. */
#include "common/stage.h"
#include "server/stage.h"

int main(int argc, char **argv)
{
    return stage_main(argc, argv, &server_stage);
}
