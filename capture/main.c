/* kvpipe-capture: the program.
 * Relies on stage_main() for the life of the process.
 * Leaves everything else to stage.c. */
#include "capture/stage.h"

int main(int argc, char **argv)
{
    return stage_main(argc, argv, &capture_stage);
}
