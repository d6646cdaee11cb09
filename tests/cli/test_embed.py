"""``layerlens embed``: models and data of every kind, and what is said when something is wrong."""

import json
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import layerlens as ll
from layerlens.cli import main
from layerlens.cli.data import Batches, open_data
from layerlens.errors import ArgumentError, LayerlensWarning, ShapeError, StoreError
from layerlens.images import ImageFormat, image_format

Image = pytest.importorskip("PIL.Image")
# what is passed over is a line on standard error here
pytestmark = pytest.mark.filterwarnings("always::layerlens.errors.LayerlensWarning")

NETS = """
from torch import nn

def net():
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(16, 3),
    )

def grey():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 3))

def narrow():
    return nn.Sequential(nn.Flatten(), nn.Linear(7, 3))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a module of models, and photographs of two classes, one of them broken."""
    name = f"embed_nets_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(NETS)
    rng = np.random.default_rng(0)
    for label, bright in (("cat", 40), ("dog", 160)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(bright, bright + 60, (20, 24 + i, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{i:02}.png")
    (tmp_path / "photos" / "cat" / "05.png").write_bytes(b"no image")
    (tmp_path / "photos" / "dog" / "notes.txt").write_text("no image, and none by name")
    (tmp_path / "photos" / ".thumbs").mkdir()
    (tmp_path / "photos" / ".thumbs" / "00.png").write_bytes(b"hidden")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def _fails(capsys, *words):
    """Run what must fail, and return the one line that it says."""
    capsys.readouterr()
    assert main(["embed", *map(str, words)]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("layerlens: ")
    return said


def test_what_is_wrong_of_the_reduction_is_said_before_anything_is_read(place, capsys):
    for words, said in {
        "--n-components 0": "n_components is a whole number from 1, got 0",
        "--n-seeds 0": "n_seeds is a whole number from 1, got 0",
        "--reducer pca --param zz=3": "the reducer 'pca' takes no 'zz'",
    }.items():
        assert said in _fails(capsys, f"{place}:net", "nowhere.npy", *words.split())


def test_a_folder_of_images_becomes_a_picture_a_table_and_files(place, tmp_path, capsys):
    torch.manual_seed(0)
    done = main(
        ["embed", f"{place}:net", "photos", "--size", "16", "--reducer", "pca",
         "--layers", "input", "0", "4", "--out", "a.npz", "b.csv", "--out", "c.png"]
    )  # fmt: skip
    said = capsys.readouterr()
    assert done == 0
    assert "24 images of 2 classes in photos" in said.out
    assert "16 x 16 colour, mean 0.5, std 0.5 (size as given, the rest by default)" in said.out
    assert "note: passed over: 'cat/05.png' is no image that can be read" in said.err
    assert "recording: 23 of 24 samples" in said.err and "reducing: 3 of 3 layers" in said.err
    table = said.out.split("\n\n")[1].splitlines()
    assert [line.split()[0] for line in table] == ["layer", "-----", "input", "0", "4"]
    assert [line for line in said.out.splitlines() if line.startswith("wrote")] == [
        "wrote    a.npz", "wrote    b.csv", "wrote    c.png",
    ]  # fmt: skip
    result = ll.Embeddings.load("a.npz")
    assert list(result) == ["input", "0", "4"]
    files = [f"cat/{i:02}.png" for i in range(12) if i != 5] + [
        f"dog/{i:02}.png" for i in range(12)
    ]
    assert result.ids.tolist() == files
    assert result.labels.tolist() == [file[:3] for file in files]
    assert result.thumbnails.shape == (23, 16, 16, 3)
    assert result["input"].metrics["knn_accuracy_native"] > 0.9
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"


def test_what_goes_in_is_the_middle_square_normalised(place):
    data = open_data(Path("photos"))
    wanted = ImageFormat(20, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0))
    (batch,) = Batches(data.drawn(1, 0), 4, wanted)
    with Image.open(Path("photos") / str(batch.ids[0])) as image:
        pixels = np.asarray(image).astype(np.float64) / 255
    left = (pixels.shape[1] - 20) // 2
    square = pixels[:, left : left + 20]
    expected = (square - [0.1, 0.2, 0.3]) / [0.5, 0.25, 1.0]
    np.testing.assert_allclose(batch.inputs[0].permute(1, 2, 0), expected, atol=1e-5)
    np.testing.assert_array_equal(batch.pixels[0].transpose(1, 2, 0), (square * 255).round())


def test_images_of_sixteen_bits_keep_their_range():
    deep = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    shown = ImageFormat(8, channels=1).pixels(Image.fromarray(deep))[..., 0]
    np.testing.assert_allclose(shown, deep / 256, atol=1)


def test_samples_are_drawn_over_all_classes_and_the_same_for_a_seed(place):
    data = open_data(Path("photos"))
    one, same, other = (data.drawn(10, seed) for seed in (0, 0, 1))
    assert one.ids.tolist() == same.ids.tolist() != other.ids.tolist()
    assert one.ids.tolist() == sorted(one.ids.tolist())
    assert set(one.labels) == {"cat", "dog"}
    assert len(data.drawn(None, 0)) == len(data.drawn(99, 0)) == 24


def test_images_beside_folders_have_no_class_and_alone_there_are_no_labels(tmp_path):
    (tmp_path / "one").mkdir()
    for name in ("one/a.png", "b.png"):
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / name)
    data = open_data(tmp_path)
    assert data.ids.tolist() == ["b.png", "one/a.png"]
    assert data.labels.tolist() == ["", "one"]
    (tmp_path / "one" / "a.png").unlink()
    assert open_data(tmp_path).labels is None


def test_folders_that_are_links_are_walked_through_once(tmp_path):
    (tmp_path / "real").mkdir()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "real" / "a.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "cat").symlink_to(tmp_path / "real")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set")
    assert open_data(tmp_path / "set").ids.tolist() == ["cat/a.png"]


@pytest.mark.parametrize("shape", [(30, 8, 8), (30, 8, 8, 1), (30, 1, 8, 8)])
def test_arrays_of_bytes_shaped_like_images_are_images(place, shape, capsys):
    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.savez("d.npz", x=x, y=np.arange(30) % 3 - 1, label_names=["a", "b"], ids=np.arange(30) * 2)
    assert main(
        ["embed", f"{place}:grey", "d.npz", "--size", "8", "--reducer", "pca", "--out", "o.npz"]
    ) == 0  # fmt: skip
    assert "8 x 8 grey" in capsys.readouterr().out
    result = ll.Embeddings.load("o.npz")
    assert result.run.label_names == ("a", "b")
    assert result.labels.tolist() == (np.arange(30) % 3 - 1).tolist()
    assert result.ids.tolist() == list(range(0, 60, 2))
    np.testing.assert_array_equal(result.thumbnails.reshape(30, 8, 8), x.reshape(30, 8, 8))


def test_other_arrays_go_into_the_model_as_they_are(place, capsys):
    x = np.random.default_rng(0).normal(size=(40, 7))
    np.save("x.npy", x)
    words = ["embed", f"{place}:narrow", "x.npy", "--layers", "input", "--reducer", "pca"]
    assert main([*words, "--samples", "20", "--out", "o.npz"]) == 0
    assert "20, drawn with seed 0; --samples all for all" in capsys.readouterr().out
    result = ll.Embeddings.load("o.npz")
    assert result.labels is None and result.thumbnails is None
    expected = ll.reduce({"input": x[result.ids].astype(np.float32)})["input"]
    np.testing.assert_allclose(result["input"].coordinates, expected.coordinates, atol=1e-5)


def test_tokens_go_into_a_model_of_text_as_whole_numbers(place, tmp_path):
    np.save("t.npy", np.arange(12, dtype=np.int32).reshape(6, 2))
    (batch,) = Batches(open_data(tmp_path / "t.npy"), 8, None)
    assert batch.inputs.dtype == torch.int64 and batch.inputs.shape == (6, 2)


def test_options_reach_the_probe_and_the_reducer(place, capsys):
    words = ["embed", f"{place}:net", "photos", "--size", "16", "--layers", "0", "--out", "o.npz"]
    with_options = [
        "--reducer", "series-tsne", "--param", "perplexity=4", "--n-components", "3",
        "--n-seeds", "2", "--random-state", "5", "--sketch", "64", "--readout", "flatten",
        "--batch-size", "5",
    ]  # fmt: skip
    assert main([*words, *with_options]) == 0
    layer = ll.Embeddings.load("o.npz")["0"]
    assert layer.coordinates.shape == (23, 3)
    assert layer.spread.shape == (23,)
    assert layer.params["parameters"]["perplexity"] == 4
    assert layer.params["random_state"] == 5
    assert (layer.info.dim, layer.info.width) == (4 * 6 * 6, 64)
    assert main([*words, "--reducer", "pca", "--readout", "pool", "--sketch", "none"]) == 0
    assert ll.Embeddings.load("o.npz")["0"].info.dim == 4


def test_the_labels_are_told_only_when_asked(place, capsys):
    words = ["embed", f"{place}:net", "photos", "--size", "16", "--layers", "0", "--out", "o.npz"]
    assert main([*words, "--reducer", "umap", "--supervised"]) == 0
    assert "told the labels" in capsys.readouterr().out
    np.save("x.npy", np.zeros((5, 7)))
    said = _fails(capsys, f"{place}:narrow", "x.npy", "--supervised", "--reducer", "umap")
    assert "x.npy has none" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("nets:net nope", "nothing at 'nope'; DATA is a folder"),
        ("nets:net photos --out a.foo", "'a.foo' ends in '.foo'.* Use one of .*npz"),
        ("nets:net photos --out no/a.npz", "there is no folder no; make it first"),
        ("nets:net photos --reducer pcaa", "Did you mean 'pca'"),
        ("nets:net photos --batch-size 0", "--batch-size is 1 or more"),
        ("nets:net photos --layers conv", "no layer that matches 'conv'"),
        ("nets:net photos --size 2", r"does not take a batch of \(23, 3, 2, 2\).*--size \(now 2\)"),
        ("nets:net photos --mean 1 2", "mean is one number, or one for each of 3 channels"),
        ("nets:net photos --split train", "--split is of a Hugging Face data set"),
        ("nets:net photos --device moon", "--device moon cannot be used here"),
        ("nets:net photos --param perplex=3", "takes no 'perplex'. Did you mean 'perplexity'"),
        ("nets:other photos", "has no 'other'; a model is MODULE:FACTORY, timm:NAME or hf:NAME"),
        ("nets:net nets.py", "neither a folder nor .npy or .npz"),
        ("nets:narrow x.npy", "does not take a batch .*save x as the model takes it"),
        ("nets:narrow x.npy --size 3", "--size: of images, and x.npy holds none"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_the_remedy(place, words, says, capsys, tmp_path):
    np.save("x.npy", np.zeros((5, 3)))
    (tmp_path / "nets.py").write_text("")
    said = _fails(capsys, *words.replace("nets:", f"{place}:").split())
    assert re.search(says, said), said
    assert not list(tmp_path.glob("embedding.*"))


def test_a_reducer_that_fails_is_named_with_the_layer(place, capsys):
    class Refusing:
        def fit_transform(self, X, y=None):
            raise ValueError("too flat")

    ll.reducers.register("acme.refusing", Refusing)
    try:
        words = ["photos", "--size", "16", "--layers", "0", "--reducer", "acme.refusing"]
        said = _fails(capsys, f"{place}:net", *words)
    finally:
        ll.reducers.unregister("acme.refusing")
    assert "too flat, while reducing layer '0' with 'acme.refusing'" in said


@pytest.mark.parametrize(
    ("parts", "error", "says"),
    [
        ({"a": np.zeros((3, 2)), "b": np.zeros((3, 2))}, StoreError, r"call it x.*a \(3, 2\)"),
        ({"x": np.array(["a", "b"])}, StoreError, "of numbers, one sample a row"),
        ({"x": np.zeros((0, 2))}, StoreError, "holds no samples"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(4)}, ShapeError, r"labels have shape \(4,\) for 3"),
        ({"x": np.zeros((3, 2)), "y": np.eye(3)}, ShapeError, "one-hot rows save the argmax"),
        ({"x": np.array([{}, 1], object)}, StoreError, "no arrays that can be read safely"),
    ],
)
def test_arrays_that_do_not_fit_say_what_is_there(parts, error, says, tmp_path):
    np.savez(tmp_path / "d.npz", **parts)
    with pytest.raises(error, match=says):
        open_data(tmp_path / "d.npz")


def test_a_folder_without_images_or_with_broken_ones_only_says_so(place, tmp_path, capsys):
    (tmp_path / "none").mkdir()
    assert "no image in 'none'; they end in .bmp" in _fails(capsys, f"{place}:net", "none")
    (tmp_path / "none" / "a.png").write_bytes(b"nothing")
    assert "nothing was recorded" in _fails(capsys, f"{place}:net", "none")


# -- Hugging Face models


@pytest.fixture
def vit(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        image_size=16, patch_size=8, num_labels=3,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.ViTForImageClassification(config)
    model.save_pretrained(tmp_path / "vit")
    return model.eval()


def test_a_saved_transformer_is_run_with_its_head_at_its_own_size(place, vit, capsys):
    words = ["embed", "hf:vit", "photos", "--reducer", "pca", "--out", "o.npz"]
    assert main([*words, "--layers", "vit.layers.*", "classifier"]) == 0
    assert "16 x 16 colour, mean 0.5, std 0.5 (by the model's configuration)" in (
        capsys.readouterr().out
    )
    result = ll.Embeddings.load("o.npz")
    assert list(result)[-1] == "classifier"
    data = open_data(Path("photos"))
    with pytest.warns(LayerlensWarning, match="passed over"):
        inputs = torch.cat([batch.inputs for batch in Batches(data, 32, ImageFormat(16))])
    with torch.no_grad():
        logits = vit(inputs).logits.numpy()
    expected = ll.reduce({"classifier": logits})["classifier"]
    assert result["classifier"].metrics["trustworthiness"] == pytest.approx(
        expected.metrics["trustworthiness"]
    )


def test_an_image_processor_beside_the_model_says_how_images_are_made(vit, tmp_path):
    said = {
        "do_center_crop": True, "crop_size": {"height": 12, "width": 12},
        "size": {"shortest_edge": 20}, "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 4],
        "do_rescale": True, "rescale_factor": 1 / 127.5, "rescale_offset": True,
        "image_processor_type": "EfficientNetImageProcessor",
    }  # fmt: skip
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(said))
    found = image_format(f"hf:{tmp_path / 'vit'}", vit)
    assert (found.size, found.channels, found.source) == (12, 3, "by the model's image processor")
    value = np.array([3, 100, 250])
    pixels = np.broadcast_to(value, (1, 1, 1, 3)).astype(np.uint8)
    theirs = (value / 127.5 - 1 - [0.1, 0.2, 0.3]) / [1, 2, 4]
    np.testing.assert_allclose(found.inputs(pixels).ravel(), theirs, rtol=1e-5)
    assert image_format(f"hf:{tmp_path / 'vit'}", vit, size=9, mean=(0.0,)).source == (
        "size, mean as given, the rest by the model's image processor"
    )


def test_a_model_of_text_is_refused_for_images_and_takes_arrays_of_tokens(place, tmp_path, capsys):
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=16,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(tmp_path / "bert")
    said = _fails(capsys, "hf:bert", "photos")
    assert "hf:bert takes input_ids and no images (pixel_values); for text" in said
    np.save("t.npy", np.random.default_rng(0).integers(0, 30, (9, 5)))
    words = ["embed", "hf:bert", "t.npy", "--layers", "encoder*", "--reducer", "pca"]
    assert main([*words, "--readout", "token:0", "--out", "o.npz"]) == 0
    assert all(layer.coordinates.shape == (9, 2) for layer in ll.Embeddings.load("o.npz").values())


def test_weights_of_ones_own_go_into_a_model_of_a_bare_configuration(vit, tmp_path, place):
    from layerlens.models import load_model

    torch.save(vit.state_dict(), tmp_path / "w.pt")
    (tmp_path / "vit" / "model.safetensors").unlink()
    made = load_model("hf:vit", "w.pt")
    for a, b in zip(made.parameters(), vit.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_folder_that_is_no_transformer_is_refused(place, tmp_path, capsys):
    pytest.importorskip("transformers")
    (tmp_path / "empty").mkdir()
    said = _fails(capsys, f"hf:{tmp_path / 'empty'}", "photos")
    assert "transformers finds no model at" in said and "save_pretrained" in said


# -- timm, which does not install beside the newest torch: a module of the same interface


@pytest.fixture
def timm(monkeypatch):
    fake = types.ModuleType("timm")
    fake.data = types.ModuleType("timm.data")
    fake.asked = []

    def create_model(name, pretrained=False):
        fake.asked.append((name, pretrained))
        if name == "far":
            raise OSError("no route to host")
        if name != "tiny":
            raise RuntimeError(f"Unknown model ({name})")
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 64, 2))
        model.pretrained_cfg = {}
        return model

    def resolve_model_data_config(model):
        return {
            "input_size": (3, 10, 10), "interpolation": "bicubic", "crop_pct": 0.9,
            "mean": (0.4, 0.5, 0.6), "std": (0.1, 0.2, 0.3),
        }  # fmt: skip

    fake.create_model = create_model
    fake.list_models = lambda: ["tiny", "large"]
    fake.data.resolve_model_data_config = resolve_model_data_config
    monkeypatch.setitem(sys.modules, "timm", fake)
    monkeypatch.setitem(sys.modules, "timm.data", fake.data)
    return fake


