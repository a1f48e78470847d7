"""`galfit-ml etc`: signal-to-noise ratio and line limits of an observation, or the exposure time it takes."""

from __future__ import annotations

import argparse
import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galfit_ml.cli.arguments import known_instrument, new_file
from galfit_ml.cli.console import tell
from galfit_ml.errors import GalfitMLError

if TYPE_CHECKING:
    import numpy as np
    from astropy.table import Table
    from numpy.typing import NDArray

    from galfit_ml.instruments import Instrument
    from galfit_ml.simulate.etc import Depth

EXAMPLES = """examples:
  galfit-ml etc moons-lr --mag 22 --exposure 1h --size 0.3
  galfit-ml etc moons-lr --mag 23 --target-snr 5 --arm H    the exposure time that reaches S/N 5 per pixel
  galfit-ml etc moons-lr --mag 22 --exposure 8h --plot etc.png --out etc.ecsv
  galfit-ml etc moons-lr --mag 22 --exposure 1h --spectrum template.txt --redshift 1.2
"""

MODEL_OPTIONS = ("size", "mode", "seeing", "airmass", "tier", "line_width")


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    raw = argparse.RawDescriptionHelpFormatter
    about = "exposure-time calculator: signal-to-noise ratio and line limits"
    parser = commands.add_parser("etc", help=about, description=about, epilog=EXAMPLES, formatter_class=raw)
    add = parser.add_argument
    add("instrument", help="a name (`galfit-ml instruments` lists them), or file.toml")
    add("--mag", type=float, metavar="AB", help="total AB magnitude in the instrument's band")
    add("--exposure", metavar="TIME", help="total time: 1h, 30m, 6x600s, or seconds")
    add("--target-snr", type=float, metavar="SNR", help="find the exposure time for this median S/N per pixel instead")
    add("--arm", help="arm of --target-snr (default: all arms together)")
    add("--size", type=float, metavar="ARCSEC", help="half-light radius, 0 for a star (default: 0.3)")
    add("--spectrum", type=Path, metavar="FILE", help="spectrum of the source (default: flat in f_nu)")
    add("--redshift", type=float, default=0.0, metavar="Z", help="by which --spectrum is shifted (default: 0)")
    add("--mode", help="sky mode (default: the instrument's first)")
    add("--seeing", type=float, metavar="ARCSEC", help="FWHM at 5000 A and airmass 1 (default: the instrument's)")
    add("--airmass", type=float, help="default: the instrument's")
    add("--tier", type=int, choices=(0, 1), default=1, help="0: white noise; 1: and sky residual (default: 1)")
    add("--line-width", type=float, default=200.0, metavar="KMS", help="FWHM of the line of the limits (default: 200)")
    add("--plot", type=Path, metavar="FILE", help=".png, .pdf or .svg")
    add("--out", type=Path, metavar="FILE", help="everything against wavelength: .ecsv, .fits or .csv")
    add("--overwrite", action="store_true", help="replace files that are there")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Calculate, print, draw and write."""
    _check(chosen)
    instrument = known_instrument(chosen.instrument)
    depth, covered = calculated(instrument, chosen)
    print("\n".join(report(instrument, depth, covered, chosen)))
    if chosen.plot is not None:
        _draw(instrument, depth, chosen)
    if chosen.out is not None:
        _write(instrument, depth, chosen)
    return 0


def _check(chosen: argparse.Namespace) -> None:
    if (chosen.exposure is None) == (chosen.target_snr is None):
        raise GalfitMLError("Give either --exposure 1h or --target-snr 5: one is what you know, the other the answer.")
    if chosen.arm is not None and chosen.target_snr is None:
        raise GalfitMLError("--arm names the arm of --target-snr. Give that too, or leave --arm out.")
    if chosen.redshift and chosen.spectrum is None:
        raise GalfitMLError(
            "--redshift shifts the spectrum of --spectrum FILE. Give that too, or leave --redshift out."
        )
    if chosen.mag is None and chosen.spectrum is None:
        raise GalfitMLError("How bright is it? Give --mag 22 (total, AB), or --spectrum FILE with absolute fluxes.")
    if chosen.plot is not None:
        new_file(chosen.plot, chosen.overwrite, (".png", ".pdf", ".svg"))
    if chosen.out is not None:
        new_file(chosen.out, chosen.overwrite, (".ecsv", ".fits", ".csv"))


def calculated(instrument: Instrument, chosen: argparse.Namespace) -> tuple[Depth, NDArray[np.bool_] | None]:
    """What the calculator says, and where the user's spectrum has light ([n_pix], None for a flat one)."""
    from galfit_ml.cli.etc_exposure import exposure_for
    from galfit_ml.simulate.etc import signal_to_noise

    asked: dict[str, Any] = {name: getattr(chosen, name) for name in MODEL_OPTIONS}
    asked["magnitude"] = chosen.mag
    covered = None
    if chosen.spectrum is not None:
        from galfit_ml.cli.etc_spectrum import on_pixels

        asked["spectrum"], covered = on_pixels(chosen.spectrum, instrument, chosen.redshift)
    if chosen.target_snr is None:
        depth = signal_to_noise(instrument, exposure=chosen.exposure, **asked)
    else:
        depth = exposure_for(instrument, chosen.target_snr, chosen.arm, covered, **asked)
    return (depth if covered is None else replace(depth, good=depth.good & covered)), covered


