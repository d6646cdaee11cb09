"""What records, maps and units show of themselves in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from layerlens._display import Html, escaped, some, strip, summary, table, tile
from layerlens._pixels import encode_png, map_pixels, number, plane_of, seen_in, shrunk
from layerlens.recording.loss import loss_to_show

if TYPE_CHECKING:
    from layerlens.recording.activations import Activations, LayerActivations
    from layerlens.recording.driven import TopSamples, TopUnit, UnitAcross
    from layerlens.recording.mapped import ActivationMaps, LayerMaps

__all__ = ["activations_html", "maps_html", "samples_html", "size_of", "unit_html"]

Array = npt.NDArray[Any]

_THUMBNAILS = 12
_THUMBNAIL = 40  # pixels of the screen, as are the others
_LAYERS = 12
_CHANNELS = 8
_MAP = 52
_PLACES = 40  # of a map along a side
_SAMPLES = 9
_INPUT = 88
_UNITS = 12
_CROP = 48
_GREEN = (0, 168, 120)


# --- what was recorded ---------------------------------------------------------------------------


def activations_html(acts: Activations) -> Html:
    """Return a record's layers as a table, below the first samples."""
    run = acts.run
    facts = [_count(acts.n_samples, "sample"), _count(len(acts), "layer"), size_of(acts)]
    if run.labels is not None and run.labels.dtype.kind in "iuUSb":
        facts.append(_count(len(run.class_names()[0]), "class", "classes"))
    if run.columns:
        facts.append(f"columns {', '.join(list(run.columns)[:6])}")
    facts.extend(f"on disk: {path}" for path in acts.meta.get("stores", ())[:3])
    layers = list(acts.values())
    shown = [None if i is None else layers[i] for i in some(len(layers))]
    partial = any(layer.rows is not None for layer in layers)
    head = ["layer", "type", "output", "values", "kept", "size", *(["rows"] if partial else [])]
    return summary(
        f"Activations of {acts.meta.get('model', 'a model')}",
        facts,
        _thumbnails(acts),
        table(
            head,
            [None if layer is None else _cells(layer, partial=partial) for layer in shown],
            numbers=[3, 4, 5, 6],
        ),
        _left_out(len(layers), shown, "layers"),
    )


def _cells(layer: LayerActivations, *, partial: bool) -> list[str]:
    info = layer.info
    loss = loss_to_show(layer)
    how = "sketch" if loss is None else f"sketch, {loss}"
    kept = f"{layer.shape[1]:,} ({how})" if layer.sketch else "all"
    cells = [info.title, info.module_type, _times(info.output_shape), f"{layer.dim:,}", kept]
    return [*cells, size_of(layer), *([f"{len(layer):,}"] if partial else [])]


def _thumbnails(acts: Activations) -> Html:
    pictures = acts.run.thumbnails
    if pictures is None:
        return Html()
    labels, names = acts.run.labels, acts.run.label_names

    def caption(place: int) -> str:
        if labels is None:
            return f"id {acts.ids[place]}"
        label = labels[place]
        named = names is not None and labels.dtype.kind in "iu" and 0 <= label < len(names)
        return names[int(label)] if named and names is not None else str(label)

    tiles = [
        tile(
            encode_png(np.asarray(pictures[place])),
            f"sample {acts.ids[place]}",
            _fitted(pictures.shape[1:3], _THUMBNAIL),
            caption(place),
        )
        for place in range(min(_THUMBNAILS, acts.n_samples))
    ]
    return strip(tiles)


