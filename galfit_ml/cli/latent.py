"""`galfit-ml latent`: what the latent space of a saved posterior knows about labels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galfit_ml.cli.console import tell
from galfit_ml.errors import FileFormatError, OutputExistsError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

    from galfit_ml.latent.report import Findings, Floats
    from galfit_ml.posterior import Posterior

MOST_CLASSES = 12
"""Whole numbers with at most so many different values are classes."""

EXAMPLES = """examples:
  galfit-ml latent result.fits --labels labels.csv --column type --out report/
  galfit-ml latent result.fits --labels labels.csv --column type b_over_t --out report/ \\
      --method umap --match signal_to_noise redshift

The labels are a table with a column 'id', as in the posterior. Texts are classes: every two of them are told apart by a
linear probe of the embedding, of log sSFR alone and of all medians (area under the ROC curve, out of fold). Numbers are
predicted (R2, out of fold). Open report/index.html; the numbers are in report/report.csv.
"""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    raw = argparse.RawDescriptionHelpFormatter
    text = "ask the latent space of a posterior for labels"
    parser = commands.add_parser("latent", help=text, epilog=EXAMPLES, formatter_class=raw)
    add = parser.add_argument
    add("result", type=Path, help="posterior that `galfit-ml estimate` saved as .fits or .h5, of the backend cnn")
    add("--labels", type=Path, required=True, metavar="FILE", help="table of labels, .csv, with a column 'id'")
    add("--column", nargs="+", required=True, metavar="NAME", help="columns of labels: classes or numbers")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the report")
    add("--method", choices=("pca", "umap"), default="pca", help="projection of the pictures (default: pca)")
    text = "also compare samples that are alike in these: diagnostics, parameters or numeric columns"
    add("--match", nargs="+", default=[], metavar="NAME", help=text)
    add(
        "--caliper", type=float, default=0.05, metavar="X", help="of matched pairs: difference of ranks (default: 0.05)"
    )
    add("--folds", type=int, default=5, metavar="N", help="of the cross-validation (default: 5)")
    add("--seed", type=int, default=0, help="of folds, matching and UMAP (default: 0)")
    add("--overwrite", action="store_true", help="replace a report that is there")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Read, probe, write."""
    from galfit_ml.cli.latent_report import Report, write
    from galfit_ml.latent.features import embedding_of
    from galfit_ml.posterior import Posterior

    _check_paths(chosen)
    posterior = Posterior.load(chosen.result)
    embedding_of(posterior)
    table, remark = _labels(chosen.labels, chosen.column, posterior)
    findings = _findings(posterior, table, chosen)
    report = Report(posterior, findings, _as_labels(table, chosen.column), str(chosen.result), remark)
    write(report, chosen.out, chosen.method, chosen.seed)
    for line in findings.lines:
        name = " ".join(part for part in (line.column, line.classes, line.sample) if part)
        print(f"{name:<32} {line.features:<18} {line.measure:<4} {line.value:.3f} ± {line.error:.3f}  n = {line.n}")
    for text in findings.remarks:
        tell(f"galfit-ml: {text}")
    tell(f"the report is {chosen.out / 'index.html'}")
    return 0


def _check_paths(chosen: argparse.Namespace) -> None:
    for path in (chosen.result, chosen.labels):
        if not path.is_file():
            raise FileFormatError(f"There is no file '{path}'. Check the spelling.")
    if chosen.out.exists() and not chosen.out.is_dir():
        raise OutputExistsError(f"'{chosen.out}' is a file; --out names a folder.")
    if chosen.out.is_dir() and any(chosen.out.iterdir()) and not chosen.overwrite:
        raise OutputExistsError(f"Folder '{chosen.out}' holds something already. Name another one, or add --overwrite.")


def _labels(path: Path, columns: list[str], posterior: Posterior) -> tuple[pd.DataFrame, str]:
    """The rows of the table in the order of the posterior, and how many spectra have one.

    Raises:
        FileFormatError: the table cannot be read, has no ids, or none of this posterior; or a name stands twice.
        UnknownNameError: no such column.
    """
    import numpy as np
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype={"id": str})
    except (ValueError, UnicodeDecodeError) as error:
        raise FileFormatError(f"'{path}' cannot be read as a table of comma-separated values: {error}") from error
    if "id" not in table:
        found = ", ".join(map(str, table.columns[:10]))
        raise FileFormatError(f"'{path}' has no column 'id' with the names of the spectra; it has: {found}.")
    for name in columns:
        if name not in table:
            raise unknown_name("column", name, [str(n) for n in table.columns])
    twice = table["id"][table["id"].duplicated()]
    if len(twice):
        raise FileFormatError(f"'{path}' has more than one row of '{twice.iloc[0]}'. Keep one for each spectrum.")
    here = table.set_index("id").reindex(list(posterior.ids))
    known = int(np.isin(posterior.ids, table["id"].to_numpy(dtype=str)).sum())
    if known == 0:
        raise FileFormatError(
            f"No id in '{path}' is one of the posterior: they look like '{table['id'].iloc[0] if len(table) else ''}' "
            f"there and like '{posterior.ids[0]}' here. Write the names as `Posterior.ids` has them."
        )
    return here, f"{known} of {len(posterior)} spectra have a row in {path.name}."


def _is_number(column: pd.Series) -> bool:
    import numpy as np

    values = column.dropna().to_numpy()
    if values.dtype.kind == "f" and (values == np.round(values)).all():
        values = values.astype(np.int64)  # whole numbers with gaps
    return bool(values.dtype.kind == "f" or (values.dtype.kind in "iu" and len(np.unique(values)) > MOST_CLASSES))


def _as_labels(table: pd.DataFrame, columns: list[str]) -> dict[str, Any]:
    """Column -> numbers or texts [n]."""
    import numpy as np

    out: dict[str, Any] = {}
    for name in columns:
        column = table[name]
        if _is_number(column):
            out[name] = column.to_numpy(dtype=np.float64)
        else:
            texts = column.map(lambda v: f"{v:g}" if isinstance(v, float) else str(v))
            out[name] = texts.where(column.notna(), "").to_numpy(dtype=str)
    return out


def _findings(posterior: Posterior, table: pd.DataFrame, chosen: argparse.Namespace) -> Findings:
    from galfit_ml.latent.probe import Folds
    from galfit_ml.latent.report import class_findings, feature_sets, joined, value_findings

    sets, folds = feature_sets(posterior), Folds(chosen.folds, chosen.seed)
    match = {name: _covariate(posterior, table, name) for name in chosen.match}
    found = []
    for name, values in _as_labels(table, chosen.column).items():
        if values.dtype.kind == "f":
            found.append(value_findings(sets, values, name, folds))
        else:
            found.append(class_findings(sets, values, name, match, folds, caliper=chosen.caliper))
    return joined(found)


def _covariate(posterior: Posterior, table: pd.DataFrame, name: str) -> Floats:
    """A diagnostic, a parameter's median or a numeric column of the labels, [n]; UnknownNameError for any other."""
    import numpy as np

    if name in posterior.diagnostics:
        return np.asarray(posterior.diagnostics[name], dtype=np.float64)
    if name in posterior.parameters:
        return posterior.quantile(name, 0.5)
    numeric = [str(column) for column in table.columns if table[column].dtype.kind in "fiu"]
    if name in numeric:
        return table[name].to_numpy(dtype=np.float64)
    known = [*posterior.diagnostics, *posterior.parameters.names, *numeric]
    raise unknown_name("covariate", name, known, "Numeric columns of the labels may be named, too.")
