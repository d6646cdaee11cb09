"""The viewer's readable sources, joined: bugs are planted in these, not in what is made of them."""

import functools
import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "src/layerlens/viewer"
_COMMENT = re.compile(r"/\*\*.*?\*/ ?")  # a type within a line


def read(name):
    return (FOLDER / name).read_text(encoding="utf-8")


@functools.cache
def module():
    """The modules of ``order.txt`` in one scope, by the rules of ``FORMAT.md``."""
    return "".join(
        _COMMENT.sub("", line.removeprefix("export ")) + "\n"
        for name in read("order.txt").split()
        for line in bare(read(name))
        if not line.startswith("import ")
    )


def style():
    """The style, and those of the pieces."""
    names = ("viewer.css", *(name.replace(".js", ".css") for name in read("order.txt").split()))
    return "".join(
        line + "\n" for name in names if (FOLDER / name).exists() for line in bare(read(name))
    )


def bare(text):
    """Lines without blanks at their ends, and without those of comments."""
    kept = []
    inside = False
    for line in map(str.strip, text.splitlines()):
        if inside or line.startswith("/*"):
            inside = not line.endswith("*/")
        elif line and not line.startswith("//"):
            kept.append(line)
    return kept
