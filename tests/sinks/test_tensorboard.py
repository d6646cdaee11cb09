"""The folder for TensorBoard, read back by TensorBoard itself."""

import io
import json
import urllib.parse
import warnings

import numpy as np
import pytest

from layerlens._pixels import encode_png, sprite
from layerlens.errors import StoreError
from layerlens.sinks.tensorboard import TensorBoardSink, scalar_event

PIL = pytest.importorskip("PIL.Image")


class Projector:
    """TensorBoard's own projector plugin, asked as the browser asks it."""

    def __init__(self, logdir):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own affair
            pytest.importorskip("tensorboard")
            from tensorboard.backend.event_processing import (
                data_provider,
                plugin_event_multiplexer,
            )
            from tensorboard.plugins import base_plugin
            from tensorboard.plugins.projector import projector_plugin
            from werkzeug import test, wrappers

            multiplexer = plugin_event_multiplexer.EventMultiplexer()
            multiplexer.AddRunsFromDirectory(str(logdir))
            multiplexer.Reload()
            provider = data_provider.MultiplexerDataProvider(multiplexer, str(logdir))
            context = base_plugin.TBContext(
                logdir=str(logdir), data_provider=provider, multiplexer=multiplexer
            )
            self.multiplexer = multiplexer
            self.plugin = projector_plugin.ProjectorPlugin(context)
            self.apps = self.plugin.get_plugin_apps()
            self.client = lambda app: test.Client(app, wrappers.Response)

    def get(self, route, **query):
        app = self.apps[route]
        answer = self.client(app).get("/?" + urllib.parse.urlencode(query))
        assert answer.status_code == 200, answer.get_data()
        return answer.get_data()

    def runs(self):
        return json.loads(self.get("/runs"))

    def layers(self, run):
        config = json.loads(self.get("/info", run=run))
        return {entry["tensorName"]: entry for entry in config["embeddings"]}

    def tensor(self, run, name, shape):
        return np.frombuffer(self.get("/tensor", run=run, name=name), np.float32).reshape(shape)

    def metadata(self, run, name):
        text = self.get("/metadata", run=run, name=name).decode()
        return [line.split("\t") for line in text.splitlines()]


@pytest.fixture
def rich(make_result):
    rng = np.random.default_rng(0)
    return make_result(
        n_components=3,
        rows={2: np.array([7, 1, 4])},
        labels=np.arange(40) % 3,
        label_names=("cat", "a\tb\nc", ""),
        columns={"loss": np.where(np.arange(40) % 2, np.nan, 0.25), "empty": np.array([""] * 40)},
        thumbnails=rng.integers(0, 256, (40, 6, 4, 3), dtype=np.uint8),
        clusters=[None, np.arange(40) % 5, None],
    )


def test_the_projector_serves_every_coordinate_bit_for_bit(rich, tmp_path):
    rich.save(tmp_path / "layers", sink="tensorboard")
    projector = Projector(tmp_path)
    assert projector.runs() == ["layers"]
    layers = projector.layers("layers")
    assert list(layers) == ["000 input", "001 conv1", "002 fc"]
    for layer, (name, entry) in zip(rich.values(), layers.items(), strict=True):
        shape = tuple(entry["tensorShape"])
        assert shape == layer.coordinates.shape
        np.testing.assert_array_equal(
            projector.tensor("layers", name, shape), layer.coordinates, strict=True
        )


@pytest.mark.parametrize("n_components", [1, 2])
def test_pictures_of_less_than_three_dimensions_have_zeros_in_the_rest(
    make_result, tmp_path, n_components
):
    # looked at in a browser: TensorBoard 2.21 shows no point of a tensor with two columns
    result = make_result(n_components=n_components)
    result.save(tmp_path / "layers", sink="tensorboard")
    read = Projector(tmp_path).tensor("layers", "001 conv1", (40, 3))
    np.testing.assert_array_equal(read[:, :n_components], result["conv1"].coordinates)
    assert not read[:, n_components:].any()


def test_the_folder_itself_is_a_logdir_too(rich, tmp_path):
    rich.save(tmp_path / "layers", sink="tensorboard")
    assert Projector(tmp_path / "layers").runs() == ["."]


def test_metadata_has_one_line_a_sample_in_the_order_of_the_tensor(rich, tmp_path):
    rich.save(tmp_path / "layers", sink="tensorboard")
    projector = Projector(tmp_path)
    head, *lines = projector.metadata("layers", "001 conv1")
    assert head == ["label_name", "id", "label", "cluster", "loss", "empty"]
    assert len(lines) == 40 and {len(line) for line in lines} == {6}
    # a name with a tab and a line break stays in its field
    assert lines[1] == ["a b c", "1", "1", "1", "nan", "-"]
    head, *lines = projector.metadata("layers", "002 fc")
    assert [line[1] for line in lines] == ["7", "1", "4"]
    assert "cluster" not in head


def test_metadata_of_ids_alone_has_no_head(make_result, tmp_path):
    make_result(n=3).save(tmp_path / "layers", sink="tensorboard")
    assert Projector(tmp_path).metadata("layers", "000 input") == [["0"], ["1"], ["2"]]


