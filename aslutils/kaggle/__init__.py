"""Everything that talks to Kaggle: downloads, the kit's kernels, published data sets. `python -m aslutils kaggle --help`.

The official client runs as a separate command (`client.py`) and is never imported: importing it logs in, and exits the process
if that fails.
"""