def test_a_model_of_timm_s_is_fed_as_its_configuration_says(place, timm, capsys):
    words = ["embed", "timm:tiny", "photos", "--reducer", "pca", "--out", "o.npz"]
    assert main(words) == 0
    assert timm.asked == [("tiny", True)]
    assert "10 x 10 colour, mean 0.4 0.5 0.6, std 0.1 0.2 0.3 (by timm's configuration)" in (
        capsys.readouterr().out
    )
    assert "Did" not in _fails(capsys, "timm:tini", "photos")
    assert "no model 'tini' (Unknown model (tini)); nearest: tiny" in _fails(
        capsys, "timm:tini", "photos"
    )
    assert "cannot be fetched (no route to host): pass those" in _fails(
        capsys, "timm:far", "photos"
    )


def test_grey_takes_the_mean_of_a_colour_model_s_figures(timm):
    found = image_format("timm:tiny", timm.create_model("tiny"), channels=1)
    assert found.mean == pytest.approx((0.5,)) and found.std == pytest.approx((0.2,))


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"size": 0}, "side of 1 pixel or more"),
        ({"channels": 2}, "1 channel"),
        ({"std": (0.0,)}, "cannot be 0"),
        ({"mean": (1.0, 2.0)}, "one for each of 3"),
    ],
)
def test_a_format_that_cannot_be_is_refused(facts, says):
    with pytest.raises(ArgumentError, match=says):
        ImageFormat(**facts)


