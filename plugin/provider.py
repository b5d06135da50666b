"""The Processing provider ``floelens``.

It exists so that one set of algorithms serves the toolbox, batch, the model designer and
``qgis_process``. The provider's id, the algorithms' ids and their parameters' names and words are
saved in other people's models and scripts: they never change.
"""

from __future__ import annotations

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithms.ablation import Ablation
from .algorithms.additivebenchmark import AdditiveBenchmark
from .algorithms.artifacts import Artifacts
from .algorithms.bulletin import Bulletin
from .algorithms.contributions import Contributions
from .algorithms.environment import Environment
from .algorithms.exportmodel import ExportModel
from .algorithms.features import Features
from .algorithms.importmodel import ImportModel
from .algorithms.importscene import ImportScene
from .algorithms.inspectmodel import InspectModel
from .algorithms.predict import Predict
from .algorithms.relevance import Relevance
from .algorithms.removemodel import RemoveModel
from .algorithms.simulatescene import SimulateScene
from .algorithms.squaresbenchmark import SquaresBenchmark
from .algorithms.stampbenchmark import StampBenchmark
from .algorithms.zscores import ZScores
from .ground.paths import RESOURCES

ALGORITHMS = (
    ImportScene,
    SimulateScene,
    Predict,
    Relevance,
    Artifacts,
    Contributions,
    ZScores,
    Features,
    Ablation,
    Bulletin,
    SquaresBenchmark,
    AdditiveBenchmark,
    StampBenchmark,
    InspectModel,
    ImportModel,
    ExportModel,
    RemoveModel,
    Environment,
)
ICON = RESOURCES / "icons" / "floelens.svg"


class FloeLensProvider(QgsProcessingProvider):
    """Explains what a sea-ice network saw."""

    def id(self) -> str:
        """Return the id that models, scripts and the command line use."""
        return "floelens"

    def name(self) -> str:
        """Return the name in the toolbox."""
        return "FloeLens"

    def longName(self) -> str:  # noqa: N802
        """Return the name where there is room."""
        return "FloeLens: why did the network map ice there?"

    def icon(self) -> QIcon:
        """Return the icon of the provider."""
        return QIcon(str(ICON)) if ICON.exists() else super().icon()

    def svgIconPath(self) -> str:  # noqa: N802
        """Return the icon as a file, for the model designer."""
        return str(ICON) if ICON.exists() else super().svgIconPath()

    def loadAlgorithms(self) -> None:  # noqa: N802
        """Add every algorithm; none of them imports torch or rasterio until it runs."""
        for algorithm in ALGORITHMS:
            self.addAlgorithm(algorithm())

    def supportsNonFileBasedOutput(self) -> bool:  # noqa: N802
        """Return False: results are plain files, with their style beside them."""
        return False

    def supportedOutputRasterLayerExtensions(self) -> list[str]:  # noqa: N802
        """Return GeoTIFF only."""
        return ["tif", "tiff"]

    def supportedOutputVectorLayerExtensions(self) -> list[str]:  # noqa: N802
        """Return GeoPackage for polygons and CSV for tables."""
        return ["gpkg", "csv"]

    def defaultRasterFileExtension(self) -> str:  # noqa: N802
        """Return the extension of temporary rasters."""
        return "tif"

    def defaultVectorFileExtension(self, hasGeometry: bool = True) -> str:  # noqa: N802, N803
        """Return the extension of temporary polygons and tables."""
        return "gpkg" if hasGeometry else "csv"
