"""Ice charts: SIGRID-3 codes, their files, and their polygons on the pixels of a scene."""
