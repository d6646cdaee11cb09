"""``layerlens maps`` and ``layerlens top``, and the loading of models, weights and images."""

import argparse

import numpy as np
import pytest
import torch
from torch import nn

from layerlens.cli.maps import add_parsers
from layerlens.errors import ArgumentError, LayerlensWarning, PluginError, ShapeError, StoreError
from layerlens.models import load_images, load_model, load_weights

Image = pytest.importorskip("PIL.Image")


def _net():
    return nn.Sequential(nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(), nn.Conv2d(6, 4, 3))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a module of a model, weights, and photographs."""
    name = f"nets_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(), nn.Conv2d(6, 4, 3))\n"
        "number = 3\n"
    )
    torch.manual_seed(3)
    torch.save({"state_dict": _net().state_dict()}, tmp_path / "net.pt")
    photos = tmp_path / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        pixels = rng.integers(0, 256, (30 + i, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path, f"{name}:net"


def _run(*words):
    parser = argparse.ArgumentParser()
    add_parsers(parser.add_subparsers(), [])
    given = parser.parse_args([str(word) for word in words])
    return given.run(given)


def test_maps_draws_an_image_s_maps(place, capsys):
    folder, model = place
    done = _run(
        "maps", folder / "photos" / "1.png", "--model", model, "--weights", "net.pt",
        "--channels", "3", "--size", "24", "--out", "m.png", "--overlay",
    )  # fmt: skip
    assert done == 0
    assert (folder / "m.png").read_bytes()[:4] == b"\x89PNG"
    assert "1 x 3 of 6 channels, 10x10" in capsys.readouterr().out


def test_top_names_the_files_that_drive_a_channel(place, capsys):
    folder, model = place
    (folder / "photos" / "broken.png").write_bytes(b"no image")
    (folder / "photos" / "notes.txt").write_text("no image, and none by name")
    with pytest.warns(LayerlensWarning, match=r"passed over.*broken\.png"):
        _run(
            "top", "photos", "--model", model, "--weights", "net.pt", "--layer", "0",
            "--channel", "5", "-k", "2", "--size", "24", "--batch", "3", "--out", "t.png",
        )  # fmt: skip
    out = capsys.readouterr().out
    net = _net()
    load_weights(net, folder / "net.pt")
    images, names = load_images([folder / "photos" / f"{i}.png" for i in range(4)], 24)
    values = net[0](images)[:, 5].amax((1, 2))
    best = [names[i] for i in values.argsort(descending=True)[:2]]
    assert [line.split("id ")[1].split()[0] for line in out.splitlines() if "id " in line] == best
    assert (folder / "t.png").exists()


def test_a_broken_file_that_was_named_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(StoreError, match=r"a\.png.*no image"):
        load_images([tmp_path / "a.png"])
    with pytest.raises(StoreError, match="no image at"):
        (tmp_path / "empty").mkdir()
        load_images([tmp_path / "empty"])


def test_images_are_the_middle_square_normalised(tmp_path):
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = (255, 0, 51)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    images, names = load_images([tmp_path / "a.png"], 10, mean=(0.5, 0.0, 0.2), std=(0.5,))
    assert names == ["a.png"]
    np.testing.assert_allclose(images[0, :, 5, 5], [1, 0, 0], atol=1e-6)
    assert load_images([tmp_path / "a.png"], 8, channels=1)[0].shape == (1, 1, 8, 8)


@pytest.mark.parametrize("kind", ["safetensors", "pt"])
def test_weights_are_read_from_both_kinds_of_file(tmp_path, kind):
    one, other = _net(), _net()
    path = tmp_path / f"w.{kind}"
    if kind == "pt":
        torch.save({f"module.{k}": v for k, v in one.state_dict().items()}, path)
    else:
        pytest.importorskip("safetensors.torch").save_file(one.state_dict(), path)
    load_weights(other, path)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_weights_that_do_not_fit_name_the_first_keys(tmp_path):
    torch.save(_net().state_dict(), tmp_path / "w.pt")
    other = nn.Sequential(nn.Conv2d(3, 7, 5), nn.Linear(2, 2))
    with pytest.raises(
        ShapeError, match=r"2 missing: 1\.weight.*unknown: 2\.weight.*\(6, 3, 5, 5\)"
    ):
        load_weights(other, tmp_path / "w.pt")


class _Evil:
    def __reduce__(self):
        return (print, ("run",))


def test_a_file_that_would_run_code_is_refused(tmp_path, capsys):
    torch.save({"a": _Evil()}, tmp_path / "w.pt")
    with pytest.raises(StoreError, match="read safely"):
        load_weights(_net(), tmp_path / "w.pt")
    assert capsys.readouterr().out == ""


def test_a_model_that_cannot_be_made_says_why(place, monkeypatch):
    _, model = place
    module = model.partition(":")[0]
    assert isinstance(load_model(model), nn.Sequential)
    with pytest.raises(ArgumentError, match="MODULE:FACTORY"):
        load_model("resnet152")
    with pytest.raises(ArgumentError, match="no module 'nowhere_at_all'"):
        load_model("nowhere_at_all:net")
    with pytest.raises(ArgumentError, match="has no 'other'"):
        load_model(f"{module}:other")
    with pytest.raises(ArgumentError, match="cannot be called"):
        load_model(f"{module}:number")
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(PluginError, match="pip install timm"):
        load_model("timm:resnet18")


@pytest.mark.parametrize("kind", ["ViT", "ResNet"])
def test_a_folder_of_transformers_is_a_model(place, capsys, kind):
    transformers = pytest.importorskip("transformers")
    folder, _ = place
    torch.manual_seed(0)
    if kind == "ViT":
        config = transformers.ViTConfig(
            image_size=32, patch_size=8, hidden_size=24, num_hidden_layers=1,
            num_attention_heads=3, intermediate_size=48,
        )  # fmt: skip
        made, layer = transformers.ViTModel(config), "layernorm"
    else:
        config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1])
        made, layer = transformers.ResNetModel(config), "embedder.pooler"
    made.eval().save_pretrained(folder / "saved")
    image = folder / "photos" / "1.png"
    words = "--model", "hf:saved", "--size", "32"
    _run("maps", image, *words, "--layers", layer, "--channels", "4", "--out", "m.png")
    said = capsys.readouterr().out
    assert (folder / "m.png").exists()
    assert ("4x4, tokens" if kind == "ViT" else "8x8, channels first") in said
    _run("top", "photos", *words, "--layer", layer, "--channel", "3", "-k", "2", "--out", "t.png")
    best = capsys.readouterr().out
    images, names = load_images([folder / "photos"], 32)
    with torch.no_grad():
        if kind == "ViT":
            values = made(images).last_hidden_state[:, 1:, 3].amax(1)
        else:
            values = made.embedder(images)[:, 3].amax((1, 2))
    strongest = names[int(values.argmax())]
    assert best.split("id ")[1].split()[0] == strongest
