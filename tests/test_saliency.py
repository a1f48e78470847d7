"""Saliency: shares at named lines, occlusion, and what a posterior says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from posterior_samples import sample_posterior

from galfit_ml.errors import GalfitMLError
from galfit_ml.features import FEATURES
from galfit_ml.flags import Flag
from galfit_ml.instruments import get_instrument
from galfit_ml.plots import stacked_saliency
from galfit_ml.posterior import Posterior, concatenate
from galfit_ml.saliency import KEPT, Saliency, Source
from galfit_ml.simulate import survey
from galfit_ml_cnn.backend import CnnBackend
from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.network import Architecture, GalaxyNetwork
from galfit_ml_cnn.occlusion import STEP, WIDTH, Asked, occlude
from galfit_ml_cnn.weights import Trained, save

WAVE = np.exp(np.arange(np.log(3600), np.log(10000), 0.0024))
SMALL = Architecture(width=8, dilations=(1,), n_templates=4, kinds=2, fine=1, n_rest=4, n_embedding=8)


def at(line: float, n: int = 3) -> Saliency:
    """Importance at one rest wavelength alone, of n galaxies at z = 0, 0.1, 0.2."""
    redshift = 0.1 * np.arange(n)
    importance = (np.abs(np.log(WAVE / line) - np.log1p(redshift)[:, None]) < 0.003).astype(float)
    return Saliency("redshift", "nats", WAVE, importance, np.ones((n, len(WAVE))), redshift, 720.0)


def halpha() -> str:
    return next(f.label for f in FEATURES if 6564.61 in f.wavelengths)


def test_importance_at_a_line_is_that_lines() -> None:
    shares = at(6564.61).shares()
    np.testing.assert_allclose(shares[halpha()], 1.0)
    np.testing.assert_allclose(sum(shares.values()), 1.0)


def test_importance_away_from_lines_is_elsewhere() -> None:
    np.testing.assert_allclose(at(5500.0).shares()["elsewhere"], 1.0)


def test_a_stack_lies_in_the_rest_frame_and_counts_every_spectrum_the_same() -> None:
    one = at(6564.61)
    loud = replace(one, importance=one.importance * np.array([1.0, 100.0, 1.0])[:, None])
    for saliency in (one, loud):
        wave, share = saliency.stack(np.arange(3))
        assert wave[np.nanargmax(share)] == pytest.approx(6564.61, rel=0.003)
        assert np.nansum(share) == pytest.approx(1.0, rel=0.15)


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> CnnBackend:
    """A network that has learnt nothing."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    network = GalaxyNetwork(Layout.of(get_instrument("sdss")), SMALL).eval()
    save(path, Trained(network, ("sdss",), {}))
    return CnnBackend(path)


def test_a_stretch_without_good_pixels_has_no_importance(cnn: CnnBackend) -> None:
    network = cnn.trained_for("sdss").network
    flux, ivar = torch.ones(network.layout.n_pix), torch.ones(network.layout.n_pix)
    ivar[: 4 * WIDTH] = 0.0
    for name in ("redshift", "log_sfr"):
        importance = occlude(network, flux, ivar, Asked(name, 0.1))
        assert np.isnan(importance[: 4 * WIDTH // STEP - 1]).all()
        assert np.isfinite(importance[4 * WIDTH // STEP + 1 :]).all()


def test_occlusion_finds_what_a_property_hangs_on(cnn: CnnBackend) -> None:
    """The network's own answer with a stretch masked is what the backend subtracts."""
    batch = survey("sdss", 2, seed=4, exposure="55m", magnitude=(16.0, 17.0)).batch
    found = cnn.saliency(batch, "log_stellar_mass", np.array([0.1, 0.2]))
    assert found.importance.shape == found.flux.shape == (2, len(found.wavelength))
    assert found.unit.startswith("dex")
    again = cnn.saliency(batch.take([1]), "log_stellar_mass", np.array([0.2]))
    np.testing.assert_allclose(again.importance[0], found.importance[1], rtol=1e-3, atol=1e-5)


def test_an_unknown_parameter_is_named(cnn: CnnBackend) -> None:
    with pytest.raises(ValueError, match="no parameter 'colour'. Choose one of: redshift, log_stellar_mass"):
        cnn.saliency(survey("sdss", 1, seed=4, exposure="55m").batch, "colour")


def explained(cnn: CnnBackend) -> Posterior:
    batch = survey("sdss", 2, seed=4, exposure="55m", magnitude=(16.0, 17.0)).batch
    made = sample_posterior()
    return replace(made, sources=(Source(cnn, batch.take([1])), *(None,) * (len(made) - 1)))


def test_a_posterior_explains_itself_and_keeps_doing_so_when_cut_and_joined(cnn: CnnBackend) -> None:
    made = explained(cnn)
    joined = concatenate([sample_posterior(), made])
    assert [s is not None for s in joined.sources] == [i == len(made) for i in range(2 * len(made))]
    one = joined[len(made)]
    np.testing.assert_allclose(one.saliency("log_sfr").importance, made.saliency("log_sfr", 0).importance)
    figure = one.plot_saliency("log_sfr")
    assert len(figure.axes) == 2
    assert "what mattered" in figure.texts[1].get_text()


def test_what_cannot_be_explained_says_why(cnn: CnnBackend, tmp_path: Path) -> None:
    made = explained(cnn)
    failed = int(np.flatnonzero(~made.ok)[0])
    with pytest.raises(GalfitMLError, match="has no result to explain"):
        made.saliency("redshift", failed)
    again = Posterior.load(made.save(tmp_path / "kept.fits"))
    with pytest.raises(GalfitMLError, match="a posterior read from a file has none"):
        again.plot_saliency()


def test_too_many_spectra_are_not_kept(cnn: CnnBackend) -> None:
    made = explained(cnn)
    many = [made] * (KEPT // len(made) + 1)
    assert concatenate(many).sources == ()
    assert len(concatenate(many[:2]).sources) == 2 * len(made)


def test_a_failed_row_with_a_source_says_why_it_failed(cnn: CnnBackend) -> None:
    made = explained(cnn)
    source = made.sources[0]
    failed = int(np.flatnonzero(~made.ok)[0])
    with pytest.raises(GalfitMLError, match="has no result to explain"):
        replace(made, sources=(source,) * len(made)).saliency("redshift", failed)


def test_a_relative_spectrum_explains_no_mass(cnn: CnnBackend) -> None:
    batch = survey("sdss", 1, seed=4, exposure="55m", magnitude=(16.0, 17.0)).batch
    relative = replace(batch, flags=batch.flags | int(Flag.RELATIVE_FLUX))
    at = np.array([0.1])
    assert np.isnan(cnn.saliency(relative, "log_sfr", at).importance).all()
    assert np.isfinite(cnn.saliency(relative, "log_age", at).importance).any()


def test_redshifts_must_be_as_many_as_spectra(cnn: CnnBackend) -> None:
    batch = survey("sdss", 2, seed=4, exposure="55m").batch
    with pytest.raises(ValueError, match="2 spectra and redshifts of shape"):
        cnn.saliency(batch, "redshift", np.array([0.1]))
    with pytest.raises(ValueError, match="no spectrum to explain"):
        cnn.saliency(batch.take([]))


def test_stacks_are_drawn_one_above_the_other() -> None:
    stacks = {"spirals": at(6564.61).stack(np.arange(3)), "ellipticals": at(3969.59).stack(np.arange(3))}
    figure = stacked_saliency(stacks, "redshift")
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["spirals", "ellipticals"]
