/* kvpipe-encoder: raw frames become H.264 and AAC.
 * Relies on common/stage.h for the life of the process.
 * Leaves everything to stage.c. */
#include "encoder/stage.h"

int main(int argc, char **argv)
{
    return stage_main(argc, argv, &encoder_stage);
}
