"""Model packages that someone made by mistake or on purpose, each to be answered by one sentence.

A script as well: ``broken_packages.py ROOT PLACE`` reads each of them in one process whose memory and
time are limited, and prints what came of each as JSON. `PACKAGES` maps a name to a function that
changes a good package in a folder.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import json
import os
import resource
import shutil
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

SPARSE = 20 << 30
PACKAGES: dict[str, Callable[[Path], None]] = {}


def package(name: str):
    def register(change):
        PACKAGES[name] = change
        return change

    return register


# The card as bytes

DEEP = 100_000
CARDS = {
    "empty": b"",
    "blank": b" \n" * 1000,
    "null": b"null",
    "number": b"1",
    "list": b"[]",
    "text": b'"card"',
    "not utf-8": b"\xff\xfe{}",
    "utf-16": '{"format": 1}'.encode("utf-16"),
    "nul": b"\0" * 1000,
    "byte order mark": b"\xef\xbb\xbf{}",
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep and open": b"[" * 900_000,
    "deep in a text": b'{"a": "' + b"[" * 1000 + b'"}',
    "depth 500": b"[" * 500 + b"]" * 500,
    "integer of 400 digits": b'{"alignment": ' + b"9" * 400 + b"}",
    "integer of 900,000 digits": b'{"alignment": ' + b"9" * 900_000 + b"}",
    "exponent": b'{"alignment": 1e999}',
    "real of 900,000 digits": b'{"alignment": 0.' + b"1" * 900_000 + b"}",
    "NaN": b'{"alignment": NaN}',
    "infinity": b'{"alignment": -Infinity}',
    "twice": b'{"id": 1, "id": 2}',
    "long key twice": b'{"' + b"k" * 400_000 + b'": 1, "' + b"k" * 400_000 + b'": 2}',
    "unfinished text": b'{"id": "' + b"x" * 900_000,
    "escapes": b'{"id": "' + b"\\u0000" * 100_000 + b'"}',
    "lone surrogates": b'{"id": "\\ud800"}',
    "many lists": b"[" + b"[]," * 300_000 + b"[]]",
    "many objects": b"[" + b"{}," * 300_000 + b"{}]",
    "many keys": b"{" + b",".join(b'"%d":0' % n for n in range(90_000)) + b"}",
    "2 MiB": b'{"id": "' + b"x" * (2 << 20) + b'"}',
    "xml": b"<card/>",
    "comment": b"// a card\n{}",
    "pickle": b"\x80\x04\x95.",
}
for _name, _content in CARDS.items():
    PACKAGES[f"card: {_name}"] = lambda folder, content=_content: (
        folder.joinpath("card.json").write_bytes(content),
        None,
    )[1]


# The card as something else


def replace(folder: Path, name: str, make: Callable[[Path], None]) -> None:
    path = folder / name
    path.unlink()
    make(path)


def sparse(path: Path) -> None:
    with Path(path).open("wb") as file:
        file.truncate(SPARSE)


def unix_socket(path: Path) -> None:
    import socket

    socket.socket(socket.AF_UNIX).bind(f"/proc/self/fd/{os.open(path.parent, os.O_RDONLY)}/{path.name}")


def link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


THINGS: dict[str, Callable[[Path], None]] = {
    "missing": lambda _path: None,
    "pipe": os.mkfifo,
    "folder": lambda path: path.mkdir(),
    "sparse": sparse,
    "socket": unix_socket,
    "link to zeros": lambda path: path.symlink_to("/dev/zero"),
    "link to random numbers": lambda path: path.symlink_to("/dev/urandom"),
    "link to nothing": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a pipe": link_to_pipe,
    "link to the terminal": lambda path: path.symlink_to("/dev/tty"),
    "link to the process": lambda path: path.symlink_to("/proc/self/mem"),
    "link to its own input": lambda path: path.symlink_to("/proc/self/fd/0"),
}
for _file in ("card.json", "weights.safetensors"):
    for _name, _make in THINGS.items():
        PACKAGES[f"{_file}: {_name}"] = lambda folder, file=_file, make=_make: replace(folder, file, make)


# Values in the card


def at(content: object, path: str, value: object) -> None:
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    for part in parents:
        content = content[part]
    content[last] = value


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = {"a": value}
    return value


LONG = "x" * 200_000
VALUES = {
    "channels.0.mean": [1e308, -1e308, 1e10, "1", None, True, [1], LONG, 10**18],
    "channels.0.sd": [1e-300, 1e-12, 1e308, 0, -1, "1", {}],
    "channels.0.fill": [1e300, -1e7, "0"],
    "channels.0.name": ["", " ", LONG, "a\0b", "a\nb", 1, ["hh"]],
    "channels.0.unit": [LONG, "d\0B", 1],
    "channels.0.aliases": ["hh", [LONG], [1], ["a"] * 50_000, [[]]],
    "channels.0.grid": [LONG, 1, [], {}],
    "channels.0.polarisation": [1, LONG],
    "channels.2.ratio": [0, -1, 2.5, 10**9, "25"],
    "channels.2.footprint_km": [[1e300, 1], [0, 0], [1], [1, 2, 3], "ab", LONG],
    "channels.2.frequency_ghz": [1e300, -1, LONG],
    "heads.0.kind": [LONG, 1, None],
    "heads.0.classes": [[], {}, LONG, [1] * 5_000],
    "heads.0.classes.0.colour": [LONG, "red", 1],
    "heads.0.classes.0.value": [-1, 254, 10**18, 1.5],
    "heads.0.classes.0.percent": [1e308, -1, "1"],
    "components": [{}, [1], [{}], LONG],
    "components.0.channel": [LONG, "nobody", 1],
    "architecture.name": [LONG, "", 1, "__import__"],
    "architecture.arguments": [
        {"variant": LONG},
        {"variant": 1},
        {LONG: 1},
        {"outputs": 10**9},
        [],
        nested(25),
    ],
    "weights.file": [
        "a\0b.safetensors",
        "../weights.safetensors",
        LONG + ".safetensors",
        "w.pt",
        "/etc/passwd",
        "a\n.safetensors",
    ],
    "weights.sha256": ["", "0" * 64, LONG, 1],
    "id": [LONG, "../../x", "A", "", 1, None, "a\0b"],
    "title": ["", LONG, 1],
    "pixel_size_m": [0, -1, 1e-300, 1e300, "80"],
    "receptive_field_radius": [-1, 10**12, 1.5],
    "alignment": [0, 10**12, 26],
    "format": ["other", LONG, 1],
    "format_version": [2, True, LONG],
    "skill": [[], LONG],
    "training": [[], {"data": 1}, {"details": LONG}],
    "limits": [LONG, [LONG], [""]],
    "benchmarks": [LONG, {}, [1], [{}], [{"benchmark": LONG}]],
    LONG: [1],
}


def change_card(folder: Path, change: Callable[[dict], None]) -> None:
    path = folder / "card.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


for _path, _values in VALUES.items():
    for _number, _value in enumerate(_values):
        PACKAGES[f"{_path[:40]}: {_number}"] = lambda folder, path=_path, value=_value: change_card(
            folder, lambda content: at(content, path, value)
        )


def many(folder: Path, name: str, count: int) -> None:
    def change(content: dict) -> None:
        first = content[name][0]
        content[name] = [{**copy.deepcopy(first), "name": f"n{number}"} for number in range(count)]

    change_card(folder, change)


PACKAGES["100,000 channels"] = lambda folder: many(folder, "channels", 100_000)
PACKAGES["2,000 channels"] = lambda folder: many(folder, "channels", 2_000)
PACKAGES["4,000 components"] = lambda folder: many(folder, "components", 4_000)
PACKAGES["3,000 heads"] = lambda folder: many(folder, "heads", 3_000)
PACKAGES["1,500 heads"] = lambda folder: many(folder, "heads", 1_500)


# Weights


def weights(folder: Path, content: bytes, sign: bool = True) -> None:
    (folder / "weights.safetensors").write_bytes(content)
    if sign:
        checksum = hashlib.sha256(content).hexdigest()
        change_card(folder, lambda card: at(card, "weights.sha256", checksum))


def header(text: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(text)) + text + data


WEIGHTS = {
    "empty": b"",
    "short": b"\x01",
    "header of 2^63": struct.pack("<Q", 1 << 63) + b"{}",
    "header of 100 MB": struct.pack("<Q", 100_000_000) + b"{",
    "no json": header(b"hello"),
    "deep": header(b"[" * 100_000),
    "no tensors": header(b"{}"),
    "list": header(b"[]"),
    "past the end": header(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'),
    "negative": header(b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,16]}}', b"0" * 16),
    "huge shape": header(
        b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}}', b"0" * 16
    ),
    "unknown type": header(b'{"a":{"dtype":"Q9","shape":[4],"data_offsets":[0,16]}}', b"0" * 16),
    "other tensors": header(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', b"0" * 16),
    "long name": header(
        b'{"' + b"n" * 500_000 + b'":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', b"0" * 16
    ),
    "not finite": header(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"\0\0\xc0\x7f"),
    "zip": b"PK\x03\x04" + b"0" * 100,
    "pickle": b"\x80\x04\x95" + b"0" * 100,
    "hdf5": b"\x89HDF\r\n\x1a\n" + b"0" * 100,
    "50 MiB": b"\0" * (50 << 20),
}
for _name, _content in WEIGHTS.items():
    PACKAGES[f"weights: {_name}"] = lambda folder, content=_content: weights(folder, content)
PACKAGES["weights: of another checksum"] = lambda folder: weights(folder, b"other", sign=False)


# The reference of contributions, and states, which are read on the way

REFERENCES = {
    "empty": b"",
    "deep": b"[" * DEEP,
    "list": b"[]",
    "digits": b'{"references": [' + b"9" * 400 + b"]}",
    "long": b'{"references": [{"head": "' + b"x" * 500_000 + b'"}]}',
    "large": b" " * (2 << 20),
    "wrong": b'{"references": [{"head": "concentration", "method": "x"}]}',
}


def npz(path: Path, content: bytes, member: str = "header.npy", times: int = 1) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(times):
            archive.writestr(member if times == 1 else f"{number}.npy", content)


def zeros(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("header.npy", "w") as file:
        for _ in range(400):
            file.write(bytes(1 << 20))


def array(shape: str, kind: str = "<f8") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


STATES: dict[str, Callable[[Path], None]] = {
    **{name: make for name, make in THINGS.items() if name != "missing"},
    "missing": lambda _path: None,
    "empty": lambda path: path.write_bytes(b"") and None,
    "text": lambda path: path.write_text("state") and None,
    "npy": lambda path: path.write_bytes(array("(3,)") + bytes(24)) and None,
    "no header": lambda path: npz(path, b"", "other.npy"),
    "header is no array": lambda path: npz(path, b"header"),
    "array of 2^60": lambda path: npz(path, array("(1152921504606846976,)")),
    "array of 20 GB": lambda path: npz(path, array("(2684354560,)")),
    "objects": lambda path: npz(path, array("()", "|O") + b"\x80\x04N."),
    "expanding": zeros,
    "many members": lambda path: npz(path, b"", times=30_000),
    "header without json": lambda path: npz(path, array("()", "<U3") + "abc".encode("utf-32-le")),
    "deep header": lambda path: npz(path, array("()", "<U9000") + ("[" * 9000).encode("utf-32-le")),
}


def read(root: Path, place: Path) -> dict[str, dict]:
    """Read each package in each way; return what came of each."""
    from floelens.plugin.core.zscores.channels.reference import load_reference
    from floelens.plugin.core.zscores.state import ScoreState
    from floelens.plugin.ground.errors import FloeLensError
    from floelens.plugin.networks.card import ModelCard
    from floelens.plugin.networks.package import load
    from floelens.plugin.networks.registry import CARD, find, installed

    good = root / "models" / "aspp-concentration-sim"
    load(str(good))  # what is imported and allocated once is not a package's
    answers: dict[str, dict] = {}
    before = 0

    def ask(name: str, question: Callable[[], object]) -> None:
        nonlocal before
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        try:
            question()
            answer, sentence = "accepted", ""
        except FloeLensError as error:
            answer, sentence = "sentence", str(error)
        except BaseException as error:
            answer, sentence = type(error).__name__, str(error)[:200]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answers[name] = {
            "answer": answer,
            "sentence": sentence[:600],
            "length": len(sentence),
            "seconds": time.process_time() - start,
            "mib": (peak - before) / 1024,
        }

    for name, change in PACKAGES.items():
        folder = place / "package"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(good, folder)
        change(folder)
        ask(name, lambda folder=folder: load(str(folder)))
        if name.startswith("card"):  # one that is broken hides no other
            os.environ["FLOELENS_MODELS"] = str(place)
            ask(f"{name}, beside others", lambda: find("aspp-icetype-sim") and installed() and 1 / 0)
            if answers[f"{name}, beside others"]["answer"] == "ZeroDivisionError":
                answers[f"{name}, beside others"]["answer"] = "sentence"
            del os.environ["FLOELENS_MODELS"]
    folder = place / "package"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder)
    card = ModelCard.from_json(folder / CARD)
    for name, content in REFERENCES.items():
        (folder / "contributions.json").write_bytes(content)
        ask(f"reference: {name}", lambda: load_reference(str(folder), card, "concentration", "gated"))
    for name, make in THINGS.items():
        (folder / "contributions.json").unlink()
        make(folder / "contributions.json")
        ask(f"reference: {name}", lambda: load_reference(str(folder), card, "concentration", "gated"))
        if (folder / "contributions.json").is_dir():
            (folder / "contributions.json").rmdir()
        elif os.path.lexists(folder / "contributions.json"):
            (folder / "contributions.json").unlink()
        (folder / "contributions.json").write_bytes(b"")
    for name, make in STATES.items():
        path = place / "states" / name / "state.npz"
        path.parent.mkdir(parents=True)
        make(path)
        ask(f"state: {name}", lambda path=path: ScoreState.load(path))
    for name in (
        "a\0b",
        "x" * 300,
        "x/" * 3000,
        LONG,
        "~nobody/x",
        "",
        " ",
        "/dev/zero",
        "/proc",
        "con",
        "a\nb",
    ):
        ask(f"model: {name[:20]!r}", lambda name=name: load(name))
    return answers


def main() -> None:
    root, place = Path(sys.argv[1]), Path(sys.argv[2])
    spec = importlib.util.spec_from_file_location(
        "floelens", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    sys.modules["floelens"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["floelens"])
    resource.setrlimit(resource.RLIMIT_CPU, (300, 300))
    print(json.dumps(read(root, place)))


if __name__ == "__main__":
    main()
