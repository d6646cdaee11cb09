"""Colours and marker shapes that tell classes apart, also for colour-blind people.

The sequences of 6, 8 and 10 colours are those of M. A. Petroff, *Accessible Color Sequences for
Data Visualization*, arXiv:2107.02270 (2021), which were optimised for dichromats and for a white
ground. They were taken on measurement: the least distance in Oklab (times 100) between any two
colours, over normal vision and Machado et al.'s (2009) simulations of protanopia, deuteranopia and
tritanopia at full severity, is 11.4, 8.7 and 6.1, where Okabe and Ito's eight have 7.6, Paul Tol's
muted nine 5.2, his bright seven 3.3 and matplotlib's own ten 0.7. No ten colours are far apart for
everyone; beyond ten the colours come again with another shape.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PLAIN", "UNKNOWN", "ClassStyle", "class_styles"]

_PETROFF = {
    6: ("#5790fc", "#f89c20", "#e42536", "#964a8b", "#9c9ca1", "#7a21dd"),
    8: (
        *("#1845fb", "#ff5e02", "#c91f16", "#c849a9"),
        *("#adad7d", "#86c8dd", "#578dff", "#656364"),
    ),
    10: (
        *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
        *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
    ),
}
_MARKERS = ("o", "^", "s", "X", "D", "v", "P", "<", "*", ">")

PLAIN = "#3f6fb0"
"""Colour of points that nothing is known of."""

UNKNOWN = "#d3d3d3"
"""Colour of points whose class is not known, where that of others is."""


@dataclass(frozen=True, slots=True)
class ClassStyle:
    """How the points of a class are drawn.

    `color`: Hexadecimal, ``"#3f90da"``.
    `marker`: of matplotlib's: ``"o"``, ``"^"``, ….
    """

    color: str
    marker: str = "o"


def class_styles(n_classes: int) -> list[ClassStyle]:
    """Return one style a class: 10 colours, then the same in another shape, and so on.

    A hundred classes are told apart; the next hundred look like the first.
    """
    colors = next((_PETROFF[n] for n in _PETROFF if n_classes <= n), _PETROFF[10])
    return [
        ClassStyle(
            colors[i % len(colors)],
            _MARKERS[i // len(colors) % len(_MARKERS)],
        )
        for i in range(n_classes)
    ]
