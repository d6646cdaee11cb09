"""The built-in sinks pass the kit that third parties' sinks pass."""

import pytest

import layerlens as ll
from layerlens.testing import SINK_CHECKS


@pytest.mark.parametrize("check", SINK_CHECKS.values(), ids=SINK_CHECKS)
@pytest.mark.parametrize("name", ["csv", "figure", "html", "npz"])
def test_a_built_in_sink_keeps_the_contract(name, check):
    check(ll.sinks.factory(name))
