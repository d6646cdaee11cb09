"""The page as a widget of a notebook, which Python hears from and speaks to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import anywidget
import numpy as np
import numpy.typing as npt
import traitlets

from layerlens.viewer.source import notebook, style

__all__ = ["LayersView"]

Array = npt.NDArray[Any]


class LayersView(anywidget.AnyWidget):  # type: ignore[misc]
    """All layers in a notebook: what one does in it Python can read, and set.

    Samples are numbers in the order of the run, as in ``embeddings.ids`` and
    ``embeddings.labels``, whatever order the view draws them in.

    Attributes
    ----------
    selection : list of int
        The selected samples, ascending.
    layer : str
        Name of the layer that is shown.
    hover : int
        The sample under the pointer, -1 for none.
    pick : int
        The sample whose details are shown, -1 for none.

    Parameters
    ----------
    head, sections
        The page's data, as ``FORMAT.md`` has it.
    samples : ndarray of shape (n,)
        Which sample of the run each row of the page is.
    ids : ndarray of shape (n_samples,)
        Identifiers of the run's samples.
    layers : sequence of str
        Names of the layers.
    height : int
        Height in pixels.

    Examples
    --------
    >>> view = emb.show()                                              # doctest: +SKIP
    >>> view                                                           # doctest: +SKIP
    >>> emb.labels[view.selection]                                     # doctest: +SKIP
    >>> view.selection = np.flatnonzero(predicted != emb.labels)       # doctest: +SKIP
    >>> view.observe(print, "selection")                               # doctest: +SKIP
    """

    head = traitlets.Dict().tag(sync=True)
    height = traitlets.Int(720).tag(sync=True)
    selection = traitlets.Any().tag(
        sync=True,
        to_json=lambda samples, view: view._rows_of(samples),
        from_json=lambda rows, view: view._samples_of(rows),
    )
    layer = traitlets.Unicode().tag(
        sync=True,
        to_json=lambda name, view: view._shown.get(name, name),
        # a layer that a step lacks has a place on the page, and no name here
        from_json=lambda shown, view: view._named.get(shown, view.layer),
    )
    hover = traitlets.Any(-1).tag(
        sync=True,
        to_json=lambda sample, view: view._row_of.get(sample, -1),
        from_json=lambda row, view: view._sample_of(row),
    )
    pick = traitlets.Any(-1).tag(
        sync=True,
        to_json=lambda sample, view: view._row_of.get(sample, -1),
        from_json=lambda row, view: view._sample_of(row),
    )

    def __init__(
        self,
        head: dict[str, Any],
        sections: dict[str, bytes | list[str]],
        *,
        samples: Array,
        ids: Array,
        layers: Sequence[str],
        height: int,
    ) -> None:
        self._samples = samples
        self._row_of = {sample: row for row, sample in enumerate(samples.tolist())}
        self._shown = {
            name: about["name"] for name, about in zip(layers, head["layers"], strict=True)
        }
        self._named = {shown: name for name, shown in self._shown.items()}
        self._ids = ids
        binary = {
            name.replace("-", "_"): section
            if isinstance(section, bytes)
            else json.dumps(section).encode("ascii")
            for name, section in sections.items()
        }
        # before the widget is made: what is there then goes to the front end in one message
        self.add_traits(
            _esm=traitlets.Unicode(notebook(head)).tag(sync=True),
            _css=traitlets.Unicode(style(head)).tag(sync=True),
            **{name: traitlets.Bytes(data).tag(sync=True) for name, data in binary.items()},
        )
        super().__init__(head=head, height=height, selection=[], layer=layers[0])

    @property
    def selected_ids(self) -> Array:
        """Identifiers of the selected samples."""
        return self._ids[np.asarray(self.selection, dtype=np.int64)]

    @traitlets.validate("selection")  # type: ignore[untyped-decorator]
    def _check_selection(self, proposal: Any) -> list[int]:
        given = np.asarray(proposal["value"])
        if given.dtype == bool and given.shape == self._ids.shape:
            given = np.flatnonzero(given)
        if given.size and (given.ndim != 1 or given.dtype.kind not in "iu"):
            raise traitlets.TraitError(
                "a selection is the numbers of samples, or one bool a sample; got an array of "
                f"shape {given.shape} and {given.dtype}. Numbers of some ids: "
                "np.flatnonzero(np.isin(emb.ids, ids))"
            )
        chosen: list[int] = sorted({*given.tolist()})
        away = [sample for sample in chosen if sample not in self._row_of]
        if away:
            raise traitlets.TraitError(
                f"{len(away)} of the samples are not in the view, {away[0]} for one: it has "
                f"{len(self._samples):,} of the run's {len(self._ids):,}, numbered from 0"
            )
        return chosen

    @traitlets.validate("layer")  # type: ignore[untyped-decorator]
    def _check_layer(self, proposal: Any) -> str:
        name: str = proposal["value"]
        if name not in self._shown:
            raise traitlets.TraitError(
                f"there is no layer {name!r}; there are: {', '.join(map(repr, self._shown))}"
            )
        return name

    @traitlets.validate("hover", "pick")  # type: ignore[untyped-decorator]
    def _check_sample(self, proposal: Any) -> int:
        sample = proposal["value"]
        sample = -1 if sample is None else int(sample)
        if sample != -1 and sample not in self._row_of:
            raise traitlets.TraitError(
                f"the sample {sample} is not in the view, which has {len(self._samples):,} of the "
                f"run's {len(self._ids):,}, numbered from 0; -1 is none"
            )
        return sample

    def _rows_of(self, samples: Sequence[int] | None) -> list[int]:
        return sorted(self._row_of[sample] for sample in samples or ())

    def _samples_of(self, rows: Sequence[int]) -> list[int]:
        return sorted(map(self._sample_of, rows))

    def _sample_of(self, row: int) -> int:
        return int(self._samples[row]) if 0 <= row < len(self._samples) else -1
