"""Makes paired_tests.json: paired tests and Student's intervals of differences by SciPy, Holm's correction by statsmodels.

Needs numpy 2.4.6, scipy 1.17.1, statsmodels 0.14.6. Run: python paired_tests.py
"""
import json
import pathlib

import numpy as np
import scipy
from scipy import stats
import statsmodels
from statsmodels.stats.multitest import multipletests

random = np.random.default_rng(5)
cases = []
for count, shift in [(2, 0.5), (3, 1.0), (5, 0.0), (5, 2.0), (8, 0.6), (12, -0.9), (40, 0.3)]:
    differences = random.normal(shift, 1, count)
    test = stats.ttest_rel(differences, np.zeros(count))
    interval = stats.t.interval(0.9, count - 1, differences.mean(), stats.sem(differences))
    case = {"differences": differences.tolist(), "statistic": float(test.statistic), "pValue": float(test.pvalue), "interval90": [float(v) for v in interval]}
    if count <= 12:
        flips = stats.permutation_test((differences, np.zeros(count)), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf)
        case["signFlip"] = float(flips.pvalue)
    cases.append(case)
families = [[0.01, 0.04, 0.03, 0.005], [0.2, 0.2, 0.001], [0.9], [0.04, 0.03, 0.02, 0.01, 0.5, 0.6]]
corrections = [{"pValues": p, "adjusted": multipletests(p, method="holm")[1].tolist()} for p in families]
golden = {"scipy": scipy.__version__, "statsmodels": statsmodels.__version__, "cases": cases, "holm": corrections}
pathlib.Path(__file__).with_name("paired_tests.json").write_text(json.dumps(golden) + "\n")
