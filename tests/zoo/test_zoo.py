"""Every architecture: outputs bit-identical, no hook left, records equal a hook that clones."""

import pytest
import torch
from tests.zoo.check import TIMM, Finding, examine, table, written
from tests.zoo.families import FAMILIES

transformers = pytest.importorskip("transformers")

FOUND: dict[str, Finding] = {}


pytestmark = pytest.mark.usefixtures("seeded")


@pytest.mark.filterwarnings("default")  # of the libraries' own
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_transformers(family):
    FOUND[family.name] = found = examine(family.name, family.build(), family.batch())
    assert found.found == found.recorded + found.passed_on + len(found.skipped)
    assert found.recorded >= 10


def test_table_of_transformers_is_not_stale():
    text = written("transformers")
    if f"transformers {transformers.__version__}," not in text:
        pytest.skip(f"the table was made with {text.split(',')[0]}")
    for family in FAMILIES:
        if family.name not in FOUND:
            torch.manual_seed(0)
            FOUND[family.name] = examine(family.name, family.build(), family.batch())
    found = [FOUND[family.name] for family in FAMILIES]
    made = table("transformers", transformers.__version__, found)
    # the version of torch may be another one; what is recorded may not
    assert made.split("\n\n")[1] == text.split("\n\n")[1], (
        "docs/models.md is stale: python -m tests.zoo.check transformers"
    )


def test_table_of_timm_has_every_architecture():
    text = written("timm")
    assert [line.split(" | ")[0].strip("| ") for line in text.splitlines()[4:] if line] == TIMM
