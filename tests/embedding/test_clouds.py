import numpy as np
import pytest

from layerlens.embedding.clouds import layer_clouds, selected_layers
from layerlens.errors import ArgumentError, DataError, LayerSelectionError, ShapeError
from layerlens.records import LayerInfo, RunInfo


def _array(n=6, d=3):
    return np.arange(n * d, dtype=np.float64).reshape(n, d)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int16, np.uint8, bool])
def test_any_real_type_becomes_float32(dtype):
    (cloud,) = layer_clouds({"layer": _array().astype(dtype)})
    matrix = cloud.matrix()
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    assert (matrix == _array().astype(dtype).astype(np.float32)).all()


def test_strided_and_read_only_arrays_are_taken_and_left_alone():
    source = _array(12, 6)
    source.setflags(write=False)
    (cloud,) = layer_clouds({"layer": source[::2, ::3]})
    assert (cloud.matrix() == source[::2, ::3]).all()


def test_tensors_are_taken_off_their_graph():
    import torch

    tensor = torch.ones(4, 2, requires_grad=True) * 2
    half = torch.ones(4, 2, dtype=torch.bfloat16)
    first, second = layer_clouds({"grad": tensor, "half": half})
    assert (first.matrix() == 2).all()
    assert (second.matrix() == 1).all()


@pytest.mark.parametrize(
    ("shape", "remedy"), [((5,), r"\(n_samples, 1\)"), ((5, 2, 2), r"x.reshape\(len\(x\), -1\)")]
)
def test_a_layer_that_is_no_matrix_is_refused_with_a_remedy(shape, remedy):
    with pytest.raises(ShapeError, match=remedy):
        layer_clouds({"conv": np.zeros(shape)})


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_an_empty_layer_is_refused(shape):
    with pytest.raises(ShapeError, match=r"'conv' is empty: its shape is \("):
        layer_clouds({"conv": np.zeros(shape)})


def test_an_empty_mapping_and_a_bare_array_are_refused():
    with pytest.raises(ArgumentError, match="the mapping is empty"):
        layer_clouds({})
    with pytest.raises(ArgumentError, match=r"write \{'layer': array\}"):
        layer_clouds(_array())
    with pytest.raises(ArgumentError, match="got the key 3"):
        layer_clouds({3: _array()})


def test_different_numbers_of_samples_are_refused_with_both():
    with pytest.raises(ShapeError, match=r"a: 6, b: 5"):
        layer_clouds({"a": _array(6), "b": _array(5)})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named_by_layer_and_sample(bad):
    X = _array(8)
    X[[2, 5], 1] = bad
    (cloud,) = layer_clouds({"relu": X})
    with pytest.raises(DataError, match=r"'relu' has NaN or infinity in 2 of 8 samples \(ids 2, 5"):
        cloud.matrix()


def test_of_many_bad_samples_the_first_are_named():
    X = np.full((40, 2), np.nan)
    (cloud,) = layer_clouds({"relu": X})
    with pytest.raises(DataError, match=r"ids 0, 1, 2, 3, 4 and 35 more"):
        cloud.matrix()


def test_values_beyond_float32_are_told_from_infinity():
    X = _array()
    X[1, 1] = 1e60
    (cloud,) = layer_clouds({"layer": X})
    with pytest.raises(DataError, match="too large for float32"):
        cloud.matrix()


def test_large_values_are_no_infinity():
    (cloud,) = layer_clouds({"layer": np.full((3, 4), 3e38, np.float32)})
    with pytest.raises(DataError, match="squared distances are too large"):
        cloud.matrix()


def test_text_is_refused():
    (cloud,) = layer_clouds({"layer": np.array([["a"], ["b"]])})
    with pytest.raises(DataError, match="not real numbers"):
        cloud.matrix()


def test_layers_are_selected_by_name_and_glob_in_their_own_order():
    names = ["input", "conv1", "conv2", "fc", 'out["aux"]', "lstm[1]"]
    assert selected_layers(names, None) == names
    assert selected_layers(names, ["fc", "conv*"]) == ["conv1", "conv2", "fc"]
    assert selected_layers(names, "lstm[1]") == ["lstm[1]"]


def test_a_mistyped_layer_is_answered_with_the_nearest():
    with pytest.raises(LayerSelectionError, match=r"no layer matches 'cnov1'; nearest: 'conv1'"):
        selected_layers(["conv1", "fc"], "cnov1")
    with pytest.raises(LayerSelectionError, match="layers is empty"):
        selected_layers(["conv1"], [])


class _Recorded(dict):
    """What Activations look like to this room."""

    def __init__(self, layers, run):
        super().__init__(layers)
        self.run = run


def test_the_run_of_activations_is_kept_and_rows_say_which_samples():
    run = RunInfo(
        layers={name: LayerInfo(name) for name in ("a", "b")},
        ids=np.array(list("pqrs")),
        labels=np.array([0, 1, 0, 1]),
    )
    arrays = {"a": _array(4), "b": _array(2)}
    rows = np.array([1, 3])

    class Layer:
        def __init__(self, array, rows):
            self.array, self.rows, self.shape, self.cache = array, rows, array.shape, {"k": 1}

        def __array__(self, dtype=None, copy=None):
            return self.array

    layers = {"a": Layer(arrays["a"], None), "b": Layer(arrays["b"], rows)}
    first, second = layer_clouds(_Recorded(layers, run))
    assert first.run is run
    assert second.labels.tolist() == [1, 1]
    assert len(second) == 2
    assert second.cache is layers["b"].cache
    assert not second.has_rows_of(first)
    arrays["b"][0, 0] = np.nan
    with pytest.raises(DataError, match="ids q"):
        second.matrix()


def test_rows_that_do_not_fit_are_refused():
    run = RunInfo(layers={"a": LayerInfo("a")}, ids=np.arange(4))
    with pytest.raises(ShapeError, match="has 3 rows where the run has 4 samples"):
        layer_clouds(_Recorded({"a": _array(3)}, run))


def test_labels_of_a_plain_mapping_object_are_taken():
    class Labelled(dict):
        labels = np.arange(6)

    (cloud,) = layer_clouds(Labelled(layer=_array()))
    assert cloud.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert cloud.run.layers["layer"].dim == 3


@pytest.mark.parametrize(("scale", "fits"), [(1e17, True), (1e30, False)])
def test_values_whose_distances_overflow_are_refused_by_name(scale, fits):
    values = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    values[7] *= scale
    (cloud,) = layer_clouds({"deep": values})
    if fits:
        assert np.array_equal(cloud.matrix(), values)
        return
    with pytest.raises(DataError, match=r"'deep'.*squared distances.*1 of 20.*ids 7.*Scale"):
        cloud.matrix()
