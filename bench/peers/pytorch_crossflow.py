"""The network F(z_t, r, y), the critic, the frozen features and the encoder in PyTorch.

Written as functions of (weights by name, inputs), with the names of the TypeScript package. Images and latents come in and go
out as [B, H, W, C]; convolutions see them as [B, C, H, W] in channels_last memory, which is the same memory. Linear weights
are [outputs, inputs] and convolutions [outputs, inputs, k, k], as PyTorch has them.
"""

import math

import torch
import torch.nn.functional as nn

TIME_FEATURES = 64
CRITIC_PATCH = 8


def from_package(name, array):
    """A weight of the package (linear [inputs, outputs], convolution [k, k, inputs, outputs]) in PyTorch's layout."""
    tensor = torch.from_numpy(array.copy())
    if not name.endswith(".weight"):
        return tensor
    if tensor.dim() == 2:
        return tensor.t().contiguous()
    if name.endswith("depthwise.weight"):  # [k, k, channels, 1]
        return tensor.permute(2, 3, 0, 1).contiguous()
    return tensor.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


def to_package(name, tensor):
    """The inverse of from_package(), as a numpy array."""
    tensor = tensor.detach()
    if name.endswith(".weight"):
        tensor = tensor.t() if tensor.dim() == 2 else tensor.permute(2, 3, 1, 0)
    return tensor.contiguous().numpy()


def rotary_table(side, prefix, head_size, base=100):
    """Cosines and sines [1, N, 1, d / 2] of the two-dimensional rotary embedding; prefix tokens are not turned."""
    quarter = head_size // 4
    frequency = base ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = torch.cat([rows.reshape(-1, 1) * frequency, columns.reshape(-1, 1) * frequency], 1)
    angles = torch.cat([torch.zeros(prefix, 2 * quarter, dtype=torch.float64), angles]).float()
    return angles.cos()[None, :, None, :], angles.sin()[None, :, None, :]


def rms_norm(x, scale, eps=1e-6):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * scale


def rotate(x, table):
    """x [B, N, heads, d]"""
    cosine, sine = table
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)


