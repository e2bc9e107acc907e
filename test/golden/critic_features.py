"""Makes critic-features.json: scores of the critic's heads on frozen features, and the gradients of mean softplus(whole) + mean softplus(patches) in the
features and the weights, by PyTorch in double precision.

Needs torch 2.13.0, numpy 2.4.6. Run: python critic_features.py
"""
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as nn

from packing import all_packed, packed

torch.set_default_dtype(torch.float64)
random = np.random.default_rng(29)


def draw(*shape, scale=1.0):
    """Numbers that float32 holds exactly, so that both sides start from the same ones."""
    return torch.tensor((random.normal(size=shape) * scale).astype(np.float32).astype(np.float64))


BATCH, CLASSES, CHANNELS = 3, 2, 4
LEVELS = [[12, 12, 3], [6, 6, 5], [3, 3, 6]]
HALVINGS = [2, 1, 0]  # down to the 3 x 3 of the deepest level
features = [draw(BATCH, *level, scale=scale) for level, scale in zip(LEVELS, [5.0, 1.0, 0.2])]
labels = torch.tensor([0, 1, 2])

weights = {}


def filters(name, size, source):
    weights[f"{name}.weight"] = draw(size, size, source, CHANNELS, scale=(2 / (size * size * source)) ** 0.5)
    weights[f"{name}.bias"] = draw(CHANNELS, scale=0.1)


def head(name):
    weights[f"{name}.weight"] = draw(CHANNELS, 1, scale=CHANNELS**-0.5)
    weights[f"{name}.bias"] = draw(1, scale=0.1)
    weights[f"{name}.classEmbedding"] = draw(CLASSES + 1, CHANNELS)


for level, halvings in enumerate(HALVINGS):
    filters(f"levels.{level}.mix", 1, LEVELS[level][2])
    for halving in range(halvings):
        filters(f"levels.{level}.halvings.{halving}", 4, CHANNELS)
    filters(f"levels.{level}.context", 3, CHANNELS)
    head(f"levels.{level}.score")
head("whole")


def layer(p, name, x, stride=1):
    """The convolution with TensorFlow's "same" padding: on an even side, stride 2 and kernel 4 that is one pixel on each side."""
    weight = p[f"{name}.weight"].permute(3, 2, 0, 1)
    return nn.leaky_relu(nn.conv2d(x, weight, p[f"{name}.bias"], stride=stride, padding=(weight.shape[-1] - 1) // 2), 0.2)


def judge(p, name, found):
    projection = torch.einsum("bnc,bc->bn", found, p[f"{name}.classEmbedding"][labels]) / CHANNELS**0.5
    return found @ p[f"{name}.weight"][:, 0] + p[f"{name}.bias"] + projection


def critic(p, levels):
    patches = []
    for level, (x, halvings) in enumerate(zip(levels, HALVINGS)):
        x = x / (x.square().mean((1, 2, 3), keepdim=True) + 1e-6).sqrt()
        x = layer(p, f"levels.{level}.mix", x.permute(0, 3, 1, 2))
        for halving in range(halvings):
            x = layer(p, f"levels.{level}.halvings.{halving}", x, 2)
        x = layer(p, f"levels.{level}.context", x).permute(0, 2, 3, 1)
        patches.append(judge(p, f"levels.{level}.score", x.flatten(1, 2)))
    return judge(p, "whole", x.mean((1, 2))[:, None]), torch.cat(patches, 1)


inputs = [level.clone().requires_grad_() for level in features]
p = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
whole, patches = critic(p, inputs)
(nn.softplus(whole).mean() + nn.softplus(patches).mean()).backward()
golden = {
    "config": {"levels": LEVELS, "classes": CLASSES, "channels": CHANNELS}, "levels": [packed(level) for level in features], "weights": all_packed(weights),
    "y": labels.tolist(), "whole": packed(whole.detach()), "patches": packed(patches.detach()),
    "gradients": {"levels": [packed(level.grad) for level in inputs], "weights": all_packed({name: weight.grad for name, weight in p.items()})},
}
pathlib.Path(__file__).with_name("critic-features.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
