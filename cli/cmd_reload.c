/* kvpipe reload FILE: the pipeline that runs takes a changed config over.
 * Relies on the monitor's pid file and SIGHUP; checks the config first.
 * Leaves what that means to the monitor (kvpipe-monitor(1)). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/pidfd.h>

#include "cli/command.h"
#include "common/conf.h"
#include "common/pidfile.h"

static int tell(const struct conf *conf)
{
    struct pidfile_process monitor;
    int r = pidfile_open_holder(conf->run, "monitor", &monitor);
    if (r == 0 && pidfd_send_signal(monitor.pidfd, SIGHUP, NULL, 0) < 0)
        r = -errno;
    if (r == 0)
        printf("%s is fine: the monitor (pid %d) takes it over, process by process; see kvpipe "
               "events\n",
               conf->file, (int)monitor.pid);
    else if (r == -ENOENT)
        fprintf(stderr, "kvpipe: no monitor runs in %s; start one with kvpipe run %s\n", conf->run,
                conf->file);
    else
        fprintf(stderr, "kvpipe: the monitor in %s cannot be told: %s (run this as its user)\n",
                conf->run, strerror(-r));
    if (r == 0)
        close(monitor.pidfd);
    return r < 0 ? 1 : 0;
}

static int run(int argc, char **argv)
{
    struct conf *conf;
    if (argc != 2 || argv[1][0] == '-')
        return command_usage(&cmd_reload);
    if (conf_load(argv[1], &conf) < 0)
        return 2;
    conf_check_files(conf, stderr); /* said, and no more: the other streams go on */
    int code = tell(conf);
    conf_free(&conf);
    return code;
}

const struct command cmd_reload = {"reload", "FILE",
                                   "make the pipeline that runs take a changed config over", run};
