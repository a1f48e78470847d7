"""What each column of a truth table is: unit, as astropy spells it, and one sentence."""

from __future__ import annotations

from galfit_ml.instruments import Instrument
from galfit_ml.simulate.surveys.sample import band_name

_WHOLE = {
    "redshift": ("", "Redshift of the stars of a galaxy, or of a quasar; radial velocity / c of a star"),
    "log_stellar_mass": ("dex(solMass)", "Living stars and remnants (Kroupa IMF), of the delivered light"),
    "log_sfr": ("dex(solMass / yr)", "Star-formation rate, mean of the last 100 Myr, of the delivered light"),
    "log_metallicity": ("", "log10 Z_star/Z_sun; of several components the mean Z weighted by formed mass"),
    "gas_metallicity": ("", "Z_gas/Z_sun (12 + log O/H = 8.71 at 1); weighted by SFR"),
    "dust_av": ("mag", "V-band attenuation of stars older than 10 Myr; weighted by light in the magnitude band"),
    "velocity_dispersion": ("km / s", "Of the stars; root of the mean square weighted by light in the magnitude band"),
    "log_age": ("dex(yr)", "Mean age weighted by formed mass"),
    "log_ionisation": ("", "log10 U of the H II regions; weighted by SFR"),
    "log_ssfr": ("dex(1 / yr)", "SFR (100 Myr) over stellar mass"),
    "D4000n": ("", "Break of the starlight, 4000-4100 over 3850-3950 A (Balogh et al. 1999), no emission lines"),
    "HdA": ("Angstrom", "H-delta_A of the starlight (Worthey & Ottaviani 1997), no emission lines"),
    "bulge_to_total_light": ("", "Share of the bulge in the magnitude band; NaN for galaxies of one component"),
    "bulge_to_total_mass": ("", "Share of the bulge in the stellar mass; NaN for galaxies of one component"),
    "aperture_factor": ("", "Delivered flux over total flux; all masses, rates and fluxes are delivered ones"),
}

_LINES = {
    "Halpha": "H-alpha",
    "Hbeta": "H-beta",
    "NII6585": "[N II] 6585",
    "OIII5008": "[O III] 5008",
    "OII3728": "[O II] 3727 + 3730",
    "SII6725": "[S II] 6718 + 6733",
    "OI6302": "[O I] 6302",
}

_COMPONENT = {
    "magnitude": ("mag", "AB magnitude in the magnitude band, delivered"),
    "log_formed_mass": ("dex(solMass)", "Mass ever formed"),
    "log_stellar_mass": ("dex(solMass)", "Living stars and remnants"),
    "log_sfr": ("dex(solMass / yr)", "Star-formation rate, mean of the last 100 Myr"),
    "log_age": ("dex(yr)", "Mean age weighted by formed mass"),
    "log_metallicity": ("", "log10 Z_star/Z_sun"),
    "log_gas_metallicity": ("", "log10 Z_gas/Z_sun"),
    "log_ionisation": ("", "log10 U of the H II regions"),
    "dust_av": ("mag", "V-band attenuation of stars older than 10 Myr"),
    "dust_eta": ("", "Attenuation of birth clouds over that of the rest"),
    "dust_slope": ("", "Exponent by which the Calzetti curve is tilted"),
    "velocity_dispersion": ("km / s", "Of the stars"),
    "gas_dispersion": ("km / s", "Of the gas"),
    "gas_velocity": ("km / s", "Gas relative to stars"),
    "zero_point": ("km / s", "Error of the wavelength scale"),
    "ebv": ("mag", "Residual Milky Way reddening E(B-V)"),
    "lya_escape": ("", "Escape fraction of Lyman alpha"),
    "log_agn": ("dex(Angstrom)", "Rest equivalent width of [O III] 5008 of an AGN over the component's starlight"),
    "agn_hardness": ("", "Place along the Seyfert and LIER sequences, in standard deviations"),
    "log_lier": ("dex(Angstrom)", "Rest equivalent width of H-alpha of gas ionised by old stars, over their light"),
    "log_density": ("dex(cm-3)", "Electron density; NaN for the doublet ratios of the nebular grid"),
    "log_ism_depth": ("", "log10 of the covered share of the light at strong interstellar ultraviolet lines"),
    "ism_velocity": ("km / s", "Of those lines relative to the stars; negative for an outflow"),
    "log_sodium": ("", "log10 of the depth of interstellar Na D"),
    "log_ssfr": ("dex(1 / yr)", "SFR (100 Myr) over stellar mass"),
    "log_burstiness": ("", "log10 of the SFR of the last 10 Myr over that of the last 100 Myr"),
    "burst_age": ("yr", "Age of the intermediate burst"),
    "log_burst_fraction": ("", "log10 of its share of the mass older than 100 Myr"),
    "formation_age": ("yr", "Lookback time at which the delayed component starts"),
    "tau": ("yr", "Time scale of the delayed component"),
}

_OBSERVATION = {
    "galaxy_id": ("", "Number of the galaxy; the same for all exposures of it"),
    "class": ("", "star-forming, quiescent, starburst, early, spiral, star, quasar or sky"),
    "exposure_s": ("s", "Total exposure time, sky exposures included"),
    "seeing": ("arcsec", "FWHM at 5000 A and airmass 1"),
    "airmass": ("", "Airmass"),
    "size_arcsec": ("arcsec", "Half-light radius; 0 for a point"),
    "noise_scale": ("", "Factor by which the reported inverse variance is wrong"),
    "star_temperature": ("K", "Effective temperature of a star"),
    "snr": ("", "Median S/N per pixel over good pixels of all arms, measured: flux x sqrt(ivar)"),
    "snr_true": ("", "The same, true: noiseless flux x sqrt(white ivar)"),
}

TRUTH_COLUMNS: dict[str, tuple[str, str]] = {
    **_COMPONENT,
    **{
        f"{part}_{name}": (unit, f"{text}: the {part}")
        for part in ("bulge", "disc")
        for name, (unit, text) in _COMPONENT.items()
    },
    **_WHOLE,
    **{
        f"flux_{name}": ("1e-17 erg / (s cm2)", f"{text}: all gas, behind dust, without stellar absorption")
        for name, text in _LINES.items()
    },
    **_OBSERVATION,
}
"""Columns that do not depend on the instrument."""


def truth_columns(instrument: Instrument) -> dict[str, tuple[str, str]]:
    """`TRUTH_COLUMNS` and the columns named after the instrument's magnitude band and arms."""
    band = band_name(instrument)
    low, high = instrument.magnitude_band
    own = {
        f"m_{band}": ("mag", f"AB magnitude of the delivered flux, mean f_nu over {low:g}-{high:g} A"),
        f"m_{band}_total": ("mag", "The same of the whole galaxy"),
    }
    for arm in instrument.arms:
        own[f"snr_{arm.name.lower()}"] = ("", f"Median S/N per pixel over good pixels of arm {arm.name}, measured")
        own[f"snr_true_{arm.name.lower()}"] = ("", f"The same of arm {arm.name}, true")
    return {**TRUTH_COLUMNS, **own}
