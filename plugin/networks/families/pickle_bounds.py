"""How much work a pickle is, before anything unpickles it.

``weights_only`` bounds what a pickle may make, not how much: a tuple that holds the one before it twice, thirty times
over, is a hundred bytes and takes 2³⁰ steps to hash, and one that lies a hundred thousand deep ends the process. The
stack machine is followed here with sizes in place of values.
"""

from __future__ import annotations

import pickletools  # nosec B403 # it lists opcodes, and runs none
from dataclasses import dataclass, field

MOST_OPCODES = 5_000_000
# Tuples, lists and mappings in one another; checkpoints of Lightning have about ten.
MOST_DEPTH = 100
# Values, counted as often as something holds them, over all steps.
MOST_WORK = 20_000_000
_MARK = "MARK"
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
_TO_MARK = {"TUPLE", "LIST", "DICT", "FROZENSET"}
_ADDS_TO_MARK = {"APPENDS", "SETITEMS", "ADDITEMS"}
_ADDS = {"APPEND": 1, "SETITEM": 2, "BUILD": 1}
_TAKES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "REDUCE": 2, "NEWOBJ": 2, "NEWOBJ_EX": 3}
_TAKES |= {"BINPERSID": 1, "STACK_GLOBAL": 2, "POP": 1, "READONLY_BUFFER": 1}
_GIVES_NOTHING = {"POP", "PROTO", "FRAME", "STOP"}


class PickleBoundsError(ValueError):
    """A pickle that no network's weights are: half a sentence."""


@dataclass
class _Size:
    """A value as it is counted: with what it holds, each as often as it is held; lists grow when they are filled."""

    values: int = 1
    depth: int = 1


@dataclass
class _Machine:
    stack: list[_Size | str] = field(default_factory=list)
    memo: dict[int, _Size] = field(default_factory=dict)
    work: int = 0

    def pop(self) -> _Size:
        value = self.stack.pop() if self.stack else _MARK
        if isinstance(value, str):
            raise PickleBoundsError("takes what is not there")
        return value

    def pop_to_mark(self) -> list[_Size]:
        taken: list[_Size] = []
        while True:
            if not self.stack:
                raise PickleBoundsError("takes what is not there")
            value = self.stack.pop()
            if isinstance(value, str):
                return taken
            taken.append(value)

    def push(self, parts: list[_Size]) -> None:
        """Put a value that holds others on the stack."""
        self.stack.append(self.fill(_Size(), parts))

    def fill(self, size: _Size, parts: list[_Size]) -> _Size:
        """Let a value hold more."""
        added = sum(part.values for part in parts)
        size.values += added
        size.depth = max([size.depth, *(1 + part.depth for part in parts)])
        self.work += added
        if self.work > MOST_WORK:
            raise PickleBoundsError("holds the same values again and again, more than 20 million times")
        if size.depth > MOST_DEPTH:
            raise PickleBoundsError(f"holds more than {MOST_DEPTH} tuples and lists inside one another")
        return size

    def key(self, number: object) -> int:
        if not isinstance(number, int):
            raise PickleBoundsError("names a value by no number")
        return number


def check_bounds(content: bytes) -> None:
    """Refuse a pickle whose values take more than bounded work to build, hash or print.

    Parameters
    ----------
    content : bytes
        The pickle; nothing of it is made.

    Raises
    ------
    PickleBoundsError
        It holds too much, is too deep, or is damaged.
    """
    machine = _Machine()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if count >= MOST_OPCODES:
                raise PickleBoundsError(f"has more than {MOST_OPCODES} steps")
            _step(machine, opcode.name, argument)
    except PickleBoundsError:
        raise
    except Exception as error:  # what pickletools raises differs over Python's versions
        raise PickleBoundsError(f"is damaged ({str(error)[:80]})") from None


def _step(machine: _Machine, name: str, argument: object) -> None:
    if name == _MARK:
        machine.stack.append(_MARK)
    elif name in _PUTS:
        value = machine.pop()
        machine.stack.append(value)
        machine.memo[machine.key(argument)] = value
    elif name == "MEMOIZE":
        value = machine.pop()
        machine.stack.append(value)
        machine.memo[len(machine.memo)] = value
    elif name in _GETS:
        if machine.key(argument) not in machine.memo:
            raise PickleBoundsError("names a value that it has not made")
        machine.stack.append(machine.memo[machine.key(argument)])
    elif name == "DUP":
        value = machine.pop()
        machine.stack += [value, value]
    elif name == "POP_MARK":
        machine.pop_to_mark()
    elif name in _TO_MARK or name in ("INST", "OBJ"):
        machine.push(machine.pop_to_mark())
    elif name in _ADDS_TO_MARK:
        added = machine.pop_to_mark()
        machine.stack.append(machine.fill(machine.pop(), added))
    elif name in _ADDS:
        added = [machine.pop() for _ in range(_ADDS[name])]
        machine.stack.append(machine.fill(machine.pop(), added))
    elif name in _TAKES:
        taken = [machine.pop() for _ in range(_TAKES[name])]
        if name not in _GIVES_NOTHING:
            machine.push(taken)
    elif name not in _GIVES_NOTHING:
        machine.stack.append(_Size())
