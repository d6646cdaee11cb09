"""How one output of a layer becomes a row for each sample.

The named readouts are ``flatten`` (every value), ``pool`` (the mean over all positions, one
value a channel), ``max`` (the maximum over them), ``token:K`` (one token), and those that know
which tokens are padding: ``mean_token``, ``cls``, ``last_token``, and ``tokens``, with which every
token is a sample. Anything else is a callable ``(Tensor) -> (B, D)``.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import nn

from layerlens.errors import ArgumentError, LayerSelectionError, ShapeError
from layerlens.recording.hooks import Hooks
from layerlens.recording.samples import Annotation
from layerlens.recording.tokens import Masks, NotApplicableError, PerToken, TokenLedger, Tokens

__all__ = ["NotApplicableError", "Readout", "ReadoutSpec", "Readouts", "TextReader", "readouts_for"]

OneReadout: TypeAlias = str | Callable[[torch.Tensor], torch.Tensor]
ReadoutSpec: TypeAlias = OneReadout | PerToken | Mapping[str, OneReadout]

_NAMES = (
    "flatten, pool, max, token:K (K an integer), mean_token, cls, last_token, tokens (or a "
    "layerlens.PerToken), or a callable (Tensor) -> (B, D)"
)


@dataclass(frozen=True, slots=True)
class Readout:
    """One way to make rows of a layer's output.

    `function`: ``(output, channel_axis) -> (B, D)``.
    `of_tokens`: ``(output of shape (B, T, C), tokens) -> rows``, for a readout that needs to know
    which places are tokens; `function` follows from it by `bound`.
    """

    name: str
    function: Callable[[torch.Tensor, int], torch.Tensor]
    of_tokens: Callable[[torch.Tensor, Tokens], torch.Tensor] | None = None
    rows: int | None = None

    def bound(self, tokens: Tokens, per_token: bool = False) -> Readout:
        """Return the readout for a call with these tokens."""
        of_tokens = self.of_tokens
        if of_tokens is None:
            return self

        def function(output: torch.Tensor, channel_axis: int) -> torch.Tensor:
            return of_tokens(output if channel_axis != 1 else output.transpose(1, 2), tokens)

        return replace(self, function=function, rows=tokens.rows if per_token else None)

    def __call__(self, output: torch.Tensor, channel_axis: int, layer: str) -> torch.Tensor:
        """Return rows for an output whose first axis is the batch.

        Raises
        ------
        ShapeError
            If a callable of the user's returns anything but a floating (B, D) tensor.
        NotApplicableError
            If the readout makes no sense for such an output.
        """
        try:
            rows = self.function(output, channel_axis)
        except NotApplicableError:
            raise
        except Exception as error:
            error.add_note(f"in the readout {self.name} of layer {layer!r}")
            raise
        if not isinstance(rows, torch.Tensor):
            raise ShapeError(
                f"layer {layer!r}: the readout {self.name} returned {type(rows).__name__}; it must "
                "return a tensor of shape (batch, D)"
            )
        if rows.ndim != 2 or rows.shape[0] != (output.shape[0] if self.rows is None else self.rows):
            raise ShapeError(
                f"layer {layer!r}: the readout {self.name} returned shape {tuple(rows.shape)} for "
                f"an output of shape {tuple(output.shape)}; it must return (batch, D), here "
                f"({output.shape[0]}, D)"
            )
        return rows


def _flatten(output: torch.Tensor, channel_axis: int) -> torch.Tensor:
    return output.flatten(1) if output.ndim > 1 else output[:, None]


def _positions(output: torch.Tensor, channel_axis: int) -> list[int]:
    return [axis for axis in range(1, output.ndim) if axis != channel_axis]


def _pool(output: torch.Tensor, channel_axis: int) -> torch.Tensor:
    positions = _positions(output, channel_axis)
    if not positions:
        return _flatten(output, channel_axis)
    # half precision would lose the mean of many values
    dtype = torch.float32 if output.element_size() < 4 else None
    return output.mean(positions, dtype=dtype)


def _max(output: torch.Tensor, channel_axis: int) -> torch.Tensor:
    positions = _positions(output, channel_axis)
    return output.amax(positions) if positions else _flatten(output, channel_axis)


def _token(place: int) -> Callable[[torch.Tensor, int], torch.Tensor]:
    def token(output: torch.Tensor, channel_axis: int) -> torch.Tensor:
        if output.ndim <= 2:
            return _flatten(output, channel_axis)  # one vector a sample already
        if output.ndim != 3:
            shape = tuple(output.shape)
            raise NotApplicableError(f"token:{place} needs (batch, tokens, channels), got {shape}")
        tokens = output.shape[1]
        if not -tokens <= place < tokens:
            raise NotApplicableError(f"token:{place} of an output that has {tokens} tokens")
        return output[:, place]

    return token


def _mean_token(output: torch.Tensor, tokens: Tokens) -> torch.Tensor:
    return tokens.mean(output)


def _cls(output: torch.Tensor, tokens: Tokens) -> torch.Tensor:
    return tokens.at(output, tokens.first)


def _last_token(output: torch.Tensor, tokens: Tokens) -> torch.Tensor:
    return tokens.at(output, tokens.last)


def _each_token(output: torch.Tensor, tokens: Tokens) -> torch.Tensor:
    return tokens.each(output)


_NAMED = {"flatten": _flatten, "pool": _pool, "max": _max}
_OF_TOKENS = {"mean_token": _mean_token, "cls": _cls, "last_token": _last_token}


def _parse(spec: OneReadout | PerToken) -> Readout:
    if isinstance(spec, PerToken):
        return Readout("tokens", _flatten, _each_token)
    if isinstance(spec, str):
        if spec in _NAMED:
            return Readout(spec, _NAMED[spec])
        if spec in _OF_TOKENS:
            # one vector a sample is one already; `bound` sees to (batch, tokens, channels)
            return Readout(spec, _flatten, _OF_TOKENS[spec])
        kind, colon, place = spec.partition(":")
        if kind == "token" and colon and place.removeprefix("-").isdecimal():
            return Readout(spec, _token(int(place)))
    elif callable(spec):
        name = getattr(spec, "__name__", type(spec).__name__)
        return Readout(name, lambda output, channel_axis: spec(output))
    raise ArgumentError(f"readout is {_NAMES}, or a mapping of globs to these; got {spec!r}")


@dataclass(frozen=True, slots=True)
class Readouts:
    """Which readout a layer gets: called with its name, it returns that.

    `table`: globs and their readouts; the first one that matches counts.
    """

    table: tuple[tuple[str, Readout], ...]
    per_token: PerToken | None = None

    def __call__(self, name: str) -> Readout:
        """Return the readout of a layer."""
        matches = (one for glob, one in self.table if fnmatch.fnmatchcase(name, glob))
        return next(matches, _FLATTEN)

    @property
    def need_tokens(self) -> bool:
        """Whether one of them needs to know which places are tokens."""
        return any(one.of_tokens is not None for _, one in self.table)


_FLATTEN = _parse("flatten")


def readouts_for(
    spec: ReadoutSpec, names: Iterable[str], operations: Iterable[str] = ()
) -> Readouts:
    """Return which readout a layer gets.

    `spec`: one readout for all layers, or a glob over layer names for each. The first glob that
    matches counts; a layer that none matches is flattened. Where every token is a sample, it is one
    in all layers, so a `PerToken` is given for all.
    `operations`: patterns of the operations that are recorded; their names are
    ``module/operation``, and ``"op:add"`` means all of that name.

    Raises
    ------
    ArgumentError
        If a readout is not known.
    LayerSelectionError
        If a glob of the mapping matches no layer.
    """
    if isinstance(spec, str) and spec == "tokens":
        spec = PerToken()
    if not isinstance(spec, Mapping):
        everywhere = (("*", _parse(spec)),)
        return Readouts(everywhere, spec if isinstance(spec, PerToken) else None)
    for pattern, one in spec.items():
        if not isinstance(pattern, str):
            raise ArgumentError(f"readout: a mapping is of globs to readouts; got {pattern!r}")
        if (isinstance(one, str) and one == "tokens") or isinstance(one, PerToken):
            raise ArgumentError(
                f"readout: {pattern!r} is to give one row a token and other layers one a sample, "
                "but all layers of a record have the same samples; pass readout='tokens' for all "
                "of them"
            )
    table = [(_of_operation(pattern), _parse(one)) for pattern, one in spec.items()]
    operations = list(operations)
    names = [*names, *operations]
    for pattern, _ in table:
        if operations and "/" in pattern:
            continue  # which there are is known when they happen
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise LayerSelectionError(
                f"readout: no selected layer matches {pattern!r}; selected are "
                f"{', '.join(map(repr, names[:8]))}{', ...' if len(names) > 8 else ''}"
            )
    return Readouts(tuple(table))


def _of_operation(pattern: str) -> str:
    """Return the glob over layers' names that ``op:...`` stands for."""
    kind, colon, name = pattern.partition(":")
    if kind != "op" or not colon:
        return pattern
    return name if "/" in name else f"*/{name}"


