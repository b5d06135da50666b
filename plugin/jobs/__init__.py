"""One module a job: a frozen dataclass of what to do and `run(progress)`, paths in and paths out; no QGIS."""
