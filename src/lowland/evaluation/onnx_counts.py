"""Counts the operations of an ONNX graph by running it once and looking at the shapes of all its tensors."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lowland.errors import CheckpointError, OptionError
from lowland.evaluation.operation_counts import Counts, Operation, Window
from lowland.files import regular
from lowland.quiet import no_records_below_error

VIEWS = frozenset("Reshape Flatten Squeeze Unsqueeze Identity Dropout Shape Size Constant".split())
"""Cost nothing. Other operators that only move numbers copy them."""
MOVES = frozenset(
    "Transpose Concat Split Slice Gather GatherElements GatherND Expand Tile Pad Cast CastLike ConstantOfShape Range "
    "ScatterElements ScatterND Where DepthToSpace SpaceToDepth OneHot EyeLike Trilu ReverseSequence Compress NonZero "
    "QuantizeLinear DequantizeLinear DynamicQuantizeLinear".split()
)
SIMPLE = frozenset(
    "Add Sub Mul Div Neg Abs Pow Sqrt Reciprocal Exp Log Sin Cos Tan Atan Asin Acos Sinh Cosh Tanh Sigmoid Relu "
    "LeakyRelu PRelu Elu Selu Celu Gelu Silu Swish Mish Softplus Softsign HardSigmoid HardSwish ThresholdedRelu Shrink "
    "Clip Max Min Sum Mean Erf Sign Floor Ceil Round Mod Equal Greater GreaterOrEqual Less LessOrEqual And Or Not Xor "
    "IsNaN IsInf Softmax LogSoftmax Hardmax ArgMax ArgMin TopK CumSum ReduceSum ReduceMean ReduceMax ReduceMin "
    "ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare BatchNormalization LayerNormalization "
    "InstanceNormalization GroupNormalization RMSNormalization LpNormalization LRN MeanVarianceNormalization MaxPool "
    "AveragePool LpPool GlobalAveragePool GlobalMaxPool GlobalLpPool Resize Upsample GridSample BitShift "
    "BitwiseAnd BitwiseOr BitwiseNot BitwiseXor QLinearAdd QLinearMul QLinearGlobalAveragePool".split()
)
"""One operation for each number of the larger of input and output."""
_STATISTICS = {"BatchNormalization": (3, 4)}
_HUGE = 2**31


class Shaped(NamedTuple):
    """A tensor of a graph: its sizes, and the name of its type, such as "float32"."""

    sizes: tuple[int, ...]
    dtype: str

    @property
    def numel(self) -> int:
        """Numbers in it."""
        return math.prod(self.sizes)

    @property
    def bytes(self) -> int:
        """In memory; types that NumPy lacks are counted as one byte for a number."""
        try:
            return self.numel * np.dtype(self.dtype).itemsize
        except TypeError:
            return self.numel * (2 if self.dtype == "bfloat16" else 1)


def load_onnx(path: str | Path) -> Any:
    """The graph in an ONNX file, checked, with functions of its own written out.

    Raises:
        OptionError: if the package onnx is missing.
        CheckpointError: if the file is missing, damaged or something else.

    >>> load_onnx("nothing.onnx")
    Traceback (most recent call last):
    lowland.errors.CheckpointError: There is no file nothing.onnx.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
        from onnx import inliner
    except ImportError as error:
        raise OptionError(f"An ONNX file needs the package {error.name}: pip install lowland[export]") from error
    path = Path(path)
    if not path.exists():
        raise CheckpointError(f"There is no file {path}.")
    regular(path, CheckpointError)
    try:
        model = onnx.load(path)
        if not model.graph.node:
            raise ValueError("it has no operators")
        # Operators of other domains are unknown to the checker as they are to the counter, which names them.
        onnx.checker.check_model(model, skip_opset_compatibility_check=True)
        return inliner.inline_local_functions(model) if model.functions else model
    except (DecodeError, onnx.checker.ValidationError, ValueError, OSError, RuntimeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise CheckpointError(f"{path} is not a whole ONNX graph: {said[:300]}.") from None


def onnx_inputs(model: Any, given: Mapping[str, Sequence[int]]) -> dict[str, Shaped]:
    """The inputs of a graph for one sample, by name; a first size that is free is 1.

    Args:
        model: see `load_onnx`.
        given: sizes by the name of the input, or by "" for the only one.

    Raises:
        OptionError: if other sizes are free, or those given do not fit.
    """
    import onnx

    constants = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in constants]
    for name in given:
        if (name and name not in {one.name for one in inputs}) or (not name and len(inputs) != 1):
            names = ", ".join(one.name for one in inputs)
            raise OptionError(f"The inputs of this graph are {names}: give their sizes as --input NAME=1,3,224,224.")
    found = {}
    for one in inputs:
        kind = one.type.tensor_type
        if not one.type.HasField("tensor_type"):
            raise OptionError(f"The input {one.name} is no tensor, and only graphs of tensors can be measured.")
        asked = given.get(one.name, given.get(""))
        sizes = [size.dim_value for size in kind.shape.dim]
        if asked is not None:
            if len(asked) != len(sizes) or any(size not in (0, mine) for size, mine in zip(sizes, asked, strict=True)):
                form = ", ".join(str(size or "any") for size in sizes)
                raise OptionError(f"The input {one.name} has the sizes {form}, but --input says {tuple(asked)}.")
            sizes = list(asked)
        if any(size == 0 for size in sizes[1:]) or not kind.HasField("shape"):
            form = ", ".join(str(size.dim_value or size.dim_param or "any") for size in kind.shape.dim)
            raise OptionError(f"The sizes of the input {one.name} are {form}: give an example, as --input 1,3,224,224.")
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
        found[one.name] = Shaped(tuple(size or 1 for size in sizes), dtype)
    return found


