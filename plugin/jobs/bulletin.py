"""One page to hand on: the answer, four maps and where they come from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..ground.errors import ParameterError
from ..ground.protocols import Progress
from ..io.rasters.writer import Outputs
from ..report.bulletin.content import Bulletin as Page
from ..report.bulletin.content import bulletin_of

MOST_BYTES = 50_000_000  # of a JSON report; those of whole scenes take some 20 kB


@dataclass(frozen=True)
class Bulletin:
    """Write a bulletin.

    Parameters
    ----------
    report : str
        The JSON report of a run of relevance.
    rasters : mapping
        Rasters by the map of the layout that shows them: ``scene``, ``prediction``, ``sar_relevance``,
        ``mwr_relevance``; maps without one stay empty.
    output : str
        PDF to write.
    draw : callable
        Draws the words and the rasters on a page, and writes that to a path. It raises :class:`ParameterError`.
    """

    report: str
    rasters: Mapping[str, str]
    output: str
    draw: Callable[[Page, Mapping[str, str], str], None]

    def run(self, progress: Progress) -> dict[str, object]:
        """Read the report, draw the page and put it in place; return its path.

        Raises
        ------
        ParameterError
            The report cannot be read or is none, or the page cannot be drawn.
        """
        page = self._page()
        progress.report(0.1, "Drawing the page")
        with Outputs(progress) as outputs:
            self.draw(page, self.rasters, str(outputs.file(self.output)))
        return {"OUTPUT": self.output}

    def _page(self) -> Page:
        path = Path(self.report)
        try:
            if path.stat().st_size > MOST_BYTES:
                raise ValueError(f"is larger than {MOST_BYTES // 1_000_000} MB: no report is")
            report = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(report, dict):
                report = {}
            return bulletin_of(report)
        except OSError as error:
            raise ParameterError(
                f"REPORT: {path} cannot be read ({error.strerror}). Choose a JSON report."
            ) from error
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise ParameterError(f"REPORT: {path} is no JSON file. Choose what REPORT_JSON wrote.") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise ParameterError(f"REPORT: {path} is incomplete. Run 'Relevance maps' again.") from error
        except ValueError as error:
            raise ParameterError(f"REPORT: {path} {error}") from error
