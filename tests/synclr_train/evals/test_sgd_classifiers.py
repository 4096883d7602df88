"""All learning rates trained at once are each trained alone by torch's own modules, step by step."""

import torch
from torch import nn

from synclr_train.evals.sgd_classifiers import SgdClassifiers

RATES = [0.01, 0.5, 4.0]
NUM_STEPS = 12


def batches(num_dims: int, num_classes: int):
    draws = torch.Generator().manual_seed(1)
    for _ in range(NUM_STEPS):
        yield (
            3 * torch.randn(16, num_dims, generator=draws) + 1,
            torch.randint(0, num_classes, (16,), generator=draws),
        )


def trained_alone(rate: float, first: torch.Tensor):
    linear = nn.Linear(*first.shape)
    with torch.no_grad():
        linear.weight.copy_(first.T)
        linear.bias.zero_()
    model = nn.Sequential(nn.BatchNorm1d(first.shape[0], affine=False, eps=1e-6), linear)
    optimiser = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, NUM_STEPS, eta_min=0)
    losses = []
    for features, labels in batches(*first.shape):
        loss = nn.functional.cross_entropy(model(features), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(float(loss))
    return model.eval(), losses


def test_each_rate_is_trained_as_if_alone():
    together = SgdClassifiers(
        7,
        4,
        RATES,
        num_steps=NUM_STEPS,
        momentum=0.9,
        batch_norm=True,
        generator=torch.Generator().manual_seed(0),
    )
    first = together.weights[0].clone()
    losses = torch.stack([together.train_batch(*batch) for batch in batches(7, 4)])
    queries = torch.randn(20, 7, generator=torch.Generator().manual_seed(5))
    for number, rate in enumerate(RATES):
        alone, expected = trained_alone(rate, first)
        torch.testing.assert_close(losses[:, number], torch.tensor(expected), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(together.weights[number], alone[1].weight.T, atol=1e-4, rtol=1e-4)
        assert torch.equal(together.predict([queries])[number], alone(queries).argmax(-1))
    assert float((together.weights[0] - together.weights[1]).abs().max()) > 0.01
