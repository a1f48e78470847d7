"""`Suite`: what backends are asked and by whom they are judged, as data.

A file looks like this::

    name = "moons-snr"
    summary = "MOONS galaxies of the training prior by magnitude and exposure"
    kind = "mocks"                 # or "speed", or "real" for a folder of spectra with truth
    seed = 9001
    n = 2000                       # spectra, unless the user says otherwise; the parts share them equally
    n_draws = 300                  # posterior draws of each

    [bins]                         # edges of the bins of each axis: snr, magnitude, exposure (hours), redshift
    snr = [0.5, 1.0, 2.0, 4.0, 8.0]

    [[parts]]                      # one or more simulated surveys; the keys are those of `galfit_ml.simulate.survey`
    instrument = "moons-lr"
    exposure = "8h"
    magnitude = [19.0, 25.0]

    [[published]]                  # optional: what others have published, as rows of the same table
    backend = "moonz"
    ...

A part may say `change`, one of `galfit_ml.benchmark.changes.CHANGES`, which is done to its spectra, `rebin`, so many
pixels of which are made one, and `stars`, of which its galaxies are made: "miles", or the path of a stellar grid.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from galfit_ml.benchmark.errors import BenchmarkError
from galfit_ml.errors import FileFormatError, unknown_name
from galfit_ml.registry import registry
from galfit_ml.toml_tables import Convert, construct, numbers

KINDS = ("mocks", "speed", "real")
SPLITS = ("class", "exposure and class")
AXES = ("snr", "magnitude", "exposure", "redshift")


@dataclass(frozen=True)
class Part:
    """A simulated survey: arguments of `galfit_ml.simulate.survey`, and what is done to its spectra.

    Args:
        instrument: name.
        population: "training", "moonrise" or "moonz-grid".
        exposure: such as ("8h",); empty for the population's own.
        magnitude, redshift: ranges; empty for the population's or instrument's own.
        tier: of the noise.
        label: in tables; by default the change.
        change: one of `galfit_ml.benchmark.changes.CHANGES`.
        rebin: so many pixels are made one.
        stars: of which galaxies are made; see `galfit_ml.benchmark.other_stars`. Empty for the shipped ones.
    """

    instrument: str
    population: str = "training"
    exposure: tuple[str, ...] = ()
    magnitude: tuple[float, ...] = ()
    redshift: tuple[float, ...] = ()
    tier: int = 2
    label: str = ""
    change: str = "none"
    rebin: int = 1
    stars: str = ""

    def __post_init__(self) -> None:
        if self.rebin < 1:
            raise ValueError(f"rebin must be a whole number of at least 1, not {self.rebin}.")
        for name in ("magnitude", "redshift"):
            if len(getattr(self, name)) not in {0, 2}:
                raise ValueError(f"{name} must be a range [low, high], not {list(getattr(self, name))}.")

    @property
    def name(self) -> str:
        """In tables."""
        return self.label or self.change

    @property
    def plain(self) -> Part:
        """The same galaxies and noise, before anything is done to their spectra."""
        return replace(self, label="", change="none", rebin=1)

    @property
    def alike(self) -> Part:
        """What is the same of parts that ask about the same galaxies, done to or made of whatever."""
        return replace(self.plain, stars="")

    @property
    def described(self) -> dict[str, Any]:
        """What its spectra depend on; `stars` only where they are not the shipped ones, a grid by its contents."""
        known = {key: value for key, value in asdict(self).items() if key != "stars" or value}
        grid = Path(self.stars)
        return known | ({"stars": hashlib.sha256(grid.read_bytes()).hexdigest()} if grid.is_file() else {})


@dataclass(frozen=True)
class Published:
    """A series that others have published.

    Args:
        backend: who.
        metric: which; one of the table's.
        axis, edges: the bins: value i belongs to edges i and i + 1.
        values: one per bin.
        n: spectra behind each.
        select: what the series is about, such as "8h early".
        source: where it was published.
    """

    backend: str
    metric: str
    axis: str
    edges: tuple[float, ...]
    values: tuple[float, ...]
    source: str
    n: int = 0
    select: str = ""

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.values) + 1:
            raise ValueError(f"{len(self.values)} values need {len(self.values) + 1} edges, not {len(self.edges)}.")


@dataclass(frozen=True)
class Suite:
    """A suite; see this module's head.

    Args:
        name, summary: what a user types, and one line.
        kind: one of `KINDS`.
        seed: of the spectra.
        n: spectra by default.
        n_draws: posterior draws of each, at least 2.
        shard: spectra that are answered and kept at a time.
        bins: axis -> edges.
        split: of `SPLITS`: truth columns whose values make bins of their own.
        parts: the surveys.
        published: series of others.
        latent: whether embeddings are kept and probed.
    """

    name: str
    summary: str
    kind: str = "mocks"
    seed: int = 0
    n: int = 1000
    n_draws: int = 300
    shard: int = 32
    bins: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    split: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    published: tuple[Published, ...] = ()
    latent: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w-][\w. -]*", self.name):
            raise ValueError(f"name must be fit for a folder: letters, digits, '-' and '_', not {self.name!r}.")
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}.")
        if self.kind != "real" and not self.parts:
            raise ValueError("a suite of mocks needs at least one [[parts]].")
        if min(self.n, self.shard) < 1:
            raise ValueError("n and shard must be at least 1.")
        if self.n_draws < 2:
            raise ValueError(f"n_draws must be at least 2, not {self.n_draws}: one draw says nothing of a width.")
        for column in self.split:
            if column not in SPLITS:
                raise ValueError(f"split must be of {', '.join(SPLITS)}, not {column!r}.")
            if " and " in column and not self.bins:
                raise ValueError(f"split '{column}' needs [bins], whose first axis it is crossed with.")
        for axis, edges in self.bins.items():
            if axis not in AXES or len(edges) < 2 or list(edges) != sorted(set(edges)):
                raise ValueError(f"bins of '{axis}' must be increasing edges, at least two, of {', '.join(AXES)}.")

    @classmethod
    def from_toml(cls, path: Path) -> Suite:
        """Read a suite.

        Raises:
            FileFormatError: the file cannot be read, or a key of it is wrong; file and key are named.
        """
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise FileFormatError(f"'{path}' cannot be read as a suite: {error}") from error
        own: dict[str, Convert] = {"bins": _bins, "split": _texts, "parts": _parts, "published": _published}
        return construct(cls, content, str(path), own)

    @property
    def repeated(self) -> bool:
        """Whether parts have the same galaxies, and differ in nothing but stars and what is done to their spectra."""
        return len({part.alike for part in self.parts}) < len(self.parts)

    @property
    def same_for_any_n(self) -> bool:
        """Whether a suite's spectra are known by its digest alone: neither real ones, nor those of a grid."""
        return self.kind != "real" and self.digest(1) == self.digest(2)

    def digest(self, n: int) -> str:
        """Changes with everything that spectra and draws depend on; with n only where that chooses cells of a grid."""
        grid = any(part.population == "moonz-grid" for part in self.parts)
        asked = {"seed": self.seed, "n_draws": self.n_draws, "parts": [part.described for part in self.parts]}
        asked |= {"shard": self.shard, "n": n if grid else 0}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def _bins(value: Any, where: str) -> dict[str, tuple[float, ...]]:
    if not isinstance(value, dict):
        raise FileFormatError(f"{where}: expected a table of axes, not {value!r}.")
    return {axis: numbers(edges, f"{where}: '{axis}'") for axis, edges in value.items()}


