/* kvpipe-server: the self-hosted endpoint.
 * Relies on the stage runtime.
 * Leaves everything to stage.c. */
#include <string.h>

#include "common/stage.h"
#include "server/route.h"
#include "server/stage.h"

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--operations")) {
        route_print(stdout);
        return 0;
    }
    return stage_main(argc, argv, &server_stage);
}
