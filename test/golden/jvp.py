"""Makes jvp.json: Jacobian-vector products of every differentiable kernel, by JAX in float64.

Each case names a kernel, its inputs, attributes and tangents, and holds what the kernel's output and its tangent must be. The functions are written from the kernels'
definitions, in terms that the TypeScript rules do not use. Made with jax 0.10.2 and numpy 2.4.6:

    python test/golden/jvp.py > test/golden/jvp.json
"""

import json
import sys
import zlib

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

jax.config.update("jax_enable_x64", True)
cases = []


def encode(array):
    """An array as plain JSON; float32 values in as few digits as name them."""
    array = np.asarray(array)
    if np.iscomplexobj(array):
        pairs = np.stack([array.real, array.imag], -1).astype(np.float32)
        return {"dtype": "complex64", "shape": list(array.shape), "data": [float(f"{v:.8g}") for v in pairs.ravel()]}
    if array.dtype.kind in "iu":
        return {"dtype": "int32", "shape": list(array.shape), "data": array.ravel().tolist()}
    if array.dtype.kind == "b":
        return {"dtype": "bool", "shape": list(array.shape), "data": array.ravel().astype(int).tolist()}
    return {"dtype": "float32", "shape": list(array.shape), "data": [float(f"{v:.8g}") for v in array.ravel()]}


def case(kernel, f, inputs, wrt, attributes=None, label=""):
    """Adds a case. `wrt` names the inputs with tangents; f maps the inputs (by name) to an output or a tuple of outputs, None for those without tangent."""
    rng = np.random.default_rng(zlib.crc32((kernel + label).encode()))
    tangents = {}
    for name in wrt:
        tangent = np.round(rng.uniform(-1, 1, inputs[name].shape), 3)
        if np.iscomplexobj(inputs[name]):
            tangent = tangent + 1j * np.round(rng.uniform(-1, 1, inputs[name].shape), 3)
        tangents[name] = tangent
    exact = {name: jnp.asarray(np.asarray(value).astype(np.float32).astype(np.float64) if np.asarray(value).dtype.kind == "f" else value)
             for name, value in inputs.items() if not isinstance(value, list)}
    lists = {name: value for name, value in inputs.items() if isinstance(value, list)}

    def of_wrt(*values):
        outputs = f({**exact, **lists, **dict(zip(wrt, values))})
        return outputs if isinstance(outputs, tuple) else (outputs,)

    kept = [index for index, output in enumerate(of_wrt(*[exact[name] for name in wrt])) if output is not None]
    count = len(of_wrt(*[exact[name] for name in wrt]))
    value, tangent = jax.jvp(lambda *v: tuple(of_wrt(*v)[index] for index in kept), [exact[name] for name in wrt],
                             [jnp.asarray(tangents[name].astype(np.complex64 if np.iscomplexobj(tangents[name]) else np.float32)).astype(exact[name].dtype) for name in wrt])
    outputs = [None] * count
    for position, index in enumerate(kept):
        outputs[index] = {"value": encode(value[position]), "tangent": encode(tangent[position])}
    cases.append({
        "kernel": kernel, "label": label, "attributes": attributes or {},
        "inputs": {name: [encode(v) for v in value] if isinstance(value, list) else encode(value) for name, value in inputs.items()},
        "tangents": {name: encode(value) for name, value in tangents.items()},
        "outputs": outputs,
    })


def normal(*shape, seed=0):
    return np.round(np.random.default_rng(seed + sum(shape) * 31).normal(size=shape), 3)


def between(low, high, *shape, seed=0):
    return np.round(np.random.default_rng(seed + 7).uniform(low, high, shape), 3)


def off_kinks(*shape, seed=0):
    """Values of both signs, at least 0.2 from 0."""
    rng = np.random.default_rng(seed + 11)
    return np.round(rng.uniform(0.2, 2, shape) * rng.choice([-1, 1], shape), 3)


def distinct(*shape, seed=0, gap=0.17):
    """Values that no two are closer than the gap, in random order around 0."""
    n = int(np.prod(shape))
    return np.round((np.random.default_rng(seed + 13).permutation(n) - (n - 1) / 2 + 0.25) * gap, 3).reshape(shape)


# ---- one tensor, element by element

def unary(kernel, f, x, attributes=None, label=""):
    case(kernel, lambda i: f(i["x"]), {"x": x}, ["x"], attributes, label)


for kernel, f in {
    "Neg": lambda x: -x, "Square": lambda x: x * x, "Exp": jnp.exp, "Expm1": jnp.expm1, "Sin": jnp.sin, "Cos": jnp.cos, "Atan": jnp.arctan, "Sinh": jnp.sinh,
    "Cosh": jnp.cosh, "Tanh": jnp.tanh, "Asinh": jnp.arcsinh, "Erf": jax.scipy.special.erf, "Sigmoid": jax.nn.sigmoid, "Softplus": jax.nn.softplus,
}.items():
    unary(kernel, f, normal(2, 4))
