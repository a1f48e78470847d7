"""Galaxies of a realistic survey as a bulge and a disc, each with its own ages, metals, dust and motions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from galfit_ml.simulate.cosmology import CM_PER_MPC, Cosmology
from galfit_ml.simulate.galaxies import Galaxies, simple_galaxies
from galfit_ml.simulate.history import RECENT_YR
from galfit_ml.simulate.prior import LOG_GAS_RANGE, LOG_U_RANGE, YOUNGEST_FORMATION
from galfit_ml.simulate.surveys import scaling_relations as relations

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LOG_SSFR_RANGE = (-13.0, -8.02)
"""Of a component. The upper end is a galaxy that formed nearly all of its stars in the last 100 Myr."""

SOLAR_OXYGEN = 8.71
"""12 + log O/H of the shipped nebular grid at Z_sun."""

QUIESCENT_OFFSET, QUIESCENT_SCATTER, QUIESCENT_MOST = -2.4, 0.5, -1.3
"""dex: SFR of quiescent galaxies over that of the main sequence, mean, scatter and upper limit. Stacks in the infrared
give at most 1/20 to 1/40 (Fumagalli et al. 2014, ApJ 796, 35); the mean, 10^-11.6 per year at z = 0.8, is assumed."""

HALPHA_OVER_V = 0.82
"""A(H-alpha) / A_V of Calzetti's curve."""

ARCSEC_PER_RADIAN = 180.0 * 3600.0 / math.pi


class _Random(NamedTuple):
    """n random numbers at a time."""

    rng: np.random.Generator
    n: int

    def normal(self, mean: float | Floats, sigma: float | Floats) -> Floats:
        return np.asarray(mean + sigma * self.rng.standard_normal(self.n))

    def flat(self, low: float | Floats, high: float | Floats) -> Floats:
        return np.asarray(low + (np.asarray(high) - low) * self.rng.random(self.n))

    def log_flat(self, low: float, high: float) -> Floats:
        return np.asarray(10 ** self.flat(math.log10(low), math.log10(high)))


@dataclass(frozen=True)
class Whole:
    """What the scaling relations say about n galaxies as a whole; every field is an array [n].

    Args:
        redshift: of the galaxies.
        log_mass: log10 M_sun, living stars and remnants.
        quiescent, starburst: classes; the rest lies on the main sequence.
        age: of the Universe, yr.
        log_ssfr: log10 of SFR over mass, 1/yr.
        above_sequence: log10 of SFR over that of the main sequence.
        bulge_share: of the mass.
        size: half-light radius, arcsec, circularised.
    """

    redshift: Floats
    log_mass: Floats
    quiescent: Bools
    starburst: Bools
    age: Floats
    log_ssfr: Floats
    above_sequence: Floats
    bulge_share: Floats
    size: Floats


def draw_whole(
    redshift: Floats, log_mass: Floats, quiescent: Bools, cosmology: Cosmology, rng: np.random.Generator
) -> Whole:
    """Star-formation rates, bulges and sizes of n galaxies of known redshift, mass and class."""
    draw = _Random(rng, len(redshift))
    age = cosmology.age_yr(torch.as_tensor(redshift)).numpy()
    starburst = ~quiescent & (rng.random(draw.n) < relations.STARBURST_FRACTION)
    sequence = relations.main_sequence(log_mass, age / 1e9)
    active = draw.normal(0.0, relations.MAIN_SEQUENCE_SCATTER) + relations.STARBURST_BOOST * starburst
    passive = np.minimum(draw.normal(QUIESCENT_OFFSET, QUIESCENT_SCATTER), QUIESCENT_MOST)
    above = np.where(quiescent, passive, active)
    return Whole(
        redshift=redshift,
        log_mass=log_mass,
        quiescent=quiescent,
        starburst=starburst,
        age=age,
        log_ssfr=sequence + above - log_mass,
        above_sequence=above,
        bulge_share=_bulge_share(log_mass, quiescent, draw),
        size=_size(redshift, log_mass, quiescent, cosmology, draw),
    )


def _bulge_share(log_mass: Floats, quiescent: Bools, draw: _Random) -> Floats:
    """Logit-normal around the median, sigma 0.8: Lang et al. (2014, fig. 5) show quartiles 0.15-0.2 away."""
    median = relations.bulge_fraction(log_mass, quiescent)
    logit = np.log(median / (1 - median)) + draw.normal(0.0, 0.8)
    return np.asarray(np.clip(1 / (1 + np.exp(-logit)), 0.02, 0.95))


