"""What onnxruntime answers, for `convoy export --verify`.

usage: python3 -c THIS MODEL ANSWERS < images

Standard input has for each image a line of JSON and, behind it, what the line announces: {"file": N}, the N
bytes of the name of a picture that Pillow decodes, or {"shape": [..., C]}, so many bytes of pixels. ANSWERS gets the logits, float32 (images, classes). Exit
code 3: a package is missing, and ANSWERS has its name.
"""
import json
import os
import sys


def decode(path):
    """(H,W,3), upright."""
    from PIL import Image, ImageOps
    with Image.open(path) as picture:
        return numpy.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


def read_image(line, stream):
    announced = json.loads(line)
    if "file" in announced:
        return decode(os.fsdecode(stream.read(announced["file"])))
    shape = announced["shape"]
    return numpy.frombuffer(stream.read(int(numpy.prod(shape))), numpy.uint8).reshape(shape)


def main(model, answers):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    takes_pixels = session.get_inputs()[0].type == "tensor(uint8)"
    with open(answers, "wb") as output:
        while line := sys.stdin.buffer.readline():
            image = read_image(line, sys.stdin.buffer)
            if not takes_pixels:
                image = numpy.moveaxis(image, -1, 0).astype(numpy.float32) / 255
            (logits,) = session.run(["logits"], {"images": image[None]})
            output.write(logits.astype("<f4").tobytes())


try:
    import numpy
    import onnxruntime
    main(*sys.argv[1:])
except ImportError as error:
    with open(sys.argv[2], "w") as output:
        output.write(error.name or str(error))
    sys.exit(3)
