/* Finds and ends what an earlier monitor left behind.
 * Relies on the locked pid files in RUN/pids: a lock tells a live process from an old number.
 * Leaves starting new ones to the caller. */
#include "common/leftover.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
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
    return leftover_signal_stage(run, NULL, sig);
}

size_t leftover_signal_stage(const char *run, const char *stage, int sig)
{
    char *path = xasprintf("%s/pids", run), *instance;
    DIR *dir = opendir(path);
    const struct dirent *e;
    size_t n = 0;
    while (dir && (e = readdir(dir)) != NULL) {
        if (!is_stage(e->d_name, stage, &instance))
            continue;
        pid_t pid = pidfile_holder(run, instance);
        if (pid > 1 && pid != getpid()) {
            kill(pid, sig);
            n++;
        }
        free(instance);
    }
    if (dir)
        closedir(dir);
    free(path);
    return n;
}
