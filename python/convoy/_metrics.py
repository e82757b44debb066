"""Reads metrics.jsonl, the figures of a run."""
import json
import pathlib

from ._errors import Error

FILE = "metrics.jsonl"


def complete_rows(text):
    """The JSON rows of `text` up to its last newline, as dicts. A row that is still being written is left for later."""
    return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines() if line.strip()]


def runs(folder="runs"):
    """All rows of all runs under `folder`, as dicts; `folder` may also be a single run. Each dict has the path of its run in "run"."""
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise Error(f"{folder} is not a folder; name a run's folder or one that holds runs")
    records = []
    for path in sorted(folder.rglob(FILE)):
        try:
            rows = complete_rows(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise Error(f"{path} is damaged: {error}") from None
        records += [{"run": str(path.parent), **row} for row in rows]
    return records
