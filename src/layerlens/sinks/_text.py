"""How wide a text will be, and cutting it to what there is room for."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties

__all__ = ["Ruler", "printable"]

_ELLIPSIS = "…"


def printable(text: str) -> str:
    """Return the text on one line: control characters become visible, or a space."""
    return "".join(
        " "
        if c in "\t\n\r\x0b\x0c\x85\u2028\u2029"
        else "\ufffd"
        # controls, marks that turn the direction of what follows, and lone surrogates
        if unicodedata.category(c) in ("Cc", "Cs") or "\u202a" <= c <= "\u202e"
        else c
        for c in text
    )


class Ruler:
    """Measures text before it is drawn.

    `family`: font family, or several: what the first lacks is taken from the next.
    """

    def __init__(self, family: str | Sequence[str] = "DejaVu Sans") -> None:
        self.family = [family] if isinstance(family, str) else list(family)
        # Hinting rounds each character to whole pixels, so that a line's width depends on the
        # resolution: up to 9 % at 72 dots to the inch, 7 % at 150. It must fit at any of them.
        self._renderers = [RendererAgg(16, 16, dpi) for dpi in (72, 100, 150, 300)]

    def font(self, size: float, weight: str = "normal") -> FontProperties:
        """Return the font of that size, in points."""
        return FontProperties(family=self.family, size=size, weight=weight)

    def width(self, text: str, size: float, weight: str = "normal") -> float:
        """Return the width of the text in inches."""
        if not text:
            return 0.0
        font = self.font(size, weight)
        widths = (
            renderer.get_text_width_height_descent(text, font, ismath=False)[0] / renderer.dpi
            for renderer in self._renderers
        )
        return max(map(float, widths))

    def shorten(self, text: str, room: float, size: float, weight: str = "normal") -> str:
        """Return the text cut so that it is at most `room` inches wide.

        Of a dotted name the parts are abbreviated first, from the left and never the last:
        ``encoder.layer3.attention.query`` becomes ``e.l3.attention.query``. Numbers stay: they
        are what tells one layer from the next. What is still too wide loses its middle.
        """
        parts = text.split(".")
        for i in range(len(parts)):
            text = ".".join(parts)
            if self.width(text, size, weight) <= room:
                return text
            if i < len(parts) - 1:
                parts[i] = _initial(parts[i])
        low, high = 0, len(text) - 1
        while low < high:  # the most characters that fit
            kept = (low + high + 1) // 2
            if self.width(_cut(text, kept), size, weight) <= room:
                low = kept
            else:
                high = kept - 1
        return _cut(text, low)

    def wrap(self, text: str, room: float, size: float) -> list[str]:
        """Break the text into lines of at most `room` inches."""
        lines: list[str] = []
        line = ""
        for word in text.split():
            longer = f"{line} {word}" if line else word
            if line and self.width(longer, size) > room:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
        return [self.shorten(line, room, size) for line in lines]


def _initial(part: str) -> str:
    """Return the first character and the digits: ``l3`` for ``layer3``."""
    return part[:1] + "".join(c for c in part[1:] if c.isdigit())


def _cut(text: str, kept: int) -> str:
    head = kept * 2 // 5
    tail = kept - head
    return f"{text[:head]}{_ELLIPSIS}{text[len(text) - tail :]}"
