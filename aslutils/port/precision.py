"""Precisions of a TFLite model, layer by layer: its weights rewritten as float16 or int8 in the finished file.

The converter quantises a model as a whole; here the name of a weight's layer decides.

- float16: the weight is stored in half precision and widened when the model is loaded; computing stays float32.
- int8 (of products only): one scale a row, symmetric; the runtime quantises each row of the activations as it comes
  ("dynamic range"), so it is faster as well as smaller.
"""

import re

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

LAYER = re.compile(r"network\d+\.[\w.]+/")   # such as network0.encoder.blocks.3.feed_forward1.linear2/
SMALLEST = 256                     # elements; smaller weights stay float32, and so do vectors and tables that no layer owns
INT8_VERSION = 12                  # of FULLY_CONNECTED, with one scale a row
DEQUANTIZE_VERSION = 3             # that takes float16


def unpack(content: bytes) -> schema.ModelT:
    """A TFLite file as objects."""
    return schema.ModelT.InitFromPackedBuf(content, 0)


def pack(model: schema.ModelT) -> bytes:
    """The TFLite file of `unpack`'s objects."""
    builder = flatbuffers.Builder(sum(buffer.data.size for buffer in model.buffers if buffer.data is not None) + 2**20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def sign(model: schema.ModelT, name: str, inputs: list[str], outputs: list[str]):
    """Give the model one signature: the names of the main graph's inputs and outputs, in their order."""
    def named(names, tensors):
        return [_filled(schema.TensorMapT(), name=name, tensorIndex=tensor) for name, tensor in zip(names, tensors, strict=True)]

    main = model.subgraphs[0]
    model.signatureDefs = [_filled(schema.SignatureDefT(), signatureKey=name, subgraphIndex=0,
                                   inputs=named(inputs, main.inputs), outputs=named(outputs, main.outputs))]


def rewrite(content: bytes, precision_of) -> bytes:
    """A float32 TFLite file with the precisions that `set_precisions` sets."""
    model = unpack(content)
    set_precisions(model, precision_of)
    return pack(model)


def set_precisions(model: schema.ModelT, precision_of) -> dict[str, str]:
    """Rewrite the float32 weights of the networks' layers that have two axes or more and at least 256 elements.

    precision_of(name) returns float32, float16 or int8; int8 where it is not possible (anything but a product's weight)
    becomes float16. Returns name -> precision, as chosen.
    """
    chosen = {}
    for graph in model.subgraphs:
        products, layers = _products(model, graph), _layers(graph)
        for index, tensor in enumerate(list(graph.tensors)):
            data = model.buffers[tensor.buffer].data
            small = data is None or len(tensor.shape) < 2 or len(data) < 4 * SMALLEST
            if tensor.type != schema.TensorType.FLOAT32 or small or index not in layers:
                continue
            name = layers[index]
            tensor.name = f"{name}weight".encode()
            precision = precision_of(name)
            if precision == "int8" and index not in products:
                precision = "float16"
            if precision == "int8":
                _to_int8(model, tensor, products[index])
            elif precision == "float16":
                _to_float16(model, graph, index)
            elif precision != "float32":
                raise ValueError(f"precision {precision!r} for {name}; expected float32, float16 or int8")
            chosen[name] = precision
    _drop_unused(model)
    return chosen


def _drop_unused(model):
    """Drop what is not needed: buffers that no tensor uses any more or that are empty, and blank quantisations."""
    kept, numbers = [schema.BufferT()], {}                # the format wants the first to be empty
    owners = [tensor for graph in model.subgraphs for tensor in graph.tensors] + list(model.metadata or [])
    for owner in owners:
        buffer = model.buffers[owner.buffer]
        if buffer.data is None or not len(buffer.data):
            owner.buffer = 0
            continue
        if owner.buffer not in numbers:
            numbers[owner.buffer] = len(kept)
            kept.append(buffer)
        owner.buffer = numbers[owner.buffer]
    model.buffers = kept
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if tensor.quantization is not None and tensor.quantization.scale is None:
                tensor.quantization = None


def _layers(graph) -> dict[int, str]:
    """Tensor -> the layer that first reads it, from the name of the reading operator's output: the last layer in it, as an
    operator may also have the names of layers that were fused into it. (A weight's own name shows it with some versions of
    TensorFlow only; 2.20 calls many `arith.constant`.)"""
    layers = {}
    for operator in graph.operators:
        named = LAYER.findall(graph.tensors[operator.outputs[0]].name.decode())
        for tensor in operator.inputs if named else ():
            layers.setdefault(tensor, named[-1])
    return layers


def _products(model, graph) -> dict[int, list]:
    """Weight tensor -> the FULLY_CONNECTED operators that read it, where nothing else does."""
    products, others = {}, set(graph.outputs)
    for operator in graph.operators:
        reads = list(operator.inputs)
        if model.operatorCodes[operator.opcodeIndex].builtinCode == schema.BuiltinOperator.FULLY_CONNECTED:
            products.setdefault(reads.pop(1), []).append(operator)
        others.update(reads)
    return {tensor: operators for tensor, operators in products.items() if tensor not in others}


def _to_int8(model, tensor, operators):
    weight = model.buffers[tensor.buffer].data.view(np.float32).reshape(tensor.shape)      # (out, in)
    scale = np.abs(weight).max(axis=1) / 127
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    tensor.buffer = _buffer(model, np.clip(np.rint(weight / scale[:, None]), -127, 127).astype(np.int8))
    tensor.type = schema.TensorType.INT8
    tensor.quantization = _filled(schema.QuantizationParametersT(), scale=scale, quantizedDimension=0,
                                  zeroPoint=np.zeros(len(scale), np.int64))
    for operator in operators:
        operator.opcodeIndex = _operator_code(model, schema.BuiltinOperator.FULLY_CONNECTED, INT8_VERSION)
        operator.builtinOptions.asymmetricQuantizeInputs = True


def _to_float16(model, graph, index):
    """Insert a float16 copy of the tensor, and a DEQUANTIZE from the copy to the tensor, before it is first read."""
    tensor = graph.tensors[index]
    half = _filled(schema.TensorT(), name=tensor.name + b";float16", shape=tensor.shape, type=schema.TensorType.FLOAT16,
                   buffer=_buffer(model, model.buffers[tensor.buffer].data.view(np.float32).astype(np.float16)))
    tensor.buffer = 0                                                                      # in the format: no data
    graph.tensors.append(half)
    first = next(place for place, operator in enumerate(graph.operators) if index in operator.inputs)
    graph.operators.insert(first, _filled(
        schema.OperatorT(), inputs=[len(graph.tensors) - 1], outputs=[index],
        opcodeIndex=_operator_code(model, schema.BuiltinOperator.DEQUANTIZE, DEQUANTIZE_VERSION),
        builtinOptionsType=schema.BuiltinOptions.DequantizeOptions, builtinOptions=schema.DequantizeOptionsT()))


def _buffer(model, values: np.ndarray) -> int:
    """The number of a buffer with these values; the one that holds them already, if any."""
    data = np.frombuffer(values.tobytes(), np.uint8)
    for number, buffer in enumerate(model.buffers):
        if buffer.data is not None and len(buffer.data) == len(data) and np.array_equal(buffer.data, data):
            return number
    model.buffers.append(_filled(schema.BufferT(), data=data))
    return len(model.buffers) - 1


def _operator_code(model, operator: int, version: int) -> int:
    """The number of an operator at a version among those that the model names."""
    for number, code in enumerate(model.operatorCodes):
        if code.builtinCode == operator and code.version == version:
            return number
    model.operatorCodes.append(_filled(schema.OperatorCodeT(), builtinCode=operator, version=version,
                                       deprecatedBuiltinCode=min(operator, 127)))
    return len(model.operatorCodes) - 1


def _filled(value, **fields):
    """A schema object with its fields set."""
    for name, field in fields.items():
        setattr(value, name, field)
    return value