for kernel, f in {"Elu": jax.nn.elu, "Selu": jax.nn.selu, "Relu": jax.nn.relu, "Abs": jnp.abs, "Sign": jnp.sign}.items():
    unary(kernel, f, off_kinks(2, 5))
for kernel, f in {"Sqrt": jnp.sqrt, "Rsqrt": lax.rsqrt, "Log": jnp.log, "Log1p": jnp.log1p, "Reciprocal": lambda x: 1 / x}.items():
    unary(kernel, f, between(0.3, 3, 7))
for kernel, f in {"Asin": jnp.arcsin, "Acos": jnp.arccos, "Atanh": jnp.arctanh, "Tan": jnp.tan}.items():
    unary(kernel, f, between(-0.8, 0.8, 7))
unary("Acosh", jnp.arccosh, between(1.3, 4, 7))
unary("Relu6", lambda x: jnp.clip(x, 0, 6), np.array([-3.0, -0.3, 0.3, 2.0, 5.7, 6.3, 9.0]))
unary("LeakyRelu", lambda x: jnp.where(x > 0, x, 0.13 * x), off_kinks(2, 5), {"alpha": 0.13})
unary("ClipByValue", lambda x: jnp.clip(x, -0.5, 1.5), np.array([-3.0, -0.7, -0.3, 0.4, 1.2, 1.9]), {"clipValueMin": -0.5, "clipValueMax": 1.5})
unary("Step", lambda x: jnp.where(x > 0, 1.0, 0.3), off_kinks(2, 5), {"alpha": 0.3})
for kernel, f in {"Floor": jnp.floor, "Ceil": jnp.ceil, "Round": jnp.round}.items():
    unary(kernel, f, np.array([-2.3, -0.8, 0.2, 1.7]))
unary("ZerosLike", jnp.zeros_like, normal(3))
unary("OnesLike", jnp.ones_like, normal(3))
case("EluGrad", lambda i: jnp.where(i["y"] >= 0, i["dy"], i["dy"] * (i["y"] + 1)), {"dy": normal(8), "y": np.array([-0.9, -0.5, -0.1, 0.2, 0.5, 1.0, -0.7, 2.0])}, ["dy", "y"])

# ---- two tensors that broadcast

def binary(kernel, f, a, b, label=""):
    case(kernel, lambda i: f(i["a"], i["b"]), {"a": a, "b": b}, ["a", "b"], label=label)


for kernel, f in {"Add": jnp.add, "Sub": jnp.subtract, "Multiply": jnp.multiply, "SquaredDifference": lambda a, b: (a - b) ** 2}.items():
    binary(kernel, f, normal(2, 3), normal(2, 3, seed=1))
    binary(kernel, f, normal(2, 1, 3), normal(4, 1), "broadcast")
binary("RealDiv", jnp.divide, normal(2, 3), off_kinks(3), "broadcast")
binary("Pow", jnp.power, between(0.3, 2, 2, 3), between(-2, 3, 3, seed=1), "broadcast")
case("Pow", lambda i: i["a"] ** 3, {"a": off_kinks(6), "b": np.full(6, 3.0)}, ["a"], label="negative base")
binary("Atan2", jnp.arctan2, off_kinks(2, 3), off_kinks(3, seed=3), "broadcast")
binary("Mod", lambda a, b: a - jnp.floor(a / b) * b, np.array([5.3, -4.1, 7.7, -2.2]), np.array([2.1, 1.5, -2.2, 0.9]))
binary("FloorDiv", lambda a, b: jnp.floor(a / b), np.array([5.3, -4.1, 7.7]), np.array([2.1, 1.5, -2.2]))
binary("Maximum", jnp.maximum, distinct(2, 3), distinct(3, seed=5, gap=0.31) + 0.07, "broadcast")
binary("Minimum", jnp.minimum, distinct(2, 3), distinct(3, seed=5, gap=0.31) + 0.07, "broadcast")
case("AddN", lambda i: i["0"] + i["1"] + i["2"], {"0": normal(2, 2), "1": normal(2, 2, seed=1), "2": normal(2, 2, seed=2)}, ["0", "2"])
condition = np.array([[True, False, True], [False, False, True]])
case("Select", lambda i: jnp.where(i["condition"], i["t"], i["e"]), {"condition": condition, "t": normal(2, 3), "e": normal(2, 3, seed=1)}, ["t", "e"])
case("Prelu", lambda i: jnp.where(i["x"] > 0, i["x"], i["alpha"] * i["x"]), {"x": off_kinks(2, 2, 3), "alpha": between(0.1, 0.5, 3)}, ["x", "alpha"])

# ---- reductions

x = distinct(2, 3, 4)
for kernel, f in {"Sum": jnp.sum, "Mean": jnp.mean, "Prod": jnp.prod}.items():
    unary(kernel, lambda x: f(x, axis=(0, 2)), x, {"axis": [0, 2], "keepDims": False}, "two axes")
    unary(kernel, lambda x: f(x, axis=1, keepdims=True), x, {"axis": [1], "keepDims": True}, "kept")
