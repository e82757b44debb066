#!/usr/bin/env python3
"""Weights that others have trained begin a run: model.init and --init, in every format that they come in.

usage: init_test.py CONVOY [unittest arguments]
"""
import collections
import io
import json
import pathlib
import pickle
import struct
import sys
import types
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from launch import ProgramTest, main  # noqa: E402
from run_files import read_tensors  # noqa: E402

NET = """
name: net
data: {source: synthetic, synthetic: {image: [3, 8, 8], classes: 4, train: 32, test: 8}}
model:
  input: [3, 8, 8]
  layers:
    - {conv: {out: 5, kernel: 3, bias: false}, name: conv1}
    - {batchnorm, name: bn1}
    - relu
    - globalavgpool
    - {linear: 4, name: fc}
train: {epochs: 1, global_batch: 16}
optimizer: {name: sgd, lr: 1e-30}
device: cpu
"""
SHAPES = {"conv1.weight": (5, 3, 3, 3), "bn1.weight": (5,), "bn1.bias": (5,), "bn1.running_mean": (5,), "bn1.running_var": (5,),
          "fc.weight": (4, 5), "fc.bias": (4,)}
TRAINED = ("conv1.weight", "bn1.weight", "bn1.bias", "fc.weight", "fc.bias")


def size_of(shape):
    count = 1
    for length in shape:
        count *= length
    return count


def weights():
    """Numbers that 16 bits hold exactly."""
    return {name: [(i % 61 + len(name)) / 64 for i in range(size_of(shape))] for name, shape in SHAPES.items()}


def halves(values):
    return struct.pack(f"<{len(values)}e", *values)


def brains(values):
    """bf16: the upper halves of fp32."""
    return b"".join(struct.pack("<f", value)[2:] for value in values)


def floats(values):
    return struct.pack(f"<{len(values)}f", *values)


ENCODINGS = {"F32": floats, "F16": halves, "BF16": brains}


def write_safetensors(path, tensors, shapes, kind="F32"):
    header, content = {}, b""
    for name, values in tensors.items():
        data = ENCODINGS[kind](values)
        header[name] = {"dtype": kind, "shape": shapes[name], "data_offsets": [len(content), len(content) + len(data)]}
        content += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)


# ---- torch.save() without torch ----

TORCH = {"torch": types.ModuleType("torch"), "torch._utils": types.ModuleType("torch._utils")}
STORAGES = {}
for kind in ("FloatStorage", "HalfStorage", "BFloat16Storage", "LongStorage"):
    STORAGES[kind] = type(kind, (), {"__module__": "torch"})
    setattr(TORCH["torch"], kind, STORAGES[kind])


def _rebuild_tensor_v2():
    raise AssertionError("never called")


_rebuild_tensor_v2.__module__ = "torch._utils"
_rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
TORCH["torch._utils"]._rebuild_tensor_v2 = _rebuild_tensor_v2


class Storage:
    def __init__(self, kind, key, count):
        self.kind, self.key, self.count = kind, key, count


class Tensor:
    def __init__(self, storage, shape):
        self.storage, self.shape = storage, shape

    def __reduce__(self):
        strides, step = [], 1
        for length in reversed(self.shape):
            strides.insert(0, step)
            step *= length
        return _rebuild_tensor_v2, (self.storage, 0, tuple(self.shape), tuple(strides), False, collections.OrderedDict())


class Pickler(pickle.Pickler):
    def persistent_id(self, thing):
        return ("storage", STORAGES[thing.kind], thing.key, "cpu", thing.count) if isinstance(thing, Storage) else None


def save(path, tensors, shapes, kind="FloatStorage", around=lambda state: state):
    """As torch.save(around(state_dict), path) writes it."""
    encode = {"FloatStorage": floats, "HalfStorage": halves, "BFloat16Storage": brains}[kind]
    state = collections.OrderedDict()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for key, (name, values) in enumerate(tensors.items()):
            state[name] = Tensor(Storage(kind, str(key), len(values)), shapes[name])
            archive.writestr(f"{path.stem}/data/{key}", encode(values))
        state["bn1.num_batches_tracked"] = Tensor(Storage("LongStorage", "count", 1), ())
        archive.writestr(f"{path.stem}/data/count", struct.pack("<q", 7))
        state._metadata = collections.OrderedDict([("", {"version": 1})])
        text = io.BytesIO()
        sys.modules.update(TORCH)
        try:
            Pickler(text, protocol=2).dump(around(state))
        finally:
            for module in TORCH:
                del sys.modules[module]
        archive.writestr(f"{path.stem}/data.pkl", text.getvalue())
        archive.writestr(f"{path.stem}/byteorder", "little")
        archive.writestr(f"{path.stem}/version", "3\n")


