/* Processes: start, with what is set between fork and exec.
 * Relies on fork(2): beside ZeroMQ's threads the child calls nothing that could take a lock.
 * Leaves policy to supervisor.c. */
#include "monitor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/cpus.h"
#include "common/mem.h"

extern char **environ;

/* All that the child needs, made before the fork. */
struct plan {
    const struct child_conf *conf;
    char *argv[8];
    char **env;
    cpu_set_t cpus;
    bool bind;
    pid_t parent;
    int said; /* write end: an errno when it could not become the program */
};

/* Without what concerns the monitor's own service: a child must not speak for it. */
static char **environment(char *const *more)
{
    static const char *const ours[] = {"NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID="};
    size_t n = 0, added = 0, kept = 0;
    while (environ[n])
        n++;
    while (more && more[added])
        added++;
    char **env = xcalloc(n + added + 1, sizeof *env);
    for (size_t i = 0; i < added; i++)
        env[kept++] = more[i];
    for (size_t i = 0; i < n; i++) {
        bool own = false;
        for (size_t k = 0; k < sizeof ours / sizeof *ours; k++)
            own = own || strncmp(environ[i], ours[k], strlen(ours[k])) == 0;
        for (size_t k = 0; k < added; k++) /* replaced: with its '=' */
            own = own || strncmp(environ[i], more[k], strcspn(more[k], "=") + 1) == 0;
        if (!own)
            env[kept++] = environ[i];
    }
    return env;
}

static int set_signals(void)
{
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int sig = 1; sig < NSIG; sig++)
        sigaction(sig, &usual, NULL); /* some cannot be set */
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL);
}

static int set_output(const char *log_path)
{
    int in = open("/dev/null", O_RDONLY);
    if (in < 0 || dup2(in, STDIN_FILENO) < 0)
        return -1;
    if (in != STDIN_FILENO)
        close(in);
    int out = log_path ? open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0644) : -1;
    if (!log_path)
        return 0;
    if (out < 0 || dup2(out, STDERR_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
        return -1;
    if (out > STDERR_FILENO)
        close(out);
    return 0;
}

static int set_limits(const struct plan *p)
{
    const struct conf_process *l = p->conf->process;
    if (l && l->nice && setpriority(PRIO_PROCESS, 0, (int)l->nice) < 0)
        return -1;
    if (p->bind && sched_setaffinity(0, sizeof p->cpus, &p->cpus) < 0)
        return -1;
    if (p->conf->dies_with_us &&
        (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || (getppid() != p->parent && (errno = ESRCH))))
        return -1;
    return 0;
}

static void become(const struct plan *p)
{
    if (setpgid(0, 0) == 0 && set_signals() == 0 && set_output(p->conf->log_path) == 0 &&
        set_limits(p) == 0)
        execvpe(p->conf->program, p->argv, p->env);
    int e = errno;
    if (write(p->said, &e, sizeof e) < 0) {
        /* then the parent sees an exit alone */
    }
    _exit(127);
}

/* Returns the errno that the child told, 0 when it became the program. */
static int listen_to(int fd)
{
    int e = 0;
    ssize_t n;
    do
        n = read(fd, &e, sizeof e);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof e ? e : 0;
}

static int fork_it(struct plan *p, pid_t *pid)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    p->said = ends[1];
    p->parent = getpid();
    *pid = fork();
    if (*pid == 0)
        become(p);
    int e = *pid < 0 ? errno : 0;
    close(ends[1]);
    if (!e && (e = listen_to(ends[0])) != 0)
        waitpid(*pid, NULL, 0);
    close(ends[0]);
    return -e;
}

int child_start(const struct child_conf *conf, pid_t *pid)
{
    struct plan p = {.conf = conf,
                     .argv = {(char *)conf->program, "-c", (char *)conf->file, "-i",
                              (char *)conf->instance, "-s", (char *)conf->stream, NULL}};
    if (!conf->stream)
        p.argv[5] = NULL;
    if (conf->process && conf->process->cpus) {
        int r = cpus_parse(conf->process->cpus, &p.cpus);
        if (r < 0)
            return r;
        p.bind = true;
    }
    p.env = environment(conf->variables);
    int r = fork_it(&p, pid);
    free(p.env);
    if (r < 0)
        *pid = 0;
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

int child_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
