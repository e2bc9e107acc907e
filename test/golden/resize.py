"""Makes resize.json: antialiased resizing by PyTorch.

Needs torch 2.13.0, numpy 2.4.6. Run: python resize.py
"""
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

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
pathlib.Path(__file__).with_name("resize.json").write_text(json.dumps({"torch": torch.__version__, "cases": cases}) + "\n")
