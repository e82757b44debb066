"""What a run leaves in its folder, as Python values."""
import json
import struct
import zlib


def read_tensors(path):
    """{name: values} of a safetensors file."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8:8 + length])
    header.pop("__metadata__", None)
    out = {}
    for name, tensor in header.items():
        begin, end = tensor["data_offsets"]
        kind = {"F32": "f", "I32": "i", "F64": "d"}[tensor["dtype"]]
        values = content[8 + length + begin:8 + length + end]
        out[name] = list(struct.unpack(f"<{len(values) // struct.calcsize(kind)}{kind}", values))
    return out


def parts_of(path):
    """Header and values of a safetensors file."""
    raw = path.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    return json.loads(raw[8:8 + length]), raw[8 + length:]


def write_safetensors(path, header, values, text=None):
    """With a checksum that is right."""
    header["__metadata__"]["checksum"] = "00000000"
    text = text(header) if text else json.dumps(header, separators=(",", ":"))
    text = text.encode().ljust((len(text.encode()) + 7) // 8 * 8)
    zeros = struct.pack("<Q", len(text)) + text + values
    path.write_bytes(zeros.replace(b'"checksum":"00000000"', b'"checksum":"%08x"' % zlib.crc32(zeros), 1))


def differing(one, other):
    """Names of the tensors that two files do not have alike. To be compared with [] in tests: unittest would take minutes to
    show where long lists differ."""
    one, other = read_tensors(one), read_tensors(other)
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def read_metrics(run):
    """The epochs and the summary of metrics.jsonl, without times, signs (which a resumed run has not all seen) and the steps in
    between, which come by the clock."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    records = [record for record in records if record.get("event") != "step"]
    for record in records:
        for key in ("seconds", "images_per_second", "seconds_to_first_step", "signs"):
            record.pop(key, None)
    return records


def epochs_in(run):
    """How many epochs and summaries the metrics of a run have, which may be going on."""
    metrics = run / "metrics.jsonl"
    return metrics.read_text().count('"val_loss":') if metrics.exists() else 0


def checkpoints(run):
    """Names of the run's checkpoints, oldest first."""
    return sorted(path.name for path in (run / "checkpoints").glob("epoch-*.safetensors"))
