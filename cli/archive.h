/* Finds what can be played of a stream.
 * Relies on the layout DIR/STREAM/NAME.mkv of archive and spool.
 * Leaves playing it to ffplay. */
#ifndef KVPIPE_CLI_ARCHIVE_H
#define KVPIPE_CLI_ARCHIVE_H

/* Path of the newest non-empty .mkv file under DIR/STREAM, at most three directories deep; NULL
 * when there is none. Caller frees. Blocks on the disk. */
char *archive_newest(const char *dir, const char *stream);

#endif
