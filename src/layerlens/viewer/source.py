"""The viewer as it lies in pages and notebooks, made of the modules beside it.

``FORMAT.md`` says how: ``npm run build`` in ``tests/viewer`` writes the folder ``built``, which is
committed, so that nothing is built when the package is installed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

__all__ = ["module", "notebook", "pieces", "style"]

_BUILT = files("layerlens.viewer").joinpath("built")


_STYLED = ("steps.css", "alike.css")

_MANY = 50_000
"""From more points on, a page asks the graphics card (``cloud.js`` has the number too)."""


def module(head: Mapping[str, Any]) -> str:
    """Return the script of a page, which declares ``mount`` and ``fromPage``.

    What only some pages need is there for those alone: WebGL for many points, turning and depth
    for three dimensions, a second slider for steps, the heat map of two models.

    Parameters
    ----------
    head : mapping
        The page's head, as ``FORMAT.md`` has it.
    """
    return "".join(map(_read, ["page.js", *pieces(head)]))


def pieces(head: Mapping[str, Any]) -> list[str]:
    """Return the names of the files that a page needs besides ``page.js``."""
    needed = {
        "gl.js": head["n"] > _MANY,
        "space.js": head["components"] == 3,
        "steps.js": bool(head.get("steps")),
        "alike.js": bool(head.get("comparison")),
    }
    return [name for name, is_needed in needed.items() if is_needed]


def notebook(head: Mapping[str, Any]) -> str:
    """Return the module of a widget, whose default export has ``render``."""
    return module(head) + _read("notebook.js")


def style(head: Mapping[str, Any]) -> str:
    """Return the style sheet of both, with that of the pieces that a page needs."""
    own = [name.replace(".js", ".css") for name in pieces(head)]
    return "".join(map(_read, ["style.css", *(name for name in own if name in _STYLED)]))


@functools.cache
def _read(name: str) -> str:
    return _BUILT.joinpath(name).read_text(encoding="utf-8")
