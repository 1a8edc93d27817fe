// What is known of a named tensor while an ONNX graph is read, and constants out of the file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#define ONNX_ML 1
#define ONNX_NAMESPACE onnx
#include <onnx/onnx_pb.h>

#include "models/network/graph.h"

namespace lockstep::model {

// Thrown and caught within the importer only.
struct Misfit {
    std::string what;
    std::string nearest = {};  // the nearest form that is supported, "" when there is none to name
};

using Dims = std::vector<int64_t>;  // as the ONNX file has them

struct Known {
    Dims dims;
    bool unknown = false;  // an operator that is not supported would have computed it
    bool constant = false;
    bool integer = false;  // constant: `whole` counts, else `real`
    std::vector<float> real;
    std::vector<int64_t> whole;
    bool is_unsigned = false;         // constant: of element type uint8
    std::vector<float> weight_scale;  // constant: the steps it was stored in, one or one a channel
    size_t weight_axis = 0;
    bool quantised = false;  // not constant: a QuantizeLinear gave it
    size_t value = 0;        // not constant: the graph's value, stored channels-last
};

// Product of the dimensions, within the bounds of a model that can be run here.
size_t count_of(const Dims& dims);
std::string dims_text(const Dims& dims);

// Where each ONNX dimension stands in memory: [N, C, H, W] is kept as N, H, W, C.
std::vector<size_t> storage_order(size_t rank);
Shape storage_shape(const Dims& dims);
void check_batch(const Dims& dims);  // throws unless it is 1

Known read_constant(const onnx::TensorProto& tensor);

// Attributes of a node, with their defaults.
class Attributes {
  public:
    explicit Attributes(const onnx::NodeProto& node) : node_(node) {}
    bool has(const char* name) const { return find(name) != nullptr; }
    int64_t integer(const char* name, int64_t otherwise) const;
    float real(const char* name, float otherwise) const;
    std::string text(const char* name, const char* otherwise) const;
    Dims integers(const char* name, Dims otherwise) const;
    const onnx::TensorProto* tensor(const char* name) const;

  private:
    const onnx::AttributeProto* find(const char* name) const;
    const onnx::NodeProto& node_;
};

}  // namespace lockstep::model
