"""Which tokens of a batch of texts count, and the record in which every token is a sample.

Texts of several lengths go into a model padded to one, with a mask that says which places are
tokens. A part of a model may be called with a mask of its own (an encoder and a decoder), so a
layer's tokens are those of the mask that the nearest module around it was called with.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from layerlens.errors import ArgumentError, DataError, RecordingError
from layerlens.recording.hooks import Hooks
from layerlens.recording.samples import Annotation

__all__ = ["Masks", "NotApplicableError", "PerToken", "TokenLedger", "Tokens"]

Array: TypeAlias = npt.NDArray[Any]

_TEXTS = ("input_ids", "inputs_embeds", "decoder_input_ids", "decoder_inputs_embeds")


class NotApplicableError(Exception):
    """A readout that makes no sense for this layer; the layer is then left out."""


class PerToken:
    """The readout with which every token is a sample of its own.

    Rows are the tokens that the mask of the call leaves, in reading order; padding is none. The
    id of a token is that of its text and its place in it (``"7:2"``), and the record has the
    columns ``sample`` (the text's id), ``position`` (from 0, counted without padding), ``token_id``
    where the model is called with ``input_ids``, and ``token`` with a tokenizer. What is said of a
    text (labels, columns) is said of each of its tokens.

    Parameters
    ----------
    tokenizer : object or callable, optional
        Gives tokens their text: one of transformers' tokenizers, or a function from a list of
        token ids to a list of strings.
    special : bool, default True
        Whether tokens such as ``[CLS]`` count; to leave them out takes a tokenizer that has
        ``all_special_ids``.

    Raises
    ------
    ArgumentError
        If the tokenizer is neither, or special tokens are to be left out without one.

    Examples
    --------
    >>> embedding = nn.Sequential(nn.Embedding(10, 4))
    >>> from layerlens import Probe
    >>> acts = Probe(embedding, readout=PerToken()).run([torch.tensor([[5, 3], [5, 1]])])
    >>> acts["0"].shape, acts.ids.tolist()
    ((4, 4), ['0:0', '0:1', '1:0', '1:1'])
    >>> acts.columns["token_id"].tolist()
    [5, 3, 5, 1]
    """

    def __init__(self, tokenizer: Any = None, *, special: bool = True) -> None:
        if not (tokenizer is None or callable(tokenizer)) and not hasattr(
            tokenizer, "convert_ids_to_tokens"
        ):
            raise ArgumentError(
                "tokenizer is one of transformers' (it has convert_ids_to_tokens), or a function "
                f"from a list of token ids to a list of strings; got {type(tokenizer).__name__}"
            )
        if not special and not hasattr(tokenizer, "all_special_ids"):
            raise ArgumentError(
                "special=False leaves out what the tokenizer calls special (all_special_ids): "
                "pass such a tokenizer"
            )
        self.tokenizer = tokenizer
        self.special = special

    def __repr__(self) -> str:
        name = "" if self.tokenizer is None else type(self.tokenizer).__name__
        return f"PerToken({name}{'' if self.special else ', special=False'})"

    def texts(self, token_ids: Array) -> Array | None:
        """Return the text of each token, or None without a tokenizer."""
        if self.tokenizer is None:
            return None
        read = getattr(self.tokenizer, "convert_ids_to_tokens", self.tokenizer)
        texts = [str(text) for text in read(token_ids.tolist())]
        if len(texts) != len(token_ids):
            raise ArgumentError(
                f"the tokenizer gave {len(texts)} texts for {len(token_ids)} tokens; it must give "
                "one for each"
            )
        return np.asarray(texts, dtype=str)


class Tokens:
    """The tokens of one call: which places of (batch, places) are tokens and not padding.

    `keep`: (B, T), bool. True where there is a token.
    """

    def __init__(self, keep: torch.Tensor) -> None:
        self.keep = keep

    def _check(self) -> None:
        if not bool(self.count.all()):
            sample = int((self.count == 0).nonzero()[0, 0])
            raise DataError(
                f"sample {sample} of this batch has no token by its mask, so there is nothing to "
                "read out; leave it out of the batch"
            )

    @cached_property
    def count(self) -> torch.Tensor:
        """How many tokens each sample has, shape (B,)."""
        return self.keep.sum(1)

    @cached_property
    def first(self) -> torch.Tensor:
        """Where each sample's first token is, shape (B,)."""
        self._check()
        return self.keep.byte().argmax(1)

    @cached_property
    def last(self) -> torch.Tensor:
        """Where each sample's last token is, shape (B,)."""
        self._check()
        return self.keep.shape[1] - 1 - self.keep.byte().flip(1).argmax(1)

    @cached_property
    def places(self) -> torch.Tensor:
        """Where all tokens are in the flattened (B * T), in reading order."""
        return self.keep.flatten().nonzero()[:, 0]

    @cached_property
    def rows(self) -> int:
        """How many tokens there are."""
        return len(self.places)

    def mean(self, output: torch.Tensor) -> torch.Tensor:
        """Return the mean over each sample's tokens: (B, T, C) -> (B, C)."""
        self._check()
        # what padding holds is no number of ours, and may be none at all
        output = output.masked_fill(~self.keep.to(output.device)[..., None], 0)
        dtype = torch.float32 if output.element_size() < 4 else output.dtype
        return output.sum(1, dtype=dtype) / self.count.to(output.device)[:, None]

    def at(self, output: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Return one token of each sample: (B, T, C) -> (B, C)."""
        return output[torch.arange(len(output), device=output.device), places.to(output.device)]

    def each(self, output: torch.Tensor) -> torch.Tensor:
        """Return all tokens: (B, T, C) -> (tokens, C)."""
        return output.flatten(0, 1)[self.places.to(output.device)]


@dataclass(slots=True)
class _Call:
    """What is known of the last call of a module: its masks, and the text that goes in."""

    masks: dict[str, torch.Tensor]
    length: int | None
    token_ids: torch.Tensor | None


@dataclass(slots=True)
class Masks:
    """Reads the masks that a model and its parts are called with.

    A mask is an argument of shape (B, T) whose name ends in ``attention_mask`` (nonzero where
    there is a token) or in ``padding_mask`` (True, or minus infinity, where there is none).
    """

    model: nn.Module
    names: Mapping[str, nn.Module]
    _calls: dict[str, _Call] = field(default_factory=dict)
    _found: dict[int, tuple[torch.Tensor, Tokens]] = field(default_factory=dict)

    def attach(self, hooks: Hooks, is_mine: Callable[[], bool]) -> None:
        """Put a hook on the model and on each part that takes a mask."""
        for name, module in self.names.items():
            parameters = list(inspect.signature(module.forward).parameters)
            if not name or any(_is_mask(one) for one in parameters):
                hooks.before(module, partial(self._note, name, parameters, is_mine))

    def _note(
        self,
        name: str,
        parameters: list[str],
        is_mine: Callable[[], bool],
        module: nn.Module,
        args: Any,
        kwargs: Any,
    ) -> None:
        if not is_mine():
            return
        if not name:
            self.clear()
        given = dict(zip(parameters, args, strict=False)) | kwargs
        masks = {
            key: value
            for key, value in given.items()
            if _is_mask(key) and isinstance(value, torch.Tensor) and value.ndim == 2
        }
        texts = [given[key] for key in _TEXTS if isinstance(given.get(key), torch.Tensor)]
        ids = given.get("input_ids", args[0] if args and not name else None)
        if not isinstance(ids, torch.Tensor) or ids.ndim != 2 or ids.is_floating_point():
            ids = None
        length = texts[0].shape[1] if texts and texts[0].ndim > 1 else None
        self._calls[name] = _Call(masks, length, ids)

    def clear(self) -> None:
        """Forget all masks."""
        self._calls.clear()
        self._found.clear()

    def of(self, layer: str, batch: int, length: int) -> Tokens | None:
        """Return which of (batch, length) places of a layer's output are tokens.

        Returned: None where no mask of this shape is known, but one of another length.
        """
        seen = False
        for owner in _around(layer):
            call = self._calls.get(owner)
            if call is None:
                continue
            if length == call.length and not any(key == "attention_mask" for key in call.masks):
                break  # it was called with this text and no mask for it
            # the mask of the text itself before those of other texts, such as an encoder's
            for key in sorted(call.masks, key=lambda key: key != "attention_mask"):
                mask = call.masks[key]
                seen = True
                if mask.shape == (batch, length):
                    return self._tokens(key, mask)
                if length == call.length and len(mask) == batch and mask.shape[1] > length:
                    # longer than the text that it came with: it also covers what is cached
                    return self._tokens(key, mask[:, -length:], of=mask)
        else:
            if seen:
                return None
        return Tokens(torch.ones(batch, length, dtype=torch.bool))

    def _tokens(self, name: str, mask: torch.Tensor, of: torch.Tensor | None = None) -> Tokens:
        # one for all layers, so that what is worked out of it is worked out once
        given = mask if of is None else of
        _, known = self._found.get(id(given), (None, None))
        if known is None or known.keep.shape != mask.shape:
            known = Tokens(_kept(name, mask.detach()))
            self._found[id(given)] = (given, known)
        return known

    def token_ids(self, layer: str, shape: tuple[int, ...]) -> torch.Tensor | None:
        """Return the ids of the tokens that went in, of shape (B, T), where they are known."""
        for owner in _around(layer):
            call = self._calls.get(owner)
            if call is not None and call.token_ids is not None and call.token_ids.shape == shape:
                return call.token_ids
        return None


class TokenLedger:
    """The samples of a record in which every token is one, batch after batch."""

    def __init__(self, readout: PerToken) -> None:
        self._readout = readout
        self._texts = 0
        self._given: Tokens | None = None
        self._tokens: Tokens | None = None
        self._token_ids: torch.Tensor | None = None
        self._layer = ""

    def go_on(self, n_texts: int) -> None:
        """Go on numbering texts after so many that were recorded before."""
        self._texts = n_texts

    def take(self, layer: str, tokens: Tokens, token_ids: torch.Tensor | None) -> Tokens:
        """Return the tokens of this batch, which the first layer of it decides.

        Raises
        ------
        NotApplicableError
            If a layer has others.
        """
        if self._given is None or self._tokens is None:
            self._given, self._token_ids, self._layer = tokens, token_ids, layer
            self._tokens = tokens
            if not self._readout.special:
                self._tokens = self._without_special(layer, tokens, token_ids)
            return self._tokens
        here, first = tokens.keep, self._given.keep
        if here.shape != first.shape:
            raise NotApplicableError(
                f"it has {here.shape[1]} places a sample, and {self._layer!r}, whose tokens are "
                f"the samples of this record, has {first.shape[1]}"
            )
        if here is not first and not torch.equal(here.cpu(), first.cpu()):
            raise NotApplicableError(f"its tokens are others than those of {self._layer!r}")
        return self._tokens

    def _without_special(
        self, layer: str, tokens: Tokens, token_ids: torch.Tensor | None
    ) -> Tokens:
        if token_ids is None:
            raise RecordingError(
                f"layer {layer!r}: special=False needs the ids of the tokens, and the model was "
                "not called with input_ids"
            )
        special = torch.as_tensor(self._readout.tokenizer.all_special_ids, device=token_ids.device)
        return Tokens(tokens.keep.to(token_ids.device) & ~torch.isin(token_ids, special))

    def expand(self, batch: int, annotation: Annotation | None) -> tuple[int, Annotation]:
        """Return how many samples a batch of texts makes, and what is known of each."""
        tokens, ids = self._tokens, self._token_ids
        if tokens is None:  # no layer of this batch had tokens
            self._texts += batch
            return 0, Annotation()
        keep = tokens.keep.cpu().numpy()
        sample, place = np.nonzero(keep)
        position = (np.cumsum(keep, 1) - 1)[sample, place]
        facts = {} if annotation is None else dict(annotation.facts)
        names = facts.pop("ids", self._texts + np.arange(batch))
        facts = {name: values[sample] for name, values in facts.items()}
        facts["ids"] = np.asarray(
            [f"{name}:{at}" for name, at in zip(names[sample], position, strict=True)], dtype=str
        )
        facts["column:sample"] = names[sample]
        facts["column:position"] = position
        if ids is not None:
            numbers = ids.detach().cpu().numpy()[sample, place]
            facts["column:token_id"] = numbers
            texts = self._readout.texts(numbers)
            if texts is not None:
                facts["column:token"] = texts
        self._texts += batch
        return len(sample), Annotation(facts)

    def clear(self) -> None:
        """Forget the batch under way."""
        self._given = self._tokens = self._token_ids = None


def _around(layer: str) -> list[str]:
    """Return a module's name and those of the modules around it, the nearest first."""
    parts = layer.split(".") if layer else []
    return [".".join(parts[:end]) for end in range(len(parts), -1, -1)]


def _is_mask(name: str) -> bool:
    return name.endswith(("attention_mask", "padding_mask"))


def _kept(name: str, mask: torch.Tensor) -> torch.Tensor:
    """Return a mask as True where there is a token."""
    if name.endswith("padding_mask"):  # PyTorch's own: what is to be left out
        return mask == 0 if mask.is_floating_point() else ~mask.bool()
    return mask != 0
