"""Execute a notebook as papermill does, and end with the process that asked for it, however that ends.

`python -m aslutils.run.execute PROCESS NOTEBOOK OUTPUT ...`: the process to end with, then papermill's own arguments.
"""

import sys

from aslutils.system.processes import end_with_parent

if __name__ == "__main__":
    end_with_parent(int(sys.argv.pop(1)))         # first of all: importing papermill takes seconds

    from papermill.cli import papermill

    sys.exit(papermill())
