"""Makes checkpoint-zip.pth and checkpoint-legacy.pth: one small state dictionary in both formats that torch.save writes.

Needs torch 2.13.0. Run: python pytorch_checkpoint.py
"""
import collections
import pathlib

import torch

FOLDER = pathlib.Path(__file__).parent
base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4) / 8
state = collections.OrderedDict(
    plain=base,
    transposed=base.permute(2, 0, 1),  # a strided view of the same storage
    row=base[1, 2],  # an offset into it
    half=torch.tensor([1.5, -2.0, 6e-8, 65504.0], dtype=torch.float16),
    bfloat16=torch.tensor([1.0, -3.0, 1e30], dtype=torch.bfloat16),
    double=torch.tensor([0.1, -0.2], dtype=torch.float64),
    long=torch.tensor([2**40, -1]),
    byte=torch.tensor([0, 255], dtype=torch.uint8),
    scalar=torch.tensor(7, dtype=torch.int32),
    parameter=torch.nn.Parameter(torch.tensor([2.5])),
)
model = torch.nn.Linear(2, 1)
with torch.no_grad():
    model.weight.copy_(torch.tensor([[1.0, 2.0]]))
    model.bias.copy_(torch.tensor([3.0]))
checkpoint = {"state_dict": state, "model": model.state_dict(), "epoch": 3, "note": "small", "rate": 0.5}
torch.save(checkpoint, FOLDER / "checkpoint-zip.pth")
torch.save(checkpoint, FOLDER / "checkpoint-legacy.pth", _use_new_zipfile_serialization=False)
