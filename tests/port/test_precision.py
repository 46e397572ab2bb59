"""Weights rewritten in a finished TFLite file."""

import numpy as np
import pytest
from toys import made_columns

from aslutils.port import export, precision
from aslutils.port.layers import Linear
from aslutils.reading.tflite import Model

pytestmark = pytest.mark.slow


def weights(content: bytes) -> dict[str, int]:
    """Name -> type of the constants."""
    model = precision.unpack(content)
    return {tensor.name.decode(): tensor.type for graph in model.subgraphs for tensor in graph.tensors
            if model.buffers[tensor.buffer].data is not None}


def test_packing_what_was_unpacked_keeps_the_models_answers(exported):
    again = precision.pack(precision.unpack(exported))
    inputs = made_columns(50, seed=5)
    np.testing.assert_array_equal(Model(again)(inputs)["outputs"], Model(exported)(inputs)["outputs"])


@pytest.mark.parametrize(("name", "smaller"), [("float16", 0.85), ("mixed", 0.8), ("int8", 0.75)])
def test_a_lower_precision_is_a_smaller_file_with_nearly_the_same_logits(exported, name, smaller):
    content = export.with_precision(exported, name)
    assert len(content) < smaller * len(exported)
    inputs = made_columns(50, seed=6)
    expected, found = Model(exported)(inputs)["outputs"][0], Model(content)(inputs)["outputs"][0]
    np.testing.assert_allclose(found, expected, atol=0.01 if name == "float16" else 0.5)


def test_each_layers_name_decides_its_precision(exported):
    model = precision.unpack(exported)
    rule = lambda name: "int8" if "linear1" in name else "float16" if "stem" in name else "float32"
    chosen = precision.set_precisions(model, rule)
    kinds = weights(precision.pack(model))
    assert {"int8", "float16", "float32"} == set(chosen.values())
    for name, kind in chosen.items():
        stored = kinds[f"{name}weight;float16" if kind == "float16" else f"{name}weight"]
        assert stored == {"int8": 9, "float16": 1, "float32": 0}[kind]


def test_each_weight_bears_the_name_of_the_layer_it_came_from(ensemble, exported):
    layers = {layer.path: layer.weight for layer in export.Ensemble(ensemble).submodules if isinstance(layer, Linear)}
    model, found = precision.unpack(exported), set()
    precision.set_precisions(model, export.PRECISIONS["float32"])
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            path, _, kind = tensor.name.decode().rpartition("/")
            if kind == "weight" and path in layers:
                values = model.buffers[tensor.buffer].data.view(np.float32).reshape(tensor.shape)
                # The converter multiplies the columns by the scale of a LayerNorm before.
                one, other = (each / np.linalg.norm(each, axis=0) for each in (values, layers[path]))
                np.testing.assert_allclose(one, other, atol=1e-5, err_msg=path)
                found.add(path)
    assert found == {path for path, weight in layers.items() if weight.size >= precision.SMALLEST}


def test_a_weight_without_a_name_of_its_own_is_known_by_its_layer(exported):
    nameless = precision.unpack(exported)                 # as TensorFlow 2.20 leaves many
    for graph in nameless.subgraphs:
        for tensor in graph.tensors:
            if nameless.buffers[tensor.buffer].data is not None:
                tensor.name = b"arith.constant"
    mixed = export.PRECISIONS["mixed"]
    chosen = precision.set_precisions(nameless, mixed)
    assert chosen == precision.set_precisions(precision.unpack(exported), mixed) and len(set(chosen.values())) == 3


def test_an_int8_weight_is_within_half_a_step_of_its_row(exported):
    before, after = precision.unpack(exported), precision.unpack(export.with_precision(exported, "int8"))
    compared = 0
    for graph, smaller in zip(before.subgraphs, after.subgraphs, strict=True):
        for tensor, small in zip(graph.tensors, smaller.tensors):
            if small.type == 9:
                compared += 1
                expected = before.buffers[tensor.buffer].data.view(np.float32).reshape(tensor.shape)
                scale = np.asarray(small.quantization.scale)[:, None]
                found = after.buffers[small.buffer].data.view(np.int8).reshape(tensor.shape) * scale
                assert (np.abs(found - expected) <= scale / 2 + 1e-7).all()
    assert compared > 20


def test_an_unknown_precision_is_named(exported):
    with pytest.raises(ValueError, match="bfloat16.*float32, float16"):
        export.with_precision(exported, "bfloat16")
