"""Makes metric-peers.json: Frechet distance, kernel distance, precision and recall, density and coverage and the Inception score by the field's own
programs, on features that both sides make alike (seeded_weights.py).

Needs torch 2.13.0, numpy 2.4.6, scipy 1.17.1, torch-fidelity 0.4.0, clean-fid 0.1.35, prdc 0.2, scikit-learn. Run: python metric_peers.py
"""
import json
import pathlib
import sys
from unittest.mock import MagicMock

import torch

sys.modules["torchvision"] = MagicMock()  # torch-fidelity's and clean-fid's loaders import it; their arithmetic does not
for name in ("transforms", "models", "io", "transforms.functional", "utils", "datasets"):
    sys.modules[f"torchvision.{name}"] = MagicMock()
import numpy as np
from cleanfid.fid import frechet_distance
from prdc import compute_prdc
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kernel_mmd
from torch_fidelity.metric_prc import calculate_precision_recall_full

from seeded_weights import uniform


def features(name, count, dimension, scale, shift):
    return np.float32(scale) * uniform(name, count * dimension).reshape(count, dimension) + np.float32(shift)


real, fake = features("real", 120, 16, 1.0, 0.0), features("fake", 120, 16, 0.9, 0.1)
logits = torch.from_numpy(features("logits", 103, 20, 3.0, 0.0))
statistics = [fid_features_to_statistics(torch.from_numpy(f)) for f in (fake, real)]
options = dict(kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1.0)
precision, recall = calculate_precision_recall_full(torch.from_numpy(fake), torch.from_numpy(real), neighborhood=3)
score = isc_features_to_metric(logits, splits=10, shuffle=False)
golden = {
    "torch-fidelity": {
        "frechetDistance": float(list(fid_statistics_to_metric(*statistics, False).values())[0]),
        "kernelDistance": float(kernel_mmd(fake.astype(np.float64), real.astype(np.float64), **options)),
        "precision": float(precision),
        "recall": float(recall),
        "inceptionScore": {"value": score["inception_score_mean"], "standardDeviation": score["inception_score_std"]},
    },
    "clean-fid": {"frechetDistance": float(frechet_distance(fake.mean(0), np.cov(fake, rowvar=False), real.mean(0), np.cov(real, rowvar=False)))},
    "prdc": {name: float(value) for name, value in compute_prdc(real, fake, 5).items()},
}
pathlib.Path(__file__).with_name("metric-peers.json").write_text(json.dumps(golden, indent=1) + "\n")
print(json.dumps(golden))