for kernel, f in {"Max": jnp.max, "Min": jnp.min}.items():
    unary(kernel, lambda x: f(x, axis=(0, 2)), x, {"reductionIndices" if kernel == "Max" else "axis": [0, 2], "keepDims": False}, "two axes")
    unary(kernel, lambda x: f(x, axis=1, keepdims=True), x, {"reductionIndices" if kernel == "Max" else "axis": [1], "keepDims": True}, "kept")
unary("Prod", jnp.prod, np.array([0.0, 2.0, -1.5, 0.7]), {"axis": [0], "keepDims": False}, "one zero")


def accumulate(f, identity):
    def run(x, axis, exclusive, reverse):
        x = jnp.flip(x, axis) if reverse else x
        y = f(x, axis)
        if exclusive:
            one = jnp.full_like(lax.slice_in_dim(x, 0, 1, axis=axis), identity)
            y = jnp.concatenate([one, lax.slice_in_dim(y, 0, y.shape[axis] - 1, axis=axis)], axis)
        return jnp.flip(y, axis) if reverse else y
    return run


for kernel, f, identity in [("Cumsum", jnp.cumsum, 0.0), ("Cumprod", lambda x, axis: jnp.exp(jnp.cumsum(jnp.log(jnp.abs(x)), axis)) * jnp.cumprod(jnp.sign(x), axis), 1.0)]:
    for exclusive, reverse in [(False, False), (True, False), (False, True), (True, True)]:
        unary(kernel, lambda x: accumulate(f, identity)(x, 1, exclusive, reverse), off_kinks(2, 4), {"axis": 1, "exclusive": exclusive, "reverse": reverse}, f"exclusive {exclusive}, reverse {reverse}")
unary("Cumprod", lambda x: jnp.stack([x[0], x[0] * x[1], x[0] * x[1] * x[2]]), np.array([1.5, 0.0, -2.0]), {"axis": 0, "exclusive": False, "reverse": False}, "one zero")
case("Softmax", lambda i: jax.nn.softmax(i["logits"], -1), {"logits": normal(2, 5)}, ["logits"], {"dim": 1})
case("TopK", lambda i: (lax.top_k(i["x"], 2)[0], None), {"x": distinct(2, 3, 5)}, ["x"], {"k": 2, "sorted": True})

# ---- matrices

for ta, tb in [(False, False), (True, False), (False, True), (True, True)]:
    case("BatchMatMul", lambda i: (jnp.swapaxes(i["a"], -1, -2) if ta else i["a"]) @ (jnp.swapaxes(i["b"], -1, -2) if tb else i["b"]),
         {"a": normal(2, *((4, 3) if ta else (3, 4))), "b": normal(2, *((2, 4) if tb else (4, 2)))}, ["a", "b"], {"transposeA": ta, "transposeB": tb}, f"transposed {ta}, {tb}")
case("BatchMatMul", lambda i: i["a"] @ i["b"], {"a": normal(2, 1, 3, 4), "b": normal(1, 2, 4, 2)}, ["a", "b"], {"transposeA": False, "transposeB": False}, "broadcast")
case("Einsum", lambda i: jnp.einsum("bij,bjk->bik", i["0"], i["1"]), {"0": normal(2, 3, 2), "1": normal(2, 2, 3)}, ["0", "1"], {"equation": "bij,bjk->bik"})
case("Einsum", lambda i: jnp.einsum("ij->ji", i["0"]), {"0": normal(2, 3)}, ["0"], {"equation": "ij->ji"}, "one tensor")
unary("Diag", jnp.diag, normal(3))
activations = {"linear": lambda x, i: x, "relu": lambda x, i: jax.nn.relu(x), "elu": lambda x, i: jax.nn.elu(x), "sigmoid": lambda x, i: jax.nn.sigmoid(x),
               "relu6": lambda x, i: jnp.clip(x, 0, 6), "leakyrelu": lambda x, i: jnp.where(x > 0, x, 0.2 * x), "prelu": lambda x, i: jnp.where(x > 0, x, i["preluActivationWeights"] * x)}
for activation, f in activations.items():
    inputs = {"a": normal(1, 3, 4, seed=2), "b": normal(1, 4, 2, seed=2), "bias": normal(2)}
    if activation == "prelu":
        inputs["preluActivationWeights"] = between(0.1, 0.4, 2)
    case("_FusedMatMul", lambda i: f(i["a"] @ i["b"] + i["bias"], i), inputs, list(inputs),
         {"transposeA": False, "transposeB": False, "activation": activation, "leakyreluAlpha": 0.2}, activation)

# ---- shapes

