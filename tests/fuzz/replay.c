/* Runs a fuzz harness over given files, so that the corpus is replayed in builds without libFuzzer.
 * Relies on the harness's LLVMFuzzerTestOneInput.
 * Leaves finding new inputs to libFuzzer. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Gives the harness a file's bytes in an allocation of exactly that size. Returns 0 or -1. */
static int run_file(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(size ? size : 1);
    int r = -1;
    if (f && data && fread(data, 1, size, f) == size) {
        LLVMFuzzerTestOneInput(data, size);
        r = 0;
    } else {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
    }
    free(data);
    if (f)
        fclose(f);
    return r;
}

static int run_path(const char *path, unsigned *n);

static int run_directory(const char *path, unsigned *n)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort), r = 0;
    if (count < 0) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return -1;
    }
    for (int i = 0; i < count; i++) {
        char *child = NULL;
        if (entries[i]->d_name[0] != '.' && asprintf(&child, "%s/%s", path, entries[i]->d_name) > 0)
            r |= run_path(child, n);
        free(child);
        free(entries[i]);
    }
    free(entries);
    return r;
}

static int run_path(const char *path, unsigned *n)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return -1;
    }
    if (S_ISDIR(st.st_mode))
        return run_directory(path, n);
    ++*n;
    return run_file(path, (size_t)st.st_size);
}

int main(int argc, char **argv)
{
    unsigned n = 0;
    int r = 0;
    for (int i = 1; i < argc; i++)
        r |= run_path(argv[i], &n);
    printf("%s: %u inputs\n", argv[0], n);
    return r < 0 || n == 0;
}
