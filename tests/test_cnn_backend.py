"""The backend of the network: the contract with untrained weights, files of weights, and what it says of quality."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from galfit_ml.backend import Request, Tags
from galfit_ml.errors import FileFormatError
from galfit_ml.flags import Flag
from galfit_ml.instruments import get_instrument
from galfit_ml.redshift_prior import RedshiftPrior, RedshiftPriors
from galfit_ml.simulate import survey
from galfit_ml.testing import parametrize_with_checks
from galfit_ml_cnn.backend import CnnBackend
from galfit_ml_cnn.layout import Layout
from galfit_ml_cnn.network import Architecture, GalaxyNetwork
from galfit_ml_cnn.solutions import N_SOLUTIONS, solutions
from galfit_ml_cnn.weights import Trained, load, save

SDSS = get_instrument("sdss")
SMALL = Architecture(width=8, dilations=(1, 2), n_templates=4, kinds=3, fine=2, n_rest=4, n_embedding=8, dropout=0.1)
FOLDER = tempfile.TemporaryDirectory()


def untrained(name: str = "sdss") -> Path:
    """A file of random weights."""
    path = Path(FOLDER.name) / f"{name}.safetensors"
    torch.manual_seed(2)
    network = GalaxyNetwork(Layout.of(SDSS), SMALL)
    save(path, Trained(network, (name,), {"recipe": {"seed": 2}, "validation": {"bins": 8.4}}))
    return path


WEIGHTS = untrained()


@pytest.mark.slow
@parametrize_with_checks(
    [CnnBackend],
    options={"weights": WEIGHTS},
    tags=Tags(calibrated=False, embedding=True),
    instrument=SDSS,
    n_samples=60,
)
def test_contract(check: Callable[[], object]) -> None:
    assert check() is not None


# Weights.


def test_weights_come_back_with_all_that_is_known_of_them() -> None:
    made = load(WEIGHTS)
    assert made.instruments == ("sdss",)
    assert made.about["validation"] == {"bins": 8.4}
    assert (made.network.layout, made.network.architecture) == (Layout.of(SDSS), SMALL)
    torch.manual_seed(2)
    again = GalaxyNetwork(Layout.of(SDSS), SMALL)
    for name, value in again.state_dict().items():
        # Large arrays are kept in half precision.
        torch.testing.assert_close(made.network.state_dict()[name], value, rtol=1e-3, atol=1e-6)
    assert not made.network.training


def test_damaged_truncated_and_foreign_weights_are_refused(tmp_path: Path) -> None:
    whole = WEIGHTS.read_bytes()
    for name, content in {"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"no weights at all"}.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="damaged or of another version"):
            load(path)
    save_file({"x": torch.zeros(3)}, tmp_path / "foreign", {"format": "pt"})
    with pytest.raises(FileFormatError, match="holds no weights of this network"):
        load(tmp_path / "foreign")
    with pytest.raises(FileFormatError, match="There are no weights at"):
        load(tmp_path / "nowhere")


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return Path.touch, (tmp_path / "executed",)  # type: ignore[return-value]

    torch.save({"x": Harm()}, tmp_path / "weights.safetensors")
    with pytest.raises(FileFormatError):
        load(tmp_path / "weights.safetensors")
    assert not (tmp_path / "executed").exists()


def test_weights_that_lack_a_tensor_are_refused(tmp_path: Path) -> None:
    made = load(WEIGHTS)
    made.network.head.smooth = torch.nn.Sequential()
    save(tmp_path / "less", made)
    with pytest.raises(FileFormatError, match="Missing key"):
        load(tmp_path / "less")


def test_spectra_of_another_instrument_are_refused() -> None:
    mocks = survey("boss", 2, exposure="75m")
    with pytest.raises(FileFormatError, match=r"read spectra of 'sdss'.*these are of 'boss'"):
        CnnBackend(WEIGHTS).infer(mocks.batch, Request(50, 1, RedshiftPriors.free(2)))


@pytest.mark.parametrize("options", [{"calibrated": "perhaps"}, {"point": 1}, {"threads": 0}])
def test_options_that_make_no_sense_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match="must be"):
        CnnBackend(WEIGHTS, **options)


# Answers.


def test_a_row_that_cannot_be_used_does_no_harm() -> None:
    mocks = survey("sdss", 3, exposure="45m", magnitude=(16.0, 17.0))
    arm = mocks.batch.arms[0]
    bad = arm.bad.copy()
    bad[1, 20:] = True
    batch = replace(mocks.batch, arms=(replace(arm, bad=bad),))
    priors = RedshiftPriors((RedshiftPrior(), RedshiftPrior(), RedshiftPrior(2.0, 3.0)))
    made = CnnBackend(WEIGHTS).infer(batch, Request(50, 1, priors))
    assert made.ok.tolist() == [True, False, False]
    assert "good pixels" in made.reasons[1]
    assert "the network" in made.reasons[2]
    assert np.isfinite(made.draws[0]).all()
    assert np.isnan(made.draws[1:]).all()


def test_a_narrow_prior_at_the_edge_is_flagged() -> None:
    mocks = survey("sdss", 1, exposure="45m", magnitude=(16.0, 17.0))
    priors = RedshiftPriors((RedshiftPrior(1.1999, 1.2),))
    made = CnnBackend(WEIGHTS).infer(mocks.batch, Request(50, 1, priors))
    assert made.flags[0] & Flag.EDGE_OF_RANGE
    assert made.diagnostics["redshift_probability_1"][0] == pytest.approx(1.0, abs=1e-5)


def test_solutions_are_ranked() -> None:
    layout = Layout.of(SDSS)
    probability = np.zeros((2, layout.n_bins))
    probability[0, [300, 301, 700, 1000]] = 0.4, 0.2, 0.3, 0.1
    probability[1] = 1.0 / layout.n_bins
    redshift, share = solutions(probability, layout)
    assert share.shape == redshift.shape == (2, N_SOLUTIONS)
    assert share[0, :4] == pytest.approx([0.6, 0.3, 0.1, 0.0])
    expected = np.expm1([layout.bins[300] + layout.bin_width / 3, layout.bins[700], layout.bins[1000]])
    assert redshift[0, :3] == pytest.approx(expected, abs=1e-9)
    assert (np.diff(share, axis=1) <= 1e-12).all()
