/* Finds what can be played of a stream.
 * Relies on the layouts of spool (DIR/STREAM/NAME.mkv) and archive (DIR/CODE/NAME.mkv, codes in its
 * index). Leaves playing it to ffplay. */
#ifndef KVPIPE_CLI_ARCHIVE_H
#define KVPIPE_CLI_ARCHIVE_H

/* Directory of a stream in our server's archive, by the table "streams" of its index; NULL when it
 * is not there (yet). Caller frees. Blocks on the disk, at most 200 ms for the index. */
char *archive_stream_dir(const char *archive, const char *stream);
/* Path of the newest non-empty .mkv file under `dir`, at most three directories deep; NULL
 * when there is none. Caller frees. Blocks on the disk. */
char *archive_newest(const char *dir);

#endif
