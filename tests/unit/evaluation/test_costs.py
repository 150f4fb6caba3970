"""What networks cost is what one counts by hand, and what torch counts where it knows the operator."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lowland.errors import CheckpointError, LowlandError, OptionError
from lowland.evaluation.accelerator import Accelerator, estimate, flow, limits, parsing_network
from lowland.evaluation.cost_files import Network, networks_in, open_network, sizes_of
from lowland.evaluation.machine import Roof
from lowland.evaluation.onnx_counts import count_onnx, load_onnx, onnx_inputs
from lowland.evaluation.operation_counts import Counts, Operation, Window
from lowland.evaluation.operation_energy import estimated_energy
from lowland.evaluation.program_counts import count_program
from lowland.nn.classics import classic
from lowland.nn.encoders.vision_transformer import VisionTransformer
from lowland.nn.lenet import LeNet5
from lowland.planning.policy_files import load_policy
from lowland.systems import published
from lowland.training import export_program
from lowland.training.export import exportable, save_energy
from lowland.training.policy_export import InUnits, example_states


def counted(module: nn.Module, *inputs: torch.Tensor) -> Counts:
    return count_program(torch.export.export(module.eval(), inputs), inputs)


def by_torch(module: nn.Module, *inputs: torch.Tensor) -> float:
    with torch.no_grad(), FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        module(*inputs)
    return counter.get_total_flops() / 2


def test_resnet18_is_counted_as_by_hand() -> None:
    """He et al. 2016, table 1: a stem, four groups of two blocks, and the classes; 1.8 billion in the paper."""
    net, image = classic("resnet18", generator=torch.Generator().manual_seed(0)).eval(), torch.rand(1, 3, 224, 224)
    stem = 112**2 * 64 * 3 * 49
    groups = 4 * 56**2 * 64 * 64 * 9
    for side, maps in ((28, 128), (14, 256), (7, 512)):
        groups += side**2 * maps * (maps // 2) * (9 + 1) + 3 * side**2 * maps * maps * 9
    found = counted(net, image)
    assert found.products == stem + groups + 512 * 1000 == by_torch(net, image)
    assert found.parameters == 11_689_512 == sum(one.numel() for one in net.parameters())
    assert found.unknown == ()


def test_lenet5_is_counted_as_by_hand() -> None:
    """C3 is computed as a whole convolution with zeros where the table has no weights."""
    net, image = LeNet5().eval(), torch.rand(1, 1, 32, 32)
    by_hand = 28**2 * 6 * 25 + 10**2 * 16 * 6 * 25 + 120 * 16 * 25 + 84 * 120
    found = counted(net, image)
    assert found.products == by_hand == by_torch(net, image)
    assert found.parameters == 60_000


def test_the_transformer_is_counted_as_by_hand() -> None:
    width, tokens, depth = 48, 64, 2
    net, image = VisionTransformer((3, 32, 32), width=width, depth=depth).eval(), torch.rand(1, 3, 32, 32)
    block = tokens * width * (3 * width + width + 4 * width + 4 * width) + 2 * tokens**2 * width
    found = counted(net, image)
    assert found.products == tokens * 48 * width + depth * block == by_torch(net, image)
    # What torch passes over in silence: attention as it is run on a processor.
    with torch.no_grad(), FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        net(image)
    assert counter.get_total_flops() / 2 == found.products - depth * 2 * tokens**2 * width


def test_the_policy_is_counted_as_torch_counts_it() -> None:
    policy = load_policy("shipped", "VG")
    module, values, _ = exportable(InUnits(policy), example_states(policy))
    values = tuple(value[:1] for value in values)
    assert counted(module, *values).products == by_torch(module, *values) > 10_000


@pytest.mark.parametrize(
    ("module", "inputs", "products"),
    [
        (nn.Conv2d(4, 6, (3, 5), stride=2, padding=1, groups=2), (torch.rand(2, 4, 9, 9),), 2 * 6 * 5 * 4 * 2 * 15),
        (nn.Conv1d(3, 2, 3), (torch.rand(1, 3, 10),), 2 * 8 * 3 * 3),
        (nn.Conv3d(2, 3, 2), (torch.rand(1, 2, 4, 5, 6),), 3 * 3 * 4 * 5 * 2 * 8),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (torch.rand(1, 4, 5, 5),), 4 * 25 * 3 * 9),
        (nn.Linear(5, 7), (torch.rand(2, 3, 5),), 6 * 35),
        (nn.Bilinear(2, 3, 4), (torch.rand(1, 2), torch.rand(1, 3)), None),
    ],
)
def test_layers_are_counted_as_by_hand(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], products: int | None
) -> None:
    found = counted(module, *inputs)
    if products is None:
        assert found.unknown
        return
    assert found.products == products == by_torch(module, *inputs)
    window = found.operations[0].window
    assert window is not None
    assert window.multiply_adds == products


def test_recurrent_layers_use_every_matrix_at_every_step() -> None:
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.LSTMCell(3, 4), nn.GRUCell(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            state, last = (x.new_zeros(len(x), 4), x.new_zeros(len(x), 4)), x.new_zeros(len(x), 2)
            for step in range(x.shape[1]):
                state = self.first(x[:, step], state)
                last = self.second(state[0], last)
            return last

    module, x = Steps(), torch.rand(2, 5, 3)
    assert counted(module, x).products == 2 * 5 * (16 * (3 + 4) + 6 * (4 + 2)) == by_torch(module, x)


class Contracts(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return torch.einsum("bij,bjk->bik", a, b) @ b.transpose(1, 2)


def test_contractions_and_what_stands_inside_no_grad() -> None:
    found = counted(Contracts(), torch.rand(2, 3, 4), torch.rand(2, 4, 5))
    assert found.products == 2 * 3 * 4 * 5 + 2 * 3 * 5 * 4


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.inv(self.layer(x) + 5 * torch.eye(4))


def test_a_look_up_reads_the_rows_that_it_copies() -> None:
    """Three rows of 64 numbers of four bytes, not 50,000."""
    found = counted(nn.Embedding(50_000, 64), torch.tensor([1, 2, 3]))
    assert found.weight_bytes == 3 * 64 * 4
    assert found.stored_bytes == 50_000 * 64 * 4


def test_unknown_operators_are_named_and_the_rest_is_counted() -> None:
    found = counted(Odd(), torch.rand(4, 4))
    assert found.products == 64
    assert any("inv" in name for name in found.unknown)
    assert next(one for one in found.operations if not one.known).activation_bytes >= 2 * 4 * 16


def test_bytes_are_those_of_all_tensors_and_weights_are_stored_once() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(self.layer(x).reshape(1, 3))

    found = counted(Twice(), torch.rand(1, 3))
    assert found.parameters == 12
    assert found.stored_bytes == 48
    assert found.weight_bytes == 96
    assert found.activation_bytes == 2 * (12 + 12)
    assert found.intensity == pytest.approx(2 * 18 / (96 + 48))


def graph(path: Path, nodes: list[object], inputs: list[object], initializers: list[object], **more: object) -> Path:
    import onnx

    output = onnx.helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, ["samples", "units"])
    made = onnx.helper.make_graph(nodes, "g", inputs, [output], initializers)
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("mine", 1)]
    onnx.save(onnx.helper.make_model(made, opset_imports=opsets, ir_version=8, **more), path)
    return path


def foreign(path: Path, sizes: list[int | str], odd: bool = False) -> Path:
    """A graph as another program would write it: a convolution, a pool, and a product, with an operator of its own."""
    import onnx

    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = [
        make.make_tensor("w", kind, [4, 3, 3, 3], [0.1] * 108),
        make.make_tensor("v", kind, [4, 5], [0.1] * 20),
    ]
    nodes = [
        make.make_node("Conv", ["x", "w"], ["a"], name="first", strides=[2, 2]),
        make.make_node("Odd", ["a"], ["b"], name="odd", domain="mine") if odd else make.make_node("Relu", ["a"], ["b"]),
        make.make_node("GlobalAveragePool", ["b" if not odd else "a"], ["c"]),
        make.make_node("Flatten", ["c"], ["d"]),
        make.make_node("MatMul", ["d", "v"], ["out"]),
    ]
    return graph(path, nodes, [make.make_tensor_value_info("x", kind, sizes)], weights)


@pytest.mark.parametrize("odd", [False, True])
def test_a_foreign_graph_is_counted_and_what_it_alone_knows_is_named(odd: bool, tmp_path: Path) -> None:
    model = load_onnx(foreign(tmp_path / "a.onnx", ["batch", 3, 9, 9], odd))
    found = count_onnx(model, onnx_inputs(model, {}))
    assert found.products == 4 * 16 * 27 + 4 * 5
    assert found.parameters == 128
    assert found.unknown == (("mine.Odd",) if odd else ())
    assert [one.window for one in found.operations if one.window] == [
        Window(3, 4, 3, 3, 4, 4),
        Window(4, 5, 1, 1, 1, 1),
    ]


def test_open_sizes_ask_for_an_example(tmp_path: Path) -> None:
    model = load_onnx(foreign(tmp_path / "a.onnx", ["batch", 3, "height", "width"]))
    with pytest.raises(OptionError, match=r"batch, 3, height, width.*--input 1,3,224,224"):
        onnx_inputs(model, {})
    assert count_onnx(model, onnx_inputs(model, sizes_of(["1,3,9,9"]))).products == 4 * 16 * 27 + 20
    assert onnx_inputs(model, {"x": (2, 3, 9, 9)})["x"].sizes == (2, 3, 9, 9)
    with pytest.raises(OptionError, match="has the sizes"):
        onnx_inputs(model, {"x": (2, 4, 9, 9)})
    with pytest.raises(OptionError, match="inputs of this graph are x"):
        onnx_inputs(model, {"y": (2, 3, 9, 9)})


@pytest.mark.parametrize("words", ["1,3,x", "0,3", "", "a=", "1;3", "1,,3"])
def test_sizes_that_are_none(words: str) -> None:
    with pytest.raises(OptionError, match="whole numbers"):
        sizes_of([words])


def test_a_network_as_onnx_has_the_products_of_the_program(tmp_path: Path) -> None:
    """One export, since it takes seconds: a convolution, normalisation, attention by products, and a linear layer."""
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)
    ).eval()
    opened = open_network(Network("net", network, torch.rand(2, 1, 8, 8)))
    assert opened.counts.products == 36 * 4 * 9 + 144 * 3 == by_torch(network, torch.rand(1, 1, 8, 8))
    assert opened.counts.parameters == sum(one.numel() for one in network.parameters())
    for runner in (opened.torch, opened.onnx):
        assert runner is not None
        assert all(runner(samples) is not None for samples in (1, 8))
    assert opened.notes == ()


def test_a_file_that_fixes_its_batch_runs_no_other(tmp_path: Path) -> None:
    opened = open_network(*networks_in(foreign(tmp_path / "a.onnx", [2, 3, 9, 9]), {}))
    assert opened.samples == 2
    assert opened.torch is None
    assert opened.onnx is not None
    assert opened.onnx(2) is not None
    assert opened.onnx(1) is None
    assert opened.onnx(8) is None


def test_a_program_is_counted_and_run(tmp_path: Path) -> None:
    path = export_program(nn.Linear(4, 2), torch.rand(2, 4), tmp_path / "a.pt2")
    opened = open_network(*networks_in(path, {}))
    assert opened.counts.products == 8
    assert opened.torch is not None
    assert opened.torch(64) is not None
    with pytest.raises(OptionError, match="has the sizes"):
        open_network(*networks_in(path, {"": (1, 5)}))
    with pytest.raises(OptionError, match=r"inputs of .* are input"):
        open_network(*networks_in(path, {"image": (1, 4)}))


def test_an_energy_in_its_folder_is_found(tmp_path: Path) -> None:
    from lowland.energies import Ellipse

    save_energy(Ellipse(), tmp_path / "ellipse")
    (network,) = networks_in(tmp_path / "ellipse", {})
    assert open_network(network, graph=False).counts.others > 0
    assert [one.name for one in networks_in("shipped", {})]


def test_missing_damaged_and_foreign_files(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    (tmp_path / "text.onnx").write_text("no graph")
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("a")
    (tmp_path / "folder").mkdir()
    for name, match in {
        "plain.safetensors": "export that as ONNX", "text.onnx": "not a whole ONNX graph",
        "empty.onnx": "not a whole ONNX graph", "notes.txt": "none of", "folder": "no network",
        "missing": "does not exist",
        "missing.onnx": "no file", "missing.pt2": "no file",
    }.items():  # fmt: skip
        with pytest.raises(CheckpointError, match=match):
            open_network(*networks_in(tmp_path / name, {}))
    with pytest.raises(OptionError, match="leave out --input"):
        networks_in("shipped", {"": (1,)})


def test_without_onnxruntime_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = foreign(tmp_path / "a.onnx", [1, 3, 9, 9])
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(LowlandError, match="pip install lowland"):
        open_network(*networks_in(path, {}))
    opened = open_network(Network("net", nn.Linear(3, 2), torch.rand(2, 3)))
    assert opened.onnx is None
    assert "onnxruntime" in opened.notes[0]


def test_energy_is_that_of_the_table() -> None:
    """Horowitz 2014: 3.7 + 0.9 pJ for float32, 0.2 + 0.1 for int8 summed in 32 bits; 1.3 nJ for 64 bits of DRAM."""
    float_ = Operation("linear", "0", products=10, others=2, weight_bytes=8, dtype="float32")
    int_ = Operation("MatMulInteger", "1", products=10, dtype="int32")
    double, odd = Operation("linear", "2", products=1, dtype="float64"), Operation("odd", "3", known=False)
    found = estimated_energy(Counts((float_, int_, double, odd), 0, 0))
    assert found.arithmetic == pytest.approx(1e-12 * (10 * 4.6 + 2 * 0.9 + 10 * 0.3))
    assert found.off_chip == pytest.approx(1.3e-9)
    assert found.on_chip == pytest.approx(1e-10)
    assert found.left_out == ("linear", "odd")


def test_the_roof_is_the_lower_of_two() -> None:
    roof = Roof(arithmetic=100.0, bandwidth=10.0)
    assert [roof.rate(intensity) for intensity in (1, 10, 1000)] == [10.0, 100.0, 100.0]


def test_neuflow_is_met_within_15_percent() -> None:
    """With two filters of 7 × 7 in each tile of 10 × 10; with one it is not, which the page says."""
    found = limits(Accelerator(), parsing_network())
    rate, frames = published("H2", "neuflow"), published("H2", "segmentation-at-320-x-240")
    assert found["as it is"].rate / 1e9 == pytest.approx(rate, rel=0.15)
    assert found["as it is"].frames == pytest.approx(frames, rel=0.15)
    assert found["one filter for each tile"].frames < 0.6 * frames


def test_a_filter_that_fills_the_tiles_uses_all_of_them() -> None:
    machine = Accelerator()
    found = flow(machine, Window(4, 10, 10, 10, 50, 50))
    assert found.used == 1.0
    assert estimate(machine, [found.window]).rate == pytest.approx(machine.peak)
    assert flow(machine, Window(4, 10, 11, 11, 50, 50)).compute == pytest.approx(2 * found.compute)
    # Little memory on the chip: strips overlap, and bytes are read again.
    small = Accelerator(memory=1000)
    assert flow(small, found.window).transfer > found.transfer
    assert flow(Accelerator(bandwidth=1e6), found.window).seconds > 10 * found.seconds
    with pytest.raises(OptionError, match="tiles"):
        Accelerator(tiles=0)
    with pytest.raises(OptionError, match="neither"):
        estimate(machine, [])


def test_attention_is_two_products() -> None:
    class Attention(nn.Module):
        def forward(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
            return functional.scaled_dot_product_attention(q, k, k)

    assert counted(Attention(), torch.rand(1, 2, 5, 4), torch.rand(1, 2, 7, 4)).products == 2 * 5 * 7 * 8
