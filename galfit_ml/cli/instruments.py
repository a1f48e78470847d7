"""`galfit-ml instruments`: the spectrographs that are known, and one of them in detail."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galfit_ml.cli.arguments import known_instrument, new_file
from galfit_ml.cli.console import tell
from galfit_ml.errors import GalfitMLError

if TYPE_CHECKING:
    from galfit_ml.instruments import Arm, Instrument
    from galfit_ml.plots.instrument_figure import SkyShown

EXAMPLES = """examples:
  galfit-ml instruments                                     their names
  galfit-ml instruments moons-lr --plot moons.png           throughput, resolution, sky
  galfit-ml instruments moons-lr --toml mine.toml           a copy to change; galfit-ml etc mine.toml ... uses it
"""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    raw = argparse.RawDescriptionHelpFormatter
    about = "list the instruments, or describe one"
    parser = commands.add_parser("instruments", help=about, epilog=EXAMPLES, formatter_class=raw)
    add = parser.add_argument
    add("name", nargs="?", help="an instrument, or file.toml (default: list all)")
    add("--plot", nargs="?", type=Path, const=Path(), metavar="FILE", help="draw it (default: NAME.png)")
    add("--toml", type=Path, metavar="FILE", help="write the instrument's description, a start for your own")
    add("--overwrite", action="store_true", help="replace files that are there")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """List the instruments, or describe, draw and copy one."""
    if chosen.name is None:
        if chosen.plot is not None or chosen.toml is not None:
            raise GalfitMLError("Which instrument? Type, for example: galfit-ml instruments moons-lr --plot")
        return _list()
    instrument = known_instrument(chosen.name)
    path = chosen.plot
    if path is not None:
        path = path if path.name else Path(f"{instrument.name.replace(':', '-')}.png")
        new_file(path, chosen.overwrite, (".png", ".pdf", ".svg"))
    print("\n".join(description(instrument)))
    if path is not None:
        _draw(instrument, path)
    if chosen.toml is not None:
        _copy(instrument, new_file(chosen.toml, chosen.overwrite, (".toml",)))
    return 0


def _list() -> int:
    from galfit_ml.instruments import shipped_instruments
    from galfit_ml.registry import registry

    known = {**registry().instruments(), **shipped_instruments()}
    for name, instrument in sorted(known.items()):
        print(f"{name:<12} {instrument.low:6.0f} - {instrument.high:6.0f} A  {instrument.summary}")
    for problem in registry().broken_instruments():
        tell(f"galfit-ml: {problem}")
    return 0


def description(instrument: Instrument) -> list[str]:
    """What is known of an instrument, as lines of text; wavelengths are vacuum angstroms."""
    low, high = instrument.redshift_range
    bright, faint = instrument.magnitude_range
    blue, red = instrument.magnitude_band
    lines = [
        f"{instrument.name}: {instrument.summary}",
        f"  source       {instrument.source}",
        f"  redshifts    {low:g} - {high:g}",
        f"  magnitudes   {bright:g} - {faint:g} AB, in {blue:g} - {red:g} A",
        f"  calibration  {100 * instrument.calibration_rms:g} % rms within an arm, "
        f"{100 * instrument.calibration_offset:g} % between arms",
        "",
        *_arm_table(instrument),
        "",
        *_noise_lines(instrument),
    ]
    return lines


def _arm_table(instrument: Instrument) -> list[str]:
    header = f"  {'arm':<9}{'range, A':>18}{'pixels':>8}{'A/pixel':>11}{'FWHM, A':>13}{'R':>14}"
    counted = f"{'throughput':>14}{'RON, e-':>9}{'dark, e-/h':>12}" if instrument.observatory else ""
    return [header + counted, *(_arm_line(arm) for arm in instrument.arms)]


def _arm_line(arm: Arm) -> str:
    from galfit_ml.instruments import FWHM_PER_SIGMA

    grid = arm.grid
    fwhm = FWHM_PER_SIGMA * arm.resolution.sigma(grid.centres)
    cells = [
        f"  {arm.name:<9}{f'{arm.low:.0f} - {arm.high:.0f}':>18}{len(grid):>8}",
        f"{_span(grid.widths.min(), grid.widths.max(), 2):>11}{_span(fwhm.min(), fwhm.max(), 2):>13}",
        f"{_span((grid.centres / fwhm).min(), (grid.centres / fwhm).max(), 0):>14}",
    ]
    if arm.throughput is not None:
        values = arm.throughput(grid.centres)
        cells.append(f"{_span(values.min(), values.max(), 2):>14}")
    if arm.throughput is not None and arm.detector is not None:
        cells.append(f"{arm.detector.read_noise:>9g}{arm.detector.dark:>12g}")
    return "".join(cells)


def _span(low: float, high: float, digits: int) -> str:
    ends = f"{low:.{digits}f}", f"{high:.{digits}f}"
    return ends[0] if ends[0] == ends[1] else "-".join(ends)


def _noise_lines(instrument: Instrument) -> list[str]:
    sight = instrument.observatory
    if sight is not None:
        return [
            f"  telescope    {sight.area:g} m^2, fibres of {sight.fibre:g} arcsec, integrations of {sight.dit:g} s",
            f"  sky          {sight.sky}, seeing {sight.seeing:g} arcsec at 5000 A, airmass {sight.airmass:g}; "
            f"residual {100 * sight.residual:g} % of the sky",
            *(f"  mode         {mode.name}: {mode.summary}" for mode in sight.modes),
        ]
    if instrument.noise_curve is not None:
        curve = instrument.noise_curve
        return [f"  noise        measured, for {curve.exposure:g} s; {curve.source}"]
    return ["  noise        not known: `galfit-ml etc` and `galfit-ml simulate` cannot use this instrument"]


def _draw(instrument: Instrument, path: Path) -> None:
    from galfit_ml.plots.instrument_figure import instrument_figure
    from galfit_ml.writing import save_figure

    save_figure(instrument_figure(instrument, sky_shown(instrument)), path)
    tell(f"wrote {path}")


def sky_shown(instrument: Instrument) -> list[SkyShown]:
    """The sky as each arm sees it, at the nominal airmass; empty where photons are not counted."""
    from galfit_ml.plots.instrument_figure import SkyShown
    from galfit_ml.simulate.sky import SkyOnPixels, SkyTable

    sight = instrument.observatory
    if sight is None:
        return []
    table = SkyTable.load(sight.sky)
    shown = []
    for arm in instrument.arms:
        grid = arm.grid
        sky = SkyOnPixels.of(table, grid, arm.resolution.sigma(grid.centres), sight)
        smooth = sky.continuum + sky.thermal
        transmission = sky.transmission ** (sight.airmass / table.airmass)
        shown.append(SkyShown(grid.centres, sky.lines + smooth, smooth, transmission))
    return shown


def _copy(instrument: Instrument, path: Path) -> None:
    from importlib import resources

    from galfit_ml.instruments import shipped_instruments
    from galfit_ml.writing import write_whole

    if shipped_instruments().get(instrument.name) != instrument:
        raise GalfitMLError(f"'{instrument.name}' as you ask for it is no file of the package: copy the one you have.")
    source = resources.files("galfit_ml") / "data" / "instruments" / f"{instrument.name}.toml"
    write_whole(path, source.read_bytes())
    tell(f"wrote {path}")
