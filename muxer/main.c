/* kvpipe-muxer: access units in, Matroska pieces out.
 * Relies on common/stage.
 * Leaves everything to stage.c. */
#include "muxer/stage.h"

int main(int argc, char **argv)
{
    return stage_main(argc, argv, &muxer_stage);
}
