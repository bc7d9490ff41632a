"""The modules of the page as one script.

A browser fetches a module when it has read the one that imports it, and six files at a time. Over a link of 50 ms, 60
modules take a second. So the server makes one script of them at its start. Nobody builds anything, and the script has
the text of the modules, line by line.

Each module becomes a function that runs once and returns what the module exports. These forms are understood, each at
the start of a line in our own modules:

    import { a, b as c } from "./x.js";     import d from "./x.js";
    export const | function | async function | class …
    export { a, b as c };     export { a } from "./x.js";     export default …

Everything else raises UnreadableModule, which names the module: `export let` among them, because a returned value would
not change with the variable. So do imports in a circle, and a name that the other module does not export.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

# Minified libraries have a whole module in one line: there, an export follows ; or }.
_IMPORT = re.compile(r'^import ?(?:\{([^}]*)\} ?|(\w+) )from ?"([^"]+)";', re.MULTILINE)
_EXPORT_LIST = re.compile(r'(?<![^;}\n])export ?\{([^}]*)\}(?: from "([^"]+)")?;?[ \t]*$', re.MULTILINE)
_EXPORT_DEFAULT = re.compile(r"(?<![^;}\n])export default (?=\w)")
_EXPORT_NAMED = re.compile(r"^export (?=(?:const|function|async function|class) (\w+))", re.MULTILINE)
_NOT_UNDERSTOOD = re.compile(r"^(?:import|export)\b.*|\bimport ?\(.*|\bimport\.meta.*", re.MULTILINE)


class UnreadableModule(Exception):
    """A module has an import or an export that cannot be made part of the one script."""

    def __init__(self, module: str, what: str) -> None:
        super().__init__(f"the module {module} of the page: {what}")


class Module(NamedTuple):
    """`text` is the body without imports and exports. `exports` are expressions by the name under which others import
    them. `imports` are pairs of a module and the name that is wanted of it."""

    text: str
    exports: Mapping[str, str]
    imports: tuple[tuple[str, str], ...]


def as_one_script(sources: Mapping[str, str], entry: str) -> str:
    """The script that runs `entry` and what it imports, each once. `sources` are the texts of modules by their paths.
    Modules that nobody imports are left out."""
    modules: dict[str, Module] = {}
    _read_all(entry, sources, modules, ())
    _check_names(modules)
    return "".join(_as_function(name, module) for name, module in modules.items())


def _read_all(name: str, sources: Mapping[str, str], modules: dict[str, Module], above: tuple[str, ...]) -> None:
    """Puts the module into `modules`, after all that it imports: the order in which a browser runs them."""
    if name in above:
        raise UnreadableModule(name, f"it imports itself by way of {', '.join(above[above.index(name) + 1 :])}")
    if name in modules:
        return
    module = read_module(name, sources[name])
    for other in dict.fromkeys(other for other, _ in module.imports):
        if other not in sources:
            raise UnreadableModule(name, f"it imports {other}, which is not there")
        _read_all(other, sources, modules, (*above, name))
    modules[name] = module


def read_module(name: str, source: str) -> Module:
    imports: list[tuple[str, str]] = []
    exports: dict[str, str] = {}

    def imported(found: re.Match[str]) -> str:
        names, default, path = found.groups()
        other = _resolved(name, path)
        pairs = [("default", default)] if default else list(_pairs(names))
        imports.extend((other, wanted) for wanted, _ in pairs)
        taken = ", ".join(wanted if wanted == here else f"{wanted}: {here}" for wanted, here in pairs)
        return _same_lines(f"const {{ {taken} }} = {_variable(other)};", found)

    def listed(found: re.Match[str]) -> str:
        names, path = found.groups()
        for own, public in _pairs(names):
            exports[public] = f"{_variable(_resolved(name, path))}.{own}" if path else own
            if path:
                imports.append((_resolved(name, path), own))
        return _same_lines("", found)

    def declared(found: re.Match[str]) -> str:
        exports[found[1]] = found[1]
        return ""

    def default(_: re.Match[str]) -> str:
        exports["default"] = "module_default"
        return "const module_default = "

    text = _IMPORT.sub(imported, source)
    text = _EXPORT_LIST.sub(listed, text)
    text = _EXPORT_DEFAULT.sub(default, text)
    text = _EXPORT_NAMED.sub(declared, text)
    if (found := _NOT_UNDERSTOOD.search(text)) is not None:
        raise UnreadableModule(name, f"this form is not understood: {found[0][:80]}")
    return Module(text, exports, tuple(imports))


def _check_names(modules: Mapping[str, Module]) -> None:
    for name, module in modules.items():
        for other, wanted in module.imports:
            if wanted not in modules[other].exports:
                raise UnreadableModule(name, f"{other} does not export {wanted}")


def _as_function(name: str, module: Module) -> str:
    exports = ", ".join(public if public == own else f"{public}: {own}" for public, own in module.exports.items())
    return f"const {_variable(name)} = (() => {{ // {name}\n{module.text}\nreturn {{ {exports} }};\n}})();\n"


def _pairs(names: str) -> Iterable[tuple[str, str]]:
    """`a, b as c` is ("a", "a"), ("b", "c")."""
    for part in filter(None, (part.strip() for part in names.split(","))):
        first, _, second = part.partition(" as ")
        yield first, second or first


def _same_lines(text: str, found: re.Match[str]) -> str:
    return text + "\n" * found[0].count("\n")


def _resolved(name: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), path))


def _variable(name: str) -> str:
    return "module_" + re.sub(r"\W", "_", name.removesuffix(".js"))
