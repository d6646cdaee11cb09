"""``layerlens plugins``: what is installed, and from which distribution."""

from __future__ import annotations

import argparse
from typing import Any

from layerlens.cli.text import table
from layerlens.plugins.registry import REDUCERS, SINKS

__all__ = ["add_parser"]


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "plugins",
        parents=[common],
        help="list reducers and sinks, and where they come from",
        description="List installed reducers and sinks. Nothing is loaded.",
    )
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    rows = [["kind", "name", "from"]]
    for registry in (REDUCERS, SINKS):
        for name in registry.available():
            owners = registry.distributions(name)
            conflict = "  (two plugins, one name: asking for it fails)" if len(owners) > 1 else ""
            rows.append([registry.kind, name, ", ".join(owners) + conflict])
    print("\n".join(table(rows)))
    return 0
