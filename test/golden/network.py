"""Makes network.json: the network F(z_t, r, y) with random weights, with both heads, and with several tokens a patch: its images, the gradient of every parameter
and of the latents, and its derivative along a direction in the latents. Written from the network's description, in double precision.

Needs torch 2.13.0, numpy 2.4.6. Run: python network.py
"""
import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as nn

from packing import all_packed, packed

torch.set_default_dtype(torch.float64)
random = np.random.default_rng(5)
TIME_FEATURES = 64
COMMON = {"latentSize": 4, "latentChannels": 2, "classes": 3, "width": 8, "depth": 2, "heads": 2, "classTokens": 2, "timeTokens": 1}
CASES = [
    COMMON | {"imageSize": 8, "patchSize": 2, "bottleneck": 5, "head": "linear", "headChannels": 0},
    COMMON | {"imageSize": 8, "latentSize": 2, "patchSize": 1, "bottleneck": 0, "head": "convolution", "headChannels": 16},
    COMMON | {"imageSize": 8, "patchSize": 2, "bottleneck": 0, "tokensPerPatch": 3, "head": "convolution", "headChannels": 16, "headBlocks": 2},
]


def draw(*shape, scale=1.0):
    """Numbers that float32 holds exactly, so that both sides start from the same ones."""
    return torch.tensor((random.normal(size=shape) * scale).astype(np.float32).astype(np.float64))


def hidden_width(width):
    return math.floor(width * 8 / 3 / 8 + 0.5) * 8


