"""How much memory a record may take."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["available_memory", "budget"]

# what a container may use, and uses: control groups of version 2 and 1
_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def available_memory() -> int | None:
    """Return how many bytes this process can still take, or None where nothing tells."""
    found = []
    with contextlib.suppress(OSError, ValueError):
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        found.append(int(text.partition("MemAvailable:")[2].split()[0]) * 1024)
    for limit, usage in _GROUPS:
        with contextlib.suppress(OSError, ValueError):
            most = int(Path(limit).read_text(encoding="ascii"))
            found.append(most - int(Path(usage).read_text(encoding="ascii")))
    if not found:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return max(0, min(found)) if found else None


def budget() -> int | None:
    """Return what a record may take by default: half of what is available."""
    available = available_memory()
    return None if available is None else available // 2
