"""Anomaly detection: any energy as a scikit-learn outlier detector, here on digits of which some were shuffled."""

import torch
from sklearn.metrics import roc_auc_score

import lowland as ll
from lowland.evaluation import shuffled_patches, statistics

digits = ll.data.digits()
train, test = digits.train.flatten(1), digits.test.flatten(1)
odd = shuffled_patches(test, statistics(train), torch.Generator().manual_seed(0), image_shape=(8, 8))
mixed = torch.cat([test, odd]).numpy()
is_odd = [0] * len(test) + [1] * len(odd)

detectors = {
    "mixture of Gaussians, the default": ll.estimators.EnergyDetector(),
    "PCA with 20 components": ll.estimators.EnergyDetector(
        ll.energies.PCA(64, 20), ll.shaping.ExpectationMaximisation(), max_steps=1, batch_size=len(train)
    ),
    "denoising auto-encoder": ll.estimators.EnergyDetector(
        ll.energies.Autoencoder(64, n_codes=64),
        ll.shaping.Denoising(spread=0.3),
        max_steps=400,
        batch_size=128,
        lr=2e-3,
    ),
}
for name, detector in detectors.items():
    detector.fit(train.numpy())
    # In scikit-learn's sense inliers score high.
    auroc = roc_auc_score(is_odd, -detector.score_samples(mixed))
    flagged = (detector.predict(test.numpy()) == -1).mean()
    print(f"{name:34} AUROC {auroc:.3f}, {flagged:.0%} of the held-out digits flagged")
