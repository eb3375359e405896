/* kvpipe-uploader: durable spool and PutMedia sessions.
 * Relies on common/stage.
 * Leaves everything to stage.c. */
#include "uploader/stage.h"

int main(int argc, char **argv)
{
    return stage_main(argc, argv, &uploader_stage);
}
