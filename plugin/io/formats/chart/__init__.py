"""Ice charts: SIGRID-3 codes, their files, and their polygons on the pixels of a scene."""

from .chart import open_chart
from .container import recognises

__all__ = ["open_chart", "recognises"]
