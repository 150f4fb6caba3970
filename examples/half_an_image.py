"""Two energies trained apart are added, and the missing half of a digit is inferred from the sum."""

import torch

import lowland as ll
from lowland.solvers import FISTA, Adam, Alternation

digits = ll.data.digits()
train, test = digits.train.flatten(1), digits.test.flatten(1)[:100]

strokes = ll.energies.SparseCoding(n_features=64, n_atoms=100, sparsity=0.1, positive=True)
ll.fit(strokes, train, shaping=ll.shaping.MinimumEnergy(FISTA(max_steps=50)), max_steps=150, lr=1e-2, progress=False)

repair = ll.energies.Autoencoder(n_features=64, n_codes=64, hidden=(128,))
ll.fit(repair, train, shaping=ll.shaping.Denoising(spread=0.4), max_steps=800, lr=2e-3, progress=False)

# The upper half is known, the lower half starts at the mean digit.
mask = torch.cat([torch.ones(4, 8), torch.zeros(4, 8)]).flatten().expand_as(test)
x = {"known": test * mask, "mask": mask}
mean = train.mean(dim=0).expand_as(test)


def error(filled: torch.Tensor) -> float:
    """Mean square error of a missing half, summed over its pixels."""
    return ((1 - mask) * (filled - test)).square().sum(dim=1).mean().item()


print(f"the mean digit       {error(mean):.2f}")
for name, energy in {"strokes": strokes, "repair": repair, "strokes + repair": strokes + repair}.items():
    clamped = ll.energies.Clamped(energy)
    down = Adam(step_size=0.05, max_steps=50)
    if "z" in energy.domains:
        solver = Alternation({"z": FISTA(max_steps=100), "y": down}, max_steps=30)
        start = {"y": mean, "z": torch.zeros(100, 100)}
        found = ll.infer(clamped, x=x, over=("y", "z"), init=start, solver=solver).value["y"]
    else:
        found = ll.infer(clamped, x=x, over="y", init=mean, solver=Adam(step_size=0.02, max_steps=500)).value
    print(f"{name:20} {error(clamped.complete(x, found)):.2f}")

# Each digit, what was seen of it, and what was inferred; `drawn.savefig("half.png")` keeps the picture.
picture = torch.stack([test, test * mask, clamped.complete(x, found)], dim=1)[:12].reshape(-1, 64)
drawn = ll.plots.images(picture.clamp(0, 1), columns=12)
