"""Makes resize.json: resizing by PyTorch, by Pillow on floating-point pixels (clean-fid's rule) and as TensorFlow 1 did it (by torch-fidelity).

Needs torch 2.13.0, numpy 2.4.6, pillow 13.0.0, torch-fidelity 0.4.0. Run: python resize.py
"""
import importlib.util
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

# The one file, since the package imports torchvision.
package = pathlib.Path(importlib.util.find_spec("torch_fidelity").origin).parent
spec = importlib.util.spec_from_file_location("interpolation", package / "interpolate_compat_tensorflow.py")
interpolation = importlib.util.module_from_spec(spec)
spec.loader.exec_module(interpolation)

random = np.random.default_rng(3)
cases = []
for method, size, target in [
    ("bicubic", (6, 5), (13, 9)), ("bicubic", (11, 9), (4, 5)), ("bicubic", (4, 12), (8, 5)),
    ("bilinear", (6, 5), (13, 9)), ("bilinear", (11, 9), (4, 5)), ("bilinear", (7, 7), (7, 3)),
]:
    images = np.float32(random.uniform(-1, 1, (2, *size, 3)))
    resized = F.interpolate(torch.from_numpy(images).double().permute(0, 3, 1, 2), size=target, mode=method, antialias=True, align_corners=False)
    cases.append({
        "method": method,
        "size": size,
        "target": target,
        "images": [float(v) for v in images.reshape(-1)],
        "resized": [float(f"{v:.9g}") for v in resized.permute(0, 2, 3, 1).reshape(-1).tolist()],
    })


def add(method, images, target, resized, by):
    flat = [float(v) for v in np.asarray(images).reshape(-1)]
    cases.append({"by": by, "method": method, "size": list(images.shape[1:3]), "target": target, "images": flat, "resized": [float(f"{v:.9g}") for v in np.asarray(resized).reshape(-1).tolist()]})


filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
for method, size, target in [("bicubic", (8, 6), (13, 11)), ("bicubic", (13, 9), (4, 5)), ("bilinear", (8, 6), (5, 11))]:
    images = np.float32(random.uniform(0, 255, (2, *size, 3)))
    resized = [np.stack([np.asarray(Image.fromarray(image[:, :, c]).resize((target[1], target[0]), filters[method])) for c in range(3)], -1) for image in images]
    add(method, images, target, resized, "Pillow")
for method, size, target in [("bilinear-tensorflow1", (8, 6), (13, 11)), ("bilinear-tensorflow1", (13, 9), (4, 5)), ("bicubic-sampled", (8, 6), (13, 11)), ("bicubic-sampled", (13, 9), (4, 5))]:
    images = np.float32(random.uniform(-1, 1, (2, *size, 3)))
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    if method == "bicubic-sampled":
        resized = F.interpolate(x.double(), size=target, mode="bicubic", align_corners=False)
    else:
        resized = interpolation.interpolate_bilinear_2d_like_tensorflow1x(x, size=target, align_corners=False)
    add(method, images, target, resized.permute(0, 2, 3, 1), "PyTorch" if method == "bicubic-sampled" else "torch-fidelity")
pathlib.Path(__file__).with_name("resize.json").write_text(json.dumps({"torch": torch.__version__, "cases": cases}) + "\n")