def _texts(value: Any, where: str) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise FileFormatError(f"{where}: expected a text or a list of texts, not {value!r}.")
    return tuple(given)


def _parts(value: Any, where: str) -> tuple[Part, ...]:
    own: dict[str, Convert] = {"exposure": _texts}
    return tuple(construct(Part, one, f"{where} {i + 1}", own) for i, one in enumerate(_tables(value, where)))


def _published(value: Any, where: str) -> tuple[Published, ...]:
    return tuple(construct(Published, one, f"{where} {i + 1}") for i, one in enumerate(_tables(value, where)))


def _tables(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise FileFormatError(f"{where}: expected tables headed [[...]], in two brackets, not {value!r}.")
    return value


def suites() -> dict[str, Suite]:
    """All suites by name: those that come with the package, and those of plugins.

    Raises:
        FileFormatError: a file is wrong.
        BenchmarkError: a name stands twice.
    """
    shipped = [Path(str(f)) for f in resources.files("galfit_ml.benchmark").joinpath("suites").iterdir()]
    found: dict[str, Suite] = {}
    for path in [*sorted(p for p in shipped if p.suffix == ".toml"), *registry().suite_files]:
        suite = Suite.from_toml(path)
        if suite.name in found:
            raise BenchmarkError(f"'{path}': there is a suite '{suite.name}' already; give it another name.")
        found[suite.name] = suite
    return found


def get_suite(name: str) -> Suite:
    """The suite of that name, or of a file that ends in .toml; UnknownNameError suggests."""
    if name.endswith(".toml"):
        return Suite.from_toml(Path(name))
    known = suites()
    if name not in known:
        raise unknown_name("suite", name, known)
    return known[name]
