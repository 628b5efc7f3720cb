"""How a cube's records become its rows, as the receivers' classes are told: the field mapping of a streaming table.

Kylin keeps names and texts alone there, so a list is lines, and what is no column has a name that begins with a dollar.
"""

from gradcube.cube.model import CubeModel

KEY = "$key"


def field_mapping(model: CubeModel) -> dict[str, str]:
    """For RowParser and AvroRows: each column's field, and what else the declaration says of a record."""
    fields = dict(model.source.fields)
    return {**fields, KEY: fields.get(model.key, model.key), **_of_avro(model)}


def _of_avro(model: CubeModel) -> dict[str, str]:
    source, told = model.source, {}
    if source.schema is not None:
        told["$schema"] = source.schema
    if source.unpivot is not None:
        told["$unpivot"] = "\n".join([source.unpivot.name, source.unpivot.value, *source.unpivot.fields])
    told |= {f"$filter {one.field}": "\n".join(map(str, one.values)) for one in model.filters}
    told |= {f"$when {column} {field}": value for column, field, value in source.when}
    return told | {f"$word {column} {before}": after for column, before, after in source.words}
