"""The network's parts: a shift of the spectrum is a shift of features, logits and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm

from galfit_ml.instruments import get_instrument
from galfit_ml.parameters import GALAXY
from galfit_ml.prepare import Preparation, prepare
from galfit_ml.simulate import survey
from galfit_ml.simulate.cosmology import Cosmology
from galfit_ml_cnn.correlation import Spectra, correlate
from galfit_ml_cnn.inputs import N_CHANNELS, Inputs, flux_scale, look
from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.mixture import Mixture
from galfit_ml_cnn.network import Architecture, GalaxyNetwork, truth_in_bins
from galfit_ml_cnn.rebinning import Rebinning
from galfit_ml_cnn.redshift_head import RedshiftHead
from galfit_ml_cnn.rest_frame import to_rest
from galfit_ml_cnn.targets import NAMES, Setting, decode, encode
from galfit_ml_cnn.trunk import ResidualBlock

MOONS = get_instrument("moons-lr")
LAYOUT = Layout(6500.0, 600, (0.0, 0.1))
SMALL = Architecture(width=8, dilations=(1, 2), n_templates=4, kinds=3, fine=2, n_rest=4, n_embedding=8)


@pytest.fixture
def network() -> GalaxyNetwork:
    torch.manual_seed(1)
    made = GalaxyNetwork(LAYOUT, SMALL).eval()
    for block in made.modules():
        if isinstance(block, ResidualBlock):
            torch.nn.init.normal_(block.second.weight, std=0.1)
    return made


def bump(layout: Layout, centre: float) -> torch.Tensor:
    """Channels [1, N_CHANNELS, n_pix] with one feature, at pixel `centre`, and nothing else."""
    x = torch.arange(layout.n_pix, dtype=torch.float32)
    return torch.exp(-0.5 * ((x - centre) / 3.0) ** 2).expand(1, N_CHANNELS, -1).clone()


# Grids.


def test_the_grids_hold_the_instrument_and_its_redshifts() -> None:
    layout = Layout.of(MOONS)
    assert layout.grid.edges[0] <= MOONS.arms[0].grid.edges[0]
    assert layout.grid.edges[-1] >= MOONS.arms[-1].grid.edges[-1]
    assert len(layout.grid) == layout.n_pix == layout.pool * layout.n_features
    assert np.diff(np.log(layout.grid.edges)) == pytest.approx(40.0 / 299792.458)
    assert layout.bins[0] - layout.bin_width / 2 <= np.log1p(MOONS.redshift_range[0])
    assert layout.bins[-1] + layout.bin_width / 2 >= np.log1p(MOONS.redshift_range[1])


def test_a_redshift_lies_in_its_bin() -> None:
    layout = replace(LAYOUT, redshift=(0.4, 1.7))
    redshift = torch.linspace(0.4001, 1.6999, 501, dtype=torch.float64)
    bins, offset = truth_in_bins(redshift, layout)
    again = layout.bins[bins.numpy()] + layout.bin_width * offset.double().numpy()
    np.testing.assert_allclose(np.expm1(again), redshift, atol=1e-7)
    assert float(offset.abs().max()) <= 0.5


# Shifts.


def test_a_shifted_spectrum_has_shifted_features(network: GalaxyNetwork) -> None:
    one, other = (network.trunk(bump(LAYOUT, centre)) for centre in (240.0, 240.0 + 6 * 7))
    torch.testing.assert_close(other[..., 30:80], one[..., 23:73], rtol=1e-4, atol=1e-6)
    assert float(one[..., 23:73].detach().std()) > 0.01


def test_a_shifted_spectrum_has_shifted_logits(network: GalaxyNetwork) -> None:
    """Seven feature pixels to the red are seven times `phases` redshift bins up."""
    background = network.trunk(torch.zeros(1, N_CHANNELS, LAYOUT.n_pix))
    maps = [(network.trunk(bump(LAYOUT, c)) - background)[:, : SMALL.n_templates, 0] for c in (240.0, 240.0 + 6 * 7)]
    none = torch.zeros(1, SMALL.kinds, LAYOUT.n_shifts)
    one, other = (network.head.logits(network.head.sums(m), none) for m in maps)
    # Beyond the ends the interpolation between feature pixels has no neighbour.
    inner = slice(LAYOUT.phases, -LAYOUT.phases)
    shifted, whole = other[:, 7 * LAYOUT.phases :][:, inner], one[:, : -7 * LAYOUT.phases][:, inner]
    torch.testing.assert_close(shifted, whole, rtol=1e-3, atol=1e-5)


def test_logits_are_mixtures_of_correlations_with_the_templates() -> None:
    """By plain sums at three redshifts that lie at the middle of a feature pixel, where nothing is interpolated."""
    torch.manual_seed(0)
    layout = replace(LAYOUT, phases=1)
    head = RedshiftHead(layout, 4, 3, kinds=3, fine=2)
    features, summary = torch.randn(2, 4, layout.n_features), torch.randn(2, 3)
    preference = head.preference(summary)
    logits = head(features, summary)
    for shift in (0, 37, layout.n_shifts - 1):
        first = layout.n_shifts - 1 - shift
        seen = head.templates[:, :, first : first + layout.n_features]
        sums = torch.einsum("ncp,tcp->nt", features, seen)
        coarse = torch.logsumexp(sums[:, :3] + preference[:, :, shift], dim=1)
        expected = coarse + torch.logsumexp(sums[:, 3:], dim=1)
        torch.testing.assert_close(logits[:, shift], expected, rtol=1e-4, atol=1e-5)


def test_correlations_and_their_gradients_are_plain_sums() -> None:
    torch.manual_seed(0)
    features, templates = torch.randn(3, 4, 30, requires_grad=True), torch.randn(5, 4, 49, requires_grad=True)
    found = correlate(features, templates, 20)
    expected = torch.stack([torch.einsum("ncp,tcp->nt", features, templates[..., s : s + 30]) for s in range(20)], -1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    weight = torch.randn_like(found)
    gradients = (torch.autograd.grad((x * weight).sum(), (features, templates)) for x in (found, expected))
    for own, other in zip(*gradients, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_masks", [1, 9])
def test_masked_correlations_are_those_of_masked_maps(n_masks: int) -> None:
    """Few masks and many take different ways."""
    torch.manual_seed(0)
    features, templates, factors = torch.randn(4, 30), torch.randn(5, 4, 49), torch.rand(n_masks, 4)
    found = Spectra.of(templates, 20).masked(features, factors)
    torch.testing.assert_close(found, correlate(features * factors[:, :, None], templates, 20), rtol=1e-5, atol=1e-5)


def test_a_line_has_one_place_in_the_rest_frame() -> None:
    """Whatever its redshift: a Gaussian of three pixels, to what linear interpolation leaves."""
    x = torch.arange(LAYOUT.n_features, dtype=torch.float32)
    bins = torch.tensor([0, 21, 60])
    shift = (bins + 0.5) / LAYOUT.phases
    features = torch.exp(-0.5 * ((x - 20 - shift[:, None]) / 3.0) ** 2)[:, None]
    rest = to_rest(features, bins, LAYOUT)
    assert rest.shape == (3, 1, LAYOUT.n_rest)
    torch.testing.assert_close(rest[1], rest[0], rtol=0, atol=0.02)
    torch.testing.assert_close(rest[2], rest[0], rtol=0, atol=0.02)
    assert int(rest[0, 0].argmax()) == 20 + LAYOUT.n_shifts - 1


def test_nothing_is_seen_where_the_spectrum_does_not_reach() -> None:
    bins = torch.tensor([0, LAYOUT.n_bins - 1])
    rest = to_rest(torch.ones(2, 1, LAYOUT.n_features), bins, LAYOUT)[:, 0]
    assert float(rest[0, : LAYOUT.n_shifts - 3].abs().max()) == 0
    assert float(rest[1, LAYOUT.n_features + 1 :].abs().max()) == 0
    torch.testing.assert_close(rest.sum(1), torch.full((2,), float(LAYOUT.n_features)), rtol=0, atol=1.0)


# Inputs.


def test_inputs_are_finite_and_bad_pixels_do_not_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    flux = torch.randn(3, 600, generator=generator) + 5.0
    ivar = torch.rand(3, 600, generator=generator)
    ivar[0, 100:300] = 0
    ivar[1] = 0
    made = look(flux * (ivar > 0), ivar, 6)
    assert bool(torch.isfinite(made.channels).all())
    assert bool((made.channels[0, 5, 100:300] == 0).all())
    assert float(made.channels[:, :2].abs().max()) < 8


def test_signals_do_not_depend_on_the_unit_of_flux() -> None:
    generator = torch.Generator().manual_seed(0)
    flux, ivar = torch.randn(2, 600, generator=generator) + 3.0, torch.full((2, 600), 2.0)
    one, other = look(flux, ivar, 6), look(1e3 * flux, 1e-6 * ivar, 6)
    torch.testing.assert_close(one.channels, other.channels, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(other.log_scale - one.log_scale, torch.full((2,), 3.0))
    assert float(flux_scale(flux, ivar)[0]) == pytest.approx(3.0, rel=0.1)


def test_rebinning_is_that_of_prepare() -> None:
    mocks = survey("moons-lr", 4, seed=2, magnitude=(19.0, 22.0))
    layout = Layout.of(MOONS)
    seen = prepare(mocks.batch, Preparation(layout.grid))
    native = prepare(mocks.batch, Preparation())
    flux, ivar = Rebinning(MOONS, layout.grid)(
        torch.as_tensor(native.flux).float(), torch.as_tensor(np.where(native.good, native.ivar, 0.0)).float()
    )
    np.testing.assert_allclose(ivar, seen.ivar, rtol=2e-4, atol=0)
    np.testing.assert_allclose(flux * ivar.sqrt(), seen.flux * np.sqrt(seen.ivar), rtol=1e-3, atol=1e-3)


# Densities.


def test_a_mixture_is_what_scipy_says() -> None:
    made = Mixture(torch.log(torch.tensor([0.3, 0.7])), torch.tensor([-1.0, 0.2]), torch.tensor([0.5, 0.1]))
    x = np.linspace(-2, 1, 31)
    density = 0.3 * norm(-1.0, 0.5).pdf(x) + 0.7 * norm(0.2, 0.1).pdf(x)
    np.testing.assert_allclose(made.log_density(torch.as_tensor(x).float()).exp(), density, rtol=1e-4)
    mass = 0.3 * np.diff(norm(-1.0, 0.5).cdf([-0.5, 0.5])) + 0.7 * np.diff(norm(0.2, 0.1).cdf([-0.5, 0.5]))
    assert float(made.log_mass(-0.5, 0.5).exp()) == pytest.approx(float(mass[0]), rel=1e-5)


def test_draws_of_a_truncated_mixture_have_its_density() -> None:
    n = 20_000
    one = Mixture(torch.log(torch.tensor([0.6, 0.4])), torch.tensor([-0.4, 0.8]), torch.tensor([0.2, 0.3]))
    many = Mixture(*(getattr(one, name).expand(n, 2) for name in ("log_weight", "mean", "sigma")))
    generator = torch.Generator().manual_seed(4)
    uniform = torch.rand(2, n, generator=generator)
    ends = torch.full((n,), -0.5), torch.full((n,), 0.5)
    draws = many.draw_within(*ends, uniform[0], uniform[1]).numpy()

    def share(x: np.ndarray) -> np.ndarray:
        return 0.6 * norm(-0.4, 0.2).cdf(x) + 0.4 * norm(0.8, 0.3).cdf(x)

    def cdf(x: np.ndarray) -> np.ndarray:
        return (share(x) - share(np.array(-0.5))) / (share(np.array(0.5)) - share(np.array(-0.5)))

    assert np.abs(draws).max() <= 0.5
    assert kstest(draws, cdf).pvalue > 1e-3


def test_properties_come_back_from_what_the_branches_predict() -> None:
    generator = torch.Generator().manual_seed(5)
    values = {}
    for name in NAMES:
        low, high = GALAXY[name].low, GALAXY[name].high
        values[name] = low + (high - low) * (0.01 + 0.98 * torch.rand(200, generator=generator))
    setting = Setting(torch.linspace(0.01, 5.0, 200), torch.linspace(-2.0, 2.0, 200))
    again = decode(encode(values, setting, Cosmology.default()), setting, Cosmology.default())
    for name in NAMES:
        span = GALAXY[name].high - GALAXY[name].low
        torch.testing.assert_close(again[name], values[name], rtol=0, atol=2e-3 * span)


def test_a_brighter_spectrum_is_more_massive_and_nothing_else() -> None:
    encoded = torch.randn(5, len(NAMES), generator=torch.Generator().manual_seed(1)) * 0.3
    z = torch.full((5,), 1.2)
    one, other = (decode(encoded, Setting(z, torch.full((5,), s)), Cosmology.default()) for s in (0.0, 0.5))
    for name in NAMES:
        grown = 0.5 if GALAXY[name].needs_flux_scale else 0.0
        torch.testing.assert_close(other[name] - one[name], torch.full((5,), grown), rtol=0, atol=1e-4)


# Together.


def random_inputs(n: int) -> Inputs:
    generator = torch.Generator().manual_seed(3)
    return Inputs(torch.randn(n, N_CHANNELS, LAYOUT.n_pix, generator=generator), torch.zeros(n))


def test_dropout_changes_the_loss_and_its_absence_does_not(network: GalaxyNetwork) -> None:
    inputs = random_inputs(4)
    truth = torch.tensor([3, 50, 70, 100]), torch.zeros(4), torch.zeros(4, len(NAMES))
    network.eval()
    with torch.no_grad():
        assert torch.equal(network.loss(inputs, *truth).bins, network.loss(inputs, *truth).bins)
        network.architecture = replace(SMALL, dropout=0.3)
        network.train()
        assert not torch.equal(network.loss(inputs, *truth).bins, network.loss(inputs, *truth).bins)


def test_every_weight_learns(network: GalaxyNetwork) -> None:
    truth = torch.tensor([3, 50, 70, 100]), torch.zeros(4), torch.zeros(4, len(NAMES))
    network.loss(random_inputs(4), *truth).total(1.0, torch.ones(4)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


def test_each_property_is_predicted_from_those_before_it_alone(network: GalaxyNetwork) -> None:
    embedding = torch.randn(1, SMALL.n_embedding, generator=torch.Generator().manual_seed(0))
    encoded = torch.zeros(1, len(NAMES), requires_grad=True)
    _, densities = network.branches.log_density(embedding, torch.zeros(1), encoded)
    (slope,) = torch.autograd.grad(densities[0, 3], encoded)
    assert bool((slope[0, :4] != 0).all())
    assert bool((slope[0, 4:] == 0).all())


def test_sizes_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="dropout must lie"):
        Architecture(dropout=1.0)
    with pytest.raises(ValueError, match="pools six pixels"):
        GalaxyNetwork(replace(LAYOUT, pool=4), SMALL)
