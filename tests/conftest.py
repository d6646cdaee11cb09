"""What holds for all tests."""

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Let a file of tests that cannot be imported fail.

    ``--doctest-ignore-import-errors`` is meant for modules of ``src`` whose extra is missing.
    """
    report = yield
    is_test = report.nodeid.startswith("tests/")
    if is_test and report.skipped and "unable to import module" in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} cannot be imported: python -c 'import ...' says why"
    return report


@pytest.fixture
def seeded():
    """PyTorch's random numbers from seed 0; what was drawn before is not disturbed."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
