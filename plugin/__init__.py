"""The plugin: QGIS face, jobs, science, files and reports."""