x = normal(2, 3, 4)
unary("Identity", lambda x: x, x)
unary("Cast", lambda x: x, x, {"dtype": "float32"})
unary("Reshape", lambda x: x.reshape(6, 4), x, {"shape": [6, 4]})
case("ExpandDims", lambda i: i["input"][:, None], {"input": x}, ["input"], {"dim": 1})
unary("Transpose", lambda x: x.transpose(2, 0, 1), x, {"perm": [2, 0, 1]})
unary("Tile", lambda x: jnp.tile(x, (1, 2, 1)), x, {"reps": [1, 2, 1]})
unary("Reverse", lambda x: x[:, ::-1], x, {"dims": [1]})
case("Concat", lambda i: jnp.concatenate([i["0"], i["1"]], 1), {"0": normal(2, 3), "1": normal(2, 2)}, ["0", "1"], {"axis": 1})
case("Concat", lambda i: jnp.concatenate([i[str(k)] for k in range(11)], 0), {str(k): normal(1, 2, seed=k) for k in range(11)}, ["1", "10"], {"axis": 0}, "eleven")
case("Pack", lambda i: jnp.stack([i["0"], i["1"]], 1), {"0": normal(2, 3), "1": normal(2, 3, seed=1)}, ["0", "1"], {"axis": 1})
case("Unpack", lambda i: tuple(i["value"][:, k] for k in range(3)), {"value": normal(2, 3)}, ["value"], {"axis": 1})
case("SplitV", lambda i: (i["x"][:, :1], i["x"][:, 1:]), {"x": normal(2, 3)}, ["x"], {"numOrSizeSplits": [1, 2], "axis": 1})
unary("Slice", lambda x: x[0:1, 1:3, 2:4], x, {"begin": [0, 1, 2], "size": [1, 2, 2]})
unary("StridedSlice", lambda x: x[:, 0:3:2, 3:0:-1], x, {"begin": [0, 0, 3], "end": [2, 3, 0], "strides": [1, 2, -1], "beginMask": 0, "endMask": 0, "ellipsisMask": 0, "newAxisMask": 0, "shrinkAxisMask": 0})
unary("PadV2", lambda x: jnp.pad(x, ((1, 0), (0, 2)), constant_values=1.5), normal(2, 3), {"paddings": [[1, 0], [0, 2]], "constantValue": 1.5})
unary("MirrorPad", lambda x: jnp.pad(x, ((1, 0), (1, 2)), mode="reflect"), normal(2, 3), {"paddings": [[1, 0], [1, 2]], "mode": "reflect"}, "reflect")
unary("MirrorPad", lambda x: jnp.pad(x, ((1, 0), (1, 2)), mode="symmetric"), normal(2, 3), {"paddings": [[1, 0], [1, 2]], "mode": "symmetric"}, "symmetric")
unary("DepthToSpace", lambda x: x.reshape(1, 2, 3, 2, 2, 2).transpose(0, 1, 3, 2, 4, 5).reshape(1, 4, 6, 2), normal(1, 2, 3, 8), {"blockSize": 2, "dataFormat": "NHWC"})
unary("SpaceToBatchND", lambda x: x.reshape(1, 2, 2, 2, 2, 1).transpose(2, 4, 0, 1, 3, 5).reshape(4, 2, 2, 1), normal(1, 4, 4, 1), {"blockShape": [2, 2], "paddings": [[0, 0], [0, 0]]})
unary("BatchToSpaceND", lambda x: x.reshape(2, 2, 1, 2, 2, 1).transpose(2, 3, 0, 4, 1, 5).reshape(1, 4, 4, 1), normal(4, 2, 2, 1), {"blockShape": [2, 2], "crops": [[0, 0], [0, 0]]})

# ---- integer positions

case("GatherV2", lambda i: jnp.take(i["x"], i["indices"], 1), {"x": normal(2, 4, 2), "indices": np.array([3, 0, 3])}, ["x"], {"axis": 1, "batchDims": 0})
case("GatherNd", lambda i: i["params"][i["indices"][:, 0], i["indices"][:, 1]], {"params": normal(2, 3, 2), "indices": np.array([[0, 2], [1, 0]])}, ["params"])
case("ScatterNd", lambda i: jnp.zeros((4, 2)).at[i["indices"][:, 0]].add(i["updates"]), {"indices": np.array([[3], [0], [3]]), "updates": normal(3, 2)}, ["updates"], {"shape": [4, 2]})
case("TensorScatterUpdate", lambda i: i["tensor"].at[i["indices"][:, 0]].set(i["updates"]), {"tensor": normal(4, 2), "indices": np.array([[3], [0]]), "updates": normal(2, 2)}, ["tensor", "updates"])
case("SparseToDense", lambda i: jnp.full((5,), i["defaultValue"]).at[i["sparseIndices"]].set(i["sparseValues"]),
     {"sparseIndices": np.array([0, 3]), "sparseValues": normal(2), "defaultValue": np.array(0.7)}, ["sparseValues", "defaultValue"], {"outputShape": [5]})