class Init(ProgramTest):
    def begins_with(self, path, *arguments, expected=None, ranks=1):
        """A run that begins with the file has its weights."""
        run = self.folder / "run"
        result = self.succeed("train", self.write(NET), *arguments, *([] if arguments else ["--init", path]), "--output", run,
                              ranks=ranks)
        begun = read_tensors(run / "checkpoints" / "epoch-0001.safetensors")
        for name in expected or TRAINED:
            self.assertEqual(begun[name], weights()[name], name)
        return result.stdout

    def test_safetensors_of_every_precision(self):
        for kind in ENCODINGS:
            with self.subTest(kind=kind):
                path = self.folder / f"{kind}.safetensors"
                write_safetensors(path, weights(), SHAPES, kind)
                self.assertIn(f"beginning with the weights of {path}: 7 tensors", self.begins_with(path))

    def test_pytorch_files_of_every_precision(self):
        for kind in ("FloatStorage", "HalfStorage", "BFloat16Storage"):
            with self.subTest(kind=kind):
                path = self.folder / f"{kind}.pth"
                save(path, weights(), SHAPES, kind)
                self.assertIn("7 tensors; ignored: 1 num_batches_tracked", self.begins_with(path))

    def test_training_checkpoints_and_prefixes(self):
        path = self.folder / "checkpoint.pt"
        prefixed = {"module._orig_mod.model." + name: values for name, values in weights().items()}
        shapes = {"module._orig_mod.model." + name: shape for name, shape in SHAPES.items()}

        def around(state):
            state["module._orig_mod.model.bn1.num_batches_tracked"] = state.pop("bn1.num_batches_tracked")
            return {"epoch": 12, "loss": 0.25, "state_dict": state, "name": "resnet"}

        save(path, prefixed, shapes, around=around)
        self.assertIn("their names are without module._orig_mod.model. here", self.begins_with(path))

    def test_a_key_of_the_configuration_and_two_ranks(self):
        path = self.folder / "net.pth"
        save(path, weights(), SHAPES)
        self.begins_with(path, f"model.init={path}", ranks=2)
        config = (self.folder / "run" / "config.yaml").read_text()
        self.assertIn(f"init: {path}", config)
        path.unlink()  # a run that goes on does not need it
        self.succeed("train", self.write(NET), f"model.init={path}", "--output", "run", "--resume", "auto", "train.epochs=2")
        self.refuse(1, [f"model.init: {path}: there is no such file"], "train", self.write(NET), f"model.init={path}",
                    "--output", "other")

    def test_files_in_parts(self):
        names = list(SHAPES)
        for number, part in ((1, names[:3]), (2, names[3:])):
            write_safetensors(self.folder / f"net-{number}.safetensors", {name: weights()[name] for name in part}, SHAPES)
        index = {"metadata": {"total_size": 1}, "weight_map": {name: f"net-{1 if i < 3 else 2}.safetensors" for i, name in enumerate(names)}}
        path = self.folder / "net.safetensors.index.json"
        path.write_text(json.dumps(index))
        self.begins_with(path, ranks=2)
        for change, message in (({"fc.bias": "net-1.safetensors"}, ""),  # it is in another part all the same
                                ({"x": "net-1.safetensors"}, "says that x is in net-1.safetensors, where it is not"),
                                ({"fc.bias": "../x.safetensors"}, "is no file beside it"),
                                ({"fc.bias": 7}, "names no file for fc.bias"),
                                ({"fc.bias": "net-3.safetensors"}, "net-3.safetensors")):
            with self.subTest(change=change):
                path.write_text(json.dumps({"weight_map": {**index["weight_map"], **change}}))
                if not message:
                    self.begins_with(path)
                else:
                    self.refuse(1, [message], "train", self.write(NET), "--init", path, "--output", "x")
        path.write_text("{}")
        self.refuse(1, ["it has no weight_map"], "train", self.write(NET), "--init", path, "--output", "x", ranks=(1,))

    def test_a_head_of_another_size_begins_anew(self):
        path = self.folder / "net.pth"
        tensors, shapes = weights(), dict(SHAPES)
        tensors["fc.weight"], shapes["fc.weight"] = [0.5] * 5000, (1000, 5)
        tensors["fc.bias"], shapes["fc.bias"] = [0.5] * 1000, (1000,)
        save(path, tensors, shapes)
        out = self.begins_with(path, expected=("conv1.weight", "bn1.weight", "bn1.bias"))
        self.assertIn("5 tensors; layer fc begins anew: 1000 outputs in the file, 4 here; ignored: 1 num_batches_tracked", out)

    def test_other_mismatches_are_told_at_once(self):
        path = self.folder / "net.pth"
        tensors, shapes = weights(), dict(SHAPES)
        tensors["conv1.weight"], shapes["conv1.weight"] = [0.5] * 75, (5, 3, 5, 1)
        tensors["bn_1.weight"], shapes["bn_1.weight"] = tensors.pop("bn1.weight"), (5,)
        save(path, tensors, shapes)
        for part in ("net.pth: does not match this network: 6 of 7 names found", "missing: bn1.weight (nearest: bn_1.weight)",
                     "left over: bn_1.weight", "of another shape: conv1.weight [5,3,5,1], here [5,3,3,3]"):
            self.refuse(1, [part], "train", self.write(NET), "--init", path, "--output", "x", ranks=(1,))

    def test_no_code_is_run(self):
        class Evil:
            def __reduce__(self):
                return (pathlib.Path(str(TARGET)).touch, ())

        TARGET = self.folder / "touched"
        path = self.folder / "evil.pth"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("evil/data.pkl", pickle.dumps({"fc.weight": Evil()}, protocol=2))
        self.refuse(1, ["evil.pth: asks for ", "no weights but code"], "train", self.write(NET), "--init", path, "--output", "x")
        self.assertFalse(TARGET.exists())


if __name__ == "__main__":
    main()
