"""The built-in sinks pass the kit that third parties' sinks pass."""

import sys

import pytest

import layerlens as ll
from layerlens.testing import SINK_CHECKS

NEEDS = {"anndata": "anndata", "parquet": "pyarrow", "safetensors": "safetensors"}
# whatever is declared is held to it, also what somebody adds tomorrow
BUILT_IN = [name for name in ll.sinks.available() if "." not in name]


@pytest.mark.parametrize("check", SINK_CHECKS.values(), ids=SINK_CHECKS)
@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_sink_keeps_the_contract(name, check):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    check(ll.sinks.factory(name))


def test_the_known_ones_are_among_them():
    known = {"anndata", "csv", "figure", "npz", "parquet", "safetensors", "tensorboard"}
    assert known <= set(BUILT_IN)


@pytest.mark.parametrize("name", NEEDS)
def test_a_missing_package_is_one_line_with_the_command_that_brings_it(
    name, make_result, tmp_path, monkeypatch
):
    for module in list(sys.modules):
        if module.startswith(f"{NEEDS[name]}."):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, NEEDS[name], None)
    with pytest.raises(ll.PluginError) as caught:
        make_result().save(tmp_path / "result", sink=name)
    message = str(caught.value)
    assert message.endswith(f'pip install "torch-layerlens[{name}]"')
    assert repr(name) in message and NEEDS[name] in message
    assert "\n" not in message
    assert not list(tmp_path.iterdir())
