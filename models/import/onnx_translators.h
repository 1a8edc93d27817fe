// One function per ONNX operator (or family): node -> nodes of the graph. A new operator is one function in
// the file it belongs to and one line in the table of onnx_import.cpp. They throw Misfit.
#pragma once

#include "models/import/onnx_builder.h"

namespace lockstep::model {

void conv(OnnxBuilder& builder, const onnx::NodeProto& n);
void gemm(OnnxBuilder& builder, const onnx::NodeProto& n);
void matmul(OnnxBuilder& builder, const onnx::NodeProto& n);
void pool(OnnxBuilder& builder, const onnx::NodeProto& n);
void global_pool(OnnxBuilder& builder, const onnx::NodeProto& n);
void reduce(OnnxBuilder& builder, const onnx::NodeProto& n);
void batch_normalization(OnnxBuilder& builder, const onnx::NodeProto& n);
void arithmetic(OnnxBuilder& builder, const onnx::NodeProto& n);
void relu(OnnxBuilder& builder, const onnx::NodeProto& n);
void clip_node(OnnxBuilder& builder, const onnx::NodeProto& n);
void unary(OnnxBuilder& builder, const onnx::NodeProto& n);
void power(OnnxBuilder& builder, const onnx::NodeProto& n);
void prelu(OnnxBuilder& builder, const onnx::NodeProto& n);
void softmax(OnnxBuilder& builder, const onnx::NodeProto& n);  // and LogSoftmax
void split(OnnxBuilder& builder, const onnx::NodeProto& n);
void flatten(OnnxBuilder& builder, const onnx::NodeProto& n);
void reshape_node(OnnxBuilder& builder, const onnx::NodeProto& n);
void squeeze(OnnxBuilder& builder, const onnx::NodeProto& n);
void unsqueeze(OnnxBuilder& builder, const onnx::NodeProto& n);
void transpose(OnnxBuilder& builder, const onnx::NodeProto& n);
void concat(OnnxBuilder& builder, const onnx::NodeProto& n);
void pad(OnnxBuilder& builder, const onnx::NodeProto& n);
void constant(OnnxBuilder& builder, const onnx::NodeProto& n);
void shape(OnnxBuilder& builder, const onnx::NodeProto& n);
void gather(OnnxBuilder& builder, const onnx::NodeProto& n);
void constant_of_shape(OnnxBuilder& builder, const onnx::NodeProto& n);
void slice(OnnxBuilder& builder, const onnx::NodeProto& n);
void quantize_linear(OnnxBuilder& builder, const onnx::NodeProto& n);
void dequantize_linear(OnnxBuilder& builder, const onnx::NodeProto& n);
void arg_max(OnnxBuilder& builder, const onnx::NodeProto& n);
void recurrent(OnnxBuilder& builder, const onnx::NodeProto& n);  // GRU and LSTM
void expand(OnnxBuilder& builder, const onnx::NodeProto& n);
void identity(OnnxBuilder& builder, const onnx::NodeProto& n);

}  // namespace lockstep::model