def _size(redshift: Floats, log_mass: Floats, quiescent: Bools, cosmology: Cosmology, draw: _Random) -> Floats:
    """Circularised half-light radius, arcsec; axis ratios 0.3-1 (discs) and 0.5-1 (van der Wel et al. 2014, sec. 3)."""
    scatter = np.where(quiescent, relations.EARLY_SIZE_SCATTER, relations.LATE_SIZE_SCATTER)
    kpc = relations.size_kpc(log_mass, redshift, quiescent) * 10 ** draw.normal(0.0, scatter)
    distance = cosmology.luminosity_distance_cm(torch.as_tensor(redshift)).numpy() / CM_PER_MPC / (1 + redshift) ** 2
    ratio = draw.flat(np.where(quiescent, 0.5, 0.3), 1.0)
    return np.asarray(np.clip(kpc * np.sqrt(ratio) * 1e-3 / distance * ARCSEC_PER_RADIAN, 0.02, 3.0))


@dataclass(frozen=True)
class Component:
    """A bulge or a disc: its galaxies without mass, and log10 of the mass it has to get, [n]."""

    galaxies: Galaxies
    log_mass: Floats


def split(whole: Whole, rng: np.random.Generator) -> tuple[Component, Component]:
    """Bulge and disc of n galaxies, in this order."""
    draw = _Random(rng, len(whole.redshift))
    shared = _shared(whole, draw)
    bulge_ssfr, disc_ssfr = _specific_rates(whole, draw)
    metals = _metals(whole, draw)
    dust = _dust(whole, draw)
    return (
        Component(
            _build(whole, shared, _bulge_history(whole, bulge_ssfr, draw), _bulge_own(whole, metals, dust, draw)),
            whole.log_mass + np.log10(whole.bulge_share),
        ),
        Component(
            _build(whole, shared, _disc_history(whole, disc_ssfr, draw), _disc_own(whole, metals, dust, draw)),
            whole.log_mass + np.log10(1 - whole.bulge_share),
        ),
    )


def _specific_rates(whole: Whole, draw: _Random) -> tuple[Floats, Floats]:
    """log10 sSFR of bulge and disc that add up to the galaxy's.

    Below 10^9.5 M_sun the sSFR is flat with radius (Nelson et al. 2016, ApJ 828, 27); in the centres of galaxies above
    10^11 M_sun it is ten times lower than outside (Tacchella et al. 2015, Science 348, 314). Scatter 0.3 dex: assumed.
    """
    contrast = 10 ** draw.normal(-np.clip(0.6 * (whole.log_mass - 9.5), 0.0, 1.0), 0.3)
    share = whole.bulge_share
    disc = whole.log_ssfr - np.log10((1 - share) + contrast * share)
    return np.clip(disc + np.log10(contrast), *LOG_SSFR_RANGE), np.clip(disc, *LOG_SSFR_RANGE)


def _shared(whole: Whole, draw: _Random) -> dict[str, Floats]:
    """What bulge and disc have in common: the prior's instrumental and outer nuisances, winds, density, Lyman alpha."""
    massive = whole.log_mass > 9.5
    depth = np.where(massive, draw.log_flat(0.2, 0.9), draw.log_flat(0.05, 0.5))
    # Winds of 100-200 km/s in star-forming galaxies (Weiner et al. 2009, ApJ 692, 187), none to speak of in others.
    wind = np.where(whole.quiescent, np.abs(draw.normal(0.0, 40.0)), np.abs(draw.normal(130.0, 70.0)))
    return {
        "gas_velocity": draw.normal(0.0, 20.0),
        "zero_point": draw.normal(0.0, 3.0),
        "ebv": draw.flat(0.0, 0.05),
        # 5 % on average at z ~ 2 (Hayes et al. 2011, ApJ 730, 8), with a wide scatter.
        "lya_escape": np.clip(10 ** draw.normal(math.log10(0.05), 0.4), 0.003, 1.0),
        "log_density": np.clip(draw.normal(relations.electron_density(whole.redshift), 0.3), 0.5, 4.0),
        "log_ism_depth": np.log10(np.where(whole.quiescent, draw.log_flat(0.01, 0.1), depth)),
        "ism_velocity": -np.clip(wind, 0.0, 300.0),
    }


@dataclass(frozen=True)
class _Metals:
    """log10 Z of stars and gas over Z_sun, and log U, of the whole galaxy, [n]."""

    stars: Floats
    gas: Floats
    ionisation: Floats


