"""A small convolutional network for [N, C, T] windows, its training, and its export to ONNX.

It uses only what the int8 converter knows: Conv, Relu, MaxPool, GlobalAveragePool,
Flatten, Gemm.  Batch normalisation helps the training and is folded into the
convolutions before anything leaves this file.
"""
import copy

import numpy as np
import torch
from torch import nn

WIDTHS = (16, 32, 32)
KERNELS = (5, 5, 3)
POOLS = 2                # the first two layers halve the time axis
TRAINING = dict(steps=900, batch=64, peak_rate=3e-3, weight_decay=1e-3, dropout=0.3, label_smoothing=0.05)


class Network(nn.Module):
    """float32 [N, channels, T] -> logits float32 [N, classes]."""

    def __init__(self, channels, classes, dropout=0.0):
        super().__init__()
        layers, width = [], channels
        for i, (out, kernel) in enumerate(zip(WIDTHS, KERNELS)):
            layers += [nn.Conv1d(width, out, kernel, padding=kernel // 2), nn.BatchNorm1d(out), nn.ReLU()]
            if i < POOLS:
                layers.append(nn.MaxPool1d(2))
            width = out
        self.body = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool1d(1)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.drop(self.pool(self.body(x)).flatten(1)))


def train(draw, mean, std, channels, classes, seed):
    """Train on `draw(rng, n) -> (windows [n, C, T] in physical units, class [n])`; returns the folded network."""
    t = TRAINING
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = Network(channels, classes, t["dropout"])
    optimiser = torch.optim.AdamW(net.parameters(), lr=t["peak_rate"], weight_decay=t["weight_decay"])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, t["peak_rate"], t["steps"])
    loss_of = nn.CrossEntropyLoss(label_smoothing=t["label_smoothing"])
    net.train()
    for _ in range(t["steps"]):
        x, y = draw(rng, t["batch"])
        loss = loss_of(net(torch.from_numpy((x - mean[:, None]) / std[:, None])), torch.from_numpy(y))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return folded(net)


def folded(net):
    """The same function with each BatchNorm1d folded into the convolution before it, no dropout."""
    net = copy.deepcopy(net).eval()
    layers = []
    for layer in net.body:
        if isinstance(layer, nn.BatchNorm1d):
            conv = layers[-1]
            gain = (layer.weight / torch.sqrt(layer.running_var + layer.eps)).detach()
            conv.weight.data *= gain[:, None, None]
            conv.bias.data = (conv.bias.data - layer.running_mean) * gain + layer.bias.detach()
        else:
            layers.append(layer)
    net.body = nn.Sequential(*layers)
    net.drop = nn.Identity()
    return net


def logits(net, x):
    """float32 [N, C, T] -> float32 [N, classes], one window at a time as the product does it."""
    with torch.no_grad():
        return np.concatenate([net(torch.from_numpy(x[i:i + 1])).numpy() for i in range(len(x))])


def cost(net, channels, length):
    """(parameters, multiply-accumulates of one window)."""
    macs, t = 0, length
    for layer in net.body:
        if isinstance(layer, nn.Conv1d):
            macs += t * layer.weight.numel()
        elif isinstance(layer, nn.MaxPool1d):
            t //= layer.kernel_size
    return sum(p.numel() for p in net.parameters()), macs + net.head.weight.numel()


def export(net, channels, length, path):
    """Write ONNX, opset 13, float32, input [1, C, T] named `input`, output `logits`."""
    torch.onnx.export(net, torch.zeros(1, channels, length), str(path), opset_version=13,
                      input_names=["input"], output_names=["logits"])
