"""Every error class of the library: of one family, named as such, explained, and its message kept over pickling."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

from mag7.errors import LONGEST_MESSAGE
from mag7.session_calendar import NotASessionError

LIBRARY = Path(__file__).parents[2] / "plugins" / "mag7"
BUILT_IN = {
    "Exception",
    "BaseException",
    "ValueError",
    "RuntimeError",
    "KeyError",
    "OSError",
    "TypeError",
    "LookupError",
}


def list_classes() -> dict[str, tuple[str, ast.ClassDef]]:
    return {
        node.name: (path.relative_to(LIBRARY).as_posix(), node)
        for path in sorted(LIBRARY.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }


CLASSES = list_classes()


def bases(name: str) -> set[str]:
    """A class's bases up to those that are not of the library."""
    direct = {base.id for base in CLASSES[name][1].bases if isinstance(base, ast.Name)} if name in CLASSES else set()
    return direct | {further for base in direct for further in bases(base)}


ERRORS = sorted(name for name in CLASSES if bases(name) & {*BUILT_IN, "Mag7Error"})


def test_there_are_errors_to_look_at() -> None:
    assert {"KeyRejectedError", "SessionRefusedError", "NotASessionError", "Mag7Error"} <= set(ERRORS)


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_of_the_family_named_and_explained(name: str) -> None:
    file, node = CLASSES[name]

    assert name.endswith("Error"), file
    assert "Mag7Error" in {name, *bases(name)}, file
    assert (ast.get_docstring(node) or "").endswith("."), file


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: path.relative_to(LIBRARY).as_posix())
def test_only_errors_of_the_family_are_raised(path: Path) -> None:
    """A ValueError or TypeError says that a caller's code is wrong; nothing else built in is raised."""
    raised = {
        node.exc.func.id
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name)
    }

    assert raised & (BUILT_IN - {"ValueError", "TypeError"}) == set()


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: path.relative_to(LIBRARY).as_posix())
def test_nothing_is_caught_and_forgotten(path: Path) -> None:
    """Whoever catches everything raises it again."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = (
            {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)} if node.type else {"everything"}
        )
        if caught & {"everything", "Exception", "BaseException"}:
            assert any(isinstance(part, ast.Raise) for part in ast.walk(node)), f"line {node.lineno}"


@pytest.mark.parametrize(
    "foreign", ["two\nlines", "next\u2028line", "half \ud800 pair", "\x1b[31mred\x00", "\u202eturned"]
)
def test_a_message_is_one_printable_line_whatever_it_quotes(foreign: str) -> None:
    message = str(NotASessionError(f"{foreign} is no session"))

    assert message.isprintable()
    assert message.endswith(" is no session")
    assert str(pickle.loads(pickle.dumps(NotASessionError(message)))) == message  # noqa: S301 - our own bytes


def test_a_long_message_keeps_its_beginning_and_what_to_do() -> None:
    message = str(NotASessionError(f"begins {'x ' * LONGEST_MESSAGE} ask for another"))

    assert len(message) <= LONGEST_MESSAGE
    assert message.startswith("begins")
    assert message.endswith("ask for another")
