"""The network in TensorFlow, file by file and layer by layer as in `aslutils.model`, and its export to TFLite.

The only room that imports TensorFlow. Layers take their weights from the PyTorch layer of the same name, in evaluation form:
one recording at a time, no padding, no dropout, normalisations folded into the weights next to them.
"""
