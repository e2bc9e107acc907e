"""The network F(z_t, r, y), the critic, the frozen features and the encoder in JAX, on [B, H, W, C] throughout.

Functions of (weights by name, inputs); names and layouts are those of the TypeScript package, which JAX takes as they are.
"""

import jax
import jax.numpy as np
import numpy
from jax import lax

TIME_FEATURES = 64


def rotary_table(side, prefix, head_size, base=100):
    """Cosines and sines [1, N, 1, d / 2] of the two-dimensional rotary embedding; prefix tokens are not turned."""
    quarter = head_size // 4
    frequency = base ** (-numpy.arange(quarter) / quarter)
    rows, columns = numpy.meshgrid(numpy.arange(side), numpy.arange(side), indexing="ij")
    angles = numpy.concatenate([rows.reshape(-1, 1) * frequency, columns.reshape(-1, 1) * frequency], 1)
    angles = numpy.concatenate([numpy.zeros((prefix, 2 * quarter)), angles])
    return tuple(np.asarray(table(angles)[None, :, None, :], np.float32) for table in (numpy.cos, numpy.sin))


def linear(p, name, x):
    product = x @ p[f"{name}.weight"]
    return product + p[f"{name}.bias"] if f"{name}.bias" in p else product


def convolve(p, name, x, stride=1, groups=1):
    product = lax.conv_general_dilated(x, p[f"{name}.weight"], (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups)
    return product + p[f"{name}.bias"] if f"{name}.bias" in p else product


def rms_norm(x, scale, eps=1e-6):
    return x * lax.rsqrt(np.mean(np.square(x.astype(np.float32)), -1, keepdims=True) + eps).astype(x.dtype) * scale


def rotate(x, table):
    """x [B, N, heads, d]"""
    cosine, sine = (part.astype(x.dtype) for part in table)
    first, second = np.split(x, 2, -1)
    return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], -1)


def unpatchify(tokens, side, size):
    """[B, n n, p p C] -> [B, n p, n p, C]"""
    batch = tokens.shape[0]
    x = tokens.reshape(batch, side, side, size, -1).swapaxes(2, 3)
    return x.reshape(batch, side * size, side * size, -1)