class Network:
    """F(z_t, r, y) of one configuration."""

    def __init__(self, config):
        self.config = config
        self.side = config["latentSize"] // config["patchSize"]
        self.prefix = config["classTokens"] + config["timeTokens"]
        self.table = rotary_table(self.side, self.prefix, config["width"] // config["heads"])
        half = TIME_FEATURES // 2
        self.frequencies = (100 * 1000 ** (-torch.arange(half, dtype=torch.float64) / (half - 1))).float()

    def __call__(self, p, z, r, y, fused=True):
        """z [B, h, w, c], r [B], y [B] -> images [B, H, W, 3]. fused: attention in PyTorch's one kernel, which has no forward mode."""
        c = self.config
        batch, width, side, patch = z.shape[0], c["width"], self.side, c["patchSize"]
        patches = z.reshape(batch, side, patch, side, -1).transpose(2, 3).reshape(batch, side * side, -1)
        if c["bottleneck"] > 0:
            patches = nn.linear(patches, p["patchEmbedding.bottleneck.weight"])
        image = nn.linear(patches, p["patchEmbedding.weight"], p["patchEmbedding.bias"])
        classes = nn.embedding(y, p["classEmbedding"])
        angles = r[:, None] * self.frequencies
        time = torch.cat([angles.sin(), angles.cos()], 1)
        time = nn.linear(nn.silu(nn.linear(time, p["timeEmbedding.first.weight"], p["timeEmbedding.first.bias"])), p["timeEmbedding.second.weight"], p["timeEmbedding.second.bias"])
        rows = [classes[:, None].expand(batch, c["classTokens"], width), time[:, None].expand(batch, c["timeTokens"], width), image]
        x = torch.cat([row.to(image.dtype) for row in rows], 1) + p["positionEmbedding"]
        for block in range(c["depth"]):
            x = x + self.attention(p, f"blocks.{block}.attention", x, fused)
            x = x + self.swiglu(p, f"blocks.{block}.mlp", x)
        x = rms_norm(x[:, self.prefix :], p["finalNorm.scale"])
        return self.linear_head(p, x) if c["head"] == "linear" else self.convolution_head(p, x)

    def attention(self, p, name, x, fused):
        batch, count, width = x.shape
        heads = self.config["heads"]
        joined = nn.linear(rms_norm(x, p[f"{name}.norm.scale"]), p[f"{name}.qkv.weight"])
        query, key, value = joined.reshape(batch, count, 3, heads, width // heads).unbind(2)
        query = rotate(rms_norm(query, p[f"{name}.queryNorm.scale"]), self.table).transpose(1, 2)
        key = rotate(rms_norm(key, p[f"{name}.keyNorm.scale"]), self.table).transpose(1, 2)
        value = value.transpose(1, 2)
        if fused:
            mixed = nn.scaled_dot_product_attention(query.to(value.dtype), key.to(value.dtype), value)
        else:
            scores = (query * (width // heads) ** -0.5) @ key.transpose(-1, -2)
            mixed = scores.softmax(-1).to(value.dtype) @ value
        return nn.linear(mixed.transpose(1, 2).reshape(batch, count, width), p[f"{name}.output.weight"]) * p[f"{name}.gate"]

    def swiglu(self, p, name, x):
        x = rms_norm(x, p[f"{name}.norm.scale"])
        hidden = nn.silu(nn.linear(x, p[f"{name}.activation.weight"])) * nn.linear(x, p[f"{name}.up.weight"])
        return nn.linear(hidden, p[f"{name}.down.weight"]) * p[f"{name}.gate"]

    def linear_head(self, p, x):
        """tokens [B, n n, D] -> [B, H, W, 3]"""
        size = self.config["imageSize"] // self.side
        x = nn.linear(x, p["head.weight"], p["head.bias"])
        return unpatchify(x, self.side, size)

    def convolution_head(self, p, x):
        """tokens [B, n n, D] -> [B, H, W, 3]"""
        x = nn.linear(x, p["head.tokens.weight"], p["head.tokens.bias"])
        x = unpatchify(x, self.side, 2 * self.config["patchSize"]).permute(0, 3, 1, 2)  # [B, C, 2 h, 2 w], channels_last
        stage = 0
        while f"head.stages.{stage}.first.weight" in p:
            name = f"head.stages.{stage}"
            if stage > 0:
                x = nn.conv2d(x, p[f"{name}.enter.weight"], p[f"{name}.enter.bias"])
                x = unpatchify(x.permute(0, 2, 3, 1).flatten(1, 2), x.shape[2], 2).permute(0, 3, 1, 2)  # channels to space
            inner = nn.silu(nn.conv2d(nn.silu(x), p[f"{name}.first.weight"], p[f"{name}.first.bias"], padding=1))
            x = x + nn.conv2d(inner, p[f"{name}.second.weight"], p[f"{name}.second.bias"], padding=1)
            stage += 1
        return nn.conv2d(nn.silu(x), p["head.image.weight"], p["head.image.bias"], padding=1).permute(0, 2, 3, 1)


def unpatchify(tokens, side, size):
    """[B, n n, p p C] -> [B, n p, n p, C]"""
    batch = tokens.shape[0]
    x = tokens.reshape(batch, side, side, size, -1).transpose(2, 3)
    return x.reshape(batch, side * size, side * size, -1)


def same_convolution(x, weight, bias, stride, groups=1):
    """A convolution with TensorFlow's "same" padding: what is left over goes to the right and below."""
    size = weight.shape[-1]
    total = [max((math.ceil(length / stride) - 1) * stride + size - length, 0) for length in x.shape[2:]]
    if all(pad % 2 == 0 for pad in total):
        return nn.conv2d(x, weight, bias, stride, (total[0] // 2, total[1] // 2), groups=groups)
    x = nn.pad(x, (total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2))
    return nn.conv2d(x, weight, bias, stride, groups=groups)


def critic(p, images, y):
    """images [B, H, W, 3] -> scores of the whole [B, 1] and of the patches [B, 64]"""
    stages = sum(name.startswith("stages.") and name.endswith(".weight") for name in p)
    x = images.permute(0, 3, 1, 2)
    layer = lambda x, stage: nn.leaky_relu(same_convolution(x, p[f"stages.{stage}.weight"], p[f"stages.{stage}.bias"], 1 if stage == 0 else 2), 0.2)
    for stage in range(stages - 1):
        x = layer(x, stage)
    pooled = (layer(x, stages - 1) * p["pooling"].permute(0, 3, 1, 2)).sum((2, 3))
    return judge(p, "whole", pooled[:, None], y), judge(p, "patch", x.flatten(2).transpose(1, 2), y)


def judge(p, name, features, y):
    """features [B, n, C] -> [B, n]"""
    row = nn.embedding(y, p[f"{name}.classEmbedding"])[:, :, None]
    projection = (features @ row) * features.shape[-1] ** -0.5
    return (nn.linear(features, p[f"{name}.weight"], p[f"{name}.bias"]) + projection)[..., 0]


def translations(shifts, height, width):
    """Matrices [B, to, from] that move images by rows and columns; shifts int [2, B]."""
    matrix = lambda offsets, size: (torch.arange(size)[None, :] - offsets[:, None])[:, :, None].eq(torch.arange(size)[None, None, :]).float()
    return matrix(shifts[0], height), matrix(shifts[1], width)


def translate(images, matrices):
    """images [B, H, W, C], moved; what comes in from outside is zero."""
    rows, columns = (matrix[: images.shape[0]] for matrix in matrices)
    batch, height, width, channels = images.shape
    moved = rows @ images.reshape(batch, height, width * channels)
    moved = moved.reshape(batch, height, width, channels).transpose(1, 2).reshape(batch, width, height * channels)
    return (columns @ moved).reshape(batch, width, height, channels).transpose(1, 2)


class Features:
    """EfficientNet-Lite0 up to its third stage, batch norms folded in; returns the outputs of stages 1 to 3."""

    # (index, stride, expands, residual) of the blocks of each stage
    STAGES = (((0, 1, False, False),), ((1, 2, True, False), (2, 1, True, True)), ((3, 2, True, False), (4, 1, True, True)))

    def __init__(self, p):
        self.p = {name: value for name, value in p.items() if name != "resize"}
        self.resize = p["resize"]  # [to, from]

    def __call__(self, images):
        p = self.p
        x = torch.einsum("ph,bhwc->bpwc", self.resize, images)
        x = torch.einsum("qw,bpwc->bpqc", self.resize, x)
        x = (x * (127.5 / 128) + 0.5 / 128).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        convolve = lambda x, name, stride=1, groups=1: same_convolution(x, p[f"{name}.weight"], p[f"{name}.bias"], stride, groups)
        x = nn.relu6(convolve(x, "stem", 2))
        levels = []
        for stage in self.STAGES:
            for index, stride, expands, residual in stage:
                name, entered = f"blocks.{index}", x
                if expands:
                    x = nn.relu6(convolve(x, f"{name}.expand"))
                x = nn.relu6(convolve(x, f"{name}.depthwise", stride, x.shape[1]))
                x = convolve(x, f"{name}.project")
                if residual:
                    x = x + entered
            levels.append(x)
        return levels


def encode(p, statistics, images):
    """The small autoencoder's encoder: images [B, H, W, 3] -> normalised latents [B, h, w, c]"""
    x = images.permute(0, 3, 1, 2)
    convolve = lambda x, name, stride=1: same_convolution(x, p[f"{name}.weight"], p[f"{name}.bias"], stride)
    x = nn.silu(convolve(x, "encoder.down.0", 2))
    x = convolve(x, "encoder.down.1", 2)
    blocks = sum(name.startswith("encoder.blocks.") and name.endswith(".weight") for name in p)
    for index in range(blocks):
        x = x + convolve(nn.silu(x), f"encoder.blocks.{index}")
    mean = convolve(nn.silu(x), "encoder.moments").permute(0, 2, 3, 1).chunk(2, -1)[0]
    return (mean - statistics["mean"]) / statistics["standardDeviation"]
