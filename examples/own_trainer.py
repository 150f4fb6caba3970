"""Your own Lightning Trainer: an energy and a shaping make a LightningModule, the rest is yours."""

import logging
import tempfile
import warnings
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

import lowland as ll

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings(
    "ignore", message=".*(does not have many workers|isinstance.treespec|but have no `val_dataloader`)"
)

points = ll.data.toy("two_moons", 2000)
loader = DataLoader(TensorDataset(points), batch_size=200, shuffle=True, generator=torch.Generator().manual_seed(0))

energy = ll.energies.NetworkEnergy(n_features=2, hidden=(64, 64))
shaping = ll.shaping.DenoisingScoreMatching(spread=0.2)
learner = ll.Learner(energy, shaping, lr=3e-3, clip=1.0)


class Report(pl.Callback):
    """Says how far points off the data lie above the data, every ten epochs."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the energy gap."""
        if trainer.current_epoch % 10 == 9:
            off = points + 0.5 * torch.randn(points.shape, generator=torch.Generator().manual_seed(1))
            gap = ll.evaluation.energy_gap(energy, points, {"off": off})["off"]
            print(f"epoch {trainer.current_epoch + 1}: energy gap {gap:.3f}")


trainer = pl.Trainer(
    max_epochs=30,
    accelerator="cpu",
    plugins=[ll.training.SafetensorsIO()],  # no pickle
    callbacks=[Report()],
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(learner, loader)

# A checkpoint goes back into an energy and a shaping that are built as they were.
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "last.safetensors"
    trainer.save_checkpoint(path)
    again = ll.energies.NetworkEnergy(n_features=2, hidden=(64, 64))
    ll.Learner.load_from_checkpoint(path, energy=again, shaping=ll.shaping.DenoisingScoreMatching(spread=0.2))
assert torch.equal(again(y=points), energy(y=points))
