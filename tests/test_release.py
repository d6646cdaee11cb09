"""What must agree before a tag becomes a release."""

import importlib.util
import re
from pathlib import Path

import pytest

import layerlens as ll

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def release():
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sources(tmp_path):
    def write(version, changelog):
        (tmp_path / "src/layerlens").mkdir(parents=True, exist_ok=True)
        (tmp_path / "src/layerlens/_version.py").write_text(f'__version__ = "{version}"\n')
        (tmp_path / "CHANGELOG.md").write_text(changelog)
        return tmp_path

    return write


def test_a_tag_the_version_and_the_changelog_that_agree_are_a_release(release, sources):
    root = sources("0.1.0", "## [Unreleased]\n\n## [0.1.0] - 2026-12-01\n")
    assert release.disagreements("v0.1.0", root) == []


@pytest.mark.parametrize(
    ("tag", "version", "changelog", "what"),
    [
        ("v0.1.0", "0.1.0.dev0", "## [0.1.0] - 2026-12-01\n", r"_version\.py says '0\.1\.0\.dev0'"),
        ("v0.1.0", "0.1.0", "## [Unreleased]\n", r"no section ## \[0\.1\.0\]"),
        ("v0.1.0", "0.1.0", "## [0.1.0] - soon\n", r"no section ## \[0\.1\.0\]"),
        ("0.1.0", "0.1.0", "## [0.1.0] - 2026-12-01\n", "is v and three numbers"),
    ],
)
def test_what_does_not_agree_is_named(release, sources, tag, version, changelog, what):
    wrong = release.disagreements(tag, sources(version, changelog))
    assert len(wrong) >= 1 and re.search(what, "\n".join(wrong))


def test_the_real_version_is_found_by_it(release):
    wrong = release.disagreements(f"v{ll.__version__}")
    assert not [line for line in wrong if "_version.py" in line]


def test_python_versions_are_declared_as_far_as_they_are_required():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (lowest,) = re.findall(r'requires-python = ">=3\.(\d+)"', text)
    declared = re.findall(r'"Programming Language :: Python :: 3\.(\d+)"', text)
    assert declared and declared[0] == lowest
