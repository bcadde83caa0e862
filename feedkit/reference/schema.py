"""The JSON Schema (draft 2020-12) of a configuration, from the classes: with it an editor
completes and checks while one writes.

It is a little wider than feedkit itself: names of parts under `filters:` are any word, numbers may
be written where text is expected, and `${VARIABLE}` may stand anywhere.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from feedkit.config.annotations import Registry, keys_of
from feedkit.config.keys import (
    STREAMS,
    FeedKeys,
    FileKeys,
    NetworkKeys,
    ServiceKeys,
    StoreKeys,
)
from feedkit.duration import PATTERN
from feedkit.parameters import Parameters
from feedkit.reference.wording import default_text, summary
from feedkit.settings import Example
from feedkit.viewing import KINDS

Schema = dict[str, Any]
VARIABLE = {"type": "string", "pattern": r"\$\{"}
_KIND = "x-feedkit-kind"  # marks where a plugin stands, until all are known


def json_schema(plugins: Registry) -> Schema:
    """The schema of a configuration that can use these plugins."""
    definitions: Schema = {}
    for kind, table in plugins.items():
        definitions[kind] = _choice(kind, table)
        for name, cls in table.items():
            definitions[f"{kind}.{name}"] = _written(cls)
    definitions["feed"] = _object(FeedKeys)
    definitions["example"] = _object(Example)
    file = _object(FileKeys)
    properties = file["properties"]
    properties["service"] |= _object(ServiceKeys)
    properties["network"] |= _object(NetworkKeys)
    about = properties["store"].pop("description")
    properties["store"] = {
        "anyOf": [properties["store"], _object(StoreKeys)], "description": about
    }  # fmt: skip
    defaults = {k: v for k, v in _object(FeedKeys).items() if k != "required"}
    properties["defaults"] |= defaults
    properties["stream"] |= _one_of(STREAMS, {n: _written(cls) for n, cls in STREAMS.items()})
    properties["filters"] |= _names({"$ref": "#/$defs/filter"})
    properties["feeds"] |= _names({"$ref": "#/$defs/feed"})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "feedkit configuration",
        **file,
        "$defs": dict(sorted(definitions.items())),
    }


class _Generator(GenerateJsonSchema):
    """Pydantic's own, but for nested plugins: any plugin of the kind may stand there."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        for kind, base in KINDS.items():
            if schema["cls"] is base:
                return {_KIND: kind}
        return super().model_schema(schema)


def _object(cls: type[Parameters]) -> Schema:
    """The parameters of `cls` as a mapping."""
    made = cls.model_json_schema(by_alias=True, schema_generator=_Generator)
    nested = made.get("$defs", {})
    properties: Schema = {}
    fields = {field.alias or name: field for name, field in cls.model_fields.items()}
    for name, schema in made.get("properties", {}).items():
        field = fields[name]
        about = field.description or ""
        if not field.is_required() and (default := default_text(field)):
            about = f"{about}; default: {default}" if about else f"default: {default}"
        properties[name] = _loose(schema, nested) | ({"description": about} if about else {})
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": made["required"]} if made.get("required") else {}),
    }


def _written(cls: type[Parameters]) -> Schema:
    """What may stand after a plugin's name: its parameters, or the first of them."""
    mapping = _object(cls)
    first = next(iter(keys_of(cls)), None)
    required = mapping.get("required", [])
    if first is None or not set(required) <= {first}:
        return {"description": summary(cls), **mapping}
    return {"description": summary(cls), "anyOf": [mapping, mapping["properties"][first]]}


def _choice(kind: str, table: Any) -> Schema:
    """A plugin of `kind`: its bare name, or one name with what belongs to it."""
    schema = _one_of(table, {name: {"$ref": f"#/$defs/{kind}.{name}"} for name in table})
    if kind == "filter":  # the name of a part under filters:
        schema["anyOf"].append({"type": "string", "pattern": r"^[^\s:]+$"})
    return schema


def _one_of(table: Any, properties: Schema) -> Schema:
    bare = [name for name, cls in table.items() if not any(
        field.is_required() for field in cls.model_fields.values()
    )]  # fmt: skip
    mapping = {
        "type": "object",
        "properties": dict(sorted(properties.items())),
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"anyOf": [{"enum": sorted(bare)}, mapping] if bare else [mapping]}


def _names(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


def _loose(schema: Schema, nested: Schema) -> Schema:
    """`schema` as people write YAML: one value for a list, numbers for text, variables."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name == Example.__name__:  # stands in many places: written once
            return {"$ref": "#/$defs/example"}
        return _loose(nested[name], nested)
    if _KIND in schema:
        return {"$ref": f"#/$defs/{schema[_KIND]}"}
    if "anyOf" in schema:
        members = [_loose(s, nested) for s in schema["anyOf"] if s.get("type") != "null"]
        return members[0] if len(members) == 1 else {"anyOf": members}
    if "enum" in schema or "const" in schema:
        return {"anyOf": [{"enum": schema.get("enum") or [schema["const"]]}, VARIABLE]}
    limits = {k: v for k, v in schema.items() if k in _LIMITS}
    match schema.get("type"):
        case "string" if schema.get("format") == "duration":
            return {"type": "string", "pattern": rf"^{PATTERN}$|\$\{{"}
        case "string":
            return {"type": ["string", "number", "boolean"]} | limits
        case "integer" | "number":
            return {"anyOf": [{"type": schema["type"], **limits}, VARIABLE]}
        case "boolean":
            return {"anyOf": [{"enum": [True, False, "yes", "no", "on", "off"]}, VARIABLE]}
        case "array":
            items = _loose(schema["items"], nested) if "items" in schema else {}
            return {"anyOf": [{"type": "array", "items": items, **limits}, items]}
        case "object" if "properties" in schema:
            inner = {key: _loose(value, nested) for key, value in schema["properties"].items()}
            return {"type": "object", "properties": inner, "additionalProperties": False}
        case "object":
            values = schema.get("additionalProperties")
            if isinstance(values, dict):
                return {"type": "object", "additionalProperties": _loose(values, nested)} | (
                    {"propertyNames": schema["propertyNames"]} if "propertyNames" in schema else {}
                )
    return {}


_LIMITS = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems",
    "minLength", "maxLength", "pattern",
}  # fmt: skip
