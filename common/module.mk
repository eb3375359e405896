# common: sources are picked up by wildcard; extra flags of this folder go here (CFLAGS_common).
# Loaded in front of the C library by tests/monitor/sandbox.
TOOL_CFLAGS_intruder = -fPIC -fno-sanitize=all
TOOL_LIBS_intruder = -shared -fno-sanitize=all -ldl
