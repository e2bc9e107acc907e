"""Golden files for src/model/safetensors.ts, made by the format's own library.

pip install safetensors==0.8.0 torch==2.13.0 numpy==2.4.6; run in this folder: python safetensors_files.py
"""

import hashlib
import json

import numpy as np
import torch
from safetensors.torch import save_file

generator = np.random.default_rng(7)


def values(dtype, shape):
    if dtype == torch.bool:
        return torch.from_numpy(generator.integers(0, 2, shape).astype(bool))
    if dtype.is_floating_point:
        return torch.from_numpy(generator.normal(size=shape)).to(dtype)
    bounds = torch.iinfo(dtype)
    return torch.from_numpy(generator.integers(max(bounds.min, -(2**62)), min(bounds.max, 2**62), shape)).to(dtype)


dtypes = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "U64": torch.uint64, "I32": torch.int32, "U32": torch.uint32,
    "I16": torch.int16, "U16": torch.uint16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E8M0": torch.float8_e8m0fnu, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}
narrow = (torch.float8_e8m0fnu, torch.float8_e4m3fn, torch.float8_e5m2, torch.float16, torch.bfloat16, torch.float32)
tensors = {f"of.{name}": values(dtype, (2, 3)) for name, dtype in dtypes.items()}
tensors["scalar"] = torch.tensor(2.5)
tensors["empty"] = torch.zeros((0, 4), dtype=torch.uint8)
tensors["odd length"] = torch.tensor([1, 2, 3], dtype=torch.uint8)
tensors['quote " and é and 日本 \n'] = torch.tensor([0.1, -0.1])
tensors["10"] = torch.tensor([10.0])
tensors["9"] = torch.tensor([9.0])
save_file(tensors, "safetensors/all-dtypes.safetensors", {"made by": "safetensors 0.8.0, é\t"})
# The library writes several entries of metadata in no fixed order: this file is for reading alone.
save_file({}, "safetensors/metadata.safetensors", {"b": "2", "10": "", "a": "1", "9": "é"})
save_file({}, "safetensors/nothing.safetensors")


def widened(tensor):
    return tensor.to(torch.float32).flatten().tolist()


def as_text(tensor):
    return [str(value) for value in tensor.flatten().tolist()]


finite_halves = np.arange(65536, dtype=np.uint16).view(np.float16)
finite_halves = finite_halves[~np.isnan(finite_halves)]
bfloats = torch.arange(65536, dtype=torch.int32).to(torch.uint16).view(torch.bfloat16).to(torch.float32).numpy()
bfloats = bfloats[~np.isnan(bfloats)]

golden = {
    "versions": {"safetensors": "0.8.0", "torch": torch.__version__, "numpy": np.__version__},
    "tensors": {
        name: {"shape": list(tensor.shape), "values": widened(tensor) if tensor.dtype in narrow else as_text(tensor)}
        for name, tensor in tensors.items()
    },
    "sha256 of all float16 but NaN, widened": hashlib.sha256(finite_halves.astype(np.float32).tobytes()).hexdigest(),
    "sha256 of all bfloat16 but NaN, widened": hashlib.sha256(bfloats.tobytes()).hexdigest(),
    # null for NaN and infinity, which JSON lacks
    "all 8-bit floats, widened": {
        name: [value if np.isfinite(value) else None for value in torch.arange(256, dtype=torch.int32).to(torch.uint8).view(dtypes[name]).to(torch.float32).tolist()]
        for name in ("F8_E8M0", "F8_E4M3", "F8_E5M2")
    },
}
with open("safetensors/expected.json", "w") as file:
    json.dump(golden, file, indent=1)
