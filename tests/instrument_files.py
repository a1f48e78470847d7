"""Descriptions of small instruments, which are quick to simulate."""

from __future__ import annotations

from pathlib import Path

SMALL = """
name = "small"
summary = "two short arms"
source = "nobody"
magnitude_band = [7050.0, 7350.0]
magnitude_range = [18.0, 25.0]

[observatory]
area = 50.0
fibre = 1.1
sky = "paranal"
dit = 600.0
seeing = 0.8
airmass = 1.2
residual = 0.006
wavelength_residual = 0.01
image_quality = { wavelength = [6000.0], value = [0.8] }

[[observatory.modes]]
name = "xswitch"
background = 2.0
on_target = 1.0

[[observatory.modes]]
name = "stare"
background = 1.0
on_target = 1.0

[[arms]]
name = "red"
range = [7000.0, 7400.0]
sampling = "linear"
step = 1.0
resolution = { fwhm = 3.0 }
throughput = { wavelength = [7000.0], value = [0.2] }
detector = { read_noise = 5.0, dark = 2.0 }

[[arms]]
name = "far"
range = [8000.0, 8300.0]
sampling = "linear"
step = 1.5
resolution = { R = 2000.0 }
throughput = { wavelength = [8000.0], value = [0.1] }
detector = { read_noise = 5.0, dark = 2.0 }
"""


def write_small(folder: Path) -> Path:
    """`small.toml` in that folder."""
    path = folder / "small.toml"
    path.write_text(SMALL)
    return path
