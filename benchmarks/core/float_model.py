"""A TFLite int8 model as a float32 ONNX model: the same layers, weights and biases times their scales, channels
first as ONNX Runtime runs them best. Knows the layers that the benchmark's models have.

  float_model.py MODEL.tflite OUT.onnx [INPUT.i8 STEM]

Prints the input's shape, channels first. The int8 inputs become real ones: STEM.npy in that order, STEM.f32 with the
channels last."""
import struct
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save


class Table:
    """A flatbuffers table: fields by number."""

    def __init__(self, data, at):
        self.data, self.at = data, at
        self.fields = at - struct.unpack_from("<i", data, at)[0]

    def where(self, number):
        size = struct.unpack_from("<H", self.data, self.fields)[0]
        entry = 4 + 2 * number
        offset = struct.unpack_from("<H", self.data, self.fields + entry)[0] if entry < size else 0
        return self.at + offset if offset else None

    def get(self, number, form, otherwise=0):
        at = self.where(number)
        return otherwise if at is None else struct.unpack_from("<" + form, self.data, at)[0]

    def follow(self, number):
        at = self.where(number)
        return None if at is None else at + struct.unpack_from("<I", self.data, at)[0]

    def table(self, number):
        at = self.follow(number)
        return None if at is None else Table(self.data, at)

    def vector(self, number, kind):
        at = self.follow(number)
        if at is None:
            return np.zeros(0, kind)
        return np.frombuffer(self.data, kind, struct.unpack_from("<I", self.data, at)[0], at + 4)

    def tables(self, number):
        at = self.follow(number)
        n = struct.unpack_from("<I", self.data, at)[0]
        places = [at + 4 + 4 * i for i in range(n)]
        return [Table(self.data, p + struct.unpack_from("<I", self.data, p)[0]) for p in places]


AVERAGE_POOL, CONV, DEPTHWISE, FULLY_CONNECTED, MAX_POOL, RESHAPE, SOFTMAX, MEAN = 1, 3, 4, 9, 17, 22, 25, 40
KINDS = {0: "<f4", 2: "<i4", 9: "<i1"}


