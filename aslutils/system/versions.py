"""Versions of what the kit writes: raise one whenever the same parameters and inputs would give a different result."""

DEMO = 6                           # the demo's sequences
STORE = 2                          # the landmark store's files
TRAINING = 1                       # the final weights of a training, but for rounding
CHECKPOINT = 1                     # the layout of a checkpoint file
