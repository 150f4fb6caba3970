"""The scikit-learn face: arrays in, arrays out."""

from __future__ import annotations

from lowland.estimators.detector import EnergyDetector
from lowland.estimators.dictionary_learning import DictionaryLearning
from lowland.estimators.embedder import Embedder
from lowland.estimators.gaussian_mixture import GaussianMixture
from lowland.estimators.ica import ICA
from lowland.estimators.kmeans import KMeans
from lowland.estimators.pca import PCA
from lowland.estimators.sparse_coder import SparseCoder

__all__ = ["ICA", "PCA", "DictionaryLearning", "Embedder", "EnergyDetector", "GaussianMixture", "KMeans", "SparseCoder"]
