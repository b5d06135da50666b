"""Rows kept in a temporary file come back as often as they are asked for."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.ground.errors import OutputError
from floelens.plugin.io.files.row_file import RowFile

ROW = np.dtype([("components", np.float32, (3,)), ("label", np.float64)])


def rows(first: int, last: int) -> np.ndarray:
    made = np.empty(last - first, ROW)
    made["components"], made["label"] = np.arange(first, last)[:, None], np.arange(first, last) / 7
    return made


def test_rows_are_read_again_in_order_and_more_can_follow():
    with RowFile(ROW) as file:
        file.append(rows(0, 40_000))
        for last in (40_000, 40_005):
            for _ in range(2):
                parts = list(file)
                assert len(parts) > 1  # never all at once
                np.testing.assert_array_equal(np.concatenate(parts), rows(0, last))
            if last == 40_000:
                file.append(rows(40_000, 40_005))


def test_an_empty_file_has_no_rows():
    with RowFile(ROW) as file:
        assert list(file) == []


def test_a_full_disk_is_a_sentence(monkeypatch):
    with RowFile(ROW) as file:

        class Full:
            def seek(self, *_):
                pass

            def write(self, _):
                raise OSError(28, "No space left on device")

            def close(self):
                pass

        file._file.close()
        monkeypatch.setattr(file, "_file", Full())
        with pytest.raises(OutputError, match=r"No space left on device.*larger step in SAMPLE"):
            file.append(rows(0, 2))