def example_arrays(inputs: Mapping[str, Shaped], copies: int = 1) -> dict[str, Any]:
    """Arrays for a batch of `copies` times the first size: normal where numbers are real, else 0, of a fixed seed."""
    draw = np.random.default_rng(0)
    arrays = {}
    for name, one in inputs.items():
        sizes = (one.sizes[0] * copies, *one.sizes[1:]) if one.sizes else ()
        real = one.dtype.startswith(("float", "bfloat"))
        arrays[name] = (draw.standard_normal(sizes) if real else np.zeros(sizes)).astype(one.dtype)
    return arrays


def count_onnx(model: Any, inputs: Mapping[str, Shaped]) -> Counts:
    """Count what a graph computes for one batch, by the rules of `count_program`.

    onnxruntime runs it once, with all inner tensors as outputs. A graph that it cannot run, because an operator is
    from elsewhere, is followed by the inference of shapes, as far as that goes.

    Args:
        model: see `load_onnx`.
        inputs: see `onnx_inputs`.
    """
    shapes = _shapes(model, inputs)
    stored = {one.name: Shaped(tuple(one.dims), _dtype(one.data_type)) for one in model.graph.initializer}
    views: dict[str, str] = {}

    def origin(name: str) -> str:
        return views.get(name, name)

    for node in model.graph.node:
        if node.op_type == "Constant" and node.output[0] in shapes:
            stored[node.output[0]] = shapes[node.output[0]]
        elif node.op_type in VIEWS | {"Transpose"} and node.input and origin(node.input[0]) in stored:
            # A reshaped or transposed weight is computed once, before the first batch.
            views[node.output[0]] = origin(node.input[0])
    operations, trained, read = [], {}, {}
    for node in model.graph.node:
        if node.op_type in VIEWS or node.output[0] in views:
            continue
        weights = [origin(name) for name in node.input if origin(name) in stored]
        read |= {name: stored[name] for name in weights}
        statistics = _STATISTICS.get(node.op_type, ())
        trained |= {
            origin(name): stored[origin(name)] for place, name in enumerate(node.input)
            if origin(name) in stored and place not in statistics and _real(stored[origin(name)])
        }  # fmt: skip
        operations.append(_operation(node, weights, stored, shapes))
    # Constants of a few numbers, such as the exponent of a power, are none that were trained.
    parameters = sum(one.numel for one in trained.values() if one.sizes)
    return Counts(tuple(operations), parameters, sum(one.bytes for one in read.values()))


def _real(one: Shaped) -> bool:
    return one.dtype.startswith(("float", "bfloat", "int8", "uint8"))