# -- data sets of Hugging Face's


@pytest.fixture
def dataset(place, tmp_path):
    datasets = pytest.importorskip("datasets")
    files = [f"photos/{label}/{i:02}.png" for label in ("cat", "dog") for i in range(6)]
    files[3] = None
    rows = {"img": files, "kind": [0] * 6 + [1] * 6, "note": ["x"] * 12}
    made = datasets.Dataset.from_dict(rows).cast_column("img", datasets.Image())
    return datasets, made.cast_column("kind", datasets.ClassLabel(names=["cat", "dog"]))


def test_a_saved_data_set_is_read_with_its_classes(place, dataset, capsys):
    _, made = dataset
    made.save_to_disk("saved")
    words = ["embed", f"{place}:net", "saved", "--size", "16", "--reducer", "pca"]
    assert main([*words, "--out", "o.npz"]) == 0
    said = capsys.readouterr()
    assert "12 images in saved" in said.out
    # 3 is empty, and 5 the broken file
    assert "passed over: 3 is no image that can be read: row 3 is empty" in said.err
    assert "passed over: 5 is no image that can be read: row 5: " in said.err
    result = ll.Embeddings.load("o.npz")
    assert result.ids.tolist() == [0, 1, 2, 4, 6, 7, 8, 9, 10, 11]
    assert result.labels.tolist() == [0] * 4 + [1] * 6
    assert result.run.label_names == ("cat", "dog")


