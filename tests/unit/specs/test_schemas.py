"""The JSON Schemas in the package are those of the models, and take the examples that the models take."""

from __future__ import annotations

import json

import jsonschema
import pytest

from icebridge_provider.specs.schemas import FOLDER, schemas
from icebridge_provider.specs.yaml import parse_yaml
from tests.unit.specs.test_permissions_file import SEED
from tests.unit.specs.test_syncs_file import ONE


def test_the_files_are_those_of_the_models() -> None:
    assert {path.name: path.read_text() for path in FOLDER.glob("*.schema.json")} == schemas(), (
        "python -m icebridge_provider.specs.schemas"
    )


@pytest.mark.parametrize(("name", "content"), [("permissions", SEED), ("syncs", ONE.encode())])
def test_examples_fit_and_a_wrong_key_does_not(name: str, content: bytes) -> None:
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    value = parse_yaml(content, "f").value
    jsonschema.validate(value, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**value, "other": 1}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({next(iter(value)): [{"name": ""}]}, schema)
