"""Is a JSON file, or each line of one, as docs/schema says? By Debian's python3-jsonschema: schema.py NAME FILE [keys], FILE - is standard input.
With `keys`: print the keys that were met, without their points."""
import json
import pathlib
import sys

import jsonschema

folder = pathlib.Path(__file__).resolve().parents[2] / "docs/schema"


def validator(name):
    path = folder / f"{name}.schema.json"
    schema = json.loads(path.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, resolver=jsonschema.RefResolver(path.as_uri(), schema))


def refuse(constant):
    raise ValueError(f"{constant} is no JSON")


def main(name, file, *keys):
    text = sys.stdin.read() if file == "-" else pathlib.Path(file).read_text()
    lines = text.splitlines() if file.endswith(".jsonl") else [text]
    one, met = validator(name), set()
    assert lines, "empty"
    for line in lines:
        record = json.loads(line, parse_constant=refuse)
        error = jsonschema.exceptions.best_match(one.iter_errors(record))
        if error:
            sys.exit(f"{file} is not as docs/schema/{name}.schema.json says: {error.json_path}: {error.message[:500]}")
        if isinstance(record, dict):
            met.update(record)
            met.update(key for row in record.get("scores", []) for key in row)
    if keys:
        print("\n".join(sorted(met)))


main(*sys.argv[1:])
