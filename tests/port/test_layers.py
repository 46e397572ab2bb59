"""The port's building blocks against PyTorch's."""

import numpy as np
import pytest
import torch

from aslutils.model.layers import MaskedBatchNorm
from aslutils.port.layers import LayerNorm, Linear, folded


def rows(*shape) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_folds_the_scale_and_shift_of_its_input(bias):
    layer, scale, shift = torch.nn.Linear(8, 5, bias=bias), rows(8) + 2, rows(8)
    x = rows(4, 8)
    expected = layer(torch.from_numpy(x * scale + shift)).detach().numpy()
    np.testing.assert_allclose(Linear.of(layer, scale=scale, shift=shift, name="linear")(x), expected, atol=1e-5)


def test_layer_norm_is_pytorchs():
    norm, x = torch.nn.LayerNorm(8), rows(4, 8) * 3 + 1
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    np.testing.assert_allclose(LayerNorm(norm)(x), norm(torch.from_numpy(x)).detach().numpy(), atol=1e-5)


def test_batch_norm_folds_into_a_scale_and_a_shift():
    norm, x = MaskedBatchNorm(8).eval(), rows(1, 4, 8)
    for values in norm.state_dict().values():
        values.uniform_(0.5, 2)
    scale, shift = folded(norm)
    expected = norm(torch.from_numpy(x), torch.ones(1, 4, dtype=torch.bool)).detach().numpy()
    np.testing.assert_allclose(x * scale + shift, expected, atol=1e-5)
