/* Log files that other processes write to.
 * Relies on sendfile(2) to copy without reading into memory.
 * Leaves the lines themselves to common/log. */
#include "monitor/log_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

#define TAIL_BYTES 4096

static void shift(const char *path, unsigned keep)
{
    for (unsigned i = keep; i > 1; i--) {
        char *from = xasprintf("%s.%u", path, i - 1), *to = xasprintf("%s.%u", path, i);
        rename(from, to); /* there may be none yet */
        free(from);
        free(to);
    }
}

static void move_content(int from, off_t size, const char *path)
{
    char *old = xasprintf("%s.1", path);
    int to = open(old, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    off_t at = 0;
    while (to >= 0 && at < size && sendfile(to, from, &at, (size_t)(size - at)) > 0) {
    }
    if (ftruncate(from, 0) < 0) {
        /* a file that we cannot cut we leave */
    }
    if (to >= 0)
        close(to);
    free(old);
}

void log_file_bound(const char *path, uint64_t max_bytes, unsigned keep)
{
    struct stat st;
    int from = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (from < 0)
        return;
    if (fstat(from, &st) == 0 && (uint64_t)st.st_size > max_bytes) {
        shift(path, keep);
        move_content(from, st.st_size, path);
    }
    close(from);
}

void log_file_tail(const char *path, unsigned lines, char *text, size_t size)
{
    char tail[TAIL_BYTES + 1];
    struct stat st;
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *text = '\0';
    if (fd >= 0 && fstat(fd, &st) == 0)
        n = pread(fd, tail, TAIL_BYTES, st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0);
    if (fd >= 0)
        close(fd);
    while (n > 0 && tail[n - 1] == '\n')
        n--;
    if (n <= 0)
        return;
    tail[n] = '\0';
    char *from = tail + n;
    while (from > tail && lines)
        if (*--from == '\n' && --lines == 0)
            from++;
    size_t used = 0;
    for (; *from && used + 4 < size; from++)
        if (*from == '\n')
            used += (size_t)snprintf(text + used, size - used, " | ");
        else
            text[used++] = *from;
    text[used] = '\0';
}