case("SparseFillEmptyRows", lambda i: (None, jnp.concatenate([i["values"][:1], i["defaultValue"][None], i["values"][1:]]), None, None),
     {"indices": np.array([[0, 1], [2, 0], [2, 1]]), "values": normal(3), "denseShape": np.array([3, 2]), "defaultValue": np.array(0.4)}, ["values", "defaultValue"])
for kernel, reduce in [("SparseSegmentSum", jnp.sum), ("SparseSegmentMean", jnp.mean)]:
    case(kernel, lambda i: jnp.stack([reduce(i["data"][jnp.array([2, 0])], 0), reduce(i["data"][jnp.array([1])], 0)]),
         {"data": normal(3, 2), "indices": np.array([2, 0, 1]), "segmentIds": np.array([0, 0, 1])}, ["data"])
case("UnsortedSegmentSum", lambda i: jax.ops.segment_sum(i["x"], i["segmentIds"], 3), {"x": normal(4, 2), "segmentIds": np.array([2, 0, 2, 1])}, ["x"], {"numSegments": 3})
for kernel in ["Bincount", "DenseBincount"]:
    case(kernel, lambda i: jnp.zeros(4).at[i["x"]].add(i["weights"]), {"x": np.array([1, 3, 1]), "weights": normal(3)}, ["weights"], {"size": 4, "binaryOutput": False} if kernel == "DenseBincount" else {"size": 4})
case("RaggedGather", lambda i: (None, i["paramsDenseValues"][jnp.array([2, 3, 4, 0, 1])]),
     {"paramsNestedSplits": [np.array([0, 2, 2, 5])], "paramsDenseValues": normal(5), "indices": np.array([2, 1, 0])}, ["paramsDenseValues"], {"outputRaggedRank": 1})
case("RaggedTensorToTensor", lambda i: jnp.stack([jnp.stack([i["values"][0], i["values"][1], i["defaultValue"]]), jnp.stack([i["values"][2], i["defaultValue"], i["defaultValue"]])]),
     {"shape": np.array([2, 3]), "values": normal(3), "defaultValue": np.array(0.3), "rowPartitionTensors": [np.array([2]), np.array([0, 0, 1])]}, ["values", "defaultValue"],
     {"rowPartitionTypes": ["FIRST_DIM_SIZE", "VALUE_ROWIDS"]})

# ---- convolutions and their gradients

def conv(x, f, strides, pad, dilations=1, groups=1):
    n = x.ndim - 2
    letters = "DHW"[3 - n:]
    pair = lambda v: (v,) * n if isinstance(v, int) else tuple(v)
    return lax.conv_general_dilated(x, f, pair(strides), pad.upper() if isinstance(pad, str) else pad, rhs_dilation=pair(dilations), feature_group_count=groups,
                                    dimension_numbers=("N" + letters + "C", letters + "IO", "N" + letters + "C"))


def depthwise(x, f, strides, pad, dilations=1):
    h, w, c, m = f.shape
    return conv(x, f.reshape(h, w, 1, c * m), strides, pad, dilations, c)


def backprop(forward, argument):
    """The gradient kernel of a convolution: linear in dy and in the other argument."""
    def run(other, dy, shape):
        at = jnp.zeros(shape)
        f = (lambda a: forward(a, other)) if argument == 0 else (lambda a: forward(other, a))
        return jax.vjp(f, at)[1](dy)[0]
    return run


for strides, pad, dilations in [(1, "same", 1), (2, "same", 1), (2, "valid", 1), (1, "valid", 2)]:
    x, f = normal(1, 5, 5, 2), normal(3, 3, 2, 2)
    attributes = {"strides": [strides, strides], "pad": pad, "dataFormat": "NHWC", "dilations": [dilations, dilations]}
    label = f"strides {strides}, {pad}, dilations {dilations}"
    case("Conv2D", lambda i: conv(i["x"], i["filter"], strides, pad, dilations), {"x": x, "filter": f}, ["x", "filter"], attributes, label)
    case("DepthwiseConv2dNative", lambda i: depthwise(i["x"], i["filter"], strides, pad, dilations), {"x": x, "filter": f}, ["x", "filter"], attributes, label)
    if dilations == 1:
        forward = lambda a, b: conv(a, b, strides, pad)
        dy = normal(*forward(jnp.asarray(x), jnp.asarray(f)).shape)
        case("Conv2DBackpropInput", lambda i: backprop(forward, 0)(i["filter"], i["dy"], x.shape), {"dy": dy, "filter": f}, ["dy", "filter"], {**attributes, "inputShape": list(x.shape)}, label)
        case("Conv2DBackpropFilter", lambda i: backprop(forward, 1)(i["x"], i["dy"], f.shape), {"x": x, "dy": dy}, ["x", "dy"], {**attributes, "filterShape": list(f.shape)}, label)
        deep = lambda a, b: depthwise(a, b, strides, pad)
        dy = normal(*deep(jnp.asarray(x), jnp.asarray(f)).shape)
        case("DepthwiseConv2dNativeBackpropInput", lambda i: backprop(deep, 0)(i["filter"], i["dy"], x.shape), {"dy": dy, "filter": f}, ["dy", "filter"], {**attributes, "inputShape": list(x.shape)}, label)
        case("DepthwiseConv2dNativeBackpropFilter", lambda i: backprop(deep, 1)(i["x"], i["dy"], f.shape), {"x": x, "dy": dy}, ["x", "dy"], {**attributes, "filterShape": list(f.shape)}, label)
