"""The JSON Schema of market_data.json, beside the Glue scripts, which derive their Spark schema from it.

It follows from the model in mag7.market.document: ``make document-schema`` writes it, and a test holds it to the model.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from mag7.market.document import Document

SCHEMA = Path(__file__).parents[1] / "include/glue/market_data.schema.json"


_INNERMOST = re.compile(r"\[[^\[\]{}]*\]|\{[^{}]*\}")


class _Plain(GenerateJsonSchema):
    """A generator that omits titles, which only repeat names, and writes null as one of a field's types."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        inner = self.generate_inner(schema["schema"])
        return {**inner, "type": [inner["type"], "null"]}


def render_schema() -> str:
    """Render the schema of a document as it is written."""
    schema = Document.model_json_schema(mode="serialization", schema_generator=_Plain)
    text = json.dumps(schema, indent=1, ensure_ascii=False)
    for _ in range(2):  # a field on a line, as in table_columns.json
        text = _INNERMOST.sub(lambda found: " ".join(found[0].split()), text)
    return text + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(render_schema(), encoding="utf-8")
