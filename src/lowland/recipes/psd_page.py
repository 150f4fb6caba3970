"""The page of the recipe `psd`: the atoms and the encoder's filters, and what the encoder is worth."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lowland.energies.predictive_sparse_coding import PredictiveSparseCoding
from lowland.energies.sparse_coding import SparseCoding
from lowland.evaluation.verdict import verdict
from lowland.inference import infer
from lowland.plots import curves, images
from lowland.recipes.compose_page import spread
from lowland.recipes.lista_page import patch_sheet
from lowland.reports.run import Run
from lowland.solvers.active_set import ActiveSet

if TYPE_CHECKING:
    from lowland.recipes.psd import PsdRecipe

Found = Sequence[Mapping[str, Any]]
_NAMES = {
    "exact": "exact inference",
    "PSD": "encoder of PSD",
    "further": "encoder of PSD, trained further",
    "linear, shrunk": "linear encoder with a threshold",
    "linear, as sparse": "linear encoder, as sparse as PSD",
    "linear": "linear encoder",
    "step of ISTA": "untrained encoder",
    "before training": "random encoder",
    "zero code": "zero code (baseline)",
}
_MEASURES = {"gap": "(E(ẑ) − E(z*)) / E(z*), mean", "reconstruction": "Σ‖y − Wẑ‖² / Σ‖y‖²"}
_SHOWN = 12


def write_results(run: Run, options: PsdRecipe, found: Found) -> None:
    """The rows of `results.json`, all for the dictionary that PSD learned."""
    data = f"{options.tests} test patches, {options.atoms} atoms"

    def line(claim: str, method: str, values: Sequence[float]) -> None:
        middle, sd = spread(values)
        run.result(id="S6", claim=claim, method=method, measured=middle, sd=sd, seeds=len(found), data=data)

    for measure, claim in _MEASURES.items():
        for name, method in _NAMES.items():
            if (name, measure) != ("exact", "gap"):
                line(claim, method, _values(found, name, measure))
    claim = "orientation selectivity of atoms, mean, from 0 for none to 1 for a grating"
    for name, method in {"learned": "PSD", "first": "first dictionary, random (baseline)"}.items():
        line(claim, method, [one["selectivity"][name] for one in found])


def _values(found: Found, name: str, measure: str) -> list[float]:
    return [one["report"][name][measure] for one in found]


def _mean(found: Found, name: str, measure: str) -> float:
    return statistics.fmean(_values(found, name, measure))


def _told(found: Found, measure: str) -> str:
    """How the encoder of PSD does against the best of the untrained and linear ones, over paired seeds.

    The bare linear map is left out of the reconstruction, since its codes are not sparse at all.
    """
    others = ["linear, shrunk", "linear, as sparse", "step of ISTA", "before training"]
    others += [] if measure == "reconstruction" else ["linear"]
    best = [min(one["report"][name][measure] for name in others) for one in found]
    return verdict(_values(found, "PSD", measure), best, ("higher", "lower")).word


def write_page(run: Run, options: PsdRecipe, found: Found, energy: PredictiveSparseCoding, test: Tensor) -> None:
    """The pictures, of the first seed's energy, and what they say."""
    run.section("Atoms and filters")
    run.finding(
        f"The encoder's code is {_mean(found, 'PSD', 'gap'):.0%} above the least energy on average; against the best "
        f"of the untrained and linear encoders: {_told(found, 'gap')}, over {len(found)} seeds."
    )
    selectivity = {
        name: statistics.fmean(one["selectivity"][name] for one in found) for name in found[0]["selectivity"]
    }
    run.text(
        "Inference pulls z to three sides: W z should be the patch, z should be what the encoder predicts, and most of "
        "z should be zero. Then the dictionary W and the encoder take one step each towards the z that was found: by "
        "the envelope theorem this is the gradient of F(y) = min_z E(y, z). Nothing else is trained. "
        "The atoms begin as noise. Their mean orientation selectivity, 0 for a blob and nearly 1 for a grating, is "
        f"{selectivity['first']:.2f} at first and {selectivity['learned']:.2f} when learned; patches have "
        f"{selectivity['patches']:.2f}."
    )
    columns = round(options.atoms**0.5)
    atoms = images(energy.dictionary.detach().cpu().T, each=True, columns=columns, title="atoms: columns of W")
    filters = images(energy.encoder.filters.detach().cpu(), each=True, columns=columns, title="filters: rows of W_e")
    run.grid("atoms", [(atoms, ""), (filters, "")], columns=2, caption="The first seed, in the same order", dpi=130)
    steps, losses = found[0]["loss"]
    drawn = curves(
        {f"seed {seed}": tuple(one["loss"]) for seed, one in enumerate(found)},
        xlabel="step", ylabel="free energy of a batch", title="Training",
    )  # fmt: skip
    run.figure("training", drawn, f"From {losses[0]:.3f} at step {steps[0]:.0f} to {losses[-1]:.3f}, the first seed")
    run.part(_write_encoder, found, energy, test)


