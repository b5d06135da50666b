"""Settings of Sphinx for the site that ``make docs`` builds."""

import configparser
import re
from itertools import takewhile
from pathlib import Path

import floelens
from sphinx.domains.python import PythonDomain

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


class NearestPython(PythonDomain):
    """Python names, of which a short one means the nearest: of the same module, else of one beside it."""

    def find_obj(self, env, modname, classname, name, type, searchmode=0):
        """Return at most one of the names that a reference may mean."""
        found = super().find_obj(env, modname, classname, name, type, searchmode)
        here = (modname or "").split(".")

        def distance(match: tuple) -> tuple[int, str]:
            pairs = zip(match[0].split("."), here)
            return -len(list(takewhile(lambda pair: pair[0] == pair[1], pairs))), match[0]

        return sorted(found, key=distance)[:1]


def _skipped(app, kind, name, member, skip, options) -> bool:
    """Return whether a member is left out: fields of named tuples, whose meaning their class tells."""
    return skip or str(getattr(member, "__doc__", "")).startswith("Alias for field number")


def _with_bars(app, kind, name, member, options, lines) -> None:
    """Let Σ|R| stand for itself: reStructuredText takes |R| for a name to be replaced."""
    for number, line in enumerate(lines):
        parts = re.split(r"(``.*?``)", line)
        lines[number] = "".join(part if part[:2] == "``" else part.replace("|", r"\|") for part in parts)


def setup(app) -> None:
    """Connect what is above."""
    app.add_domain(NearestPython, override=True)
    app.connect("autodoc-process-docstring", _with_bars, priority=400)  # before numpydoc is read
    app.connect("autodoc-skip-member", _skipped)