class TextReader:
    """Gives readouts that need to know which places are tokens what they need."""

    def __init__(
        self, model: nn.Module, names: Mapping[str, nn.Module], readouts: Readouts
    ) -> None:
        self._needed = readouts.need_tokens
        self._masks = Masks(model, names)
        per_token = readouts.per_token
        self._ledger = None if per_token is None else TokenLedger(per_token)

    @property
    def counts_tokens(self) -> bool:
        """Whether every token is a sample."""
        return self._ledger is not None

    def go_on(self, n_texts: int) -> None:
        """Go on numbering texts after so many that were recorded before."""
        if self._ledger is not None:
            self._ledger.go_on(n_texts)

    def attach(self, hooks: Hooks, is_mine: Callable[[], bool]) -> None:
        """Put hooks on what takes a mask, where any readout needs it."""
        if self._needed:
            self._masks.attach(hooks, is_mine)

    def bind(self, readout: Readout, layer: str, output: torch.Tensor, channels: int) -> Readout:
        """Return the readout for this output, of shape (B, ...), of a layer.

        Raises
        ------
        NotApplicableError
            If the output does not consist of the tokens that are known.
        """
        if readout.of_tokens is None:
            return readout
        if output.ndim <= 2 and self._ledger is None:
            return readout  # one vector a sample already
        if output.ndim != 3:
            shape = tuple(output.shape)
            raise NotApplicableError(f"{readout.name} needs (batch, tokens, channels), got {shape}")
        length = output.shape[1 if channels != 1 else 2]
        tokens = self._masks.of(layer, len(output), length)
        if tokens is None:
            raise NotApplicableError(
                f"it has {length} places a sample, and the mask that it was called with is of "
                "another length"
            )
        if self._ledger is None:
            return readout.bound(tokens)
        ids = self._masks.token_ids(layer, tuple(tokens.keep.shape))
        return readout.bound(self._ledger.take(layer, tokens, ids), per_token=True)

    def samples(self, batch: int, annotation: Annotation | None) -> tuple[int, Annotation | None]:
        """Return how many samples a batch makes, and what is known of them."""
        return (
            (batch, annotation) if self._ledger is None else self._ledger.expand(batch, annotation)
        )

    def clear(self) -> None:
        """Forget the batch under way."""
        self._masks.clear()
        if self._ledger is not None:
            self._ledger.clear()
