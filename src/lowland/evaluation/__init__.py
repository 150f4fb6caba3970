"""Evaluation of energies: the energy gap, the volume of the low-energy region, collapse, probes."""

from __future__ import annotations

from lowland.evaluation.amortisation import (
    ErrorPath,
    GapReport,
    GapRow,
    amortisation_gap,
    error_path,
    iterates,
    worth_iterations,
)
from lowland.evaluation.collapse import (
    codebook_perplexity,
    energy_spread,
    rankme,
    reconstruction_error,
)
from lowland.evaluation.embeddings import measure_embedding, online_probe
from lowland.evaluation.energy_gap import EnergyGap, auroc, baselines, energy_gap, scores
from lowland.evaluation.few_labels import Tuning, compare_with_few_labels
from lowland.evaluation.films import measure_films, nearest_films, nearest_in_group, ridge_score, slowness
from lowland.evaluation.fine_tune import FineTuned, fine_tune
from lowland.evaluation.forward_models import coverage, crps, errors_by_horizon, imagine, sensitivity
from lowland.evaluation.frechet import frechet_distance
from lowland.evaluation.frozen import Frozen, labelled, measure_frozen
from lowland.evaluation.gap_data import GapData, image_gap_data, plane_gap_data
from lowland.evaluation.joint import alignment, pair_gap, plane, principal_codes, spectrum, uniformity, view_distance
from lowland.evaluation.negatives import (
    Statistics,
    covariance_noise,
    make_negatives,
    perturbed,
    pixel_noise,
    shuffled_patches,
    statistics,
    uniform_box,
)
from lowland.evaluation.neighbours import knn, nearest_neighbours
from lowland.evaluation.probe import Probe, probe
from lowland.evaluation.reasoning import Descended, descended
from lowland.evaluation.representations import principal_reconstruction, represent
from lowland.evaluation.restoration import psnr, restore_images
from lowland.evaluation.steepness import curvature, slope
from lowland.evaluation.success import Interval, paired_bootstrap, recovered, summary, wilson
from lowland.evaluation.verdict import (
    CLOSE,
    Verdict,
    all_above,
    auroc_interval,
    verdict,
    verdict_of_accuracies,
    verdict_of_rates,
)
from lowland.evaluation.verification import (
    Chosen,
    Verification,
    all_pairs,
    hardest_pairs,
    principal_ways,
    verification,
    verify_best,
)
from lowland.evaluation.volume import Volume, densest_share, grid, low_energy_volume
from lowland.evaluation.warm_start import WarmStart, warm_start_times
from lowland.shaping.collapse import effective_rank

__all__ = [
    "CLOSE",
    "Chosen",
    "Descended",
    "EnergyGap",
    "ErrorPath",
    "FineTuned",
    "Frozen",
    "GapData",
    "GapReport",
    "GapRow",
    "Interval",
    "Probe",
    "Statistics",
    "Tuning",
    "Verdict",
    "Verification",
    "Volume",
    "WarmStart",
    "alignment",
    "all_above",
    "all_pairs",
    "amortisation_gap",
    "auroc",
    "auroc_interval",
    "baselines",
    "codebook_perplexity",
    "compare_with_few_labels",
    "covariance_noise",
    "coverage",
    "crps",
    "curvature",
    "densest_share",
    "descended",
    "effective_rank",
    "energy_gap",
    "energy_spread",
    "error_path",
    "errors_by_horizon",
    "fine_tune",
    "frechet_distance",
    "grid",
    "hardest_pairs",
    "image_gap_data",
    "imagine",
    "iterates",
    "knn",
    "labelled",
    "low_energy_volume",
    "make_negatives",
    "measure_embedding",
    "measure_films",
    "measure_frozen",
    "nearest_films",
    "nearest_in_group",
    "nearest_neighbours",
    "online_probe",
    "pair_gap",
    "paired_bootstrap",
    "perturbed",
    "pixel_noise",
    "plane",
    "plane_gap_data",
    "principal_codes",
    "principal_reconstruction",
    "principal_ways",
    "probe",
    "psnr",
    "rankme",
    "reconstruction_error",
    "recovered",
    "represent",
    "restore_images",
    "ridge_score",
    "scores",
    "sensitivity",
    "shuffled_patches",
    "slope",
    "slowness",
    "spectrum",
    "statistics",
    "summary",
    "uniform_box",
    "uniformity",
    "verdict",
    "verdict_of_accuracies",
    "verdict_of_rates",
    "verification",
    "verify_best",
    "view_distance",
    "warm_start_times",
    "wilson",
    "worth_iterations",
]