def _write_encoder(run: Run, found: Found, energy: PredictiveSparseCoding, test: Tensor) -> None:
    run.section("The encoder instead of inference")
    words = {"gap": "objective gap", "reconstruction": "reconstruction error", "code_error": "code error"}
    told = ", ".join(f"{name} {_told(found, measure)}" for measure, name in words.items())
    run.verdict(
        f"Over {len(found)} paired seeds, against the best of the untrained and linear encoders (for the "
        f"reconstruction those whose codes have zeros): {told}."
    )
    run.text(
        "All codes here are for the same learned dictionary W and are judged by the energy without the prediction, "
        f"½‖y − W z‖² + λ‖z‖₁. The encoder of PSD is {_mean(found, 'PSD', 'gap'):.0%} above its minimum on average, "
        f"{_mean(found, 'PSD', 'worst'):.0%} on the worst patch, and takes "
        f"{_mean(found, 'PSD', 'microseconds'):.1f} µs for a patch where exact inference takes "
        f"{_mean(found, 'exact', 'microseconds'):.1f}."
    )
    dense, exact = _mean(found, "linear", "reconstruction"), _mean(found, "exact", "reconstruction")
    if dense < exact:
        run.text(
            f"The bare linear map leaves less of the patch than exact inference does, {dense:.3f} against {exact:.3f}: "
            f"all of its units are active, {_mean(found, 'linear', 'nonzeros'):.0f} of them where exact codes have "
            f"{_mean(found, 'exact', 'nonzeros'):.0f}. The energy counts both, the error and the code. Cut to as many "
            "units as the encoder of PSD uses, the map leaves "
            f"{_mean(found, 'linear, as sparse', 'reconstruction'):.3f}."
        )
    head = ("code", "code error", "mean gap", "worst gap", "‖y − Wz‖² / ‖y‖²", "non-zeros", "µs")
    measures = ("code_error", "gap", "worst", "reconstruction", "nonzeros", "microseconds")
    run.table(
        head, [[label, *(_mean(found, name, measure) for measure in measures)] for name, label in _NAMES.items()],
        f"Test patches, means over {len(found)} seeds; code error is Σ‖ẑ − z*‖² / Σ‖z*‖², µs are processor time for a "
        "patch, one thread. Trained further: alone, on exact codes of this dictionary, when both had been learned. "
        "Linear: least squares from y to exact codes, bare, with the threshold that is best on validation patches, or "
        "with as many of its largest units as PSD has on average. "
        "Untrained: the encoder that ISTA is, for this dictionary. Random: the encoder before anything was trained.",
    )  # fmt: skip
    y = test[:_SHOWN]
    coding = SparseCoding(y.shape[1], energy.dictionary.shape[1], energy.sparsity).to(y.device)
    with torch.no_grad():
        coding.dictionary.copy_(energy.dictionary)
        code = infer(coding, y=y, over="z", solver=ActiveSet(1e-6)).value
        rows = {"patch": y, "exact code": coding.reconstruct(None, y, code)}
        rows["encoder"] = coding.reconstruct(None, y, energy.code(y))
    run.figure("patches", patch_sheet(rows), "Test patches and what the codes decode to; each tile has its own scale")
