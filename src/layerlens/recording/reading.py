"""Readouts of texts at work: binds them to the tokens of each call."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from layerlens.recording.hooks import Hooks
from layerlens.recording.readout import NotApplicableError, Readout, Readouts
from layerlens.recording.samples import Annotation
from layerlens.recording.tokens import Masks, TokenLedger

__all__ = ["TextReader"]


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
