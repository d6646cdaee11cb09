"""top_samples and unit_across: what brute force over all samples says."""

import warnings

import numpy as np
import pytest
import torch
from tests.recording.nets import plain_outputs
from torch import nn

import layerlens as ll
from layerlens.errors import (
    ArgumentError,
    LayerlensWarning,
    LayerSelectionError,
    RecordingError,
    ShapeError,
)
from layerlens.recording.across import unit_across
from layerlens.recording.boxes import FIELD
from layerlens.recording.driven import TopSamples, TopUnit
from layerlens.recording.units import top_samples

pytestmark = pytest.mark.usefixtures("seeded")


def _model():
    return nn.Sequential(
        nn.Conv2d(2, 5, 3, stride=2), nn.ReLU(inplace=True), nn.Conv2d(5, 4, 3, padding=1)
    )


def _images(n=50, ties=False):
    x = torch.randn(n, 2, 15, 13)
    if ties:  # many equal samples
        x[1::3] = x[0]
    return x


def _brute(maps, k, reduce="max", ids=None):
    """Sort everything by (-value, id); the place is the first maximum."""
    maps = maps.double().numpy()
    ids = np.arange(len(maps)) if ids is None else np.asarray(ids)
    out = []
    for channel in range(maps.shape[1]):
        flat = maps[:, channel].reshape(len(maps), -1)
        values = flat.max(1) if reduce == "max" else flat.mean(1)
        order = sorted(range(len(maps)), key=lambda i: (-values[i], ids[i]))[:k]
        places = [np.unravel_index(flat[i].argmax(), maps.shape[2:]) for i in order]
        out.append((ids[order], values[order], np.array(places), order))
    return out


def _same(unit, expected, rtol=0.0):
    ids, values, places, _ = expected
    assert unit.ids.tolist() == ids.tolist()
    np.testing.assert_allclose(unit.values, values, rtol=rtol)
    np.testing.assert_array_equal(unit.places, places)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("batch", [1, 7, 50])
def test_every_channel_of_several_layers_is_what_brute_force_finds(ties, batch):
    model, x = _model(), _images(ties=ties)
    plain = plain_outputs(model, x)
    found = top_samples(model, x.split(batch), ["0", "1", "2"], "all", k=6)
    assert isinstance(found, TopSamples)
    assert len(found) == 14
    for name in ("0", "1", "2"):
        # the plain pass took all samples in one batch: sums may round differently
        expected = _brute(plain[name], 6)
        for channel, one in enumerate(expected):
            if batch == 50:
                _same(found[name, channel], one)
            elif not ties:
                _same(found[name, channel], one, rtol=1e-5)
            else:
                np.testing.assert_allclose(found[name, channel].values, one[1], rtol=1e-5)


@pytest.mark.parametrize("batch", [3, 11])
def test_ties_go_to_the_smaller_id_whatever_the_batches_and_their_order(batch):
    model = nn.Sequential(nn.Conv2d(1, 3, 1, bias=False))
    with torch.no_grad():
        model[0].weight[:] = torch.tensor([1.0, -1.0, 2.0]).view(3, 1, 1, 1)
    x = torch.randint(0, 4, (40, 1, 3, 3)).float()  # exact arithmetic, many equals
    ids = np.random.default_rng(0).permutation(40)
    expected = _brute(model(x).detach(), 7, ids=ids)
    for order in (np.arange(40), np.random.default_rng(1).permutation(40)):
        batches = [
            {"input": x[part], "ids": ids[part.numpy()]}
            for part in torch.as_tensor(order).split(batch)
        ]
        found = top_samples(model, batches, "0", "all", k=7)
        for channel in range(3):
            _same(found["0", channel], expected[channel])


def test_ids_may_be_text():
    model, x = _model(), _images(6)
    names = ["b", "a", "f", "c", "e", "d"]
    batches = [
        {"input": x[:4], "ids": names[:4]},
        {"input": x[4:], "ids": names[4:]},
    ]
    unit = top_samples(model, batches, "0", 2, k=3)
    _same(unit, _brute(plain_outputs(model, x)["0"], 3, ids=names)[2], rtol=1e-6)


