"""`ll.fit`: train an energy in one call."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers.logger import Logger
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import distributed

from lowland.checksums import write_json
from lowland.energies.base import Energy
from lowland.errors import CheckpointError, OptionError, TrainingError, check_number
from lowland.files import sweep
from lowland.quiet import no_records_below_error
from lowland.shaping.base import Shaping
from lowland.shaping.processes import rank, world_size
from lowland.training.averaging.joining import Averaging, check_averaging, joined
from lowland.training.averaging.rules import Rule
from lowland.training.checkpoints import Checkpoints
from lowland.training.data import prepare
from lowland.training.identity import agree, settings_of
from lowland.training.logs import Curve, Logs
from lowland.training.progress import Bar
from lowland.training.recorder import MAX_STEPS, Callback, FitRecorder
from lowland.training.stepper import OptimiserFactory, Stepper
from lowland.training.streams import LoaderStream, Order, Stream

_log = logging.getLogger(__name__)
_PRECISIONS = ("32-true", "bf16-mixed")
_VALIDATE_EVERY = 10


@dataclasses.dataclass(frozen=True)
class FitResult:
    """What `fit` did.

    Attributes:
        history: every logged number by name, each a `Curve(steps, values)`: "loss/GROUP", the shaping's metrics, and
            both again under "validation/" for the held-out data.
        steps: total steps, including those before a resume.
        stopped: "max_steps", "patience" or "callback".
        seconds: wall time of this call.
        run: the run's folder, or None.
    """

    history: dict[str, Curve]
    steps: int
    stopped: str
    seconds: float
    run: Path | None = None

    @property
    def curves(self) -> dict[str, list[float]]:
        """The logged values by name, without their steps."""
        return {name: list(curve.values) for name, curve in self.history.items()}


def fit(
    energy: Energy,
    data: Any,
    shaping: Shaping,
    max_steps: int = 1000,
    batch_size: int | None = None,
    lr: float = 1e-3,
    optimiser: str | OptimiserFactory = "adam",
    weight_decay: float = 0.0,
    clip: float | None = None,
    schedule: Callable[[int], float] | None = None,
    validation: float = 0.1,
    validate_every: int | None = None,
    patience: int | None = None,
    seed: int = 0,
    run: str | Path | None = None,
    checkpoint_every: int = 500,
    resume: bool = False,
    log_every: int = 1,
    progress: bool = True,
    callback: Callback | None = None,
    loggers: Sequence[Logger] = (),
    accelerator: str | None = None,
    devices: int = 1,
    precision: str | None = None,
    averaging: Averaging | None = None,
) -> FitResult:
    """Train an energy in place with a shaping.

    The batches depend only on (seed, epoch, step). With `run`, the folder gets `metrics.csv`, TensorBoard events and
    checkpoints. `resume=True` continues a run that was killed or interrupted, with the same numbers as an unbroken run,
    bit for bit on a CPU. Without `run` no file is written.

    A run resumes only with the same data, settings of energy and shaping, options that affect the numbers, and learning
    rates of the steps so far; `max_steps` may grow. Data are compared by content. Of a Dataset other than a
    TensorDataset up to 256 items are compared, of a DataLoader its data set, of an IterableDataset only the class.

    Under `torchrun` each process takes its part of each batch, gradients are averaged, and the first process writes the
    files. A joint embedding gets the loss and gradients of the whole batch, as in one process; only batch normalisation
    uses the statistics of each process's part.

    With `averaging` the processes are workers with parameters of their own, each on its part of the batches, which
    meet a centre now and then (EASGD, local SGD, …), and once more in the end, when the energy gets the centre's
    parameters. Validation, patience and callbacks are of each worker and its own parameters. Under `torchrun` the first
    worker starts the centre; the files of the others are in `run`/worker-N, and the centre's in `run`/centre. A resumed
    run may have another number of workers. A centre that outlives its workers is started by `lowland centre`; workers
    that are started one by one each have an order of the data of their own, with the same samples held out.

    Args:
        energy: E(x, y, z).
        data: y as a tensor, an array or a dictionary of tensors; a pair (x, y); `ll.data.Images`; a PyTorch Dataset or
            DataLoader of any of these (a loader keeps its own order and batches, and nothing is held out of it). An
            memory-mapped array, `numpy.load(file, mmap_mode="r")`, and samples that are computed on demand,
            `lowland.training.samples.Lazy`, need memory for one batch only.
        shaping: the training method.
        max_steps: optimiser steps, or updates, in total, including those before a resume.
        batch_size: samples per step, over all processes; by default 128, or all if there are fewer.
        lr, optimiser, weight_decay, clip, schedule: see `Learner`.
        validation: share of the data held out; 0 for none. `Images` bring their own validation images.
        validate_every: steps between validations; by default an epoch, or 10 if that is longer. The last step is
            validated too.
        patience: stop after that many validations without a lower loss; None never stops early. That of a last step
            between two others does not count, so that a run may be made longer.
        seed: decides the order of the data and which samples are held out.
        run: folder for logs and checkpoints.
        checkpoint_every: steps between checkpoints; the last two are kept.
        resume: continue from the newest good checkpoint in `run`, or start if there is none yet.
        log_every: steps between rows of the history.
        progress: show a progress bar when standard error is a terminal.
        callback: (step, metrics) → True to stop. Called after each step that has a row in the history, with the numbers
            of that row by name; `step` counts the steps taken. A run stopped by its callback stays stopped on resume.
        loggers: additional Lightning loggers, such as `WandbLogger`.
        accelerator, devices, precision: passed to Lightning Fabric; by default the energy's device, one device (under
            torchrun one for each process), and the energy's own dtype. Precision is "32-true", which keeps the dtype
            (float64 too), or "bf16-mixed".
        averaging: a rule, such as `lowland.training.averaging.Elastic(period=10)`; or a function from a model to its
            `Link`, for a centre that runs: `functools.partial(Link, rule=Elastic(10), centre="host:29600")`. None
            averages every gradient.

    Raises:
        ShapeError, DomainError: for data that are empty, not finite, or do not fit the energy.
        OptionError: for an option with a value that cannot be used.
        TrainingError: for a loss that is not finite; its `result` is the FitResult so far, the energy has the weights
            from before that step, and logs and checkpoints are kept.
        CheckpointError: for a run that cannot be written, read or resumed.
        KeyboardInterrupt: on Ctrl-C, after the current step and, with `run`, after writing a checkpoint.

    >>> import lowland as ll
    >>> three = torch.eye(3).repeat(50, 1) + 0.1 * torch.randn(150, 3, generator=torch.Generator().manual_seed(0))
    >>> energy = ll.energies.KMeans(3, 3)
    >>> result = ll.fit(energy, three, ll.shaping.ExpectationMaximisation(), max_steps=20)
    >>> result.steps, result.stopped
    (20, 'max_steps')
    >>> result.history["loss/energy"].values[-1] < result.history["loss/energy"].values[0]
    True
    """
    started = time.perf_counter()
    folder = _folder(run, resume)
    whole = {"max_steps": max_steps, "checkpoint_every": checkpoint_every, "log_every": log_every, "devices": devices}
    _check_options(whole, validate_every, patience, callback, seed, precision, accelerator, loggers)
    max_steps, checkpoint_every, log_every, devices = (int(value) for value in whole.values())
    check_averaging(averaging)
    number = _rank(devices)
    if averaging is not None and folder is not None and number:
        folder = folder / f"worker-{number}"
    stepper = Stepper(energy, shaping, lr, optimiser, weight_decay, clip, schedule)
    prepared = prepare(data, energy, batch_size, validation, seed)
    if patience is not None and not len(prepared.held_out):
        raise OptionError("patience needs held-out data: set validation above 0, and pass tensors or a Dataset.")
    order = Order(prepared.train, prepared.batch_size, seed)
    options = {"seed": seed, "validation": validation, "validate_every": validate_every, "patience": patience}
    if averaging is not None:
        options["averaging"] = repr(averaging) if isinstance(averaging, Rule) else "a function"
    settings = {} if folder is None else settings_of(stepper, prepared, options | {"precision": precision})
    leads = number == 0 or averaging is not None
    checkpoints = None if folder is None else Checkpoints(folder / "checkpoints")
    found = None if checkpoints is None else _open(checkpoints, resume, settings, leads)
    first = 0 if found is None else found["learner"]["step"]
    recorder = FitRecorder(
        logs=Logs(folder, first, loggers) if leads else Logs(None, first, ()),
        last=max_steps,
        log_every=log_every,
        samples=prepared.samples,
        held_out=prepared.held_out,
        batch_size=prepared.batch_size,
        validate_every=validate_every or max(order.per_epoch, _VALIDATE_EVERY),
        patience=patience,
        callback=callback,
        checkpoints=checkpoints,
        checkpoint_every=checkpoint_every,
        settings=settings,
    )

    def result() -> FitResult:
        seconds = time.perf_counter() - started
        return FitResult(recorder.logs.curves(), stepper.step, recorder.stopped, seconds, folder)

    with contextlib.ExitStack() as stack:
        stack.enter_context(_as_before(energy, shaping))
        success = False
        stack.callback(lambda: recorder.logs.close(success))
        if found is not None:
            recorder.restore(found["recorder"], stepper, first, leads)
            over = first >= max_steps or recorder.stopped != MAX_STEPS
            if over and (averaging is None or not distributed.is_torchelastic_launched()):
                stepper.load(found)
                return result()
            # Other workers may go on: they wait for all to come, this one too, which then makes no step.
            max_steps = first if over else max_steps
        stream = (
            LoaderStream(prepared.loader, energy, first, max_steps)
            if prepared.samples is None
            else Stream(prepared.samples, order, first, max_steps)
        )
        fabric = _fabric(energy, accelerator, devices, precision)
        stepper.autocast = fabric.autocast
        bar = Bar(first, max_steps, progress and not number and sys.stderr.isatty())
        stack.callback(bar.close)
        try:
            with torch.enable_grad(), recorder.catching_interrupts():
                energy.to(fabric.device)
                shaping.to(fabric.device)
                stepper.make_optimisers()
                if found is not None:
                    stepper.load(found)
                stepper.prepare(stream.sample)
                link = None
                if averaging is not None:
                    stream.part = rank(), world_size()
                    if stream.part == (0, 1) and not isinstance(averaging, Rule):
                        order.seed = int.from_bytes(os.urandom(4), "little")
                    sample = None if prepared.samples is None else stream.sample
                    link = stack.enter_context(joined(averaging, stepper, folder, sample))
                stepper.synchronise()
                for batch in stream:
                    losses = stepper.advance(stepper.batch(batch))
                    done = recorder.after_step(stepper, losses)
                    bar.advance(stepper.step, recorder.latest)
                    if done:
                        break
                recorder.flush(stepper)
                if link is not None and not recorder.interrupted:
                    link.meet()
                    link.load_centre()
                    with torch.no_grad():
                        energy.constrain()
                    recorder.save_last(stepper)
        except TrainingError as error:
            with contextlib.suppress(TrainingError):  # this flush may meet the very loss that failed
                recorder.flush(stepper)
            error.result = result()
            raise
        success = not recorder.interrupted
    if recorder.interrupted:
        how = (
            f"Go on with fit(..., run={str(folder)!r}, resume=True)." if folder else "Pass run= to make runs resumable."
        )
        raise KeyboardInterrupt(f"Training was interrupted after {stepper.step} of {max_steps} steps. {how}")
    return result()


def _folder(run: str | Path | None, resume: bool) -> Path | None:
    if run is None and resume:
        raise OptionError("resume=True needs run=, the folder of the run to go on with.")
    if run is not None and not isinstance(run, str | Path):
        raise OptionError(f"run must be the path of a folder, or None for no files, but it is {run!r}.")
    return None if run is None else Path(run)


def _check_options(
    whole: dict[str, Any],
    validate_every: Any,
    patience: Any,
    callback: Any,
    seed: Any,
    precision: Any,
    accelerator: Any,
    loggers: Any,
) -> None:
    for name, value in whole.items():
        check_number(name, value, least=1, whole=True)
    check_number("validate_every", validate_every, least=1, whole=True, none="choose it")
    check_number("patience", patience, least=1, whole=True, none="never stop early")
    if callback is not None and not callable(callback):
        raise OptionError(f"callback must be a function (step, metrics) that returns True to stop, not {callback!r}.")
    check_number("seed", seed, least=0, below=2**40, whole=True)
    if precision is not None and precision not in _PRECISIONS:
        raise OptionError(
            f"precision must be one of {', '.join(_PRECISIONS)}, but it is {precision!r}. Half precision with loss "
            "scaling is not offered, because losses are differentiated group by group."
        )
    if accelerator is not None and not isinstance(accelerator, str):
        raise OptionError(f"accelerator must be a name such as cpu or gpu, or None, but it is {accelerator!r}.")
    if not isinstance(loggers, Sequence) or not all(isinstance(logger, Logger) for logger in loggers):
        raise OptionError(f"loggers must be a list of loggers of Lightning, but it is {repr(loggers)[:80]}.")


def _rank(devices: int) -> int:
    """The rank of this process among those that torchrun or Fabric started; rank 0 writes logs and files.

    Environment variables count only if several processes were started: a shell may have set them by accident.
    """
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank()
    if distributed.is_available() and distributed.is_torchelastic_launched():
        return int(os.environ["RANK"])
    return int(os.environ.get("LOCAL_RANK", "0")) if devices > 1 else 0


def _open(checkpoints: Checkpoints, resume: bool, settings: dict[str, Any], leads: bool) -> dict[str, Any] | None:
    """The checkpoint to continue from, or None; the first process writes the settings of a new run."""
    record = checkpoints.folder.parent / "fit.json"
    if not leads and not (resume and checkpoints.all()):
        return None
    if not resume:
        if record.exists() or checkpoints.all():
            raise CheckpointError(
                f"{record.parent} already holds a run: pass resume=True to go on with it, or choose another folder."
            )
        write_json(record, settings)
        return None
    sweep(record.parent)
    found = checkpoints.latest()
    if found is None:
        _log.info("%s holds no checkpoint yet: starting from the first step.", checkpoints.folder)
        write_json(record, settings)
        return None
    path, tree = found
    if "learner" not in tree or "recorder" not in tree:
        raise CheckpointError(f"{path} is a checkpoint of Lowland, but not of a run of fit.")
    before = tree["recorder"]["settings"]
    if "data" not in before:
        _log.warning(
            "%s was written by an earlier version of Lowland, which did not store data, energy and shaping: whether "
            "they are the same now could not be checked.",
            path,
        )
    agree(before, settings, path, known="data" in before)
    return tree


def _fabric(energy: Energy, accelerator: str | None, devices: int, precision: str | None) -> Fabric:
    """Device, precision and processes. Gradients are averaged by `Stepper`, so Fabric wraps neither model nor data."""
    own = next(iter(energy.parameters()), None)
    if accelerator is None:
        accelerator = "cpu" if own is None else {"cuda": "gpu"}.get(own.device.type, own.device.type)
    nodes, strategy = 1, "auto"
    if distributed.is_available() and distributed.is_torchelastic_launched():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
        strategy = "ddp" if devices * nodes > 1 else "auto"
    try:
        with no_records_below_error("lightning.fabric"):  # it warns about precision and processes
            fabric = Fabric(
                accelerator=accelerator,
                devices=devices,
                num_nodes=nodes,
                strategy=strategy,
                precision=precision or "32-true",  # pyright: ignore[reportArgumentType]  checked above
            )
            fabric.launch()
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        raise OptionError(f"accelerator={accelerator!r} with devices={devices} cannot be used here: {error}") from error
    return fabric


@contextlib.contextmanager
def _as_before(energy: Energy, shaping: Shaping) -> Iterator[None]:
    """Restore train modes, device and gradients on exit, so that only the weights change."""
    modules = [*energy.modules(), *shaping.modules()]
    modes = [module.training for module in modules]
    own = next(iter(energy.parameters()), None)
    device = None if own is None else own.device
    grads = [(parameter, parameter.grad) for part in (energy, shaping) for parameter in part.parameters()]
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        for parameter, grad in grads:
            parameter.grad = grad
        if device is not None:
            energy.to(device)
            shaping.to(device)
