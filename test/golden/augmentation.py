"""Makes augmentation.json: images recoloured, moved and partly covered as in Zhao et al. (arXiv 2006.10738), image by image and pixel by pixel, and the
gradient of a weighted sum of the result in the images, by PyTorch in double precision.

Needs torch 2.13.0, numpy 2.4.6. Run: python augmentation.py
"""
import json
import pathlib

import numpy as np
import torch

from packing import packed

torch.set_default_dtype(torch.float64)
random = np.random.default_rng(31)


def draw(*shape):
    return torch.tensor(random.normal(size=shape).astype(np.float32).astype(np.float64))


def recoloured(image, brightness, saturation, contrast):
    image = image + (brightness - 0.5)
    grey = image.mean(2, keepdim=True)
    image = grey + (image - grey) * (2 * saturation)
    return image.mean() + (image - image.mean()) * (contrast + 0.5)


def moved(image, down, right):
    height, width, channels = image.shape
    rows = [torch.zeros(width, channels) if not 0 <= row - down < height else image[row - down] for row in range(height)]
    image = torch.stack(rows)
    return torch.stack([torch.zeros(height, channels) if not 0 <= column - right < width else image[:, column - right] for column in range(width)], 1)


def covered(image, row, column):
    size = image.shape[0]
    side = int(size / 2 + 0.5)
    keep = torch.ones(size, size, 1)
    top, left = row - side // 2, column - side // 2
    keep[max(0, top):max(0, top + side), max(0, left):max(0, left + side)] = 0
    return image * keep


cases = []
# An even and an odd side of the covered square; squares that hang over each edge.
for size, cutouts in [(8, [[0, 8, 4], [8, 0, 3]]), (10, [[0, 9, 5], [9, 0, 2]])]:
    batch = 3
    images, weights = draw(batch, size, size, 3), draw(batch, size, size, 3)
    colours = random.uniform(size=(3, batch)).astype(np.float32)
    shifts = [[1, -1, 0], [0, -1, 1]]
    leaf = images.clone().requires_grad_()
    result = torch.stack([
        covered(moved(recoloured(leaf[i], *(float(value) for value in colours[:, i])), shifts[0][i], shifts[1][i]), cutouts[0][i], cutouts[1][i])
        for i in range(batch)
    ])
    (result * weights).sum().backward()
    cases.append({
        "images": packed(images), "weights": packed(weights), "colours": packed(torch.tensor(colours)), "shifts": shifts, "cutouts": cutouts,
        "result": packed(result), "gradient": packed(leaf.grad),
    })
pathlib.Path(__file__).with_name("augmentation.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")
