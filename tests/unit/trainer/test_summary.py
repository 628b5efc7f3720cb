import json
import math
from pathlib import Path

import pytest

from gradcube_trainer.summary import finite, write_summary


@pytest.mark.parametrize(("loss", "expected"), [(1.5, 1.5), (None, None), (math.nan, None), (math.inf, None)])
def test_a_loss_that_is_no_number_is_null(loss: float | None, expected: float | None) -> None:
    assert finite(loss) == expected


def test_the_summary_appears_whole_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "summary.json"
    write_summary(path, {"steps": 3, "final_loss": None})
    assert json.loads(path.read_text()) == {"steps": 3, "final_loss": None}
    assert [file.name for file in path.parent.iterdir()] == ["summary.json"]
