/* Folders made with the ones above them.
 * Relies on mkdir(2).
 * Leaves syncing them to disk to its users. */
#include "common/dirs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"

int dirs_make(const char *path, mode_t mode)
{
    char *copy = xstrdup(path);
    int r = 0;
    for (char *end = copy; r == 0 && *end;) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        char c = *end;
        *end = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            r = -errno;
        *end = c;
    }
    free(copy);
    return r;
}

int dirs_make_for(const char *path, mode_t mode)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return 0;
    char *dir = xasprintf("%.*s", (int)(slash - path), path);
    int r = dirs_make(dir, mode);
    free(dir);
    return r;
}
