/* kvpipe still: a picture of what a camera saw last, as JPEG.
 * Relies on the monitor, which keeps one of each stream; or, with --from, on a stream's spool.
 * Leaves the monitor to run it: camera bytes are decoded in a process that may die of them. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/fetch.h"
#include "cli/still_decode.h"
#include "cli/still_frame.h"
#include "cli/target.h"
#include "common/sandbox.h"

#define WIDTH 640
#define JPEG_MAX_BYTES (512u << 10)
#define CPU_MAX_S 5
#define TRIES 10

static int cannot_write(const char *path)
{
    fprintf(stderr, "kvpipe: cannot write %s: %s\n", path ? path : "the picture", strerror(errno));
    return 1;
}

static int write_to(FILE *f, const struct buf *jpeg, const char *path)
{
    bool ok = fwrite(jpeg->data, 1, jpeg->len, f) == jpeg->len && fflush(f) == 0;
    return ok ? 0 : cannot_write(path);
}

static int write_out(const struct buf *jpeg, const char *path)
{
    FILE *f = path ? fopen(path, "wbe") : stdout;
    int code = f ? write_to(f, jpeg, path) : cannot_write(path);
    if (f && path)
        fclose(f);
    return code;
}

/* The video comes first on a busy machine, a frame that keeps a decoder busy ends it, and one that
 * takes it over gets the spool of its own stream to read. */
static void limit_ourselves(const char *dir)
{
    struct rlimit cpu = {CPU_MAX_S, CPU_MAX_S};
    struct sandbox s = {.calls.any = true};
    int files, calls;
    sandbox_allow_system(&s);
    sandbox_allow(&s, dir, LANDLOCK_READ);
    sandbox_enter(&s, &files, &calls); /* what the kernel lacks, the stages' logs say */
    sandbox_fini(&s);
    setrlimit(RLIMIT_CPU, &cpu);
    setpriority(PRIO_PROCESS, 0, 10);
}

static int decode_newest(const char *dir, FILE *out, const char *path)
{
    struct still_frame frame;
    struct buf jpeg;
    int r = still_frame_newest(dir, &frame);
    if (r < 0) {
        fprintf(stderr, "kvpipe: no key frame in %s (%s)\n", dir, strerror(-r));
        return 1;
    }
    buf_init(&jpeg, JPEG_MAX_BYTES);
    r = still_decode(&frame, WIDTH, &jpeg);
    if (r < 0)
        fprintf(stderr, "kvpipe: %s does not decode: %s (is gstreamer1.0-libav installed?)\n",
                frame.codec_id, strerror(-r));
    else
        r = write_to(out, &jpeg, path);
    buf_fini(&jpeg);
    still_frame_fini(&frame);
    return r ? 1 : 0;
}

static int from_spool(const char *dir, const char *path)
{
    FILE *out = path ? fopen(path, "wbe") : stdout;
    if (!out)
        return cannot_write(path);
    still_decode_prepare();
    limit_ourselves(dir);
    int code = decode_newest(dir, out, path);
    if (path)
        fclose(out);
    return code;
}

static int from_monitor(const char *base, const char *stream, const char *path)
{
    struct buf jpeg;
    int r;
    buf_init(&jpeg, JPEG_MAX_BYTES);
    for (int i = 0; (r = fetch_still(base, stream, &jpeg)) == 503 && i < TRIES; i++)
        usleep(500000); /* it is being made */
    if (r < 0)
        target_silent(base, r);
    else if (r != 200)
        fprintf(stderr,
                "kvpipe: no picture of '%s' (no such stream, no video yet, or the spool is on "
                "another machine)\n",
                stream);
    int code = r == 200 ? write_out(&jpeg, path) : 1;
    buf_fini(&jpeg);
    return code;
}

static int run(int argc, char **argv)
{
    bool spool = argc > 1 && strcmp(argv[1], "--from") == 0;
    char *base = spool ? NULL : target_take(&argc, argv);
    if (!spool && !base)
        return 2;
    int first = spool ? 2 : 1;
    const char *what = argc > first ? argv[first] : NULL;
    const char *path = argc > first + 1 ? argv[first + 1] : NULL;
    int code;
    if (!what || argc > first + 2 || (!spool && *what == '-'))
        code = command_usage(&cmd_still);
    else if (!path && isatty(STDOUT_FILENO))
        code = (fputs("kvpipe: a picture is no text: name a file\n", stderr), 2);
    else
        code = spool ? from_spool(what, path) : from_monitor(base, what, path);
    free(base);
    return code;
}

const struct command cmd_still = {"still", "[-c FILE | URL] STREAM [JPEG]",
                                  "what the camera saw last, as a picture", run};