def test_the_sprite_holds_the_thumbnails_row_by_row(rich, tmp_path):
    rich.save(tmp_path / "layers", sink="tensorboard")
    projector = Projector(tmp_path)
    layers = projector.layers("layers")
    for name, rows in (("001 conv1", np.arange(40)), ("002 fc", np.array([7, 1, 4]))):
        width, height = layers[name]["sprite"]["singleImageDim"]
        assert (width, height) == (4, 6)
        data = projector.get("/sprite_image", run="layers", name=name)
        image = np.asarray(PIL.open(io.BytesIO(data)))
        columns = image.shape[1] // width
        for place, row in enumerate(rows):
            top, left = place // columns * height, place % columns * width
            shown = image[top : top + height, left : left + width]
            np.testing.assert_array_equal(shown, rich.thumbnails[row])


def test_metrics_are_curves_over_depth(make_result, tmp_path):
    metrics = [
        {"trustworthiness": 0.5 + i / 8, "odd": [np.nan, np.inf, 1e300][i]} for i in range(3)
    ]
    result = make_result(metrics=metrics, created="2026-01-02T03:04:05+00:00")
    result.save(tmp_path / "layers", sink="tensorboard")
    accumulator = Projector(tmp_path).multiplexer.GetAccumulator("layers")
    # what the reader makes of old-style scalars
    events = accumulator.Tensors("layerlens/trustworthiness")
    values = [(e.step, e.tensor_proto.float_val[0], e.wall_time) for e in events]
    assert values == [(i, 0.5 + i / 8, 1767323045.0) for i in range(3)]
    odd = [e.tensor_proto.float_val[0] for e in accumulator.Tensors("layerlens/odd")]
    np.testing.assert_array_equal(odd, [np.nan, np.inf, np.inf])


def test_steps_beyond_a_byte_keep_their_value(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto import event_pb2

    for step in (0, 1, 127, 128, 300, 2**31):
        event = event_pb2.Event.FromString(scalar_event("é" * 200, 1.5, step, 2.0))
        assert event.step == step
        assert event.summary.value[0].tag == "é" * 200
        assert event.summary.value[0].simple_value == 1.5


def test_hostile_names_come_through_the_config(make_result, tmp_path):
    names = ('a"b\\', "é\n🙂", "../../x", "", "a" * 500)
    make_result(names, n=5).save(tmp_path / "layers", sink="tensorboard")
    found = list(Projector(tmp_path).layers("layers"))
    assert found == [f"{i:03} {name or '(model)'}" for i, name in enumerate(names)]


def test_what_a_training_run_keeps_in_a_folder_is_left_alone(make_result, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "events.out.tfevents.1.host").write_bytes(b"three days of training")
    (run / "projector_config.pbtxt").write_text("embeddings {}")
    with pytest.raises(StoreError, match=r"other files lies there.*layerlens"):
        make_result().save(run, sink="tensorboard")
    assert sorted(p.name for p in run.iterdir()) == [
        "events.out.tfevents.1.host",
        "projector_config.pbtxt",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    # beside them it is at home
    make_result().save(run / "layers", sink="tensorboard")
    assert (run / "layers" / "000.tsv").exists()


def test_an_empty_folder_is_taken_and_a_file_refused(make_result, tmp_path):
    (tmp_path / "empty").mkdir()
    make_result().save(tmp_path / "empty", sink="tensorboard")
    assert (tmp_path / "empty" / "000.tsv").exists()
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(StoreError, match="a file lies there"):
        make_result().save(tmp_path / "file", sink="tensorboard")
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_the_same_result_gives_the_same_bytes(rich, tmp_path):
    contents = []
    for name in ("a", "b"):
        folder = rich.save(tmp_path / name, sink="tensorboard")
        contents.append({p.name: p.read_bytes() for p in folder.iterdir()})
    assert contents[0] == contents[1]


def test_a_layer_of_another_run_is_refused(make_result, tmp_path):
    with (
        pytest.raises(StoreError, match="another run"),
        TensorBoardSink(tmp_path / "layers") as sink,
    ):
        sink.write(make_result()["input"])
        sink.write(make_result()["conv1"])
    assert not list(tmp_path.iterdir())


def test_a_png_is_read_as_it_was_by_others():
    for samples in (1, 3):
        image = np.random.default_rng(0).integers(0, 256, (5, 7, samples), dtype=np.uint8)
        read = np.asarray(PIL.open(io.BytesIO(encode_png(image))))
        np.testing.assert_array_equal(read.reshape(image.shape), image)


@pytest.mark.parametrize(("n", "side"), [(1, 1), (4, 2), (5, 3), (9, 3), (10, 4)])
def test_a_sprite_is_square(n, side):
    image, size = sprite(np.ones((n, 4, 6, 1), np.uint8), 8192)
    assert size == (4, 6) and image.shape == (side * 4, side * 6, 1)
    assert image.sum() == n * 24


def test_a_sprite_too_large_for_a_texture_is_thinned():
    thumbnails = np.arange(100 * 64, dtype=np.uint8).reshape(100, 8, 8, 1)
    image, size = sprite(thumbnails, 30)
    assert size == (3, 3) and image.shape == (30, 30, 1)
    np.testing.assert_array_equal(image[3:6, 3:6], thumbnails[11, ::3, ::3])


def test_a_run_that_does_not_say_when_it_was_made_is_written(make_result, tmp_path):
    folder = make_result(created="some day").save(tmp_path / "layers", sink="tensorboard")
    assert (folder / "events.out.tfevents.0000000000.layerlens").exists()
    assert json.loads((folder / "layerlens.json").read_text())["layers"][0]["layer"] == "input"
