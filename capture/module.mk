# capture: sources are picked up by wildcard; extra flags of this folder go here (CFLAGS_capture).
