"""Figures of a classifier from its confusion matrix, and the tables of PROVENANCE.md."""
import numpy as np


def confusion(truth, guess, classes):
    """int [classes, classes]: rows truth, columns prediction."""
    c = np.zeros((classes, classes), int)
    np.add.at(c, (truth, guess), 1)
    return c


def figures(c):
    """accuracy, balanced accuracy (mean recall) and macro F1 of one confusion matrix."""
    recall = c.diagonal() / np.maximum(c.sum(1), 1)
    precision = c.diagonal() / np.maximum(c.sum(0), 1)
    f1 = 2 * recall * precision / np.maximum(recall + precision, 1e-12)
    return dict(accuracy=float(c.trace() / c.sum()), balanced_accuracy=float(recall.mean()),
                macro_f1=float(f1.mean()))


def table(head, rows):
    """A Markdown table."""
    line = lambda cells: "| " + " | ".join(str(v) for v in cells) + " |"
    return "\n".join([line(head), line(["---"] * len(head))] + [line(r) for r in rows])
