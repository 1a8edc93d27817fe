"""Networks of other shapes than the shipped ones, made here: the float network equals PyTorch, every
int8 stage equals NumPy's, the int8 scores come near the float ones."""
import os
import subprocess
import tempfile
import warnings

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional as F

from reference import Plan, compare, split_stages

PROBE = os.environ["MODEL_PROBE"]
torch.set_num_threads(1)
warnings.filterwarnings("ignore")


class Residual1d(nn.Module):
    """Strided and dilated convolutions, a skip connection, a gate over channels, branches, odd pools."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.a = nn.Conv1d(3, 10, 7, stride=2, padding=3)
        self.b = nn.Conv1d(10, 10, 3, padding=4, dilation=4)
        self.gate = nn.Linear(10, 10)
        self.c = nn.Conv1d(10, 6, 5, padding=2)
        self.d = nn.Conv1d(10, 7, 1)
        self.head = nn.LazyLinear(4)

    def forward(self, x):
        x = F.relu(self.a(self.norm(x)))
        x = F.relu(self.b(x) + x)
        g = torch.sigmoid(self.gate(x.mean(dim=2)))
        x = x * g.unsqueeze(2)
        x = F.max_pool1d(x, 3, stride=2, padding=1, ceil_mode=True)
        x = torch.cat([F.leaky_relu(self.c(x)), torch.tanh(self.d(x))], dim=1)
        x = F.avg_pool1d(x, 4, stride=3, padding=1)
        return self.head(x.flatten(1))


class Image(nn.Module):
    """Two dimensions, asymmetric padding, depthwise with a multiplier, flatten of channels x h x w."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(1, 8, (10, 4), stride=(2, 2), padding=(5, 1))
        self.dw = nn.Conv2d(8, 16, 3, padding=1, groups=8)
        self.pw = nn.Conv2d(16, 12, 1)
        self.norm = nn.BatchNorm2d(12)
        self.head = nn.LazyLinear(5)

    def forward(self, x):
        x = F.relu6(self.a(F.pad(x, (1, 0, 0, 2))))
        x = F.relu(self.dw(x))
        x = self.norm(F.relu(self.pw(x)))
        x = F.max_pool2d(x, 2)
        return self.head(x.flatten(1))


class Eeg(nn.Module):
    """[1, 8, 128] seen as an image: temporal, spatial, separable; squeeze; softmax."""

    def __init__(self):
        super().__init__()
        self.temporal = nn.Conv2d(1, 4, (1, 17), padding=(0, 8), bias=False)
        self.spatial = nn.Conv2d(4, 8, (8, 1), groups=4)
        self.separable = nn.Conv2d(8, 8, (1, 9), padding=(0, 4), groups=8)
        self.point = nn.Conv2d(8, 6, 1)
        self.head = nn.LazyConv1d(3, 8)

    def forward(self, x):
        x = F.elu(self.spatial(self.temporal(x.unsqueeze(1))))
        x = F.avg_pool2d(x, (1, 4))
        x = F.elu(self.point(self.separable(x)))
        x = F.avg_pool2d(x, (1, 4)).squeeze(2)
        return F.softmax(self.head(x).squeeze(2), dim=1)


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(20)
        self.a, self.b = nn.Linear(20, 33), nn.Linear(33, 33)
        self.w = nn.Parameter(torch.randn(33, 6) * 0.3)

    def forward(self, x):
        x = F.dropout(F.relu(self.a(self.norm(x))), training=False)
        return torch.matmul(F.softplus(self.b(x)) * 0.5 - 0.25, self.w)


class Smooth(nn.Module):
    """Functions that exporters write as several nodes: they are one table in the plan."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv1d(4, 8, 5, padding=2), nn.Conv1d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = F.gelu(self.a(x))
        x = F.silu(self.b(x))
        return self.head(x.mean(dim=2))


class Recurrent(nn.Module):
    """A convolution, a GRU whose whole course goes on, and an LSTM of which the last state counts."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv1d(4, 8, 5, stride=2, padding=2)
        self.gru = nn.GRU(8, 12, batch_first=True)
        self.lstm = nn.LSTM(12, 10, batch_first=True)
        self.head = nn.Linear(10, 3)

    def forward(self, x):
        x = F.relu(self.a(x)).permute(0, 2, 1)
        x, _ = self.gru(x)
        x, _ = self.lstm(x)
        return self.head(x[:, -1])


class LastState(nn.Module):
    """Time first, and the state that the layer itself calls the last."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 16)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        _, h = self.gru(x.permute(2, 0, 1))
        return self.head(torch.tanh(h[0]))


class BothWays(nn.Module):
    """Bidirectional layers: the course of one, then the last states of both directions of the next."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 7, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(14, 6, batch_first=True, bidirectional=True)
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        x, _ = self.lstm(x.permute(0, 2, 1))
        _, h = self.gru(x)
        return self.head(torch.cat([h[0], h[1]], dim=1))


