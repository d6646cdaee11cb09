"""Boxes: nothing outside of them matters, and their edges do."""

import numpy as np
import pytest
import torch
from torch import nn

from layerlens.errors import ShapeError
from layerlens.recording.boxes import FIELD, GRADIENT
from layerlens.recording.fields import FieldFinder, Seer
from layerlens.recording.maps import activation_maps

SIZE = (40, 32)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        x = self.stem(x)
        return torch.relu_(x + self.conv(torch.relu(x)))


def _nets():
    torch.manual_seed(0)
    return {
        "strided": (nn.Sequential(nn.Conv2d(2, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, 4, 3, 2)), "2"),
        "dilated": (nn.Sequential(nn.Conv2d(2, 4, 3, dilation=2), nn.Conv2d(4, 4, (3, 1))), "1"),
        "padded": (nn.Sequential(nn.Conv2d(2, 4, 5, padding=2), nn.MaxPool2d(3, 2, 1)), "1"),
        "residual": (Residual(), ""),
        "transposed": (nn.Sequential(nn.Conv2d(2, 4, 4, 4), nn.ConvTranspose2d(4, 4, 4, 2)), "1"),
    }


# field, stride and first row by hand, along the first axis: (size, step, offset of place 0)
BY_HAND = {
    "strided": (7, 4, 0),
    "dilated": (7, 1, 0),
    "padded": (7, 2, -3),
    "residual": (7, 2, -3),
}


@pytest.mark.parametrize("name", _nets())
def test_outside_of_the_box_nothing_matters_and_its_edges_do(name):
    model, layer = _nets()[name]
    model.double().eval()
    x = torch.randn(1, 2, *SIZE, dtype=torch.float64)

    def maps(x):
        return activation_maps(model, x, layer, "all")[layer].values[0]

    grid = maps(x).shape[1:]
    places = [(0, 0), (grid[0] // 2, grid[1] // 3), (grid[0] - 1, grid[1] - 1), (3, 2)]
    boxes = FieldFinder(model, x).fields(layer, places)
    for place, box in zip(places, boxes, strict=True):
        at = (slice(None), *place)
        inside = torch.zeros(SIZE, dtype=torch.bool)
        inside[box.slices] = True
        changed = torch.where(inside, x, x + 100 * torch.randn_like(x))
        np.testing.assert_array_equal(maps(changed)[at], maps(x)[at])
        for axis in (0, 1):
            for edge in (box.start[axis], box.stop[axis] - 1):
                other = x.clone()
                part = [slice(None)] * 4
                part[2 + axis] = edge
                other[tuple(part)] += 1000
                assert (maps(other)[at] != maps(x)[at]).any(), (place, axis, edge)


@pytest.mark.parametrize("name", BY_HAND)
def test_the_box_is_what_arithmetic_says(name):
    model, layer = _nets()[name]
    size, step, offset = BY_HAND[name]
    rows = [0, 1, 4, 6]
    boxes = FieldFinder(model, torch.randn(1, 2, *SIZE)).fields(layer, [(r, 2) for r in rows])
    for row, box in zip(rows, boxes, strict=True):
        start = offset + row * step
        assert (box.start[0], box.stop[0]) == (max(0, start), min(SIZE[0], start + size))


def test_boxes_of_sounds_and_volumes_have_as_many_axes():
    sound = nn.Sequential(nn.Conv1d(1, 2, 5, 3))
    assert FieldFinder(sound, torch.randn(1, 1, 50)).fields("0", [(4,)])[0].slices == (
        slice(12, 17),
    )
    volume = nn.Sequential(nn.Conv3d(1, 2, 3), nn.AvgPool3d(2))
    box = FieldFinder(volume, torch.randn(1, 1, 10, 12, 14)).fields("1", [(0, 1, 2)])[0]
    assert (box.start, box.stop) == ((0, 2, 4), (4, 6, 8))


class Squeezed(nn.Module):
    """Squeeze and excitation: every place sees the whole input, mostly what is around it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)

    def forward(self, x):
        y = self.conv(x)
        return y * torch.sigmoid(y.mean((2, 3), keepdim=True) * 0.01)


def test_where_the_field_is_everything_the_box_holds_95_percent_of_the_gradient():
    torch.manual_seed(0)
    model = nn.Sequential(Squeezed())
    x = torch.randn(2, 2, *SIZE)
    finder = FieldFinder(model, x)
    assert finder.fields("0", [(20, 10)])[0].shape == SIZE
    (box,) = finder.boxes([Seer("0", (20, 10), 1, 1)])
    assert box.how == GRADIENT
    given = x[1:].clone().requires_grad_()
    model(given)[0, 1, 20, 10].backward()
    weight = given.grad.abs().sum((0, 1))
    assert 0.95 <= weight[box.slices].sum() / weight.sum() < 1
    assert box.start[0] <= 20 < box.stop[0]
    assert max(box.shape) <= 5
    local = finder.boxes([Seer("0.conv", (20, 10), 1, 1)])[0]
    assert (local.how, local.shape) == (FIELD, (3, 3))


def test_a_gradient_is_that_of_the_layer_and_not_of_what_changes_it_in_place():
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten())
    with torch.no_grad():
        model[0].weight.fill_(-1.0)
    x = torch.rand(1, 1, 3, 3)  # the field of the middle is all of it, and the unit is negative
    (box,) = FieldFinder(model, x).boxes([Seer("0", (1, 1), 0, 0)])
    assert (box.how, box.shape) == (GRADIENT, (3, 3))


def test_maps_come_with_the_box_of_their_strongest_place():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3, stride=2), nn.ReLU())
    layer = activation_maps(model, torch.randn(2, 1, 21, 21), "0", "all", boxes=True)["0"]
    for b in range(2):
        for i in range(3):
            row, column = np.unravel_index(layer.values[b, i].argmax(), layer.grid)
            assert layer.boxes[b][i].start == (2 * row, 2 * column)
            assert layer.boxes[b][i].shape == (3, 3)


def test_inputs_without_places_have_no_boxes():
    with pytest.raises(ShapeError, match="boxes are of inputs with places"):
        FieldFinder(nn.Sequential(nn.Embedding(5, 4)), torch.zeros(1, 7, dtype=torch.long))