def report(
    instrument: Instrument, depth: Depth, covered: NDArray[np.bool_] | None, chosen: argparse.Namespace
) -> list[str]:
    """The table of an observation as lines of text."""
    counted = instrument.observatory is not None
    head = f"  {'arm':<9}{'range, A':>16}{'S/N per pixel':>15}{'per FWHM':>10}{'5-sigma line':>14}"
    electrons = f"{'object':>11}{'sky':>11}{'detector':>10}" if counted else ""
    lines = [_headline(instrument, depth, chosen), "", head + electrons]
    lines += [_arm_line(row) for row in arm_rows(instrument, depth)]
    lines += [
        "",
        f"Medians over usable pixels. Line limits: erg/s/cm2, for a line of {chosen.line_width:g} km/s FWHM.",
    ]
    if counted:
        lines.append("Electrons per pixel in the whole exposure: object, sky through one fibre, detector variance.")
    if covered is not None and not covered.all():
        lines.append(f"The spectrum covers {100 * covered.mean():.0f} % of the pixels; the others are left out.")
    return lines


def _headline(instrument: Instrument, depth: Depth, chosen: argparse.Namespace) -> str:
    from galfit_ml.plots.mock_figure import band_label
    from galfit_ml.simulate.conditions import NOMINAL_SIZE
    from galfit_ml.simulate.surveys.sample import band_name

    light = (
        f"{band_label(band_name(instrument))} = {chosen.mag:g} AB"
        if chosen.mag is not None
        else "the spectrum as it is"
    )
    shape = f", spectrum {chosen.spectrum.name}" if chosen.spectrum is not None else ", flat in f_nu"
    mode = f", {depth.mode}" if depth.mode else ""
    radius = NOMINAL_SIZE if chosen.size is None else chosen.size
    size = f", half-light radius {radius:g} arcsec" if instrument.observatory else ", in the fibre"
    solved = f" (for S/N {chosen.target_snr:g})" if chosen.target_snr is not None else ""
    return f"{instrument.name}{mode}: {light}{shape}{size}; exposure {duration(depth.exposure)}{solved}"


def duration(seconds: float) -> str:
    """Text of a time: "1 h", "1 h 20 min", "90 s"."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    parts = [f"{number} {unit}" for number, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if number]
    return " ".join(parts) if abs(whole - seconds) < 0.01 and parts else f"{seconds:g} s"


def arm_rows(instrument: Instrument, depth: Depth) -> list[dict[str, Any]]:
    """One row per arm: medians over its usable pixels; NaN where it has none."""
    import numpy as np

    from galfit_ml.instruments import FWHM_PER_SIGMA

    rows: list[dict[str, Any]] = []
    start = 0
    for arm in instrument.arms:
        grid = arm.grid
        pixels = slice(start, start + len(grid))
        good = depth.good[pixels]
        per_fwhm = np.sqrt(FWHM_PER_SIGMA * arm.resolution.sigma(grid.centres) / grid.widths)
        columns = {
            "snr": depth.snr[pixels],
            "per_fwhm": depth.snr[pixels] * per_fwhm,
            "line_limit": depth.line_limit[pixels],
            "object": depth.object_electrons[pixels],
            "sky": depth.sky_electrons[pixels],
            "detector": depth.detector_electrons[pixels],
        }
        medians = {name: float(np.median(v[good])) if good.any() else np.nan for name, v in columns.items()}
        rows.append({"arm": arm.name, "low": arm.low, "high": arm.high, "good": float(good.mean()), **medians})
        start = pixels.stop
    return rows


def _arm_line(row: dict[str, Any]) -> str:
    span = f"{row['low']:.0f} - {row['high']:.0f}"
    text = f"  {row['arm']:<9}{span:>16}{row['snr']:>#15.3g}{row['per_fwhm']:>#10.3g}{row['line_limit']:>14.2e}"
    if row["object"] == row["object"]:
        text += f"{row['object']:>11.4g}{row['sky']:>11.4g}{row['detector']:>10.4g}"
    return text


def _draw(instrument: Instrument, depth: Depth, chosen: argparse.Namespace) -> None:
    from galfit_ml.cli.instruments import sky_shown
    from galfit_ml.plots.etc_figure import etc_figure
    from galfit_ml.writing import save_figure

    title = _headline(instrument, depth, chosen)
    save_figure(etc_figure(instrument, depth, sky_shown(instrument), title), chosen.plot)
    tell(f"wrote {chosen.plot}")


def _write(instrument: Instrument, depth: Depth, chosen: argparse.Namespace) -> None:
    from astropy.table import Table

    from galfit_ml.writing import write_whole

    names = [arm.name for arm in instrument.arms for _ in range(len(arm.grid))]
    table = Table({"arm": names, "wavelength": depth.wavelength, "flux": depth.flux, "snr": depth.snr})
    table["line_limit"], table["good"] = depth.line_limit, depth.good
    if instrument.observatory is not None:
        for name in ("object", "sky", "detector"):
            table[f"{name}_electrons"] = getattr(depth, f"{name}_electrons")
    units = {"wavelength": "Angstrom", "flux": "1e-17 erg / (s cm2 Angstrom)", "line_limit": "erg / (s cm2)"}
    for name, unit in units.items():
        table[name].unit = unit
    table.meta.update({"SUMMARY": _headline(instrument, depth, chosen), "EXPTIME": depth.exposure})
    write_whole(chosen.out, _packed(table, chosen.out.suffix.lower()))
    tell(f"wrote {chosen.out}")


def _packed(table: Table, suffix: str) -> bytes:
    """The content of a file of that ending."""
    if suffix == ".fits":
        packed = io.BytesIO()
        table.write(packed, format="fits")
        return packed.getvalue()
    text = io.StringIO()
    table.write(text, format="ascii.ecsv" if suffix == ".ecsv" else "ascii.csv")
    return text.getvalue().encode()
