"""What the README and the pages promise is run: their Python, their commands, their make targets, their links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT, FreshPython

from galfit_ml.instruments import Instrument
from galfit_ml.simulate import signal_to_noise

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page: page.read_text() for page in PAGES}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    return [line.removeprefix("$ ") for block in blocks(text, "console") for line in block.splitlines()]


def commands_of(program: str) -> list[str]:
    return sorted({line for text in TEXTS.values() for line in commands(text) if line.split()[0] == program})


@pytest.mark.slow
def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(TEXTS[ROOT / "README.md"], "python")
    names: dict = {}
    exec(code, names)
    assert names["low"] < names["posterior"].median()["log_stellar_mass"][0] < names["high"]
    assert names["redshift"].shape == (1, names["posterior"].n_draws)
    assert {path.name for path in tmp_path.iterdir()} == {"why.png", "galaxy.fits"}
    assert (type(names["posterior"]).load("galaxy.fits")["redshift"] == names["redshift"]).all()


def test_every_make_target_that_is_named_exists() -> None:
    targets = {word for line in commands_of("make") for word in line.split()[1:] if re.fullmatch("[a-z-]+", word)}
    known = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert known is not None
    assert targets >= {"demo", "test", "lint", "docs"}
    assert targets <= set(known.group(1).split())


SHORT = [line for line in commands_of("galfit-ml") if ".fits" not in line and "build" not in line]


@pytest.mark.parametrize("line", SHORT)
def test_every_short_command_that_is_named_runs(
    line: str, fresh_python: FreshPython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "import sys; from galfit_ml.cli import main; sys.exit(main(sys.argv[1:]))"
    assert fresh_python(code, *line.split()[1:]).stdout.strip()


def test_the_instrument_of_the_page_can_be_simulated(tmp_path: Path) -> None:
    first, second = blocks(TEXTS[ROOT / "docs" / "instruments.md"], "toml")
    (tmp_path / "mine.toml").write_text(first + second.removeprefix("[[arms]]\n# ... as above, and\n"))
    depth = signal_to_noise(Instrument.from_toml(tmp_path / "mine.toml"), magnitude=20.0, exposure="1h")
    assert 1 < depth.arms[0].snr < 50


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", TEXTS[page]):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
