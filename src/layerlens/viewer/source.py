"""The viewer's files, joined into one module and one style without any tool but this."""

from __future__ import annotations

import functools
import re
from importlib.resources import files

__all__ = ["module", "style"]

_FILES = files("layerlens.viewer")
_COMMENT = re.compile(r"/\*\*.*?\*/ ?")  # a type within a line


@functools.cache
def module() -> str:
    """Return the module: the files of ``order.txt`` in one scope, without comments.

    The rules that the files keep, so that this works line by line, stand in ``FORMAT.md``.
    """
    names = [name.strip() for name in _read("order.txt").splitlines() if name.strip()]
    lines: list[str] = []
    for name in names:
        lines += [
            _COMMENT.sub("", line.removeprefix("export "))
            for line in _bare(_read(name))
            if not line.startswith("import ")
        ]
    return "\n".join(lines) + "\n"


@functools.cache
def style() -> str:
    """Return the style sheet without comments."""
    return "\n".join(_bare(_read("viewer.css"))) + "\n"


def _bare(text: str) -> list[str]:
    """Return the lines without blanks at their ends, and without those of comments."""
    kept: list[str] = []
    inside = False
    for line in map(str.strip, text.splitlines()):
        if inside or line.startswith("/*"):
            inside = not line.endswith("*/")
        elif line and not line.startswith("//"):
            kept.append(line)
    return kept


def _read(name: str) -> str:
    return _FILES.joinpath(name).read_text(encoding="utf-8")
