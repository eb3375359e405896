/* Finds and ends what an earlier monitor left behind.
 * Relies on the locked pid files in RUN/pids: a lock tells a live process from an old number.
 * Leaves starting new ones to the caller. */
#include "common/leftover.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/pidfile.h"

/* True for "capture-1.pid" and the like; *instance is the name without the suffix. `only`: of this
 * stage, NULL for any. */
static bool is_stage(const char *file, const char *only, char **instance)
{
    static const char *const stages[] = {"capture-", "encoder-", "muxer-", "uploader-", "server-"};
    size_t len = strlen(file);
    if (len <= 4 || strcmp(file + len - 4, ".pid") != 0)
        return false;
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        if (strncmp(file, stages[i], strlen(stages[i])) == 0 &&
            (!only || strncmp(only, stages[i], strlen(stages[i]) - 1) == 0)) {
            *instance = xasprintf("%.*s", (int)(len - 4), file);
            return true;
        }
    return false;
}

size_t leftover_signal(const char *run, int sig)
{
    return leftover_signal_others(run, NULL, sig, NULL, NULL);
}

static bool signal_one(const char *run, const char *instance, int sig, leftover_keep_fn keep,
                       void *arg)
{
    struct pidfile_process p;
    if (pidfile_open_holder(run, instance, &p) < 0)
        return false;
    bool other = p.pid != getpid() && !(keep && keep(arg, instance, p.pid));
    if (other)
        pidfd_send_signal(p.pidfd, sig, NULL, 0);
    close(p.pidfd);
    return other;
}

size_t leftover_signal_others(const char *run, const char *stage, int sig, leftover_keep_fn keep,
                              void *arg)
{
    char *path = xasprintf("%s/pids", run), *instance;
    DIR *dir = opendir(path);
    const struct dirent *e;
    size_t n = 0;
    while (dir && (e = readdir(dir)) != NULL) {
        if (!is_stage(e->d_name, stage, &instance))
            continue;
        n += signal_one(run, instance, sig, keep, arg);
        free(instance);
    }
    if (dir)
        closedir(dir);
    free(path);
    return n;
}
