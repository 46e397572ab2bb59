"""Execute a notebook as papermill does, with its arguments, and end with the process that asked for it, however that ends."""

import sys

from papermill.cli import papermill

from aslutils.system.processes import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    sys.exit(papermill())
