"""How many connections the process can hold."""

import sys

RESERVED = 64
"""File descriptors for the database, files and everything else but clients."""
MOST = 65_536


def raise_open_files() -> int:
    """Raise the soft limit of open files as far as the system allows, and return how many connections fit in it."""
    if sys.platform == "win32":
        return MOST
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    limit = MOST if soft == resource.RLIM_INFINITY else soft
    return max(limit - RESERVED, RESERVED)