def head_channels(c):
    doublings = int(math.log2(c["imageSize"] // c["latentSize"]))
    return [max(round(c["headChannels"] / 2**stage), 16) for stage in range(doublings)]


def head_blocks(c, stage):
    return [f"head.stages.{stage}", *(f"head.stages.{stage}.blocks.{block}" for block in range(1, c.get("headBlocks", 1)))]


def make_parameters(c):
    width, patch = c["width"], c["patchSize"] ** 2 * c["latentChannels"]
    side = c["latentSize"] // c["patchSize"]
    prefix = c["classTokens"] + c["timeTokens"]
    tokens = c.get("tokensPerPatch", 1)
    p = {}

    def dense(name, rows, columns, bias=False):
        p[f"{name}.weight"] = draw(rows, columns, scale=rows**-0.5)
        if bias:
            p[f"{name}.bias"] = draw(columns, scale=0.1)

    if c["bottleneck"]:
        dense("patchEmbedding.bottleneck", patch, c["bottleneck"])
    dense("patchEmbedding", c["bottleneck"] or patch, tokens * width, bias=True)
    p["positionEmbedding"] = draw(prefix + side**2 * tokens, width, scale=0.3)
    p["classEmbedding"] = draw(c["classes"] + 1, width, scale=0.5)
    dense("timeEmbedding.first", TIME_FEATURES, width, bias=True)
    dense("timeEmbedding.second", width, width, bias=True)
    for block in range(c["depth"]):
        a, m = f"blocks.{block}.attention", f"blocks.{block}.mlp"
        for name, size in [(f"{a}.norm", width), (f"{a}.queryNorm", width // c["heads"]), (f"{a}.keyNorm", width // c["heads"]), (f"{m}.norm", width)]:
            p[f"{name}.scale"] = 1 + draw(size, scale=0.2)
        dense(f"{a}.qkv", width, 3 * width)
        dense(f"{a}.output", width, width)
        for name in ["activation", "up"]:
            dense(f"{m}.{name}", width, hidden_width(width))
        dense(f"{m}.down", hidden_width(width), width)
        p[f"{a}.gate"], p[f"{m}.gate"] = draw(width, scale=0.5), draw(width, scale=0.5)
    p["finalNorm.scale"] = 1 + draw(width, scale=0.2)
    if c["head"] == "linear":
        dense("head", tokens * width, 3 * (c["imageSize"] // side) ** 2, bias=True)
        return p
    channels = head_channels(c)

    def conv(name, size, source, target):
        p[f"{name}.weight"] = draw(size, size, source, target, scale=(size * size * source) ** -0.5)
        p[f"{name}.bias"] = draw(target, scale=0.1)

    dense("head.tokens", tokens * width, (2 * c["patchSize"]) ** 2 * channels[0], bias=True)
    for stage, count in enumerate(channels):
        if stage:
            conv(f"head.stages.{stage}.enter", 1, channels[stage - 1], 4 * count)
        for name in head_blocks(c, stage):
            conv(f"{name}.first", 3, count, count)
            conv(f"{name}.second", 3, count, count)
    conv("head.image", 3, channels[-1], 3)
    return p


def rms_norm(x, scale):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * scale


def patches(x, size):
    """[B, H, W, C] -> [B, n n, p p C], channels last and rows first."""
    return x.unfold(1, size, size).unfold(2, size, size).permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(1, 2)


def from_patches(tokens, size):
    side = math.isqrt(tokens.shape[1])
    return tokens.unflatten(2, (size, size, -1)).unflatten(1, (side, side)).permute(0, 1, 3, 2, 4, 5).flatten(3, 4).flatten(1, 2)


def rotated(x, side, prefix, tokens):
    """Turns pairs (i, i + d / 2) of each head: the first half of the pairs by the row of the token's patch, the second by its column."""
    quarter = x.shape[-1] // 4
    frequency = 100.0 ** (-torch.arange(quarter) / quarter)
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    grid = torch.cat([row.reshape(-1, 1) * frequency, column.reshape(-1, 1) * frequency], 1).repeat_interleave(tokens, 0)
    angle = torch.cat([torch.zeros(prefix, 2 * quarter), grid])[None, :, None]  # [1, N, 1, d / 2]
    turned = torch.complex(*x.chunk(2, -1)) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([turned.real, turned.imag], -1)


def conv2d(p, name, x):
    weight = p[f"{name}.weight"].permute(3, 2, 0, 1)
    return nn.conv2d(x.permute(0, 3, 1, 2), weight, p[f"{name}.bias"], padding="same").permute(0, 2, 3, 1)


def network(c, p, z, r, y):
    batch, width, heads = z.shape[0], c["width"], c["heads"]
    side, prefix, tokens = c["latentSize"] // c["patchSize"], c["classTokens"] + c["timeTokens"], c.get("tokensPerPatch", 1)
    x = patches(z, c["patchSize"])
    if c["bottleneck"]:
        x = x @ p["patchEmbedding.bottleneck.weight"]
    x = x @ p["patchEmbedding.weight"] + p["patchEmbedding.bias"]
    x = x.unflatten(2, (tokens, width)).flatten(1, 2)  # [B, n n, m D] -> [B, n n m, D]
    half = TIME_FEATURES // 2
    angles = r[:, None] * 100 * 1000.0 ** (-torch.arange(half) / (half - 1))
    time = torch.cat([angles.sin(), angles.cos()], 1) @ p["timeEmbedding.first.weight"] + p["timeEmbedding.first.bias"]
    time = nn.silu(time) @ p["timeEmbedding.second.weight"] + p["timeEmbedding.second.bias"]
    label = p["classEmbedding"][y]
    x = torch.cat([label[:, None].expand(-1, c["classTokens"], -1), time[:, None].expand(-1, c["timeTokens"], -1), x], 1)
    x = x + p["positionEmbedding"]
    for block in range(c["depth"]):
        a, m = f"blocks.{block}.attention", f"blocks.{block}.mlp"
        q, k, v = (part.unflatten(-1, (heads, -1)) for part in (rms_norm(x, p[f"{a}.norm.scale"]) @ p[f"{a}.qkv.weight"]).chunk(3, -1))
        q = rotated(rms_norm(q, p[f"{a}.queryNorm.scale"]), side, prefix, tokens)
        k = rotated(rms_norm(k, p[f"{a}.keyNorm.scale"]), side, prefix, tokens)
        weights = torch.softmax(torch.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(width // heads), -1)
        mixed = torch.einsum("bhij,bjhd->bihd", weights, v).flatten(2)
        x = x + mixed @ p[f"{a}.output.weight"] * p[f"{a}.gate"]
        h = rms_norm(x, p[f"{m}.norm.scale"])
        h = nn.silu(h @ p[f"{m}.activation.weight"]) * (h @ p[f"{m}.up.weight"])
        x = x + h @ p[f"{m}.down.weight"] * p[f"{m}.gate"]
    x = rms_norm(x[:, prefix:], p["finalNorm.scale"]).unflatten(1, (-1, tokens)).flatten(2)  # [B, n n, m D]
    if c["head"] == "linear":
        return from_patches(x @ p["head.weight"] + p["head.bias"], c["imageSize"] // side)
    x = from_patches(x @ p["head.tokens.weight"] + p["head.tokens.bias"], 2 * c["patchSize"])
    for stage in range(len(head_channels(c))):
        name = f"head.stages.{stage}"
        if stage:
            x = conv2d(p, f"{name}.enter", x)
            x = from_patches(x.flatten(1, 2), 2)
        for block in head_blocks(c, stage):
            x = x + conv2d(p, f"{block}.second", nn.silu(conv2d(p, f"{block}.first", nn.silu(x))))
    return conv2d(p, "head.image", nn.silu(x))


cases = []
for c in CASES:
    parameters = make_parameters(c)
    latent = (2, c["latentSize"], c["latentSize"], c["latentChannels"])
    z, direction, pull = draw(*latent), draw(*latent), draw(2, c["imageSize"], c["imageSize"], 3)
    r, y = torch.tensor([0.25, 0.0]), torch.tensor([1, c["classes"]])  # the second has no class
    image, tangent = torch.func.jvp(lambda latents: network(c, parameters, latents, r, y), (z,), (direction,))
    leaves = {name: value.clone().requires_grad_() for name, value in (parameters | {"z": z}).items()}
    (network(c, leaves, leaves["z"], r, y) * pull).sum().backward()
    gradients = all_packed({name: leaf.grad for name, leaf in leaves.items()})
    inputs = {"z": packed(z), "r": r.tolist(), "y": y.tolist(), "direction": packed(direction), "pull": packed(pull)}
    cases.append({"config": c, "parameters": all_packed(parameters), **inputs,
                  "F": packed(image), "tangent": packed(tangent), "gradients": gradients})

pathlib.Path(__file__).with_name("network.json").write_text(json.dumps({"cases": cases}, separators=(",", ":")) + "\n")
