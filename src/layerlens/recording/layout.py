"""Which axis of a layer's output holds the channels.

A tensor does not say. The module that made it mostly does: a convolution puts its channels
first, a linear layer last. A module that leaves the layout alone (an activation function, a
dropout, a block) has the layout of the nearest module before it that declares one and whose
number of channels is found along that axis.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

__all__ = ["ChannelAxes", "declared", "puts_batch_second"]


def declared(module: nn.Module) -> tuple[int, int] | None:
    """Return the channel axis and number of channels that a module declares for its output."""
    if isinstance(module, _ConvNd):
        return 1, module.out_channels
    if isinstance(module, _NormBase):
        return 1, module.num_features
    if isinstance(module, nn.GroupNorm):
        return 1, module.num_channels
    if isinstance(module, nn.Linear | nn.Bilinear):
        return -1, module.out_features
    if isinstance(module, nn.Embedding):
        return -1, module.embedding_dim
    if isinstance(module, nn.RNNBase):
        width = module.proj_size or module.hidden_size
        return -1, width * (2 if module.bidirectional else 1)
    if isinstance(module, nn.MultiheadAttention):
        return -1, module.embed_dim
    # norms over one axis, also other people's; some of them work on channels first
    normalized = getattr(module, "normalized_shape", None)
    if isinstance(normalized, Sequence) and len(normalized) == 1:
        first = getattr(module, "data_format", "channels_last") == "channels_first"
        return (1 if first else -1), int(normalized[0])
    return None


def puts_batch_second(module: nn.Module, step: int | str | None = None) -> bool:
    """Tell whether a module says of itself that its batch is the second axis (T, B, C).

    `step` is the place in the output, where that is a structure: a recurrent layer's state is
    always (layers, batch, channels), an attention layer's weights never have the batch second.
    """
    if step not in (None, 0):
        return isinstance(module, nn.RNNBase)
    batch_first = getattr(module, "batch_first", None)
    if batch_first is None:  # a Transformer(En|De)coderLayer says it of its attention
        batch_first = getattr(getattr(module, "self_attn", None), "batch_first", None)
    return batch_first is False


class ChannelAxes:
    """Answers for the modules of one model.

    `model`: the model; its modules' order decides which is before which.
    """

    def __init__(self, model: nn.Module) -> None:
        modules = list(model.modules())
        self._declared = [declared(module) for module in modules]
        self._last = {
            id(module): place + sum(1 for _ in module.modules()) - 1
            for place, module in enumerate(modules)
        }

    def of(self, module: nn.Module, shape: Sequence[int]) -> int:
        """Return the channel axis of an output.

        Returned: the axis, counted from the front. Where nothing that is declared fits it is the
        last of a (batch, tokens, channels) tensor and the first after the batch of one with more
        axes.
        """
        if len(shape) < 3:
            return len(shape) - 1
        before = self._declared[self._last.get(id(module), -1) :: -1]
        known = [one for one in before if one is not None]
        for axis, channels in known:
            if shape[axis] == channels:
                return axis % len(shape)
        if len(shape) == 3:
            return 2
        # an axis was moved in between: the channels are where their number is
        for _, channels in known:
            if list(shape[1:]).count(channels) == 1:
                return list(shape).index(channels, 1)
        return 1
