"""A trained network of somebody else's as a model of FloeLens."""

from __future__ import annotations

from qgis.core import QgsProcessingOutputNumber, QgsProcessingOutputString

from ..ground.vocabulary.settings import MODEL_OVERLAP, MODEL_PIXEL_SIZE, MODEL_RATIO, MODEL_WINDOW
from ..ground.vocabulary.words import CONCATENATIONS, MODEL_FAMILIES, PADDINGS, UPSAMPLINGS
from .framework import declare
from .framework.base import Destinations, FloeLensAlgorithm

FACTS = {
    "MODEL_ID": "Id of the model, which MODEL takes",
    "FAMILY_FOUND": "Family recognised",
    "FOUND": "What the file tells",
    "ASSUMED": "What the family's published code says",
    "NEEDED": "What has to be given before a package can be made",
}


class ImportModel(FloeLensAlgorithm):
    """Recognises the weights of a network and makes a model package of them."""

    ID = "importmodel"
    TITLE = "Import model"
    SUMMARY = "Bring in trained weights of a sea-ice network, test it, and explain it with all other tools."
    TAGS = ("pytorch", "keras", "onnx", "state dict", "checkpoint", "u-net", "autoice", "asip", "weights")
    GROUP = ("models", "Models")
    NEEDS = ("torch", "safetensors")

    def declare(self) -> None:
        """Add the parameters."""
        weights = declare.file(
            "INPUT",
            "File of weights",
            "A PyTorch state dict (.pt, .pth), a training checkpoint around one (.ckpt), an exported program (.pt2), a "
            "Keras HDF5 file (.h5), the saved_model.pb of a TensorFlow SavedModel, an ONNX file (.onnx), or the arrays "
            "of NERSC's network (.npz); or a model package (.zip) that Export model wrote, which needs nothing more. "
            "Nothing in it is run; whole pickled networks are refused. A STAC item with mlm fields that lies beside it "
            "is read for what the file does not tell.",
        )
        root = __name__.rsplit(".", 2)[0]  # the plugin may be installed under any folder name
        weights.setMetadata({"widget_wrapper": {"class": f"{root}.gui.weights_chooser.WeightsChooser"}})
        self.addParameter(weights)
        text = "Recognised by names and shapes unless it is named."
        self.addParameter(declare.choice("FAMILY", "Family", text, MODEL_FAMILIES))
        self.addParameter(
            declare.text(
                "NAME",
                "Name",
                "Title of the model; its id is made of it: 'Our U-Net 3' becomes our-u-net-3. Empty: the family's.",
            )
        )
        self.addParameter(
            declare.text(
                "CHANNELS",
                "Channels in the network's order",
                "Names of the inputs in the order in which the network takes them, such as hh,hv,incidence_angle. They "
                "get published means and standard deviations: the family's, else those of the AI4Arctic challenge. "
                "Empty: the family's order, where it has as many.",
            )
        )
        self.addParameter(declare.setting("PIXEL_SIZE", MODEL_PIXEL_SIZE, advanced=False))
        self.addParameter(
            declare.text("LICENCE", "Licence of the weights", "As their authors state it, such as CC-BY-4.0.")
        )
        self.addParameter(
            declare.file(
                "CARD",
                "Card by hand",
                "JSON file with fields of a model card, which hold before all else: channels with mean, sd and fill, "
                "heads with classes, title, citation, limits. See the card.json of a bundled model.",
                optional=True,
            )
        )
        self.addParameter(declare.setting("RATIO", MODEL_RATIO))
        self.addParameter(declare.setting("WINDOW", MODEL_WINDOW))
        self.addParameter(declare.setting("OVERLAP", MODEL_OVERLAP))
        text = "Of a U-Net: which half of a concatenation comes first. Tensors do not tell."
        self.addParameter(
            declare.choice("ORDER", "Order of concatenation", text, CONCATENATIONS, advanced=True)
        )
        text = "Of a U-Net: how borders are padded."
        self.addParameter(declare.choice("PADDING", "Padding", text, PADDINGS, advanced=True))
        text = "Of a U-Net without transposed convolutions: how it upsamples by 2."
        self.addParameter(declare.choice("UPSAMPLING", "Upsampling", text, UPSAMPLINGS, advanced=True))
        text = "List what was found, what is assumed and what is still needed; write no package."
        self.addParameter(declare.flag("CHECK_ONLY", "Check only", text))
        self.addParameter(
            declare.folder_output(
                "OUTPUT",
                "Model folder (skipped: the user's own)",
                "Where the package goes. Empty: the user's model folder, where all tools find it by its id.",
            )
        )
        self.addParameter(
            declare.file_output(
                "REPORT",
                "Report",
                "What was found and assumed, the card, and the self-test: parameters, receptive field, alignment, a "
                "tile against the whole, and whether each method's relevance adds up.",
                "HTML files (*.html)",
            )
        )
        for name, text in FACTS.items():
            self.addOutput(QgsProcessingOutputString(name, text))
        self.addOutput(QgsProcessingOutputNumber("PARAMETERS", "Numbers in the file"))
        self.addOutput(QgsProcessingOutputNumber("TESTS_FAILED", "Tests of the self-test that failed"))

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.importmodel import ImportModel as Job

        return Job(
            input=values.path("INPUT"),
            family=values.choice("FAMILY"),
            card=values.path("CARD") if values.given("CARD") else "",
            channels=values.text("CHANNELS"),
            name=values.text("NAME"),
            pixel_size=values.number("PIXEL_SIZE"),
            ratio=values.whole("RATIO"),
            window=values.whole("WINDOW"),
            overlap=values.whole("OVERLAP"),
            licence=values.text("LICENCE"),
            order=values.choice("ORDER"),
            padding=values.choice("PADDING"),
            upsampling=values.choice("UPSAMPLING"),
            check_only=values.flag("CHECK_ONLY"),
            output=values.folder("OUTPUT") or "",
            report=values.file("REPORT") or "",
        )
