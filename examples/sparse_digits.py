"""Sparse coding of digits: learn a dictionary, code held-out digits with two solvers, and compare with scikit-learn."""

import numpy as np
from sklearn.decomposition import SparseCoder

import lowland as ll

digits = ll.data.digits()
train, test = digits.train.flatten(1), digits.test.flatten(1)

energy = ll.energies.SparseCoding(n_features=64, n_atoms=100, sparsity=0.2)
shaping = ll.shaping.MinimumEnergy(solver=ll.solvers.FISTA(max_steps=50))
before = ll.free_energy(energy, test).value.mean().item()
ll.fit(energy, train, shaping=shaping, max_steps=150, lr=1e-2, progress=False)
print(f"mean F of held-out digits: {before:.2f} before, {ll.free_energy(energy, test).value.mean().item():.2f} after")

for solver in (ll.solvers.FISTA(max_steps=5000, tol=1e-5), ll.solvers.CoordinateDescent(tol=1e-5)):
    found = ll.infer(energy, y=test[:50], over="z", solver=solver)
    active = (found.value != 0).float().mean().item()
    print(f"{type(solver).__name__:17} F = {found.energy.mean().item():.5f}, {active:.0%} of the units active")

dictionary = energy.dictionary.detach().T.double().numpy()
coder = SparseCoder(dictionary, transform_algorithm="lasso_cd", transform_alpha=0.2, transform_max_iter=5000)
y = test[:50].double().numpy()
codes = coder.transform(y)
objective = 0.5 * np.square(y - codes @ dictionary).sum(axis=1) + 0.2 * np.abs(codes).sum(axis=1)
print(f"{'scikit-learn':17} F = {objective.mean():.5f}")
