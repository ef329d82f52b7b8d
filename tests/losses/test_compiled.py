"""``torch.compile`` takes the whole loss in one graph; in a process of its own, without the run-time type checks."""

import subprocess
import sys

_PROLOGUE = """
import torch
from coteach import CoTeachingLoss, SoftLabelWeightedCELoss

generator = torch.Generator().manual_seed(0)
scores = [torch.randn(2, 3, 8, 8, generator=generator) for _ in range(2)]
target = {"mask": torch.rand(2, 3, 8, 8).softmax(1), "w_conf": torch.rand(2, 1, 8, 8)}
features = torch.rand(2, 3, 8, 8, generator=generator)

def compare(step):
    results = []
    for run in (step, torch.compile(step, fullgraph=True, backend="aot_eager")):
        leaves = [z.clone().requires_grad_() for z in scores]
        value = run(*leaves)
        value.backward()
        results.append((value.detach(), [leaf.grad for leaf in leaves]))
    torch.testing.assert_close(results[0], results[1])
    assert all(gradient.abs().sum() > 0 for gradient in results[0][1])
"""
_CO_TEACHING = """
for options in ({"lambda_reg": 0.0}, {}, {"retain_by": "image", "balance": "sample"}, {"retain_by": "set"}):
    loss = CoTeachingLoss("cot", 3, **options)
    loss.current_epoch = 7
    def step(a, b):
        if loss.running is not None:
            loss.running.histogram.zero_()  # both runs see the first batch
        return loss.compute({"logits_a": a, "logits_b": b, "features": features}, target)
    compare(step)
"""
_SOFT = """
loss = SoftLabelWeightedCELoss("ce", 3)
compare(lambda a, b: loss.compute(a, target) + loss.compute(b, target))
"""


def test_in_one_graph():
    program = _PROLOGUE + _CO_TEACHING + _SOFT
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
