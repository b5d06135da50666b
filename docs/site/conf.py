"""What Sphinx is told of the site that ``make docs`` builds."""

import configparser
from pathlib import Path

import floelens

_metadata = configparser.ConfigParser(interpolation=None)
_metadata.read(Path(floelens.__file__).parent / "metadata.txt", encoding="utf-8")

project = "FloeLens"
author = "The FloeLens authors"
copyright = author
release = version = _metadata["general"]["version"]
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
html_theme = "furo"
html_title = f"FloeLens {release}"
html_copy_source = False

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # shapes and units stand with the parameters
napoleon_google_docstring = False
napoleon_use_param = False  # types of parameters are words, not links
napoleon_use_rtype = False
napoleon_use_ivar = True


def _skipped(app, kind, name, member, skip, options) -> bool:
    """Return whether a member is left out: fields of named tuples, whose meaning their class tells."""
    return skip or str(getattr(member, "__doc__", "")).startswith("Alias for field number")


def setup(app) -> None:
    """Connect what is above."""
    app.connect("autodoc-skip-member", _skipped)
