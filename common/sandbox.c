/* What may be done, gathered, compared and put into force.
 * Relies on landlock and syscall_filter.
 * Leaves the words about it to its users. */
#include "common/sandbox.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/dirs.h"
#include "common/mem.h"

static void add(struct sandbox *s, char *path, unsigned rights)
{
    s->paths = xrealloc(s->paths, (s->count + 1) * sizeof *s->paths);
    s->paths[s->count++] = (struct sandbox_path){.path = path, .rights = rights};
}

void sandbox_allow(struct sandbox *s, const char *path, unsigned rights)
{
    if (!path)
        return;
    if (rights & LANDLOCK_WRITE)
        (void)dirs_make(path, 0750); /* whoever needs it says why it cannot be made */
    char *real = realpath(path, NULL);
    if (real)
        add(s, real, rights);
}

static bool cut_last(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash)
        strcpy(path, "."); /* as every name has a byte at least */
    else if (slash == path)
        path[1] = '\0';
    else
        *slash = '\0';
    return slash != NULL;
}

void sandbox_allow_file(struct sandbox *s, const char *file)
{
    if (!file || !*file)
        return;
    char *folder = xstrdup(file), *real = realpath(file, NULL);
    while (cut_last(folder) && access(folder, F_OK) < 0)
        ;
    if (strcmp(folder, "/") != 0)
        sandbox_allow(s, folder, LANDLOCK_READ);
    sandbox_allow(s, real, LANDLOCK_READ);
    if (real && cut_last(real) && strcmp(real, "/") != 0)
        sandbox_allow(s, real, LANDLOCK_READ);
    free(folder);
    free(real);
}

static void allow_list(struct sandbox *s, const char *paths)
{
    char *list = xstrdup(paths ? paths : ""), *rest = NULL;
    for (char *p = strtok_r(list, ":", &rest); p; p = strtok_r(NULL, ":", &rest))
        sandbox_allow(s, p, LANDLOCK_READ);
    free(list);
}

static void allow_each(struct sandbox *s, const char *pattern, unsigned rights)
{
    glob_t found;
    if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        sandbox_allow(s, found.gl_pathv[i], rights);
    globfree(&found);
}

/* What GStreamer, its plugins and their drivers use besides. */
static void allow_plugins(struct sandbox *s)
{
    static const char *const lists[] = {"GST_PLUGIN_PATH", "GST_PLUGIN_PATH_1_0",
                                        "GST_PLUGIN_SYSTEM_PATH", "GST_PLUGIN_SYSTEM_PATH_1_0",
                                        "LIBVA_DRIVERS_PATH"};
    /* encoders of graphics cards and boards */
    static const char *const nodes[] = {
        "/dev/dri",      "/dev/nvidia*",     "/dev/nvhost*", "/dev/nvmap",
        "/dev/kfd",      "/dev/video*",      "/dev/media*",  "/dev/v4l",
        "/dev/dma_heap", "/dev/mpp_service", "/dev/rga",     "/dev/galcore",
        "/dev/ion",      "/dev/mali*",       "/dev/vchiq",   "/dev/vcsm-cma"};
    const char *home = getenv("HOME");
    char *own = home ? xasprintf("%s/.local/share/gstreamer-1.0", home) : NULL;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        allow_list(s, getenv(lists[i]));
    sandbox_allow(s, own, LANDLOCK_READ);
    sandbox_allow(s, "/run/udev", LANDLOCK_READ);
    sandbox_allow(s, "/dev/shm", LANDLOCK_READ | LANDLOCK_WRITE);
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
        allow_each(s, nodes[i], LANDLOCK_READ | LANDLOCK_DEVICE);
    free(own);
}

void sandbox_allow_system(struct sandbox *s)
{
    static const char *const folders[] = {"/usr", "/lib", "/lib32", "/lib64",     "/etc",
                                          "/opt", "/sys", "/proc",  "/nix/store", "/gnu/store"};
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                          "/dev/urandom"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        sandbox_allow(s, folders[i], LANDLOCK_READ | (s->calls.exec ? LANDLOCK_EXEC : 0));
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        sandbox_allow(s, devices[i], LANDLOCK_READ | LANDLOCK_DEVICE);
    sandbox_allow(s, "/proc/self/exe", LANDLOCK_READ); /* for who names a fault's place */
    sandbox_allow_file(s, "/etc/resolv.conf");         /* a link to where it is rewritten */
    sandbox_allow_file(s, getenv("SSL_CERT_FILE"));
    allow_list(s, getenv("SSL_CERT_DIR"));
    allow_list(s, getenv("LD_LIBRARY_PATH"));
    if (s->calls.any)
        allow_plugins(s);
}

static bool is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static bool covers_path(const struct sandbox *held, const struct sandbox_path *wanted)
{
    unsigned rights = 0;
    for (size_t i = 0; i < held->count; i++)
        if (is_below(wanted->path, held->paths[i].path))
            rights |= held->paths[i].rights;
    return (wanted->rights & ~rights) == 0;
}

bool sandbox_covers(const struct sandbox *held, const struct sandbox *wanted)
{
    const struct syscall_filter *h = &held->calls, *w = &wanted->calls;
    bool all = (held->any_file || !wanted->any_file) && (h->any || !w->any) &&
               (h->exec || !w->exec) && h->network >= w->network;
    for (size_t i = 0; i < wanted->count && all && !held->any_file; i++)
        all = covers_path(held, &wanted->paths[i]);
    return all;
}

static int limit_files(const struct sandbox *s)
{
    struct landlock *l = NULL;
    int r = landlock_create(&l);
    for (size_t i = 0; i < s->count && r == 0;
         i++) /* gone since, not ours to see: who needs it says so */
        (void)landlock_allow(l, s->paths[i].path, s->paths[i].rights);
    if (r == 0)
        r = landlock_enter(l);
    landlock_free(&l);
    return r;
}

void sandbox_enter(const struct sandbox *s, int *files, int *calls)
{
    *files = *calls = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
    if (*files)
        return;
    if (!s->any_file)
        *files = limit_files(s);
    *calls = syscall_filter_load(&s->calls);
}

void sandbox_fini(struct sandbox *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->paths[i].path);
    free(s->paths);
    *s = (struct sandbox){0};
}
