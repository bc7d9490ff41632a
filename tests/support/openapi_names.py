"""Gives a name of their own to parts of the OpenAPI document: enumerations, unions and maps.

A part without a name gets a poor one from a generator of clients, such as `BookingCreatedAuthType0`.
"""

from __future__ import annotations

import re
from typing import Any

REF = "#/components/schemas/{name}"
# What several schemas have in common, by name: the texts of an enumeration, and a member of a union.
ENUMS = {
    "Dimension": {"servers", "cores", "memory", "tempdisc", "userdisc", "datadisc"},
    "Right": {"see", "names", "book", "manage", "administer", "audit"},
    "Role": {"viewer", "reader", "member", "manager", "admin", "auditor"},
    "SignInMethod": {"oidc", "keystone", "token"},
    "State": {"confirmed", "tentative"},
}
UNIONS = {"Event": "ProjectCreated", "Notice": "booking.started"}
JSON_OBJECT = {"description": "Any JSON object.", "type": "object", "additionalProperties": True}
BESIDE = ("description", "default")  # what stays beside the reference
Found = dict[str, dict[str, Any]]


class Unfit(Exception):
    """Generated clients cannot name a part of the document well."""


def with_names(document: dict[str, Any]) -> dict[str, Any]:
    """The same document with references to the parts that have names. Raises Unfit for two parts with one name, and
    for a schema with a list or an object of its own name: generated Python has one variable for both."""
    found: Found = {}
    components = {key: named(one, found) for key, one in document["components"].items() if key != "schemas"}
    made = {key: named(part, found) for key, part in document.items() if key != "components"}
    schemas = {name: in_schema(name, one, found) for name, one in document["components"]["schemas"].items()}
    for name, schema in schemas.items():
        field = schema.get("properties", {}).get(re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(), {})
        if field.get("type", "array") == "array" and field:
            raise Unfit(f"the schema {name} has a field of the same name: give the schema another name")
    if clash := found.keys() & schemas.keys():
        raise Unfit(f"two parts have one name: {sorted(clash)}")
    return {**made, "components": {"schemas": dict(sorted((schemas | found).items())), **components}}


def in_schema(name: str, schema: dict[str, Any], found: Found) -> dict[str, Any]:
    """A schema of the components. A part of it that nothing else has is named after it and the field."""

    def of(key: str, part: Any) -> Any:
        if key != "properties":
            return named(part, found)
        return {field: named(one, found, f"{name}{camel(field)}") for field, one in part.items()}

    return {key: of(key, part) for key, part in schema.items()}


def named(part: Any, found: Found, where: str = "") -> Any:
    """A part of the document with references in it. `where` names it if nothing else does; "": it stays as it is."""
    if isinstance(part, list):
        return [named(one, found, where) for one in part]
    if not isinstance(part, dict):
        return part
    made = {key: named(one, found, where if key in ("anyOf", "items") else "") for key, one in part.items()}
    if isinstance(texts := part.get("enum"), list) and all(isinstance(one, str) for one in texts):
        return enumeration(made, found, where)
    if "discriminator" in part:
        mapping = part["discriminator"]["mapping"]
        return reference(next(name for name, one in UNIONS.items() if one in mapping), made, found)
    if part.get("type") == "object" and "properties" not in part:
        if "additionalProperties" not in part:
            return reference("JsonObject", {**JSON_OBJECT, **made}, found)
        return reference(where, made, found) if where else made
    return made


def enumeration(part: dict[str, Any], found: Found, where: str) -> dict[str, Any]:
    """One of some texts. A text that is the only one is a constant."""
    texts = part["enum"]
    if len(texts) == 1:
        return {"type": "string", "const": texts[0], **{key: one for key, one in part.items() if key != "enum"}}
    name = next((name for name, one in ENUMS.items() if one == set(texts)), where)
    typed = {"type": "string", **part, "enum": sorted(texts)}
    return reference(name, typed, found) if name else typed


def reference(name: str, part: dict[str, Any], found: Found) -> dict[str, Any]:
    """A reference to the part, which has that name from now on. Raises Unfit if another has it."""
    alone = {key: one for key, one in part.items() if key not in BESIDE}
    if name == "JsonObject":
        alone = JSON_OBJECT
    if found.setdefault(name, alone) != alone:
        raise Unfit(f"two different parts have the name {name}")
    beside = {key: one for key, one in part.items() if key in BESIDE and one != alone.get(key)}
    return {"$ref": REF.format(name=name), **beside}


def camel(field: str) -> str:
    return "".join(word.capitalize() for word in field.split("_"))
