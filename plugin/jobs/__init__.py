"""One module a job: a frozen dataclass of what to do, paths in, paths out; no QGIS."""
