"""What of the input a place of a layer sees, as a value."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FIELD", "GRADIENT", "Box"]

FIELD = "receptive field"
GRADIENT = "95 % of the gradient"


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the input, from `start` up to and without `stop` along each axis.

    Parameters
    ----------
    start : tuple of int
        First row, first column and so on.
    stop : tuple of int
        Where it ends, exclusive.
    how : str
        ``"receptive field"``: nothing outside of the box has any influence on the place, and
        its outermost rows and columns can have some. ``"95 % of the gradient"``: the place sees
        the whole input, and the box holds that much of its gradient's magnitude.
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]
    how: str = FIELD

    @property
    def shape(self) -> tuple[int, ...]:
        """Length along each axis."""
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))

    @property
    def slices(self) -> tuple[slice, ...]:
        """What to index an input's places with: ``image[..., *box.slices]``."""
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
