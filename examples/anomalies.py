"""Anomaly detection: any energy as a scikit-learn outlier detector, here of digits that were shuffled or turned."""

import torch
from sklearn.metrics import roc_auc_score

import lowland as ll
from lowland.evaluation import shuffled_patches, statistics

digits = ll.data.digits()
train, test = digits.train.flatten(1), digits.test.flatten(1)
anomalies = {
    "shuffled": shuffled_patches(test, statistics(train), torch.Generator().manual_seed(0), image_shape=(8, 8)),
    "upside down": test.flip(1),
    "one pixel wrong": test.index_fill(1, torch.tensor([27]), 0.0) + (1 - test) * torch.eye(64)[27],
}
autoencoder = {"energy": ll.energies.Autoencoder(64, n_codes=64), "shaping": ll.shaping.Denoising(spread=0.3)}
detectors = {
    "mixture of Gaussians": ll.estimators.EnergyDetector(),
    "PCA, 20 components": ll.estimators.EnergyDetector(
        ll.energies.PCA(64, 20), ll.shaping.ExpectationMaximisation(), max_steps=1, batch_size=len(train)
    ),
    "denoising": ll.estimators.EnergyDetector(**autoencoder, max_steps=400, batch_size=128, lr=2e-3),
}
for name, detector in detectors.items():
    detector.fit(train.numpy())
    flagged = (detector.predict(test.numpy()) == -1).mean()
    print(f"{name:20} flags {flagged:.0%} of the held-out digits; AUROC", end="")
    for kind, odd in anomalies.items():
        # In scikit-learn's sense inliers score high.
        score = -detector.score_samples(torch.cat([test, odd]).numpy())
        auroc = roc_auc_score([0] * len(test) + [1] * len(odd), score)
        print(f"   {kind} {auroc:.3f}", end="")
    print()