class Converter:
    def __init__(self, path):
        data = open(path, "rb").read()
        model = Table(data, struct.unpack_from("<I", data)[0])
        graph = model.tables(2)[0]
        self.tensors, self.buffers = graph.tables(0), model.tables(4)
        self.codes = [max(c.get(0, "B"), c.get(3, "i")) for c in model.tables(1)]
        self.operators = graph.tables(3)
        self.input, self.output = int(graph.vector(1, "<i4")[0]), int(graph.vector(2, "<i4")[0])
        self.nodes, self.constants, self.names, self.shapes = [], [], {}, {}

    def shape(self, t):
        return [int(d) for d in self.tensors[t].vector(0, "<i4")]

    def real(self, t):
        """A constant tensor's values as float32."""
        tensor = self.tensors[t]
        raw = self.buffers[tensor.get(2, "I")].vector(0, np.uint8).tobytes()
        q = np.frombuffer(raw, KINDS[tensor.get(1, "b")]).reshape(self.shape(t)).astype(np.float64)
        quantisation = tensor.table(4)
        scale = quantisation.vector(2, "<f4").astype(np.float64)
        axis = [1] * q.ndim
        axis[quantisation.get(6, "i") if len(scale) > 1 else 0] = len(scale)
        return (q * scale.reshape(axis)).astype(np.float32)

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind, inputs, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def activation(self, x, code):
        return {0: lambda: x, 1: lambda: self.node("Relu", [x]),
                3: lambda: self.node("Clip", [x, self.constant(np.float32(0)), self.constant(np.float32(6))])}[code]()

    @staticmethod
    def pads(padding, size, out, kernel, stride):
        """Of height and width: SAME is 0, VALID 1; begin before end."""
        total = [max((o - 1) * s + k - n, 0) if padding == 0 else 0 for n, o, k, s in zip(size, out, kernel, stride)]
        return [t // 2 for t in total] + [t - t // 2 for t in total]

    def layer(self, op):
        code = self.codes[op.get(0, "I")]
        ins, out = [int(i) for i in op.vector(1, "<i4")], int(op.vector(2, "<i4")[0])
        options, x = op.table(4), self.names.get(ins[0])
        size, done = self.shape(ins[0]), self.shape(out)
        if code in (CONV, DEPTHWISE):
            w = self.real(ins[1])
            stride = [options.get(2, "i"), options.get(1, "i")]
            kernel = list(w.shape[1:3])
            group = 1 if code == CONV else size[3]
            # [out][kh][kw][in] or [1][kh][kw][out] -> [out][in / group][kh][kw]
            w = w.transpose(0, 3, 1, 2) if code == CONV else w.transpose(3, 0, 1, 2)
            y = self.node("Conv", [x, self.constant(np.ascontiguousarray(w)), self.constant(self.real(ins[2]))],
                          kernel_shape=kernel, strides=stride, group=group,
                          pads=self.pads(options.get(0, "b"), size[1:3], done[1:3], kernel, stride))
            return out, self.activation(y, options.get(3 if code == CONV else 4, "b"))
        if code == FULLY_CONNECTED:
            w = self.real(ins[1])
            if len(size) == 4:  # inputs come channels first here
                h, v, c = size[1:]
                w = w.reshape(-1, h, v, c).transpose(0, 3, 1, 2).reshape(len(w), -1)
                x = self.node("Flatten", [x])
            elif ins[0] in self.folded:
                h, v, c = self.folded[ins[0]]
                w = w.reshape(-1, h, v, c).transpose(0, 3, 1, 2).reshape(len(w), -1)
            y = self.node("Gemm", [x, self.constant(np.ascontiguousarray(w)), self.constant(self.real(ins[2]))], transB=1)
            return out, self.activation(y, options.get(0, "b"))
        if code in (AVERAGE_POOL, MAX_POOL):
            stride, kernel = [options.get(2, "i"), options.get(1, "i")], [options.get(4, "i"), options.get(3, "i")]
            y = self.node("AveragePool" if code == AVERAGE_POOL else "MaxPool", [x], kernel_shape=kernel, strides=stride,
                          pads=self.pads(options.get(0, "b"), size[1:3], done[1:3], kernel, stride))
            return out, self.activation(y, options.get(5, "b"))
        if code == MEAN:
            return out, self.node("Flatten", [self.node("GlobalAveragePool", [x])])
        if code == SOFTMAX:
            return out, self.node("Softmax", [x], axis=-1)
        if code == RESHAPE and len(done) == 2:
            if len(size) == 4:
                self.folded[out] = size[1:]
            return out, self.node("Flatten", [x])
        if code == RESHAPE:  # values of one channel keep their order
            c = done[-1]
            if ins[0] != self.input or (c != 1 and done[-1] != size[-1]):
                raise ValueError("only the input is reshaped into cells")
            self.shapes[ins[0]] = [done[0], c, *done[1:-1]]
            return out, x
        raise ValueError(f"no float form of operator {code}")

    def convert(self):
        self.folded = {}
        size = self.shape(self.input)
        self.shapes[self.input] = [size[0], size[-1], *size[1:-1]] if len(size) == 4 else size
        self.names[self.input] = "x"
        for op in self.operators:
            out, name = self.layer(op)
            self.names[out] = name
        self.nodes[-1].output[0] = "y"
        shape = self.shapes[self.input]
        graph = helper.make_graph(
            self.nodes, "float", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 8
        return model, shape


    def real_inputs(self, path):
        """Inputs in int8 as rows of reals."""
        quantisation = self.tensors[self.input].table(4)
        raw = np.fromfile(path, np.int8).reshape(-1, int(np.prod(self.shape(self.input)))).astype(np.float32)
        return (raw - np.float32(quantisation.vector(3, "<i8")[0])) * quantisation.vector(2, "<f4")[0]


if __name__ == "__main__":
    converter = Converter(sys.argv[1])
    converted, input_shape = converter.convert()
    save(converted, sys.argv[2])
    if len(sys.argv) > 4:
        rows = converter.real_inputs(sys.argv[3])
        rows.astype("<f4").tofile(sys.argv[4] + ".f32")
        first = rows.reshape(len(rows), -1, input_shape[1]).transpose(0, 2, 1)
        np.save(sys.argv[4] + ".npy", first.reshape(len(rows), *input_shape[1:]))
    print(*input_shape)
