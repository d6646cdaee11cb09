"""The public surface: its names and signatures, what an import costs, who imports whom."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import layerlens as ll

SOURCE = Path(ll.__file__).parent


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("name", ll.__all__)
def test_every_public_name_can_be_had(name):
    assert getattr(ll, name) is not None


def test_all_is_sorted_and_complete():
    assert ll.__all__ == sorted(ll.__all__)
    assert set(ll.__all__) == {*ll._HOME, *ll._SUBMODULES, "__version__"}
    assert dir(ll) == ll.__all__


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = ll.nonsense


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Probe", "model layers *readout *sketch *call *capture *dtype *store *random_state"),
        ("Probe.run", "self batches *progress *limit *forward"),
        ("Probe.annotate", "self labels ids inputs columns"),
        (
            "reduce",
            "activations reducer *layers *n_components *align *metrics *n_jobs *progress "  # noqa: ISC004
            "*random_state params",
        ),
        ("Embeddings.save", "self path sink options"),
    ],
)
def test_stable_signatures_begin_as_the_design_has_them(name, parameters):
    value = ll
    for part in name.split("."):
        value = getattr(value, part)
    found = [
        "*" * (p.kind is p.KEYWORD_ONLY) + p.name
        for p in inspect.signature(value).parameters.values()
    ]
    expected = parameters.split()
    added = [p for p in found if p not in expected]
    # what is added is a keyword, so that no call of today means something else tomorrow
    assert [p for p in found if p in expected] == expected
    assert all(p.startswith("*") for p in added)


def test_errors_have_the_closest_builtin_as_second_parent():
    parents = {
        ll.LayerSelectionError: LookupError, ll.RecordingError: RuntimeError,
        ll.ShapeError: ValueError, ll.StoreError: OSError, ll.PluginError: ImportError,
        ll.DataError: ValueError, ll.ArgumentError: ValueError,
    }  # fmt: skip
    for error, builtin in parents.items():
        assert issubclass(error, ll.LayerlensError) and issubclass(error, builtin)


def test_import_loads_nothing_heavy():
    heavy = ["sklearn", "umap", "matplotlib", "pandas", "numba", "torch", "scipy", "tqdm"]
    loaded = python(f"import sys, layerlens; print([m for m in {heavy} if m in sys.modules])")
    assert loaded == "[]"


def test_recording_loads_none_of_the_embedding_packages():
    heavy = ["sklearn", "umap", "matplotlib", "pandas", "numba", "layerlens.embedding.reduce"]
    code = (
        "import sys, torch, layerlens as ll; m = torch.nn.Linear(2, 2);"
        "ll.Probe(m).run([torch.ones(3, 2)]);"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    assert python(code) == "[]"


def test_reducing_arrays_needs_no_torch():
    code = (
        "import sys, numpy as np, layerlens as ll;"
        "ll.reduce({'a': np.random.rand(30, 5)}, 'pca'); print('torch' in sys.modules)"
    )
    assert python(code) == "False"


ROOMS = {
    "errors": set(),
    "_options": {"errors"},
    "_version": set(),
    "_pixels": set(),
    "_display": {"_pixels"},
    "progress": set(),
    "records": {"records", "errors"},
    "plugins": {"plugins", "records", "errors"},
    "recording": {
        *("recording", "plugins", "records", "errors", "progress", "_version"),
        *("_display", "_options", "_pixels"),
    },
    "embedding": {
        *("embedding", "recording", "plugins", "records", "errors", "progress", "_version"),
        *("_display", "_options"),
    },
    "reducers": {"reducers", "embedding", "plugins", "records", "errors", "progress"},
    "viewer": {"viewer", "errors"},
    "sinks": {
        *("sinks", "viewer", "embedding", "recording"),
        *("plugins", "records", "errors", "_version", "_options", "_pixels"),
    },
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_one_way(room):
    files = [SOURCE / f"{room}.py"] if (SOURCE / f"{room}.py").exists() else []
    files += sorted((SOURCE / room).rglob("*.py")) if (SOURCE / room).is_dir() else []
    assert files
    for path in files:
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "layerlens" and len(parts) > 1:
                assert parts[1] in ROOMS[room], f"{path.name} imports {name}"
            if parts[0] == "torch" and room not in ("recording", "embedding"):
                pytest.fail(f"{path.name} imports torch")


def test_no_core_module_names_a_built_in_plugin():
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0]
        if room in ("reducers", "sinks"):
            continue
        for name in imports(path):
            parts = name.split(".")
            if parts[:2] in (["layerlens", "reducers"], ["layerlens", "sinks"]):
                module = importlib.import_module(".".join(parts[:2]))
                assert len(parts) == 2 or (hasattr(module, parts[2]) and len(parts) == 3), (
                    f"{path.name} imports {name}"
                )


def test_no_file_is_too_long_for_a_head():
    for path in SOURCE.rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 600, path.name