def _operation(node: Any, weights: list[str], stored: Mapping[str, Shaped], shapes: Mapping[str, Shaped]) -> Operation:
    name = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
    given = [shapes.get(each) or stored.get(each) for each in node.input if each]
    made = [shapes.get(each) for each in node.output if each]
    moved = [shapes[each] for each in (*node.input, *node.output) if each in shapes and each not in stored]
    activation = sum(one.bytes for one in moved if one.numel < _HUGE)
    products, window = None, None
    complete = all(one is not None for one in (*given, *made))
    if complete and made:
        products, window = _products(node, [one for one in given if one is not None], made[0] or Shaped((), "float32"))
    simple = name in SIMPLE
    held = sum(stored[each].bytes for each in weights)
    if name in MOVES and all(one is not None for one in made):  # a look-up reads what it copies, not the whole table
        held = min(held, sum(one.bytes for one in made if one is not None))
    largest = max((one.numel for one in (*given, *made) if one is not None), default=0)
    return Operation(
        name, node.name or node.output[0], products or 0, largest if simple else 0, tuple(weights),
        held, activation, made[0].dtype if made and made[0] else "",
        complete and (products is not None or simple or name in MOVES), window,
    )  # fmt: skip


def _products(node: Any, given: Sequence[Shaped], made: Shaped) -> tuple[int | None, Window | None]:
    kind, attributes = node.op_type, {one.name: one for one in node.attribute}
    if kind in ("Conv", "ConvInteger", "QLinearConv", "ConvTranspose"):
        weight = given[3 if kind == "QLinearConv" else 1].sizes
        over = (given[0] if kind == "ConvTranspose" else made).sizes
        height, width = math.prod(weight[2:-1]), weight[-1]
        window = Window(weight[1], over[1], height, width, math.prod(over) // (over[1] * over[-1]), over[-1])
        return window.multiply_adds, window
    if kind in ("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"):
        turned = kind == "Gemm" and "transA" in attributes and attributes["transA"].i
        inner = given[0].sizes[0 if turned else -1]
        units = made.sizes[-1] if made.sizes else 1
        window = Window(inner, units, 1, 1, 1, made.numel // max(1, units))
        return window.multiply_adds, window
    if kind == "Einsum":
        equation = attributes["equation"].s.decode().replace(" ", "")
        terms = equation.split("->")[0].split(",")
        if len(given) != 2 or "." in equation:
            return None, None
        sizes: dict[str, int] = {}
        for term, one in zip(terms, given, strict=True):
            sizes |= dict(zip(term, one.sizes, strict=True))
        return math.prod(sizes.values()), None
    if kind in ("LSTM", "GRU", "RNN"):
        steps, batch = given[0].sizes[:2]
        return steps * batch * (given[1].numel + given[2].numel), None
    if kind == "Attention" and node.domain in ("", "ai.onnx") and all(len(one.sizes) == 4 for one in given[:3]):
        query, key, value = (one.sizes for one in given[:3])
        return math.prod(query[:3]) * key[2] * (query[3] + value[3]), None
    return None, None


def _dtype(kind: int) -> str:
    import onnx

    return onnx.helper.tensor_dtype_to_np_dtype(kind).name


def _shapes(model: Any, inputs: Mapping[str, Shaped]) -> dict[str, Shaped]:
    """Shapes of all tensors that are no stored weights: as they are in a run, or as far as they can be inferred."""
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for one in fixed.graph.input:
        if one.name in inputs:
            for size, number in zip(one.type.tensor_type.shape.dim, inputs[one.name].sizes, strict=True):
                size.dim_value = number
    return dict(inputs) | (_run(fixed, inputs) or _inferred(fixed))


def refusals() -> tuple[type[Exception], ...]:
    """What onnxruntime raises for a graph or inputs that it does not take; its classes have no common base."""
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    own = [one for one in vars(state).values() if isinstance(one, type) and issubclass(one, Exception)]
    return (*own, RuntimeError, ValueError, TypeError)


def _run(model: Any, inputs: Mapping[str, Shaped]) -> dict[str, Shaped]:
    import onnx

    try:
        import onnxruntime
    except ImportError as error:
        raise OptionError("An ONNX file needs the package onnxruntime: pip install lowland[export]") from error
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    names = list(dict.fromkeys(each for node in model.graph.node for each in node.output if each))
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    try:
        with no_records_below_error("onnxruntime"):
            session = onnxruntime.InferenceSession(
                watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            values = session.run(names, example_arrays(inputs))
    except refusals():
        return {}
    return {
        name: Shaped(tuple(value.shape), value.dtype.name)
        for name, value in zip(names, values, strict=True) if isinstance(value, np.ndarray)
    }  # fmt: skip


def _inferred(model: Any) -> dict[str, Shaped]:
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    found = {}
    for one in (*inferred.value_info, *inferred.output):
        kind = one.type.tensor_type
        sizes = tuple(size.dim_value for size in kind.shape.dim)
        if kind.HasField("shape") and all(sizes):
            found[one.name] = Shaped(sizes, _dtype(kind.elem_type))
    return found
