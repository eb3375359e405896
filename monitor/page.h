/* The files of the status page, built into the program.
 * Relies on monitor/page/, which the assembler includes.
 * Leaves sending them to status_http.c. */
#ifndef KVPIPE_MONITOR_PAGE_H
#define KVPIPE_MONITOR_PAGE_H

#include <stddef.h>

struct page_file {
    const char *path; /* as requested: "/", "/page/app.js" */
    const char *type;
    const char *start, *end;
};

/* NULL when there is none. */
const struct page_file *page_find(const char *path);

#endif
