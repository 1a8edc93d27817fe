// A network between import and plan. Activations are channels-last: [1, height, width, channels], a
// 1-D signal [1, 1, time, channels], a row of features [1, features]; importers reorder what comes in
// another layout, so that everything after them knows one. The batch is always 1.
//
// A float graph (ONNX) carries real weights; a quantised one (TFLite, or the quantiser's work) also
// carries int8 weights, integer biases and a scale, zero point and type for every value.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "acquisition/error.h"
#include "models/core/ops/params.h"

namespace lockstep::model {

using Shape = std::vector<int32_t>;

struct Value {
    std::string name;
    Shape shape;
    float scale = 0;  // 0 = not quantised
    int32_t zero_point = 0;
    ElementType type = ElementType::int8;  // once quantised; or int16, zero point 0

    size_t elements() const;
};

enum class NodeKind {
    conv2d,
    depthwise_conv2d,
    fully_connected,
    max_pool,
    average_pool,
    mean,  // over height and width
    softmax,
    reshape,
    transpose,
    pad,
    add,
    subtract,
    mul,
    concat,
    slice,   // the part that begins at `before`
    argmax,  // of one row
    gru,     // over the time of a signal [1, 1, time, inputs]
    lstm,
    ring,        // rows of earlier windows before this one's (models/network/streaming.h)
    unary,       // any function of one number: a table in the plan
    requantise,  // the same number in another type or scale; where int8 and int16 meet
};

const char* node_kind_name(NodeKind kind);

struct Node {
    NodeKind kind = NodeKind::reshape;
    std::string name;
    std::vector<size_t> inputs;  // values
    size_t output = 0;           // value

    WindowParams window = {1, 1, 1, 1, 1, 1, 0, 0};       // convolutions, pools
    float low = -std::numeric_limits<float>::infinity();  // a folded ReLU or clip
    float high = std::numeric_limits<float>::infinity();
    float beta = 1;                        // softmax
    std::vector<int32_t> axes;             // transpose: 4; concat, ring: 1, counted in 4 dimensions
    std::vector<int32_t> before;           // pad, slice: 4
    bool reverse = false;                  // gru, lstm: from the last step to the first
    bool last_only = false;                // gru, lstm: the output is the state after the last step
    bool reset_first = false;              // gru: ONNX's linear_before_reset = 0
    std::function<float(float)> function;  // unary
    bool clip = false;                     // unary: the function only clamps to low..high
    uint32_t windows = 1;                  // ring: RingParams::windows
    // unary over int16 of a TFLite file, whose own arithmetic is to be kept; any other is a curve.
    enum class Squash { none, sigmoid, tanh } squash = Squash::none;

    // conv2d [oc][kh][kw][ic], depthwise [kh][kw][oc], fully_connected [out][in]; bias [oc]. gru, lstm
    // (always real): W [gates * hidden][inputs], then R [gates * hidden][hidden]; bias of W, then of R.
    std::vector<float> weights, bias;
    std::vector<int8_t> quantised_weights;
    std::vector<int64_t> quantised_bias;  // 32 bits when the input is int8
    std::vector<float> weight_scale;      // one an output channel, or one for all

    bool has_weights() const {
        return kind == NodeKind::conv2d || kind == NodeKind::depthwise_conv2d ||
               kind == NodeKind::fully_connected;
    }
    bool recurrent() const { return kind == NodeKind::gru || kind == NodeKind::lstm; }
    size_t gates() const { return kind == NodeKind::gru ? 3 : 4; }
};

struct Graph {
    std::string name;
    std::vector<Value> values;
    std::vector<Node> nodes;  // in an order of evaluation
    size_t input = 0;
    size_t output = 0;

    size_t add_value(std::string value_name, Shape shape);
    std::vector<size_t> consumers(size_t value) const;  // nodes that read it
    const Node* producer(size_t value) const;           // null for the input
};

// What a microcontroller could never run is refused before memory is spent on it.
constexpr size_t kMaxElements = size_t(1) << 22;  // of one value
constexpr size_t kMaxNodes = 512;
constexpr uint64_t kMaxMacs = uint64_t(1) << 31;
constexpr size_t kMaxModelFile = size_t(1) << 27;

// Shapes, weights and order fit each other; every later step relies on it.
Status check_graph(const Graph& graph);
uint64_t multiply_accumulates(const Graph& graph);

std::string shape_text(const Shape& shape);
// Shape as four dimensions, 1 beyond its rank.
Shape padded_shape(const Shape& shape);

}  // namespace lockstep::model
