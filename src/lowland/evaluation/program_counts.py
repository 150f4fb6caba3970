"""Counts the operations of a program of `torch.export` by running it once and looking at every operator."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from lowland.evaluation.operation_counts import Counts, Operation, Window
from lowland.training.programs import runnable

VIEWS = frozenset(
    "view reshape _unsafe_view permute transpose t expand expand_as slice select unsqueeze squeeze flatten unflatten "
    "alias detach detach_ split chunk unbind split_with_sizes narrow contiguous to _to_copy type_as dropout "
    "feature_dropout view_as movedim swapaxes diagonal unfold broadcast_to numpy_T adjoint lift_fresh_copy "
    "dropout_ alpha_dropout getitem".split()
)
"""Cost nothing, unless the result has memory of its own: then its bytes are counted, but no operations."""
MOVES = frozenset(
    "cat stack clone copy copy_ pad constant_pad_nd reflection_pad2d replication_pad2d index index_select gather "
    "embedding flip roll repeat repeat_interleave scatter index_put index_put_ where masked_fill masked_fill_ arange "
    "zeros ones full zeros_like ones_like full_like empty empty_like new_zeros new_ones new_full eye scalar_tensor "
    "lift_fresh tril triu pixel_shuffle channel_shuffle new_empty tensor linspace im2col col2im one_hot meshgrid "
    "select_scatter slice_scatter fill fill_ zero_".split()
)
"""Move numbers and compute none."""
SIMPLE = frozenset(
    "add add_ sub sub_ rsub mul mul_ div div_ neg abs pow square sqrt rsqrt exp exp_ expm1 log log1p log2 sin cos tan "
    "tanh tanh_ atan atan2 sigmoid sigmoid_ relu relu_ relu6 leaky_relu leaky_relu_ elu elu_ selu celu gelu silu silu_ "
    "mish softplus hardtanh hardtanh_ hardswish hardswish_ hardsigmoid softshrink hardshrink prelu clamp clamp_ "
    "clamp_min clamp_max maximum minimum max min amax amin sum mean prod var std var_mean norm linalg_vector_norm "
    "logsumexp softmax _softmax log_softmax _log_softmax softmin cumsum cumprod argmax argmin any all sort topk "
    "batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training native_batch_norm layer_norm "
    "native_layer_norm group_norm native_group_norm instance_norm rms_norm local_response_norm max_pool1d max_pool2d "
    "max_pool3d max_pool2d_with_indices avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d "
    "adaptive_avg_pool3d _adaptive_avg_pool2d adaptive_max_pool2d upsample_nearest1d upsample_nearest2d "
    "upsample_bilinear2d upsample_linear1d upsample_bicubic2d grid_sampler_2d eq ne lt le gt ge logical_and logical_or "
    "logical_not logical_xor bitwise_and bitwise_or bitwise_not isnan isfinite isinf floor ceil round trunc sign frac "
    "fmod remainder reciprocal erf erfc lerp addcmul addcdiv threshold threshold_ cross_entropy_loss nll_loss mse_loss "
    "logaddexp floor_divide true_divide count_nonzero cosine_similarity normalize outer nan_to_num heaviside "
    "logcumsumexp square_ pow_ glu log_sigmoid ceil_ tanhshrink".split()
)
"""One operation for each number of the larger of input and output."""
_NOTHING = re.compile(r"_assert\w*|sym_\w+|_guards\w*|size|numel|stride|is_\w+|item|_local_scalar_dense")
_INNER = ("wrap_with_set_grad_enabled", "wrap_with_autocast")


def count_program(program: torch.export.ExportedProgram, inputs: Sequence[Tensor]) -> Counts:
    """Count what a program computes for one batch.

    Products are those of matrix products, convolutions, attention and recurrent layers; a bias is none. Everything else
    that computes counts as one operation for each number of its larger side. An operator that is not in the tables
    of this file is named in `Counts.unknown`, with its bytes but no operations.

    Args:
        program: see `lowland.training.programs.load_program`.
        inputs: in its order.

    >>> network = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> found = count_program(torch.export.export(network, (torch.zeros(1, 8),)), [torch.zeros(1, 8)])
    >>> found.products, found.parameters, [layer.products for layer in found.layers]
    (40, 46, [32, 0, 8])
    """
    module = runnable(program)
    assert isinstance(module, fx.GraphModule)
    counter = _Counter(module)
    with torch.no_grad():
        counter.run(*inputs)
    read = {name: tensor for name, tensor in counter.stored.items() if name in counter.used}
    parameters = sum(tensor.numel() for tensor in read.values() if isinstance(tensor, nn.Parameter))
    return Counts(tuple(counter.operations), parameters, sum(map(_bytes, read.values())))


class _Counter(fx.Interpreter):
    """Runs a graph and notes every operator. Weights are what the graph holds; a view of a weight is one too."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.operations: list[Operation] = []
        self.stored: dict[str, Tensor] = {}
        self.used: set[str] = set()
        self._from: dict[fx.Node, tuple[str, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.op == "get_attr" and isinstance(result, Tensor):
            self.stored[str(n.target)] = result
            self._from[n] = (str(n.target),)
        elif n.op == "call_function":
            self._note(n, result)
        return result

    def _note(self, n: fx.Node, result: Any) -> None:
        name = getattr(n.target, "_opname", None) or getattr(n.target, "__name__", str(n.target))
        if name in _INNER:
            self._inside(n)
            return
        outputs = [one for one in (result if isinstance(result, tuple | list) else [result]) if isinstance(one, Tensor)]
        if not outputs or _NOTHING.fullmatch(name):
            return
        feeding = [(node, self.env[node]) for node in dict.fromkeys(n.all_input_nodes) if node in self.env]
        tensors = [(node, value) for node, part in feeding for value in _tensors(part)]
        weights = tuple(dict.fromkeys(w for node, _ in tensors for w in self._from.get(node, ())))
        if name in VIEWS and weights and all(node in self._from for node, _ in tensors):
            self._from[n] = weights
            return
        self.used.update(weights)
        own = {value.untyped_storage().data_ptr() for _, value in tensors}
        if name in VIEWS and all(one.untyped_storage().data_ptr() in own for one in outputs):
            return
        args, _ = self.fetch_args_kwargs_from_env(n)
        products, window = _products(name, args, outputs[0])
        largest = max([one.numel() for one in outputs] + [value.numel() for _, value in tensors])
        read = [value for node, value in tensors if node not in self._from]
        held = sum(_bytes(value) for node, value in tensors if node in self._from)
        if name in MOVES | VIEWS:  # a look-up reads the rows that it copies, not the whole table
            held = min(held, sum(map(_bytes, outputs)))
        self.operations.append(
            Operation(
                name, _layer(n), products or 0, largest if name in SIMPLE else 0, weights, held,
                sum(map(_bytes, [*read, *outputs])), f"{outputs[0].dtype}".removeprefix("torch."),
                products is not None or name in SIMPLE | MOVES | VIEWS, window,
            )
        )  # fmt: skip

    def _inside(self, n: fx.Node) -> None:
        """What stands inside `torch.no_grad()` and the like is a graph of its own."""
        args, _ = self.fetch_args_kwargs_from_env(n)
        place, module = next((i, one) for i, one in enumerate(args) if isinstance(one, fx.GraphModule))
        inner = _Counter(module)
        names = {id(value): name for name, value in self.stored.items()}
        inner.stored, given = self.stored, args[place + 1 :]
        heads = [one for one in module.graph.nodes if one.op == "placeholder"]
        inner._from = {h: (names[id(v)],) for h, v in zip(heads, given, strict=False) if id(v) in names}
        inner.run(*given)
        self.operations += inner.operations
        self.used |= inner.used


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, tuple | list):
        return [one for part in value for one in _tensors(part)]
    return [value] if isinstance(value, Tensor) else []


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _layer(n: fx.Node) -> str:
    stack = n.meta.get("nn_module_stack") or {}
    names = [str(place) for place, _ in stack.values() if place]
    return names[-1].removeprefix("module.") if names else ""


def _convolution(x: Tensor, weight: Tensor, transposed: bool, output: Tensor) -> tuple[int, Window]:
    """Maps at the places of the output, or, where filters are spread out, at those of the input."""
    over = x if transposed else output
    spatial = weight.ndim - 2
    height, width = math.prod(weight.shape[2:-1]), weight.shape[-1]
    maps, columns = over.shape[-spatial - 1], over.shape[-1]
    window = Window(weight.shape[1], maps, height, width, over.numel() // (maps * columns), columns)
    return window.multiply_adds, window


def _dense(output: Tensor, inputs: int) -> tuple[int, Window]:
    units = output.shape[-1] if output.ndim else 1
    window = Window(inputs, units, 1, 1, 1, output.numel() // max(1, units))
    return window.multiply_adds, window


def _attention(query: Tensor, key: Tensor, value: Tensor) -> int:
    """Scores, and their sum of values, for all heads and queries."""
    return query.numel() // query.shape[-1] * key.shape[-2] * (query.shape[-1] + value.shape[-1])


def _recurrent(args: Sequence[Any]) -> int:
    """Every matrix is used once at each step of each sequence."""
    x = args[0]
    steps = x.numel() // x.shape[-1]
    return sum(one.numel() for part in args[2:] for one in _tensors(part) if one.ndim == 2) * steps


def _einsum(equation: str, tensors: Sequence[Tensor]) -> int | None:
    """The product of the sizes of all letters, for two factors; other contractions depend on their order."""
    terms = equation.replace(" ", "").split("->")[0].split(",")
    if len(tensors) != 2 or "." in equation or any(len(t) != x.ndim for t, x in zip(terms, tensors, strict=False)):
        return None
    sizes: dict[str, int] = {}
    for term, x in zip(terms, tensors, strict=True):
        sizes |= dict(zip(term, x.shape, strict=True))
    return math.prod(sizes.values())


_BY_NAME: dict[str, Callable[[Sequence[Any], Tensor], int]] = {
    "mm": lambda a, _: a[0].shape[0] * a[0].shape[1] * a[1].shape[1],
    "bmm": lambda a, _: math.prod(a[0].shape) * a[1].shape[2],
    "baddbmm": lambda a, _: math.prod(a[1].shape) * a[2].shape[2],
    "addbmm": lambda a, _: math.prod(a[1].shape) * a[2].shape[2],
    "matmul": lambda a, out: out.numel() * a[0].shape[-1],
    "mv": lambda a, _: a[0].numel(),
    "addmv": lambda a, _: a[1].numel(),
    "dot": lambda a, _: a[0].numel(),
    "cdist": lambda a, out: out.numel() * a[0].shape[-1],
    "_cdist_forward": lambda a, out: out.numel() * a[0].shape[-1],
    "scaled_dot_product_attention": lambda a, _: _attention(*a[:3]),
    "_scaled_dot_product_flash_attention_for_cpu": lambda a, _: _attention(*a[:3]),
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell"), lambda a, _: _recurrent(a)),
}


def _products(name: str, args: Sequence[Any], output: Tensor) -> tuple[int | None, Window | None]:
    """Multiply–adds of an operator and, for layers, how they are laid out; None for what has no products."""
    if re.fullmatch(r"conv[123]d|conv_transpose[123]d|_?convolution", name):
        transposed = "transpose" in name or ("convolution" in name and bool(args[6]))
        return _convolution(args[0], args[1], transposed, output)
    if name == "linear":
        return _dense(output, args[1].shape[-1])
    if name == "addmm":
        return _dense(output, args[1].shape[1])
    if name == "einsum":
        return _einsum(args[0], args[1]), None
    if name in _BY_NAME:
        return _BY_NAME[name](args, output), None
    return None, None
