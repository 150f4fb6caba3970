"""An energy of one's own in one file: a spring between x and y of unknown length z. Nothing is registered."""

import torch

import lowland as ll
from lowland.domains import Box, Reals
from lowland.energies.base import Energy


class Spring(Energy):
    """E(x, y, z) = ½ k (‖y − x‖ − z)² + ½ z², with a stiffness k that is learned."""

    def __init__(self, stiffness: float = 1.0) -> None:
        super().__init__(x=Reals(2), y=Reals(2), z=Box(1, low=0.0, high=3.0))
        self.log_stiffness = torch.nn.Parameter(torch.tensor(stiffness).log())

    def energy(self, x, y, z):
        """One number for each sample."""
        stretch = ((y - x).square().sum(dim=1) + 1e-9).sqrt() - z[:, 0]
        return 0.5 * self.log_stiffness.exp() * stretch.square() + 0.5 * z[:, 0].square()


energy = Spring(stiffness=4.0)
x, y = torch.zeros(3, 2), torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])

found = ll.infer(energy, x=x, y=y, over="z")
print("length z:", [round(v, 3) for v in found.value[:, 0].tolist()], "by", type(found.solver).__name__)

# For a length r it is z = k r / (k + 1), cut off at 3.
print("by hand: ", [round(min(3.0, 4 * r / 5), 3) for r in (1.0, 2.0, 5.0)])

both = ll.infer(energy, x=x, over=("y", "z"), init={"y": y, "z": torch.ones(3, 1)})
print("y and z free: E =", [round(v, 4) for v in both.energy.abs().tolist()])

(slope,) = torch.autograd.grad(ll.free_energy(energy, y, x).value.sum(), energy.log_stiffness)
print(f"dF/d(log k) = {slope.item():.3f}, by the envelope theorem")
