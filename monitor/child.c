/* Processes: start, log files.
 * Relies on posix_spawn(3): safe beside ZeroMQ's threads.
 * Leaves policy to supervisor.c. */
#include "monitor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"

#define LOG_MAX_BYTES (10 * 1000 * 1000)

extern char **environ;

static void set_attributes(posix_spawnattr_t *attr)
{
    sigset_t none, defaults;
    sigemptyset(&none);
    sigfillset(&defaults);
    posix_spawnattr_setsigmask(attr, &none);
    posix_spawnattr_setsigdefault(attr, &defaults);
    posix_spawnattr_setpgroup(attr, 0);
    posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                       POSIX_SPAWN_SETPGROUP);
}

int child_start(const struct child_conf *conf, pid_t *pid)
{
    char *argv[] = {(char *)conf->program,  "-c", (char *)conf->file,   "-i",
                    (char *)conf->instance, "-s", (char *)conf->stream, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;

    if (!conf->stream)
        argv[5] = NULL;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (conf->log_path) {
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, conf->log_path,
                                         O_WRONLY | O_CREAT | O_APPEND, 0644);
        posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    }
    set_attributes(&attr);
    int r = -posix_spawnp(pid, conf->program, &actions, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return r;
}

char *child_program(const char *stage)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = n > 0 ? (self[n] = '\0', strrchr(self, '/')) : NULL;
    char *path = slash ? xasprintf("%.*s/kvpipe-%s", (int)(slash - self), self, stage) : NULL;
    if (path && access(path, X_OK) == 0)
        return path;
    free(path);
    return xasprintf("kvpipe-%s", stage);
}

void child_log_bound(const char *path)
{
    struct stat st;
    int from = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (from < 0)
        return;
    if (fstat(from, &st) == 0 && st.st_size > LOG_MAX_BYTES) {
        char *old = xasprintf("%s.1", path);
        int to = open(old, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        off_t at = 0;
        while (to >= 0 && at < st.st_size &&
               sendfile(to, from, &at, (size_t)(st.st_size - at)) > 0) {
        }
        if (ftruncate(from, 0) < 0) {
            /* a file that we cannot cut we leave */
        }
        if (to >= 0)
            close(to);
        free(old);
    }
    close(from);
}

int child_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
