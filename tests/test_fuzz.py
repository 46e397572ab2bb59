"""Random files, a few hundred of each kind; `tests/benchmarks/fuzz.py` tries them for hours."""

import pytest
from fuzzing import TARGETS
from hypothesis import HealthCheck, given, settings

EXAMPLES = {"CSV files": 300, "array files": 300, "landmark tables": 40, "JSON and YAML files": 300}


@pytest.mark.slow
@pytest.mark.parametrize("kind", TARGETS)
def test_random_files_get_an_answer_or_a_line(kind):
    strategy, try_one = TARGETS[kind]
    settings(max_examples=EXAMPLES[kind], deadline=10_000, suppress_health_check=list(HealthCheck))(given(strategy)(try_one))()