x, f = normal(1, 3, 3, 3, 2), normal(2, 2, 2, 2, 1)
attributes = {"strides": [1, 1, 1], "pad": "same", "dataFormat": "NDHWC", "dilations": [1, 1, 1]}
forward = lambda a, b: conv(a, b, 1, "same")
dy = normal(1, 3, 3, 3, 1)
case("Conv3D", lambda i: forward(i["x"], i["filter"]), {"x": x, "filter": f}, ["x", "filter"], attributes)
case("Conv3DBackpropInputV2", lambda i: backprop(forward, 0)(i["filter"], i["dy"], x.shape), {"dy": dy, "filter": f}, ["dy", "filter"], {**attributes, "inputShape": list(x.shape)})
case("Conv3DBackpropFilterV2", lambda i: backprop(forward, 1)(i["x"], i["dy"], f.shape), {"x": x, "dy": dy}, ["x", "dy"], {**attributes, "filterShape": list(f.shape)})
x, f = normal(1, 4, 4, 2, seed=3), normal(2, 2, 2, 3, seed=3)
attributes = {"strides": [1, 1], "pad": "valid", "dataFormat": "NHWC", "dilations": [1, 1], "leakyreluAlpha": 0.2}
for activation in ["linear", "relu", "elu", "prelu"]:
    inputs = {"x": x, "filter": f, "bias": normal(3, seed=5)}
    if activation == "prelu":
        inputs["preluActivationWeights"] = between(0.1, 0.4, 3)
    case("FusedConv2D", lambda i: activations[activation](conv(i["x"], i["filter"], 1, "valid") + i["bias"], i), inputs, list(inputs), {**attributes, "activation": activation}, activation)
inputs = {"x": x, "filter": normal(2, 2, 2, 1), "bias": normal(2)}
case("FusedDepthwiseConv2D", lambda i: jax.nn.elu(depthwise(i["x"], i["filter"], 1, "valid") + i["bias"]), inputs, list(inputs), {**attributes, "activation": "elu"})
inputs = {"x": normal(2, 2, 2, 3), "mean": normal(3), "variance": between(0.5, 2, 3), "offset": normal(3, seed=1), "scale": normal(3, seed=2)}
case("FusedBatchNorm", lambda i: (i["x"] - i["mean"]) / jnp.sqrt(i["variance"] + 0.01) * i["scale"] + i["offset"], inputs, list(inputs), {"varianceEpsilon": 0.01})

# ---- windows