def size_of(of: Any) -> str:
    """Return how many bytes something has, in words."""
    size = float(of.nbytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"


# --- maps ----------------------------------------------------------------------------------------


def maps_html(
    layers: Mapping[str, LayerMaps], title: str, of: ActivationMaps | None = None
) -> Html:
    """Return the first channels of layers at even steps through the depth, for the first sample."""
    every = list(layers.values())
    places = np.linspace(0, len(every) - 1, min(len(every), _LAYERS)).round().astype(int)
    chosen = [every[i] for i in dict.fromkeys(places.tolist())]
    count = len(every[0]) if every else 0
    facts = [_count(len(every), "layer")] if of is not None else [repr(chosen[0]).split("  ", 1)[1]]
    facts += [f"sample 0 of {count}"] if count > 1 else []
    rows: list[list[str]] = []
    if of is not None and of.inputs is not None and len(of.inputs):
        given = of.inputs[0]
        size = Html(f"<b>input</b><br>{escaped(_times(given.shape))}")
        rows.append([size, _input_tile(given, None, "the input", ())])
    rows += [[_about(layer), _map_tiles(layer)] for layer in chosen if len(layer)]
    signed = any(layer.is_signed for layer in chosen)
    foot = "White is zero, red above" + (", blue below" if signed else "")
    foot += "; full colour is the largest magnitude of the layer's maps that are shown."
    if len(chosen) < len(every):
        foot += f" {len(chosen)} of {len(every)} layers, at even steps; .plot() draws others."
    return summary(title, facts, table(["", ""], rows), foot)


def _about(layer: LayerMaps) -> Html:
    info = layer.info
    shape = _times((layer.n_channels, *layer.grid))
    return Html(
        f"<b>{escaped(info.title)}</b><br>{escaped(info.module_type)} {escaped(shape)}"
        f"<br>{escaped(_range(layer.values[0]))}"
    )


def _map_tiles(layer: LayerMaps) -> Html:
    planes = [plane_of(one) for one in layer.values[0, :_CHANNELS]]
    most = _largest(planes)
    return strip(
        _map_tile(plane, most, f"{layer.info.title}, channel {channel}", _MAP, f"{channel}")
        for plane, channel in zip(planes, layer.channels.tolist(), strict=False)
    )


def _map_tile(plane: Array, most: float, alt: str, width: int, *captions: str) -> Html:
    png = map_pixels(shrunk(plane, _PLACES), most)
    return tile(png, alt, _fitted(plane.shape, width), *captions)


# --- units ---------------------------------------------------------------------------------------


def unit_html(unit: TopUnit | UnitAcross, title: str, facts: Sequence[str]) -> Html:
    """Return inputs with what the strongest place sees, and the unit's map of each."""
    captions = getattr(unit, "names", None) or [f"id {one}" for one in getattr(unit, "ids", ())]
    count = min(len(captions), _SAMPLES)
    values = [number(float(value)) for value in unit.values[:count]]
    more = "" if len(captions) <= count else f"The first {count} of {len(captions)}."
    if unit.inputs is None or unit.maps is None:
        places = [str(tuple(map(int, place))) for place in unit.places[:count]]
        rows = list(zip(captions, values, places, strict=False))
        below = table(["sample", "value", "strongest at"], rows, numbers=[1])
        return summary(title, facts, below, more)
    boxes = unit.boxes or [None] * len(captions)
    planes = [plane_of(one) for one in unit.maps[:count]]
    most = _largest(planes)
    inputs = [
        _input_tile(one, box, f"input {caption}", (str(caption), value))
        for one, box, caption, value in zip(
            unit.inputs, boxes, captions[:count], values, strict=False
        )
    ]
    maps = [
        _map_tile(plane, most, f"map of {caption}", _INPUT)
        for plane, caption in zip(planes, captions, strict=False)
    ]
    said = "The number is the map's value; full colour is the largest of those shown. "
    if unit.boxes is not None:
        said += "Green: what the strongest place sees. "
    # each sample's map stays below its input, however wide the page is
    pairs = [
        Html(f'<div style="display:inline-block;vertical-align:top">{one}<br>{of}</div>')
        for one, of in zip(inputs, maps, strict=True)
    ]
    return summary(title, facts, strip(pairs), said + more)


def samples_html(found: TopSamples) -> Html:
    """Return some units of all, each with what its strongest samples hold where that is."""
    total = len(found)
    facts = [_count(total, "unit"), _count(len(found.layers), "layer")]
    where = (
        [(layer, row) for layer in found.layers.values() for row in range(len(layer.channels))]
        if total <= _UNITS
        else _spread(found)
    )
    rows: list[list[str]] = []
    for layer, row in where:
        unit = layer.unit(row)
        about = Html(f"<b>{escaped(unit.info.title)}</b><br>channel {unit.channel}")
        values = ", ".join(number(float(v)) for v in unit.values[:3])
        rows.append([about, values, _crops(unit)])
    foot = f"{len(rows)} of {total:,} units, at even steps. " if len(rows) < total else ""
    foot += 'found["layer", channel] is one unit.'
    return summary("TopSamples", facts, table(["unit", "strongest", "samples"], rows), foot)


def _spread(found: TopSamples) -> list[tuple[Any, int]]:
    """Return units at even steps through all layers, without listing them all."""
    layers = list(found.layers.values())
    ends = np.cumsum([len(layer.channels) for layer in layers])
    chosen = []
    for place in np.linspace(0, ends[-1] - 1, _UNITS).round().astype(int).tolist():
        at = int(np.searchsorted(ends, place, side="right"))
        chosen.append((layers[at], place - (int(ends[at - 1]) if at else 0)))
    return chosen


def _crops(unit: TopUnit) -> Html:
    if unit.inputs is None:
        return escaped(", ".join(f"id {one}" for one in unit.ids[:_SAMPLES]))
    tiles = []
    boxes = unit.boxes or [None] * len(unit)
    for one, box, name in zip(unit.inputs, boxes, unit.ids, strict=True):
        image = seen_in(one, box)
        if box is not None:
            image = image[box.slices[-2] if len(box.start) > 1 else slice(None), box.slices[-1]]
        pixels = (shrunk(image, _CROP) * 255).round().astype(np.uint8)
        size = _fitted(image.shape, _CROP)
        tiles.append(tile(encode_png(pixels), f"id {name}", size, str(name)))
    return strip(tiles[:_SAMPLES])


# --- pieces --------------------------------------------------------------------------------------


def _input_tile(values: Array, box: Any | None, alt: str, captions: Sequence[str]) -> Html:
    image = seen_in(values, box)
    rows, columns = image.shape[:2]
    # enough pixels that the box's line is thin
    times = max(1, _INPUT // max(rows, columns))
    pixels = image.repeat(times, 0).repeat(times, 1) if rows > 1 else image.repeat(times, 1)
    step = -(-max(pixels.shape[:2]) // _INPUT)
    pixels = (shrunk(pixels, _INPUT) * 255).round().astype(np.uint8)
    if box is not None and len(box.start) > 1:
        top, left, bottom, right = (
            min(int(edge * times / step), pixels.shape[axis] - 1)
            for edge, axis in (
                (box.start[-2], 0), (box.start[-1], 1), (box.stop[-2], 0), (box.stop[-1], 1),
            )
        )  # fmt: skip
        pixels[[top, bottom], left : right + 1] = _GREEN
        pixels[top : bottom + 1, [left, right]] = _GREEN
    return tile(encode_png(pixels), alt, _fitted((rows, columns), _INPUT), *captions)


def _fitted(shape: Sequence[int], width: int) -> tuple[int, int]:
    """Return a tile's width and height on the screen."""
    rows, columns = shape[:2]
    return width, round(width * float(np.clip(rows / columns, 0.3, 1.6)))


def _largest(planes: Sequence[Array]) -> float:
    finite = [np.abs(plane[np.isfinite(plane)]) for plane in planes]
    return max((float(one.max()) for one in finite if one.size), default=0.0)


def _range(values: Array) -> str:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "no finite value"
    return f"{number(float(finite.min()))} to {number(float(finite.max()))}"


def _times(shape: Sequence[int]) -> str:
    return " \N{MULTIPLICATION SIGN} ".join(f"{n}" for n in shape)


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def _left_out(count: int, shown: Sequence[object], what: str) -> str:
    there = sum(one is not None for one in shown)
    return (
        "" if there == count else f"{there} of {count:,} {what}; repr() and indexing have others."
    )