def test_of_several_parts_one_is_to_be_named(place, dataset, capsys):
    datasets, made = dataset
    datasets.DatasetDict({"train": made, "test": made.select(range(6, 12))}).save_to_disk("parts")
    said = _fails(capsys, f"{place}:net", "parts")
    assert "'parts' has the parts train, test; say which by --split" in said
    assert "none is called 'val'" in _fails(capsys, f"{place}:net", "parts", "--split", "val")
    words = [
        "embed",
        f"{place}:net",
        "parts",
        "--split",
        "test",
        "--size",
        "16",
        "--reducer",
        "pca",
    ]
    assert main([*words, "--out", "o.npz"]) == 0
    assert len(ll.Embeddings.load("o.npz").ids) == 6


def test_a_data_set_without_images_says_what_it_has(place, dataset, capsys):
    _, made = dataset
    made.remove_columns("img").save_to_disk("texts")
    said = _fails(capsys, f"{place}:net", "texts")
    assert "has no column of images (kind: ClassLabel, note: Value)" in said
    assert "layerlens.embed(model, batches)" in said


def test_without_datasets_installed_it_says_what_to_install(place, tmp_path, capsys, monkeypatch):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "dataset_info.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "datasets", None)
    said = _fails(capsys, f"{place}:net", "saved")
    assert 'pip install "torch-layerlens[datasets]"' in said
