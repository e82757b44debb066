"""Train networks with Convoy and use them from Python.

    import convoy

    for epoch in convoy.train(convoy.configs() / "quickstart.yaml", {"train.epochs": 3}, output="runs/digits"):
        print(epoch["epoch"], epoch["val_accuracy"])

    model = convoy.load("runs/digits")
    probabilities = model.predict(["a.png", "b.jpg"])  # numpy, (2, classes)
    print([model.classes[i] for i in probabilities.argmax(axis=1)])

    table = convoy.runs("runs")  # a list of dicts, for pandas.DataFrame

A failure raises convoy.Error. Its text is one sentence that says what to do.
"""
from ._errors import Error
from ._files import configs
from ._metrics import runs
from ._model import Model, load
from ._training import train

__all__ = ["Error", "Model", "configs", "load", "runs", "train"]
