"""pyproj, imported without the warning of Debian's, which finds its database through PROJ and looks no further."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)
    import pyproj
    import pyproj.network

__all__ = ["pyproj"]