def test_the_mean_of_the_map_can_count():
    model, x = _model(), _images()
    unit = top_samples(model, x.split(8), "2", 1, k=4, reduce="mean")
    _same(unit, _brute(plain_outputs(model, x)["2"], 4, "mean")[1], rtol=1e-5)


def test_with_fewer_samples_than_k_there_are_all_of_them_and_a_note():
    model, x = _model(), _images(5)
    with pytest.warns(LayerlensWarning, match="5 samples, fewer than the k = 9"):
        unit = top_samples(model, x, "0", 0)
    _same(unit, _brute(plain_outputs(model, x)["0"], 9)[0])
    assert len(unit.maps) == len(unit.inputs) == len(unit.boxes) == 5
    assert "fewer" in unit.notes[0]


def test_two_shards_merge_to_what_one_pass_gives():
    model, x = _model(), _images(ties=True)
    whole = top_samples(model, x.split(10), ["0", "2"], "all", k=5, keep=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LayerlensWarning)
        parts = [
            top_samples(model, x[30:].split(10), ["0", "2"], "all", k=5, keep=True, first_id=30),
            top_samples(model, x[:30].split(10), ["0", "2"], "all", k=5, keep=True),
        ]
    merged = TopSamples.merge(parts)
    assert list(merged) == list(whole)
    for key, unit in whole.items():
        other = merged[key]
        assert other.ids.tolist() == unit.ids.tolist()
        np.testing.assert_array_equal(other.values, unit.values)
        np.testing.assert_array_equal(other.places, unit.places)
        for mine, theirs in zip(other.maps, unit.maps, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        for mine, theirs in zip(other.inputs, unit.inputs, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert other.boxes == unit.boxes
        assert other.n_samples == 50


def test_a_short_shard_merges_too():
    model, x = _model(), _images(12)
    with pytest.warns(LayerlensWarning, match="fewer"):
        short = top_samples(model, x[:2], "0", [1], k=5)
    rest = top_samples(model, x[2:], "0", [1], k=5, first_id=2)
    merged = TopSamples.merge([short, rest])["0", 1]
    _same(merged, _brute(plain_outputs(model, x)["0"], 5)[1], rtol=1e-6)
    assert merged.notes == ()


def test_maps_inputs_and_crops_are_those_of_the_samples():
    model, x = _model(), _images()
    unit = top_samples(model, x.split(9), "0", 3, k=4)
    assert isinstance(unit, TopUnit)
    plain = plain_outputs(model, x)["0"]
    for i, number in enumerate(unit.ids):
        np.testing.assert_allclose(unit.maps[i], plain[number, 3].numpy(), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(unit.inputs[i], x[number].numpy())
        row, column = unit.places[i]
        box = unit.boxes[i]
        assert (box.how, box.start, box.shape) == (FIELD, (2 * row, 2 * column), (3, 3))
        crop = x[number, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        np.testing.assert_array_equal(unit.crops[i], crop.numpy())


def test_no_more_samples_are_held_than_units_times_k(monkeypatch):
    from layerlens.recording import units

    most = []
    commit = units._Strongest.commit

    def watched(self, *args):
        commit(self, *args)
        maps = sum(len(state.maps) for state in self.layers.values())
        most.append((len(self._inputs), maps))

    monkeypatch.setattr(units._Strongest, "commit", watched)
    top_samples(_model(), _images(200).split(10), "0", [0, 1], k=3)
    assert len(most) == 20
    assert max(inputs for inputs, _ in most) <= 6
    assert max(maps for _, maps in most) <= 6


def test_many_units_keep_no_maps_unless_asked_to():
    model, x = nn.Sequential(nn.Conv2d(2, 40, 3)), _images(12)
    assert top_samples(model, x, "0", "all")["0", 0].maps is None
    assert top_samples(model, x, "0", "all", keep=True)["0", 39].maps is not None
    assert top_samples(model, x, "0", [0], keep=False)["0", 0].inputs is None


def test_diverse_samples_are_unlike_each_other_and_the_strongest_stays():
    model = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False))
    with torch.no_grad():
        model[0].weight[:] = torch.eye(3).view(3, 3, 1, 1)
    x = torch.zeros(8, 3, 2, 2)
    x[:, 0, 0, 0] = torch.tensor([10.0, 9.9, 9.8, 9.7, 9, 8, 7, 6])
    x[4, 1, 0, 0] = 20  # another kind of sample, by its other channels
    x[6, 2, 0, 0] = 20
    plain = top_samples(model, x, "0", 0, k=3)
    assert plain.ids.tolist() == [0, 1, 2]
    assert top_samples(model, x.split(3), "0", 0, k=3, diverse=True).ids.tolist() == [0, 4, 6]


def test_samples_that_give_nan_count_for_nothing():
    model, x = _model(), _images(12)
    x[4] = torch.nan
    with pytest.warns(LayerlensWarning, match="NaN for 1 samples"):
        unit = top_samples(model, x.split(5), "0", 0, k=11)
    assert sorted(unit.ids.tolist()) == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]


def test_bad_requests_say_what_is_allowed():
    model, x = _model(), _images(4)
    with pytest.raises(LayerSelectionError, match="'0' has 5 channels, 0 to 4"):
        top_samples(model, x, "0", 5)
    with pytest.raises(ArgumentError, match="'max' or 'mean'"):
        top_samples(model, x, "0", 0, reduce="sum")
    with pytest.raises(ArgumentError, match="k is a whole number from 1"):
        top_samples(model, x, "0", 0, k=0)
    with pytest.raises(ArgumentError, match="'all'"):
        top_samples(model, x, "0", "top")
    with pytest.raises(RecordingError, match="empty"):
        top_samples(model, [], "0", 0)
    with pytest.raises(ShapeError, match="takes 2 channels"):
        top_samples(model, x[:, :1], "0", 0)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(390, 3))
    with pytest.raises(ShapeError, match=r"\(3,\).*Probe"):
        top_samples(flat, x, "1", 0)
    with pytest.raises(ShapeError, match=r"one size"):
        top_samples(model, [x, x[..., 2:]], "0", 0, k=2)
    both = top_samples(model, x, ["0", "2"], 0, k=2)
    with pytest.raises(KeyError, match="no channel 9 among"):
        both["0", 9]
    with pytest.raises(KeyError, match="a unit is"):
        both["nowhere", 0]


def test_one_unit_across_images_of_several_sizes():
    model = _model()
    images = [torch.randn(2, 15, 13), torch.randn(2, 9, 21)]
    across = unit_across(model, images, "1", 4, names=["a", "b"], boxes=True)
    for i, image in enumerate(images):
        plain = plain_outputs(model, image[None])["1"][0, 4].numpy()
        np.testing.assert_array_equal(across.maps[i], plain)
        assert across.values[i] == plain.max()
        assert plain[tuple(across.places[i])] == plain.max()
        assert across.boxes[i].shape == (3, 3)
    with pytest.raises(ArgumentError, match="1 names for 2"):
        unit_across(model, images, "1", 4, names=["a"])
    with pytest.raises(ArgumentError, match="3 layers"):
        unit_across(model, images, "?", 2)


def test_one_unit_across_images_says_in_lines_what_it_holds():
    images = torch.zeros(2, 1, 4, 4)
    images[0, 0, 1, 2], images[1, 0, 3, 0] = 5, 7
    across = ll.unit_across(nn.Identity(), images, "", 0)
    assert repr(across).splitlines() == [
        "UnitAcross (model), channel 0: 2 images",
        "           5  0  at (1, 2)",
        "           7  1  at (3, 0)",
    ]
