"""The plugin keeps layerlens's contract, and is found by its names."""

import pytest
from layerlens.testing import REDUCER_CHECKS, SINK_CHECKS, TOTAL_REDUCER_CHECKS

from layerlens_example.jsonl import JsonLines
from layerlens_example.phate import Phate

CHECKS = {**REDUCER_CHECKS, **TOTAL_REDUCER_CHECKS}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_phate_keeps_the_contract(check):
    check(Phate)


@pytest.mark.parametrize("check", SINK_CHECKS.values(), ids=SINK_CHECKS)
def test_json_lines_keeps_the_contract(check):
    check(JsonLines)


def test_layerlens_finds_both_by_name():
    import layerlens as ll

    assert ll.reducers.factory("example.phate") is Phate
    assert ll.sinks.factory("example.jsonl") is JsonLines
    assert ll.reducers.distributions("example.phate") == ["layerlens-example"]
