"""How soon video flows again: what is archived by now, and times as people read them."""
import glob
import sqlite3


def newest_ms(pipe, name):
    """Producer time at which the newest archived fragment of a stream ends, or 0. The index says only what is durable."""
    found = glob.glob(pipe.run + "/archive/index.sqlite")
    if not found:
        return 0
    try:
        index = sqlite3.connect("file:%s?mode=ro" % found[0], uri=True, timeout=1)
        try:
            row = index.execute("SELECT max(f.producer_ms + f.length_ms) FROM fragments f JOIN streams s ON f.stream = s.id"
                                " WHERE s.name = ?", (name,)).fetchone()
        finally:
            index.close()
        return row[0] or 0
    except sqlite3.Error:
        return 0


def spread(times):
    times = sorted(times)
    return "p50 %.2f s, p99 %.2f s, slowest %.2f s of %d" % (times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)],
                                                         times[-1], len(times))
