"""The imports point downwards, and what is heavy or missing stays out of the way."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from floelens.tools.headless import ROOT, HeadlessQgis

QT = {"qgis", "PyQt5", "PyQt6"}
# What each floor may import of the project, and must never import of the world. There are no exceptions.
LAYERS = {
    "plugin.ground": ({"plugin.ground"}, QT | {"osgeo", "rasterio", "torch", "jinja2"}),
    "plugin.networks": ({"plugin.networks", "plugin.ground"}, QT | {"osgeo", "rasterio"}),
    "plugin.core": (
        {"plugin.core", "plugin.networks", "plugin.ground"},
        QT | {"osgeo", "rasterio", "jinja2"},
    ),
    "plugin.io": ({"plugin.io", "plugin.networks", "plugin.ground"}, QT | {"torch", "jinja2"}),
    "plugin.report": (
        {"plugin.report", "plugin.networks", "plugin.ground"},
        QT | {"torch", "rasterio", "osgeo", "matplotlib.pyplot"},
    ),
    "plugin.jobs": (
        {"plugin.jobs", "plugin.core", "plugin.io", "plugin.report", "plugin.networks", "plugin.ground"},
        QT,
    ),
}
# Rooms of a floor that others of it must not import: they stand on what is below them.
ROOMS_OF_CORE = (
    "relevance",
    "contributions",
    "ablation",
    "faithfulness",
    "zscores",
    "simulation",
    "training",
    "artifacts",
    "benchmarks",
    "features",
    "shortlist",
    "distributions",
    "selftest",
    "sanity",
    "places",
)
# Which rooms of the science may use another one.
MAY_USE = {
    ("training", "simulation"),
    ("artifacts", "relevance"),
    ("benchmarks", "relevance"),
    ("benchmarks", "contributions"),
    ("benchmarks", "ablation"),
    ("benchmarks", "training"),
    ("benchmarks", "sanity"),
    ("benchmarks", "artifacts"),
    ("distributions", "artifacts"),
    ("selftest", "relevance"),
}
ALGORITHMS = sorted(json.loads((ROOT / "tests" / "published.json").read_text(encoding="utf-8")))


def modules_of(layer: str) -> list[str]:
    """Return the dotted names of a layer's modules, from the root of the project."""
    folder = ROOT.joinpath(*layer.split("."))
    paths = [path.relative_to(ROOT) for path in sorted(folder.rglob("*.py"))]
    return [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths]


