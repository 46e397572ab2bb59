"""Life on Kaggle: where am I, where is the data, what did an earlier session leave, and how results reach Kaggle.

Inside a notebook: `from aslutils import kaggle`, then `kaggle.where()`, `kaggle.find_data()`, `kaggle.adopt(run)`,
`kaggle.publish(folder)`. On the command line: `python -m aslutils.kaggle download|kernels|publish --help`.
Everything that talks to Kaggle goes through the official client as a command of its own (`client.py`), never by an import:
importing it logs in, and ends the process when that fails.
"""

from aslutils.kaggle.card import write_model_card
from aslutils.kaggle.client import KaggleError, username
from aslutils.kaggle.packages import check_packages
from aslutils.kaggle.publish import publish, publish_commands, write_dataset_metadata
from aslutils.run.place import DataSource, Place, check_gpu, find_data, minutes_left, where
from aslutils.run.sessions import adopt, earlier_outputs, end_session, run_folder

check_packages()          # before a notebook's other imports fail for want of them

__all__ = ["DataSource", "KaggleError", "Place", "adopt", "check_gpu", "earlier_outputs", "end_session", "find_data",
           "minutes_left", "publish", "publish_commands", "run_folder", "username", "where", "write_dataset_metadata",
           "write_model_card"]