def _metals(whole: Whole, draw: _Random) -> _Metals:
    oxygen = relations.gas_metallicity(whole.log_mass, whole.redshift, whole.above_sequence)
    gas = draw.normal(oxygen - SOLAR_OXYGEN, relations.GAS_METALLICITY_SCATTER)
    stars = relations.stellar_metallicity(whole.log_mass, whole.redshift, whole.quiescent)
    # The prior's relation with half its scatter; it rises with sSFR (Kaasinen et al. 2018, MNRAS 477, 5568) and to -2.8
    # at z = 2.3 (Strom et al. 2018, ApJ 868, 117).
    usual = -3.0 - 0.5 * gas + 0.2 * np.clip(whole.above_sequence, -1.0, 1.0) + 0.15 * (whole.redshift - 1.5)
    ionisation = draw.normal(usual, 0.2)
    return _Metals(draw.normal(stars, relations.STELLAR_METALLICITY_SCATTER), gas, ionisation)


@dataclass(frozen=True)
class _Dust:
    """A_V of the disc, that of birth clouds over it, and the tilt of the curve, [n]."""

    av: Floats
    eta: Floats
    slope: Floats


def _dust(whole: Whole, draw: _Random) -> _Dust:
    """Attenuation of H-alpha set by the mass; the stars' is lower by eta.

    Starbursts have 0.6 mag more (assumed: they are the infrared-bright end); quiescent galaxies a half-normal A_V of
    sigma 0.25 mag (Belli et al. 2019, ApJ 874, 17: medians of 0.1-0.4). The less dust, the steeper its curve (Salim
    et al. 2018, ApJ 859, 11).
    """
    halpha = draw.normal(relations.halpha_attenuation(whole.log_mass), relations.HALPHA_ATTENUATION_SCATTER)
    eta = draw.flat(np.where(whole.quiescent, 1.0, 1.5), np.where(whole.quiescent, 2.0, 2.5))
    active = np.maximum(halpha + 0.6 * whole.starburst, 0.05) / (HALPHA_OVER_V * eta)
    av = np.clip(np.where(whole.quiescent, np.abs(draw.normal(0.0, 0.25)), active), 0.0, 3.0)
    return _Dust(av, eta, np.clip(draw.normal(-0.45 + 0.35 * av, 0.15), -0.7, 0.3))


def _bulge_own(whole: Whole, metals: _Metals, dust: _Dust, draw: _Random) -> dict[str, Floats]:
    """Parameters of the bulge. Stars and gas are richer in metals than the mean by 0.1 dex (assumed gradient)."""
    sigma = relations.bulge_dispersion(whole.log_mass, whole.redshift) * 10 ** draw.normal(0.0, 0.07)
    strong = draw.rng.random(draw.n) < relations.agn_fraction(whole.log_mass, whole.redshift)
    own = {
        "velocity_dispersion": np.clip(sigma, 40.0, 400.0),
        "gas_dispersion": np.clip(sigma * draw.flat(0.8, 1.1), 30.0, 250.0),
        "log_metallicity": np.clip(metals.stars + 0.1, -2.0, 0.39),
        "log_gas_metallicity": np.clip(metals.gas + 0.1, *LOG_GAS_RANGE),
        "log_ionisation": np.clip(metals.ionisation - 0.05, *LOG_U_RANGE),
        "dust_av": dust.av * draw.flat(0.5, 1.0),
        # [O III] of AGN above 1 % of Eddington; weaker ones go on down to where they no longer matter.
        "log_agn": np.where(strong, draw.flat(0.5, 2.0), draw.flat(-2.0, 0.0)),
        "agn_hardness": draw.normal(0.0, 1.0),
        "log_lier": draw.normal(np.where(whole.quiescent, 0.0, -0.2), 0.35),
    }
    return {**own, **_dusty(own["dust_av"], dust, draw)}


