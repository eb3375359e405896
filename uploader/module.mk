# uploader: sources are picked up by wildcard; extra flags of this folder go here (CFLAGS_uploader).
# Loaded in front of the C library by tests/faults.
TOOL_CFLAGS_disk_faults = -fPIC -fno-sanitize=all
TOOL_LIBS_disk_faults = -shared -fno-sanitize=all -ldl
TOOL_CFLAGS_clock_step = -fPIC -fno-sanitize=all
TOOL_LIBS_clock_step = -shared -fno-sanitize=all