class ResetFirst(nn.Module):
    """ONNX's other GRU, the reset gate before the product: step by step as its definition says. It leaves for ONNX
    as PyTorch's own, whose attribute check() then changes."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 9, batch_first=True)
        self.head = nn.Linear(9, 3)

    def forward(self, x):
        x = x.permute(0, 2, 1)
        if torch.onnx.is_in_onnx_export():
            return self.head(self.gru(x)[0][:, -1])
        weights = [getattr(self.gru, n).chunk(3) for n in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")]
        (wr, wz, wn), (ur, uz, un), (br, bz, bn), (cr, cz, cn) = weights
        h = torch.zeros(len(x), 9)
        for t in range(x.shape[1]):
            reset = torch.sigmoid(x[:, t] @ wr.T + br + h @ ur.T + cr)
            update = torch.sigmoid(x[:, t] @ wz.T + bz + h @ uz.T + cz)
            fresh = torch.tanh(x[:, t] @ wn.T + bn + (reset * h) @ un.T + cn)
            h = (1 - update) * fresh + update * h
        return self.head(h)


class Groups(nn.Module):
    """Convolutions in groups, slopes by channel, powers, halves that gate each other, sums, logarithms."""

    def __init__(self):
        super().__init__()
        self.a, self.slopes = nn.Conv1d(4, 12, 5, groups=2), nn.PReLU(12)
        self.b, self.slope = nn.Conv1d(12, 12, 3, groups=4), nn.PReLU()
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.slope(self.b(self.slopes(self.a(x))))
        x = F.glu(x, 1) ** 2
        return F.log_softmax(self.head(x.sum(dim=2) * 0.05), dim=1)


class Transposed(nn.Module):
    """Time first, as some recordings come, and a global maximum."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv1d(5, 9, 4, stride=3), nn.Conv1d(9, 9, 3, padding=1, groups=9)
        self.head = nn.Linear(9, 2)

    def forward(self, x):
        x = F.relu(self.a(x.permute(0, 2, 1)))
        x = F.hardswish(self.b(x)) - torch.relu(x)
        return self.head(torch.amax(x, dim=2))


CASES = [(Residual1d, (3, 90), 13), (Image, (1, 24, 10), 11), (Eeg, (8, 128), 13), (Dense, (20,), 14),
         (Groups, (4, 40), 11), (Groups, (4, 40), 13), (Transposed, (50, 5), 14), (Residual1d, (3, 61), 9), (Smooth, (4, 64), 13), (Recurrent, (4, 60), 13),
         (LastState, (3, 40), 14), (BothWays, (5, 30), 13), (ResetFirst, (4, 25), 13),
         (Dense, (20,), 17 if torch.__version__ >= "2" else 12)]


def stored(x):
    """[n, c, ...] -> channels last, as the graph keeps its input."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)) if x.ndim > 2 else x


def check(folder, make, shape, opset, seed):
    torch.manual_seed(seed)
    network = make().eval()
    x = torch.randn(40, *shape) * 1.5 + 0.3
    network(x[:1])  # sizes the last layer
    for m in network.modules():
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
            m.running_mean.uniform_(-1, 1), m.running_var.uniform_(0.5, 2)
            m.weight.data.uniform_(0.5, 2), m.bias.data.uniform_(-1, 1)
    # Batches of one: some of these networks see their input as one image.
    with torch.no_grad():
        wanted = torch.cat([network(v[None]) for v in x]).numpy()
    source, calibration, inputs, out, plan_file = (os.path.join(folder, n) for n in
                                                   ("m.onnx", "c.npy", "i.npy", "o", "m.lsplan"))
    torch.onnx.export(network, x[:1], source, opset_version=opset, input_names=["x"], output_names=["y"])
    if make is ResetFirst:
        model = onnx.load(source)
        gru = next(n for n in model.graph.node if n.op_type == "GRU")
        next(a for a in gru.attribute if a.name == "linear_before_reset").i = 0
        onnx.save(model, source)
    np.save(calibration, x.numpy())
    np.save(inputs, stored(x.numpy()))

    subprocess.run([PROBE, "float", source, inputs, out], check=True)
    for got in np.fromfile(out, np.float32).reshape(2, *wanted.shape):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)

    subprocess.run([PROBE, "convert", source, "-", calibration, plan_file], check=True, stdout=subprocess.DEVNULL)
    plan = Plan(open(plan_file, "rb").read())
    if make is Smooth:
        assert [op["code"] for op in plan.operators].count(22) == 2, [op["stage"] for op in plan.operators]
    windows = stored(x.numpy()).reshape(len(x), plan.window, plan.channels)
    windows.tofile(inputs)
    subprocess.run([PROBE, "stages", plan_file, inputs, out], check=True)
    raw = open(out, "rb").read()
    scores, left = [], raw
    for window in windows:
        scores.append(split_stages(plan, left)[0][-1].reshape(-1))
        left = compare(plan, window, left)
    assert left == b""
    error = float(np.sqrt(((np.stack(scores) - wanted) ** 2).mean()))
    span = float(wanted.max() - wanted.min())
    step = float(plan.tensors[plan.operators[-1]["inputs"][0]]["scale"])  # of the last int8 tensor
    assert error < 0.02 * span + 0.3 * step, (error, span, step)
    print(f"{make.__name__} {shape} opset {opset}: {len(plan.operators)} stages, rms error {error:.2g} "
          f"of scores that span {span:.2g}")


def main():
    with tempfile.TemporaryDirectory() as folder:
        for seed, (make, shape, opset) in enumerate(CASES):
            check(folder, make, shape, opset, seed)


if __name__ == "__main__":
    main()