def padding(size, window, stride, pad):
    out = -(-size // stride) if pad == "same" else (size - window) // stride + 1
    total = max((out - 1) * stride + window - size, 0) if pad == "same" else 0
    return out, total // 2, total - total // 2


def windows(x, window, stride, pad, fill):
    """[positions in the window, B, ...out, C]: what each window holds."""
    n = x.ndim - 2
    sizes = [padding(x.shape[1 + k], window[k], stride, pad) for k in range(n)]
    padded = jnp.pad(x, [(0, 0)] + [(before, after) for _, before, after in sizes] + [(0, 0)], constant_values=fill)
    return jnp.stack([padded[(slice(None),) + tuple(slice(o, o + (sizes[k][0] - 1) * stride + 1, stride) for k, o in enumerate(offset)) + (slice(None),)]
                      for offset in np.ndindex(*window)])


def max_pool(x, window, stride, pad):
    return jnp.max(windows(x, window, stride, pad, -jnp.inf), 0)


def avg_pool(x, window, stride, pad):
    return jnp.sum(windows(x, window, stride, pad, 0.0), 0) / jnp.sum(windows(jnp.ones_like(x), window, stride, pad, 0.0), 0)


def vjp_of(pool, x, dy):
    return jax.vjp(pool, x)[1](dy)[0]


for stride, pad in [(2, "valid"), (1, "same"), (2, "same")]:
    x, window = distinct(1, 5, 4, 2, seed=stride), (3, 2)
    attributes = {"filterSize": list(window), "strides": [stride, stride], "pad": pad}
    label = f"stride {stride}, {pad}"
    for kernel, pool in [("MaxPool", max_pool), ("AvgPool", avg_pool)]:
        forward = lambda a: pool(a, window, stride, pad)
        unary(kernel, forward, x, attributes, label)
        y = np.asarray(forward(jnp.asarray(x.astype(np.float32).astype(np.float64))))
        dy = normal(*y.shape)
        inputs = {"dy": dy, "input": x, "output": y} if kernel == "MaxPool" else {"dy": dy, "input": x}
        case(kernel + "Grad", lambda i: vjp_of(forward, lax.stop_gradient(i["input"]), i["dy"]), inputs, ["dy", "input"], attributes, label)
    case("MaxPoolWithArgmax", lambda i: (max_pool(i["x"], window, stride, pad), None), {"x": x}, ["x"], {**attributes, "includeBatchInIndex": False}, label)
x, window = distinct(1, 4, 3, 3, 2), (2, 2, 2)
for pad in ["valid", "same"]:
    attributes = {"filterSize": list(window), "strides": [2, 2, 2], "pad": pad, "dataFormat": "NDHWC"}
    for kernel, pool in [("MaxPool3D", max_pool), ("AvgPool3D", avg_pool)]:
        forward = lambda a: pool(a, window, 2, pad)
        unary(kernel, forward, x, attributes, pad)
        y = np.asarray(forward(jnp.asarray(x.astype(np.float32).astype(np.float64))))
        inputs = {"dy": normal(*y.shape), "input": x, "output": y} if kernel == "MaxPool3D" else {"dy": normal(*y.shape), "input": x}
        case(kernel + "Grad", lambda i: vjp_of(forward, lax.stop_gradient(i["input"]), i["dy"]), inputs, ["dy"], attributes, pad)


def dilation(x, f, stride, pad):
    w = windows(x, f.shape[:2], stride, pad, -jnp.inf)
    return jnp.max(w + f.reshape(-1, 1, 1, 1, f.shape[2]), 0)


for stride, pad in [(1, "same"), (2, "valid")]:
    x, f = distinct(1, 5, 4, 2, gap=0.5), distinct(2, 2, 2, seed=4, gap=0.03)
    attributes = {"strides": [stride, stride], "pad": pad, "dilations": [1, 1]}
    case("Dilation2D", lambda i: dilation(i["x"], i["filter"], stride, pad), {"x": x, "filter": f}, ["x", "filter"], attributes, pad)
    dy = normal(*dilation(jnp.asarray(x), jnp.asarray(f), stride, pad).shape)
    for kernel, argument in [("Dilation2DBackpropInput", 0), ("Dilation2DBackpropFilter", 1)]:
        case(kernel, lambda i: jax.vjp(lambda a, b: dilation(a, b, stride, pad), lax.stop_gradient(i["x"]), lax.stop_gradient(i["filter"]))[1](i["dy"])[argument],
             {"x": x, "filter": f, "dy": dy}, ["dy", "x"], attributes, pad)


def lrn(x, radius, bias, alpha, beta):
    squares = jnp.pad(x ** 2, [(0, 0)] * 3 + [(radius, radius)])
    return x / (bias + alpha * sum(squares[..., k:k + x.shape[3]] for k in range(2 * radius + 1))) ** beta


attributes = {"depthRadius": 1, "bias": 1.2, "alpha": 0.5, "beta": 0.75}
x = normal(1, 2, 2, 4)
forward = lambda x: lrn(x, 1, 1.2, 0.5, 0.75)
unary("LRN", forward, x, attributes)


def lrn_grad(i):
    """The gradient of the response in the terms that the kernel takes: x, the response y and dy."""
    squares = jnp.pad(i["x"] ** 2, [(0, 0)] * 3 + [(1, 1)])
    base = 1.2 + 0.5 * (squares[..., :-2] + squares[..., 1:-1] + squares[..., 2:])
    inner = jnp.pad(i["dy"] * i["y"] / base, [(0, 0)] * 3 + [(1, 1)])
    return i["dy"] * base ** -0.75 - 2 * 0.5 * 0.75 * i["x"] * (inner[..., :-2] + inner[..., 1:-1] + inner[..., 2:])


exact = x.astype(np.float32).astype(np.float64)
y, dy = np.asarray(forward(exact)), normal(1, 2, 2, 4, seed=1)
assert np.allclose(lrn_grad({"x": exact, "y": y, "dy": dy}), jax.vjp(forward, exact)[1](dy)[0])
case("LRNGrad", lrn_grad, {"x": x, "y": y, "dy": dy}, ["x", "y", "dy"], attributes)

# ---- images

def interpolation(size, out, align_corners, half_pixel, nearest):
    """[out, size]: the weights of the inputs in each output, along one axis."""
    scale = (size - 1) / (out - 1) if align_corners and out > 1 else size / out
    matrix = np.zeros((out, size))
    for o in range(out):
        if nearest:
            at = (o + 0.5) * scale if half_pixel else o * scale
            at = np.floor(at + 0.5) if align_corners else np.floor(at)
            matrix[o, int(min(max(at, 0), size - 1))] = 1
        else:
            at = (o + 0.5) * scale - 0.5 if half_pixel else o * scale
            low = np.floor(at)
            for k, weight in [(low, 1 - (at - low)), (low + 1, at - low)]:
                matrix[o, int(min(max(k, 0), size - 1))] += weight
    return matrix


for name, nearest in [("ResizeBilinear", False), ("ResizeNearestNeighbor", True)]:
    for align_corners, half_pixel in [(False, False), (True, False), (False, True)]:
        rows, columns = (interpolation(*sizes, align_corners, half_pixel, nearest) for sizes in [(2, 5), (3, 4)])
        resize = lambda images: jnp.einsum("oh,pw,bhwc->bopc", rows, columns, images)
        images = normal(1, 2, 3, 2)
        attributes = {"alignCorners": align_corners, "halfPixelCenters": half_pixel, "size": [5, 4]}
        label = f"align corners {align_corners}, half-pixel centres {half_pixel}"
        case(name, lambda i: resize(i["images"]), {"images": images}, ["images"], attributes, label)
        if not half_pixel:
            case(name + "Grad", lambda i: vjp_of(resize, i["images"], i["dy"]), {"images": images, "dy": normal(1, 5, 4, 2)}, ["dy", "images"], attributes, label)
case("FlipLeftRight", lambda i: i["image"][:, :, ::-1], {"image": normal(1, 2, 3, 2)}, ["image"])
# By a quarter turn about the centre of a square, (x, y) is read at (-y, x): no rounding decides.
case("RotateWithOffset", lambda i: jnp.rot90(i["image"], 1, (1, 2)), {"image": normal(1, 3, 3, 4)}, ["image"], {"radians": np.pi / 2, "fillValue": [0.3, 0.4, 0.5], "center": [1 / 3, 1 / 3]})


def bilinear_at(image, y, x, fill):
    """image [H, W, C] at a position, with `fill` outside."""
    height, width, _ = image.shape
    top, left = int(np.floor(y)), int(np.floor(x))
    value = 0
    for row, column, weight in [(top, left, (top + 1 - y) * (left + 1 - x)), (top, left + 1, (top + 1 - y) * (x - left)), (top + 1, left, (y - top) * (left + 1 - x)), (top + 1, left + 1, (y - top) * (x - left))]:
        value = value + weight * (image[row, column] if 0 <= row < height and 0 <= column < width else jnp.full(image.shape[2], fill))
    return value


transform = np.array([[0.9, 0.2, -0.3, -0.1, 1.1, 0.35, 0.02, -0.01]])


def transformed(image):
    a0, a1, a2, b0, b1, b2, c0, c1 = transform[0].astype(np.float32).astype(np.float64)
    at = lambda r, c: bilinear_at(image[0], (b0 * c + b1 * r + b2) / (c0 * c + c1 * r + 1), (a0 * c + a1 * r + a2) / (c0 * c + c1 * r + 1), 0.6)
    return jnp.stack([jnp.stack([at(r, c) for c in range(4)]) for r in range(3)])[None]


case("Transform", lambda i: transformed(i["image"]), {"image": normal(1, 3, 4, 2), "transforms": transform}, ["image"], {"interpolation": "bilinear", "fillMode": "constant", "fillValue": 0.6, "outputShape": [3, 4]})
box = np.array([[0.1, 0.2, 0.8, 0.9], [-0.3, 0.1, 0.6, 0.7]])


def crop(i):
    exact = box.astype(np.float32).astype(np.float64)

    def one(index, y1, x1, y2, x2):
        height, width = i["image"].shape[1:3]
        rows = [y1 * (height - 1) + r * (y2 - y1) * (height - 1) / 2 for r in range(3)]
        columns = [x1 * (width - 1) + c * (x2 - x1) * (width - 1) / 1 for c in range(2)]
        value = lambda y, x: bilinear_at(i["image"][index], y, x, 0) if 0 <= y <= height - 1 and 0 <= x <= width - 1 else jnp.full(2, 0.8)
        return jnp.stack([jnp.stack([value(y, x) for x in columns]) for y in rows])
    return jnp.stack([one(1, *exact[0]), one(0, *exact[1])])


case("CropAndResize", crop, {"image": normal(2, 4, 5, 2), "boxes": box, "boxInd": np.array([1, 0])}, ["image"], {"cropSize": [3, 2], "method": "bilinear", "extrapolationValue": 0.8})

# ---- complex numbers

z = normal(2, 4) + 1j * normal(2, 4, seed=1)
case("Complex", lambda i: i["real"] + 1j * i["imag"], {"real": normal(4), "imag": normal(4, seed=1)}, ["real", "imag"])
for kernel, f in {"Real": jnp.real, "Imag": jnp.imag, "FFT": jnp.fft.fft, "IFFT": jnp.fft.ifft}.items():
    case(kernel, lambda i: f(i["input"]), {"input": z}, ["input"])
case("ComplexAbs", lambda i: jnp.abs(i["x"]), {"x": z}, ["x"])
case("Multiply", lambda i: i["a"] * i["b"], {"a": z, "b": z[::-1]}, ["a", "b"], label="complex")

json.dump({"jax": jax.__version__, "numpy": np.__version__, "cases": cases}, sys.stdout, separators=(",", ":"))
