"""The pictures of maps and units hold what they say."""

import pytest
import torch
from torch import nn

pytest.importorskip("matplotlib")

from layerlens.errors import ArgumentError, StoreError
from layerlens.recording.across import unit_across
from layerlens.recording.maps import activation_maps
from layerlens.recording.units import top_samples


def _deep(count):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3 if i == 0 else 4, 4, 3, padding=1) for i in range(count)]
    return nn.Sequential(*layers), torch.randn(2, 3, 12, 12)


def _texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def _images(figure):
    return figure.axes[0].images


def test_tiles_hold_the_maps_with_zero_in_the_middle_of_signed_ones():
    model, x = _deep(2)
    maps = activation_maps(model, x, channels="all")
    figure = maps.plot(sample=1)
    tiles = [im for im in _images(figure) if im.get_array().shape == (12, 12)]
    assert len(tiles) == 8
    assert (tiles[5].get_array() == maps["1"].values[1, 1]).all()
    most = abs(maps["1"].values[1]).max()
    assert (tiles[5].norm.vmin, tiles[5].norm.vmax) == pytest.approx((-most, most))
    assert {"0", "1", "input"} <= set(_texts(figure))
    assert any("blue below" in text for text in _texts(figure))


@pytest.mark.parametrize("scale", ["layer", "channel", "shared"])
def test_the_scale_is_what_the_foot_says(scale):
    model, x = _deep(2)
    model.append(nn.ReLU())
    maps = activation_maps(model, x, channels="all")
    figure = maps.plot(scale=scale)
    tiles = [im for im in _images(figure) if im.get_array().shape == (12, 12)]
    values = [maps[name].values[0] for name in maps]
    expected = {
        "layer": abs(values[2]).max(),
        "channel": abs(values[2][3]).max(),
        "shared": max(abs(one).max() for one in values),
    }[scale]
    assert tiles[-1].norm.vmax == pytest.approx(expected)
    assert tiles[-1].norm.vmin == 0  # rectified
    words = {"layer": "layer's tiles", "channel": "tile's own", "shared": "on the page"}[scale]
    assert words in " ".join(_texts(figure))


def test_the_first_row_may_show_other_pictures_than_the_input():
    model, x = _deep(1)
    maps = activation_maps(model, x)
    figure = maps.plot(first_row={"start": x[0, 0], "wanted": torch.rand(3, 9, 5).numpy()})
    assert {"start", "wanted"} <= set(_texts(figure))
    assert [im.get_array().shape for im in _images(figure)[:2]] == [(12, 12, 3), (9, 5, 3)]
    with pytest.raises(ArgumentError, match=r"first_row\['two'\].*\(2, 12, 12\)"):
        maps.plot(first_row={"two": x[0, :2]})


def test_dead_channels_are_marked():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    with torch.no_grad():
        model[0].weight[:] = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
        model[0].bias.zero_()
    texts = _texts(activation_maps(model, torch.rand(1, 1, 5, 5), "1", "all").plot())
    assert "1  dead" in texts
    assert "0" in texts


def test_a_deep_model_is_spread_over_a_page_or_over_pages(tmp_path):
    model, x = _deep(45)
    maps = activation_maps(model, x, channels=2)
    texts = _texts(maps.plot(rows=10))
    assert any("10 of 45 layers at even steps" in text for text in texts)
    assert {"0", "44"} <= set(texts)
    second = _texts(maps.plot(rows=20, page=2))
    assert {"40", "44"} <= set(second)
    assert any("layers 41 to 45 of 45" in text for text in second)
    steps = _texts(maps.plot(stride=20))
    assert {"0", "20", "40"} <= set(steps)
    assert any("3 of 45 layers in steps of 20" in text for text in steps)
    assert maps.save(tmp_path / "all.pdf", rows=20).read_bytes().count(b"/Type /Page ") == 3
    with pytest.raises(ArgumentError, match="page 3 of 3"):
        maps.plot(rows=20, page=3)


def test_the_overlay_draws_the_box_of_the_strongest_place():
    model, x = _deep(1)
    maps = activation_maps(model, x, channels=[2], boxes=True)
    figure = maps.plot(overlay=True, tile=1.2)
    box = maps["0"].boxes[0][0]
    wide = [p for p in figure.axes[0].patches if p.get_linewidth() == 1.0]
    assert len(wide) == 1
    assert wide[0].get_width() == pytest.approx(box.shape[1] / 12 * 1.2)


def test_sounds_and_volumes_are_drawn():
    for conv, size in ((nn.Conv1d(1, 3, 3), (20,)), (nn.Conv3d(1, 3, 3), (6, 8, 8))):
        maps = activation_maps(nn.Sequential(conv), torch.randn(1, 1, *size))
        assert _images(maps.plot())
    assert any("z=" in text for text in _texts(maps.plot()))


def test_units_are_drawn_with_input_map_and_crop(tmp_path):
    model, x = _deep(2)
    unit = top_samples(model, torch.randn(12, 3, 12, 12), "1", 3, k=4)
    figure = unit.plot()
    shapes = [im.get_array().shape for im in _images(figure)]
    assert shapes.count((12, 12)) == 4
    assert shapes.count((12, 12, 3)) == 4
    assert sum(shape[-1:] == (3,) for shape in shapes) == 8
    assert f"id {unit.ids[0]}" in _texts(figure)
    across = unit_across(model, x, "1", 3, names=["left", "right"])
    assert "right" in _texts(across.plot())
    first = unit.save(tmp_path / "a.png").read_bytes()
    assert unit.save(tmp_path / "b.png").read_bytes() == first
    kept = top_samples(model, x, "1", [3], k=2, keep=False)["1", 3]
    with pytest.raises(ArgumentError, match="keep=True"):
        kept.plot()