def path_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports_of(module: str, at_run_time: bool = False) -> set[str]:
    """Return every name that a module imports, at its top or later; the project's own from its root.

    `at_run_time`: without those for the checking of types alone.
    """
    package = module.split(".")
    if path_of(module).name != "__init__.py":
        package = package[:-1]
    found = set()
    tree = ast.parse(path_of(module).read_text(encoding="utf-8"))
    if at_run_time:
        guarded = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
        tree.body = [n for n in tree.body if n not in guarded]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *(node.module.split(".") if node.module else [])])
            for alias in node.names:
                whole = f"{start}.{alias.name}" if start else alias.name
                is_module = node.level and path_of(whole).exists()
                found.add(whole if is_module else start)
    return found


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_every_layer_has_modules_to_look_at():
    assert all(len(modules_of(layer)) > 1 for layer in LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_what_lies_below_it(layer):
    allowed, forbidden = LAYERS[layer]
    wrong = []
    for module in modules_of(layer):
        for name in imports_of(module):
            own = within(name, {"plugin"})
            if own and not within(name, allowed):
                wrong.append(f"{module} imports {name}")
            if within(name, forbidden):
                wrong.append(f"{module} imports {name}")
    assert not wrong


def test_the_rooms_of_the_science_stand_on_what_is_below_them_not_on_each_other():
    wrong = []
    for module in modules_of("plugin.core"):
        room = module.split(".")[2] if module.count(".") > 1 else ""
        for name in imports_of(module):
            other = name.split(".")[2] if name.startswith("plugin.core.") else ""
            if other and other != room and other in ROOMS_OF_CORE and (room, other) not in MAY_USE:
                wrong.append(f"{module} imports {name}")
    assert not wrong


def test_no_module_imports_in_a_circle():
    graph = {module: imports_of(module, at_run_time=True) for module in modules_of("plugin")}
    state: dict[str, int] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert state.get(module) != 1, f"{' → '.join((*path[path.index(module) :], module))}"
        if module in state or module not in graph:
            return
        state[module] = 1
        for other in sorted(graph[module]):
            visit(other, (*path, module))
        state[module] = 2

    for module in graph:
        visit(module, ())


def test_no_folder_holds_more_than_twenty_modules():
    folders = [folder for folder in (ROOT / "plugin").rglob("*") if folder.is_dir()]
    many = {
        str(folder): len(list(folder.glob("*.py")))
        for folder in folders
        if len(list(folder.glob("*.py"))) > 21
    }
    assert not many


def test_modules_of_the_project_import_each_other_relatively():
    wrong = []
    for layer in ("plugin",):
        for module in modules_of(layer):
            for node in ast.walk(ast.parse(path_of(module).read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    names.append(node.module)
                wrong += [f"{module}: {name}" for name in names if within(name, {"plugin", "floelens"})]
    assert not wrong


@pytest.fixture
def run_python(plugin_folder):
    """Return a function that runs a script in a fresh Python, where ``floelens`` can be imported."""

    def run(script: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script, str(plugin_folder)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("layer", LAYERS)
def test_importing_a_layer_brings_in_nothing_from_above(run_python, layer):
    # Imported one after the other in one process: a module that is loaded then stays loaded.
    _, forbidden = LAYERS[layer]
    script = f"""
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
loaded = {{}}
for name in {modules_of(layer)!r}:
    before = set(sys.modules)
    importlib.import_module("floelens." + name)
    loaded[name] = sorted(set(sys.modules) - before)
print(json.dumps(loaded))
"""
    loaded = json.loads(run_python(script))
    wrong = {
        module: [name for name in names if within(name, forbidden)]
        for module, names in loaded.items()
        if any(within(name, forbidden) for name in names)
    }
    assert not wrong


def test_the_card_and_the_registry_do_not_import_torch(run_python):
    loaded = run_python(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import floelens.plugin.networks.card, floelens.plugin.networks.registry\n"
        "print('torch' in sys.modules)"
    )
    assert loaded.strip() == "False"


LISTING = """
import json, sys, time
from pathlib import Path
from qgis.core import QgsApplication
application = QgsApplication([], False)
application.initQgis()
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
start = time.perf_counter()
import floelens
plugin = floelens.classFactory(None)
plugin.initProcessing()
algorithms = plugin.provider.algorithms()
seconds = time.perf_counter() - start
found = {}
for algorithm in algorithms:
    ready = algorithm.canExecute()
    ready, message = ready if isinstance(ready, tuple) else (ready, "")
    found[algorithm.name()] = [ready, message]
heavy = ["torch", "rasterio", "safetensors", "scipy", "matplotlib", "pandas"]
print(json.dumps({
    "id": plugin.provider.id(),
    "seconds": seconds,
    "algorithms": found,
    "heavy": [name for name in heavy if name in set(sys.modules) - before],
}))
plugin.unload()
application.exitQgis()
"""


def listing(qgis: HeadlessQgis) -> dict:
    done = qgis.python(LISTING, str(qgis.plugins))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_the_provider_lists_its_algorithms_quickly_and_without_torch(qgis_process):
    for _ in range(3):  # the machine may be busy with something else
        found = listing(qgis_process)
        if found["seconds"] < 0.3:
            break
    assert found["id"] == "floelens"
    assert sorted(found["algorithms"]) == ALGORITHMS
    assert found["heavy"] == []
    assert found["seconds"] < 0.3


MISSING = """
import sys
from importlib.abc import MetaPathFinder


class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return None


sys.meta_path.insert(0, Missing())
"""


def without(qgis: HeadlessQgis, folder: Path, names: set[str], broken: bool = False) -> HeadlessQgis:
    """Return a QGIS in whose Python `names` are not installed, or are there but cannot be loaded."""
    folder.mkdir()
    if broken:
        for name in names:
            text = f"raise ImportError('{name}: cannot open shared object file')\n"
            (folder / f"{name}.py").write_text(text)
    else:
        (folder / "sitecustomize.py").write_text(MISSING.format(names=names))
    return replace(qgis, shadows=(folder,))


@pytest.mark.parametrize(
    ("library", "needed_by"),
    [
        ("torch", {"predict", "relevance", "zscores", "inspectmodel"}),
        ("rasterio", {"predict", "relevance", "zscores", "simulatescene", "importscene"}),
        ("safetensors", {"predict", "relevance", "zscores", "inspectmodel"}),
    ],
)
def test_without_a_library_every_algorithm_lists_and_says_what_is_missing(
    qgis_process, tmp_path, library, needed_by
):
    algorithms = listing(without(qgis_process, tmp_path / "shadow", {library}))["algorithms"]
    assert sorted(algorithms) == ALGORITHMS
    stopped = {name: message for name, (ready, message) in algorithms.items() if not ready}
    assert set(stopped) >= needed_by
    assert "environment" not in stopped
    for message in stopped.values():
        assert f"needs {library}" in message
        assert "install" in message


@pytest.fixture(scope="module")
def bare_qgis(qgis_process, tmp_path_factory):
    """Return a QGIS whose Python has none of the three libraries."""
    folder = tmp_path_factory.mktemp("bare") / "shadow"
    return without(qgis_process, folder, {"torch", "rasterio", "safetensors"})


def test_a_run_without_the_libraries_ends_with_the_command_that_installs_them(
    bare_qgis, tmp_path, monkeypatch
):
    """Every algorithm says before a run what is missing (above); one that is started all the same stands for them."""
    monkeypatch.chdir(tmp_path)
    Path("any.tif").touch()
    done = bare_qgis.run("floelens:predict", SAR="any.tif", MODEL="aspp-concentration-sim", OUTPUT="ice.tif")
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "FloeLens needs" in said
    assert " install " in said
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["any.tif"]


def test_environment_runs_without_the_libraries_and_names_them(bare_qgis, tmp_path):
    page = tmp_path / "environment.html"
    done = bare_qgis.run("floelens:environment", OUTPUT=page)
    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    assert "pip install" in text
    assert all(name in text for name in ("torch", "rasterio", "safetensors"))


def test_a_library_that_cannot_be_loaded_is_named(qgis_process, tmp_path):
    qgis = without(qgis_process, tmp_path / "shadow", {"torch"}, broken=True)
    done = qgis.run("floelens:inspectmodel", MODEL="aspp-concentration-sim", OUTPUT=tmp_path / "model.html")
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "torch" in said
    assert "Traceback" not in said
    assert not (tmp_path / "model.html").exists()


def test_jobs_write_down_no_default_of_their_own():
    """A number or a word that is a default stands in the vocabulary, for dialogs, jobs and science alike."""
    wrong = []
    for path in sorted((ROOT / "plugin" / "jobs").rglob("*.py")):
        for owner in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(owner, ast.ClassDef) and any(getattr(n, "name", "") == "run" for n in owner.body):
                fields = [node for node in owner.body if isinstance(node, ast.AnnAssign)]
                wrong += [
                    f"{path.name}: {ast.unparse(node)}"
                    for node in fields
                    if isinstance(node.value, ast.Constant)
                    and not isinstance(node.value.value, bool)
                    and node.value.value not in ("", None)
                ]
    assert not wrong


MOST_LINES_OF_A_FILE, MOST_LINES_OF_A_FUNCTION = 450, 80


def test_files_and_functions_stay_small_enough_to_be_read_at_once():
    long = []
    for path in sorted((ROOT / "plugin").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        place, lines = path.relative_to(ROOT), len(text.splitlines())
        if lines > MOST_LINES_OF_A_FILE:
            long.append(f"{place}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                height = (node.end_lineno or node.lineno) - node.lineno + 1
                if height > MOST_LINES_OF_A_FUNCTION:
                    long.append(f"{place}: {node.name} has {height} lines")
    assert not long
