"""Writing a new package: all of it, or nothing."""

from __future__ import annotations

import datetime
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from galfit_ml import __version__
from galfit_ml.errors import GalfitMLError, OutputExistsError, WriteError
from galfit_ml.scaffold.names import PluginNames, author_in_toml
from galfit_ml.writing import cannot_write, write_whole

ENDING = ".template"


def new_plugin(name: str, folder: str | Path | None = None, author: str = "") -> Path:
    """Write a package with a backend that passes the contract.

    Args:
        name: of the backend, such as "my-fit"; the package is galfit-ml-my-fit.
        folder: to make; by default of the package's name, in the current one.
        author: "Name" or "Name <mail>", for the licence and pyproject.toml; by default the authors of the package.

    Returns:
        The folder.

    Raises:
        GalfitMLError: the name is no name or taken, or the author is none.
        OutputExistsError: the folder is there and not empty, or a file.
        WriteError: the disk is full or not writable; nothing is left behind.
    """
    names = PluginNames(name)
    target = Path(names.distribution if folder is None else folder)
    values = _values(names, author.strip() or f"The {names.distribution} developers")
    _check_folder(target)
    try:
        with tempfile.TemporaryDirectory(prefix=".galfit_ml-", dir=target.resolve().parent) as beside:
            made = Path(beside) / "made"
            for place, content in _files(names, values):
                (made / place).parent.mkdir(parents=True, exist_ok=True)
                write_whole(made / place, content.encode())
            if target.exists():
                target.rmdir()
            shutil.move(made, target)
    except WriteError as error:
        raise WriteError(f"Nothing was made in '{target}': {error}") from error
    except OSError as error:
        raise cannot_write(target, error) from error
    return target


def _check_folder(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        what = "is not empty" if target.is_dir() else "is a file"
        raise OutputExistsError(f"'{target}' is there already and {what}. Name another folder with --out FOLDER.")
    if not target.resolve().parent.is_dir():
        parent = target.resolve().parent
        raise OutputExistsError(f"Folder '{parent}' does not exist. Make it first: mkdir -p '{parent}'")


def _values(names: PluginNames, author: str) -> dict[str, str]:
    """What stands for each <<word>> of the templates."""
    return {
        "name": names.name,
        "distribution": names.distribution,
        "package": names.package,
        "class": names.class_name,
        "author": author,
        "author_toml": author_in_toml(author),
        "year": str(datetime.datetime.now(tz=datetime.UTC).year),
        "galfit_ml": __version__,
    }


def _files(names: PluginNames, values: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Place in the new folder and content of each file."""
    places = {
        "gitignore": Path(".gitignore"),
        "test_package.py": Path("tests") / f"test_{names.package}.py",
    }
    for source, folder in _templates():
        file = source.name.removesuffix(ENDING)
        inside = Path("src") / names.package if folder == "src" else Path(folder)
        yield places.get(file, inside / file), filled(source.read_text(encoding="utf-8"), values)
    yield Path("src") / names.package / "py.typed", ""


def _templates() -> Iterator[tuple[Traversable, str]]:
    """Each template and the name of its folder, "" at the top."""
    top = resources.files("galfit_ml") / "scaffold" / "plugin"
    for folder, entries in (("", top), ("src", top / "src"), ("tests", top / "tests")):
        yield from ((entry, folder) for entry in entries.iterdir() if entry.name.endswith(ENDING))


def filled(text: str, values: Mapping[str, str]) -> str:
    """A template with its <<words>> replaced; GalfitMLError for a word that nobody knows."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise GalfitMLError(f"The template has '{match[0]}', which stands for nothing: a fault of galfit_ml.")
        return values[match[1]]

    return re.sub(r"<<(\w+)>>", value, text)
