"""Charts, if matplotlib is installed."""


def pyplot():
    """matplotlib's, drawing to files; None, saying why, where it is missing."""
    try:
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot as module
    except ImportError as error:
        print(f"no chart: {error}")
        return None
    return module


def save(figure, path):
    figure.savefig(path, dpi=150, bbox_inches="tight")
    print(f"chart: {path}")