def network(config, p, z, r, y):
    """z [B, h, w, c], r [B], y [B] -> images [B, H, W, 3]"""
    batch, width, patch = z.shape[0], config["width"], config["patchSize"]
    side, prefix = config["latentSize"] // patch, config["classTokens"] + config["timeTokens"]
    table = rotary_table(side, prefix, width // config["heads"])
    x = z.reshape(batch, side, patch, side, -1).swapaxes(2, 3).reshape(batch, side * side, -1)
    if config["bottleneck"] > 0:
        x = linear(p, "patchEmbedding.bottleneck", x)
    image = linear(p, "patchEmbedding", x)
    half = TIME_FEATURES // 2
    frequencies = np.asarray(100 * 1000 ** (-numpy.arange(half) / (half - 1)), np.float32)
    angles = r[:, None] * frequencies
    time = np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(image.dtype)
    time = linear(p, "timeEmbedding.second", jax.nn.silu(linear(p, "timeEmbedding.first", time)))
    classes = p["classEmbedding"][y]
    repeat = lambda row, count: np.broadcast_to(row[:, None], (batch, count, width))
    x = np.concatenate([repeat(classes, config["classTokens"]), repeat(time, config["timeTokens"]), image], 1) + p["positionEmbedding"]
    for block in range(config["depth"]):
        x = x + attention(config, p, f"blocks.{block}.attention", x, table)
        x = x + swiglu(p, f"blocks.{block}.mlp", x)
    x = rms_norm(x[:, prefix:], p["finalNorm.scale"])
    if config["head"] == "linear":
        return unpatchify(linear(p, "head", x), side, config["imageSize"] // side)
    return convolution_head(p, unpatchify(linear(p, "head.tokens", x), side, 2 * patch))


def attention(config, p, name, x, table):
    batch, count, width = x.shape
    heads = config["heads"]
    joined = linear(p, f"{name}.qkv", rms_norm(x, p[f"{name}.norm.scale"])).reshape(batch, count, 3, heads, width // heads)
    query = rotate(rms_norm(joined[:, :, 0], p[f"{name}.queryNorm.scale"]), table)
    key = rotate(rms_norm(joined[:, :, 1], p[f"{name}.keyNorm.scale"]), table)
    scores = np.einsum("bqhd,bkhd->bhqk", query, key) * (width // heads) ** -0.5
    mixed = np.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), joined[:, :, 2])
    return linear(p, f"{name}.output", mixed.reshape(batch, count, width)) * p[f"{name}.gate"]


def swiglu(p, name, x):
    x = rms_norm(x, p[f"{name}.norm.scale"])
    return linear(p, f"{name}.down", jax.nn.silu(linear(p, f"{name}.activation", x)) * linear(p, f"{name}.up", x)) * p[f"{name}.gate"]


def convolution_head(p, x):
    """features [B, 2 h, 2 w, C] -> [B, H, W, 3]"""
    stage = 0
    while f"head.stages.{stage}.first.weight" in p:
        name = f"head.stages.{stage}"
        if stage > 0:
            x = convolve(p, f"{name}.enter", x)
            x = unpatchify(x.reshape(x.shape[0], -1, x.shape[3]), x.shape[1], 2)  # channels to space
        inner = jax.nn.silu(convolve(p, f"{name}.first", jax.nn.silu(x)))
        x = x + convolve(p, f"{name}.second", inner)
        stage += 1
    return convolve(p, "head.image", jax.nn.silu(x))


def critic(p, images, y):
    """images [B, H, W, 3] -> scores of the whole [B, 1] and of the patches [B, 64]"""
    stages = sum(name.startswith("stages.") and name.endswith(".weight") for name in p)
    layer = lambda x, stage: jax.nn.leaky_relu(convolve(p, f"stages.{stage}", x, 1 if stage == 0 else 2), 0.2)
    x = images
    for stage in range(stages - 1):
        x = layer(x, stage)
    pooled = np.sum(layer(x, stages - 1) * p["pooling"], (1, 2))
    return judge(p, "whole", pooled[:, None], y), judge(p, "patch", x.reshape(x.shape[0], -1, x.shape[3]), y)


def judge(p, name, features, y):
    """features [B, n, C] -> [B, n]"""
    row = p[f"{name}.classEmbedding"][y]
    projection = np.einsum("bnc,bc->bn", features, row) * features.shape[-1] ** -0.5
    return linear(p, name, features)[..., 0] + projection


def translate(images, shifts):
    """Moves images [B, H, W, C] by rows and columns, int [2, B]; what comes in from outside is zero."""
    batch, height, width, channels = images.shape
    matrix = lambda offsets, size: ((np.arange(size)[None, :] - offsets[:, None])[:, :, None] == np.arange(size)[None, None, :]).astype(images.dtype)
    moved = np.einsum("bph,bhwc->bpwc", matrix(shifts[0, :batch], height), images)
    return np.einsum("bqw,bpwc->bpqc", matrix(shifts[1, :batch], width), moved)


# (index, stride, expands, residual) of the blocks of the first three stages of EfficientNet-Lite0
STAGES = (((0, 1, False, False),), ((1, 2, True, False), (2, 1, True, True)), ((3, 2, True, False), (4, 1, True, True)))


def features(p, images):
    """The outputs of the first three stages of EfficientNet-Lite0, batch norms folded in."""
    x = np.einsum("ph,bhwc->bpwc", p["resize"], images)
    x = np.einsum("qw,bpwc->bpqc", p["resize"], x) * (127.5 / 128) + 0.5 / 128
    x = jax.nn.relu6(convolve(p, "stem", x, 2))
    levels = []
    for stage in STAGES:
        for index, stride, expands, residual in stage:
            name, entered = f"blocks.{index}", x
            if expands:
                x = jax.nn.relu6(convolve(p, f"{name}.expand", x))
            x = jax.nn.relu6(convolve(p, f"{name}.depthwise", x, stride, x.shape[3]))
            x = convolve(p, f"{name}.project", x)
            if residual:
                x = x + entered
        levels.append(x)
    return levels


def from_package(name, array):
    """A weight of the package as JAX takes it: only depthwise convolutions have another layout."""
    value = np.asarray(array)
    return value.transpose(0, 1, 3, 2) if name.endswith("depthwise.weight") else value


def encode(p, statistics, images):
    """The small autoencoder's encoder: images [B, H, W, 3] -> normalised latents [B, h, w, c]"""
    x = jax.nn.silu(convolve(p, "encoder.down.0", images, 2))
    x = convolve(p, "encoder.down.1", x, 2)
    blocks = sum(name.startswith("encoder.blocks.") and name.endswith(".weight") for name in p)
    for index in range(blocks):
        x = x + convolve(p, f"encoder.blocks.{index}", jax.nn.silu(x))
    mean, _ = np.split(convolve(p, "encoder.moments", jax.nn.silu(x)), 2, -1)
    return (mean - statistics["mean"]) / statistics["standardDeviation"]
