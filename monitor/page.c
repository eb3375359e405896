/* The files of the status page.
 * Relies on .incbin: no tool beside the compiler, and what is served is what lies in the tree.
 * Leaves sending them to status_http.c. */
#include "monitor/page.h"

#include <string.h>

#define FILE_IN(name, path)                                                                        \
    __asm__(".section .rodata\n"                                                                   \
            "page_" #name "_start:\n"                                                              \
            ".incbin \"monitor/page/" path "\"\n"                                                  \
            "page_" #name "_end:\n"                                                                \
            ".byte 0\n"                                                                            \
            ".previous\n");                                                                        \
    extern const char page_##name##_start[], page_##name##_end[]

FILE_IN(html, "index.html");
FILE_IN(css, "page.css");
FILE_IN(icon, "icon.svg");
FILE_IN(app, "app.js");
FILE_IN(format, "format.js");
FILE_IN(draw, "draw.js");
FILE_IN(pipeline, "pipeline.js");
FILE_IN(streams, "streams.js");

#define JS "text/javascript; charset=utf-8"
static const struct page_file files[] = {
    {"/", "text/html; charset=utf-8", page_html_start, page_html_end},
    {"/page/page.css", "text/css; charset=utf-8", page_css_start, page_css_end},
    {"/page/icon.svg", "image/svg+xml", page_icon_start, page_icon_end},
    {"/page/app.js", JS, page_app_start, page_app_end},
    {"/page/format.js", JS, page_format_start, page_format_end},
    {"/page/draw.js", JS, page_draw_start, page_draw_end},
    {"/page/pipeline.js", JS, page_pipeline_start, page_pipeline_end},
    {"/page/streams.js", JS, page_streams_start, page_streams_end},
};

const struct page_file *page_find(const char *path)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(files[i].path, path) == 0)
            return &files[i];
    return NULL;
}
