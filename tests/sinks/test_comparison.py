"""The heat map of two models: what is drawn where, and that it fits its page."""

import numpy as np
import pytest

import layerlens as ll

pytest.importorskip("matplotlib")


def comparison(rows=3, columns=4, dot=False, length=1):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 10))
    a = {f"{'layer.' * length}{i}": x + i * rng.normal(size=x.shape) for i in range(rows)}
    b = {f"{'block.' * length}{i}": x + i * rng.normal(size=x.shape) for i in range(columns)}
    if dot:
        a["flat"] = np.ones((60, 2))
    return ll.compare(a, b, names=("one", "two"))


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_cells_show_the_figures_and_frame_the_highest_of_each_row():
    seen = comparison()
    figure = seen.plot()
    said = texts(figure)
    assert said[0] == "one beside two"
    for value in [*seen.cka.ravel(), *seen.overlap.ravel()]:
        shown = f"{value:.1f}" if value >= 0.995 else f"{abs(value):.2f}".removeprefix("0")
        assert shown in [text.removeprefix("\N{MINUS SIGN}") for text in said]
    edges = [patch.get_edgecolor()[:3] for patch in figure.axes[0].patches]
    shared = (seen.overlap - seen.chance) / (1 - seen.chance)
    above_chance = sum((values.max(1) >= 0.1).sum() for values in (seen.cka, shared))
    assert 3 < above_chance < 6  # some of each
    assert edges.count((0, 168 / 255, 120 / 255)) == above_chance
    image = np.asarray(figure.axes[0].images[1].get_array())
    np.testing.assert_allclose(image, np.clip(seen.cka, 0, 1), atol=1e-6)


def test_a_dot_is_hatched_and_explained():
    figure = comparison(dot=True).plot()
    assert sum(p.get_hatch() == "////" for p in figure.axes[0].patches) == 2 * 4
    assert any("Hatched" in text for text in texts(figure))


@pytest.mark.parametrize(("rows", "columns", "length"), [(1, 1, 1), (3, 40, 1), (50, 2, 8)])
def test_everything_lies_on_the_page(rows, columns, length):
    figure = comparison(rows, columns, length=length).plot()
    figure.canvas.draw()
    width, height = figure.bbox.size
    for text in figure.axes[0].texts:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_saved_twice_it_has_the_same_bytes(tmp_path, suffix):
    seen = comparison()
    one, other = tmp_path / f"one{suffix}", tmp_path / f"other{suffix}"
    assert seen.save(one, title="a title") == one
    seen.save(other, title="a title")
    assert one.read_bytes() == other.read_bytes()