def test_a_sheet_is_drawn_with_its_gaps():
    model, x = _deep(1)
    layer = activation_maps(model, x, channels="all")["0"]
    figure = layer.plot_sheet(gamma=0.5)
    assert _images(figure)[0].get_array().shape == (25, 25)
    assert "raised to 0.5" in " ".join(_texts(figure))


def test_a_unit_is_framed_in_the_sheet_and_its_crops_stand_beside_it():
    model, x = _deep(1)
    x = torch.cat([x, torch.randn(9, 3, 12, 12)])
    layer = activation_maps(model, x[1:2], channels="all")["0"]
    unit = top_samples(model, x, "0", 3, k=9)
    figure = layer.plot_sheet(top=unit, gamma=0.5)
    sheet, large, *crops = _images(figure)
    tile = sheet.get_array()[13:25, 13:25]
    assert (tile == layer.sheet(gamma=0.5)[13:25, 13:25]).all()
    assert (large.get_array() == tile).all()
    assert large.get_clim() == sheet.get_clim()
    green = [p for p in figure.axes[0].patches if p.get_linewidth() == 2]
    left, right, lower, upper = sheet.get_extent()
    pixel = (right - left) / 25
    assert green[0].get_xy() == pytest.approx((left + 12.5 * pixel, upper + 12.5 * pixel))
    assert green[0].get_width() == pytest.approx(13 * pixel)
    assert lower - upper == pytest.approx(right - left)
    assert len(crops) == 9
    for crop, given, box in zip(crops, unit.inputs, unit.boxes, strict=True):
        scaled = (given - given.min()) / (given.max() - given.min())
        assert crop.get_array().data == pytest.approx(scaled[:, *box.slices].transpose(1, 2, 0))
    texts = _texts(figure)
    assert [f"id {one}" in texts for one in unit.ids] == [True] * 9
    assert "strongest 9 of 11 samples, by the max of the map" in texts
    whole = layer.plot_sheet(top=top_samples(model, [{"input": x}], "0", 3, k=2))
    assert len(_images(whole)) == 4


def test_a_unit_beside_a_sheet_is_one_of_its_own():
    model, x = _deep(2)
    maps = activation_maps(model, x, channels=[0, 2])
    with pytest.raises(ArgumentError, match="unit of layer '1' and the sheet is of '0'"):
        maps["0"].plot_sheet(top=top_samples(model, x, "1", 0, k=1))
    with pytest.raises(ArgumentError, match="channel 3 is not among the 2 maps"):
        maps["0"].plot_sheet(top=top_samples(model, x, "0", 3, k=1))
    with pytest.raises(ArgumentError, match="keep=True"):
        maps["0"].plot_sheet(top=top_samples(model, x, "0", 2, k=1, keep=False))


def test_gaps_of_a_fine_sheet_are_seen():
    model = nn.Conv2d(1, 9, 1)
    fine = activation_maps(model, torch.randn(1, 1, 200, 200), channels="all")[""]
    assert len(fine.plot_sheet().axes[0].patches) == 4  # two down, two across
    coarse = activation_maps(model, torch.randn(1, 1, 9, 9), channels="all")[""]
    assert not coarse.plot_sheet().axes[0].patches


def test_crops_of_sounds_and_volumes_are_what_the_box_holds():
    torch.manual_seed(0)
    sound = nn.Conv1d(1, 2, 5)
    x = torch.randn(3, 1, 40)
    unit = top_samples(sound, x, "", 1, k=2)
    crop = _images(unit.plot())[2].get_array().data
    given = unit.inputs[0]
    scaled = (given - given.min()) / (given.max() - given.min())
    assert crop[0, :, 0] == pytest.approx(scaled[0][unit.boxes[0].slices])
    beside = activation_maps(sound, x[:1], channels="all")[""].plot_sheet(top=unit)
    assert _images(beside)[2].get_array().data == pytest.approx(crop)
    volume = torch.zeros(2, 1, 6, 8, 8)
    volume[:, 0, 4, 2, 3] = 1.0
    filters = nn.Conv3d(1, 1, 3, bias=False)
    filters.weight.data.fill_(1.0)
    unit = top_samples(filters, volume, "", 0, k=1)
    shown = _images(unit.plot())[0].get_array()
    assert shown[2, 3].tolist() == [1, 1, 1]  # not the empty plane in the middle of the box
    maps = activation_maps(filters, volume)
    assert _images(maps.plot())[0].get_array().max() == 1
    assert "z=4" in _texts(maps.plot())


def test_bad_options_and_paths_say_what_is_allowed(tmp_path):
    model, x = _deep(1)
    maps = activation_maps(model, x)
    with pytest.raises(ArgumentError, match="scale is 'layer', 'channel' or 'shared'"):
        maps.plot(scale="loud")
    with pytest.raises(ArgumentError, match="sample 2 of 2"):
        maps.plot(sample=2)
    with pytest.raises(ArgumentError, match="suffix"):
        maps.save(tmp_path / "maps.txt")
    with pytest.raises(StoreError, match="does not exist"):
        maps.save(tmp_path / "missing" / "maps.png")
    assert not list(tmp_path.iterdir())