def _disc_own(whole: Whole, metals: _Metals, dust: _Dust, draw: _Random) -> dict[str, Floats]:
    """Parameters of the disc: rotation seen at a random inclination, metals 0.1 dex below the mean, no AGN.

    Stars slower than 40 km/s get 40 km/s, where the range of the parameter ends: the library resolves 65 km/s.
    """
    sine2 = 1 - draw.rng.random(draw.n) ** 2
    sigma = relations.disc_dispersion(whole.log_mass) * np.sqrt((sine2 + 0.3) / (2 / 3 + 0.3))
    sigma = sigma * 10 ** draw.normal(0.0, 0.1)
    own = {
        "velocity_dispersion": np.clip(sigma, 40.0, 400.0),
        "gas_dispersion": np.clip(sigma * draw.flat(0.9, 1.1), 30.0, 250.0),
        "log_metallicity": np.clip(metals.stars - 0.1, -2.0, 0.39),
        "log_gas_metallicity": np.clip(metals.gas, *LOG_GAS_RANGE),
        "log_ionisation": np.clip(metals.ionisation, *LOG_U_RANGE),
        "dust_av": dust.av,
        "log_agn": np.full(draw.n, -2.0),
        "agn_hardness": draw.normal(0.0, 1.0),
        "log_lier": draw.normal(np.where(whole.quiescent, 0.0, -0.5), 0.35),
    }
    return {**own, **_dusty(own["dust_av"], dust, draw)}


def _dusty(av: Floats, dust: _Dust, draw: _Random) -> dict[str, Floats]:
    """Dust curve, and Na D, which grows with dust (Chen et al. 2010, AJ 140, 445)."""
    depth = (0.02 + 0.15 * av) * 10 ** draw.normal(0.0, 0.2)
    return {"dust_eta": dust.eta, "dust_slope": dust.slope, "log_sodium": np.log10(np.clip(depth, 0.003, 0.5))}


def _bulge_history(whole: Whole, log_ssfr: Floats, draw: _Random) -> dict[str, Floats]:
    """Bulges start early and end soon; those of quiescent galaxies earlier still."""
    start = np.where(whole.quiescent, _quiescent_start(whole, draw), draw.flat(0.75, 0.95))
    scale = np.where(whole.quiescent, draw.log_flat(0.03, 0.10), draw.log_flat(0.08, 0.40))
    return _history(whole, log_ssfr, start, scale, draw)


def _disc_history(whole: Whole, log_ssfr: Floats, draw: _Random) -> dict[str, Floats]:
    """Discs of star-forming galaxies have formed stars at a nearly constant or rising rate."""
    start = np.where(whole.quiescent, _quiescent_start(whole, draw) - 0.05, draw.flat(0.60, 0.90))
    scale = np.where(whole.quiescent, draw.log_flat(0.05, 0.15), draw.log_flat(0.3, 2.0))
    return _history(whole, log_ssfr, start, scale, draw)


def _quiescent_start(whole: Whole, draw: _Random) -> Floats:
    """Start of star formation as a fraction of the age of the Universe before the epoch of observation.

    0.65 at 10^11 M_sun and 0.1 more per dex: mass-weighted ages of 3.7 Gyr at z = 0.75, 2.7 at 1.15 and 1.8 at 2
    (Carnall et al. 2019, MNRAS 490, 417, fig. 9; Belli et al. 2019; Tacchella et al. 2022, ApJ 926, 134).
    """
    return np.asarray(np.clip(draw.normal(0.65 + 0.1 * (whole.log_mass - 11.0), 0.10), 0.35, 0.95))


def _history(whole: Whole, log_ssfr: Floats, start: Floats, scale: Floats, draw: _Random) -> dict[str, Floats]:
    """The fields of `StarFormation`.

    A share of the quiescent galaxies that grows from 8 % at z = 0.7 to 20 % at z = 2.4 ended with a burst (Wild et al.
    2016, MNRAS 463, 832; Belli et al. 2019): it holds 10-60 % of the mass.
    """
    burst = whole.quiescent & (draw.rng.random(draw.n) < np.clip(0.03 + 0.07 * whole.redshift, 0.0, 0.2))
    fraction = np.where(burst, draw.log_flat(0.1, 0.6), draw.log_flat(1e-4, 0.05))
    first = 1.2 * RECENT_YR
    last = np.minimum(1e9, whole.age) / 1.2
    return {
        "log_ssfr": log_ssfr,
        "log_burstiness": np.clip(draw.normal(0.0, 0.2), -1.0, 0.9),
        "burst_age": first * (last / first) ** draw.rng.random(draw.n),
        "log_burst_fraction": np.log10(fraction),
        "formation_age": np.maximum(start * whole.age, YOUNGEST_FORMATION * RECENT_YR),
        "tau": scale * whole.age,
    }


def _build(whole: Whole, *values: dict[str, Floats]) -> Galaxies:
    merged: dict[str, float | torch.Tensor] = {
        name: torch.as_tensor(column, dtype=torch.float32) for part in values for name, column in part.items()
    }
    return simple_galaxies(len(whole.redshift), torch.as_tensor(whole.redshift), **merged)
