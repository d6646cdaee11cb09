"""The pictures that results can draw of themselves, by name.

What draws needs matplotlib and lies in another room, so it is found as plugins are: under an entry
point, here of the group ``layerlens.pictures``, and loaded when a picture is asked for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from layerlens.plugins.registry import Registry

__all__ = ["PICTURES", "save"]

PICTURES = Registry(
    "layerlens.pictures",
    "picture",
    extras=dict.fromkeys(["across", "comparison", "maps", "sheet", "top"], "figures"),
)


def save(picture: str, of: Any, path: str | os.PathLike[str], **options: Any) -> Path:
    """Draw a result into a file: .png, .svg or .pdf.

    `options` are those of the picture, and ``dpi``. Nothing lies at `path` before the picture is
    whole.

    Raises
    ------
    ArgumentError
        If the suffix is another one.
    PluginError
        If matplotlib is not installed.
    StoreError
        If it cannot be written.
    """
    PICTURES.factory(picture).save(of, path, **options)  # type: ignore[attr-defined]
    return Path(path)
