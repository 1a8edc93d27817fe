// What the translators of ONNX nodes share: names that are known so far, and the graph that grows. Data
// that ONNX keeps channels-first is reordered here; translators say what they mean in ONNX's order.
// Lives for one import; methods throw Misfit.
#pragma once

#include <map>

#include "models/import/onnx_tensor.h"

namespace lockstep::model {

// Thrown when a node reads what an unsupported node would have computed: it is not to blame.
struct Unreachable {};

class OnnxBuilder {
  public:
    explicit OnnxBuilder(int64_t opset) : opset_(opset) {}

    int64_t opset() const { return opset_; }
    Graph& graph() { return graph_; }

    // --- Names -------------------------------------------------------------------------------------
    static bool given(const onnx::NodeProto& n, int i) { return i < n.input_size() && !n.input(i).empty(); }
    const Known* find(const std::string& name) const;
    const Known& any(const onnx::NodeProto& n, int i) const;
    const Known& activation(const onnx::NodeProto& n, int i = 0) const;
    // The same, also with time in the batch's place, as recurrent layers and what turns axes around them have
    // it.
    const Known& sequence(const onnx::NodeProto& n, int i = 0) const;
    const Known& real(const onnx::NodeProto& n, int i) const;  // a float constant
    // An integer list: an input in newer opsets, an attribute in older ones.
    Dims list(const onnx::NodeProto& n, int i, const char* attribute, Dims otherwise) const;
    static size_t axis_of(int64_t axis, size_t rank);

    // The node's first output.
    void define(const onnx::NodeProto& n, Known k);
    void define(const std::string& name, Known k) { known_[name] = std::move(k); }
    // Nodes that read this one's outputs are skipped, unless the file states the outputs' shapes.
    void give_up(const onnx::NodeProto& n, const onnx::GraphProto& g);

    // --- Building ----------------------------------------------------------------------------------
    // Adds a node of the graph; gives the value it computes. Parts without a name take this node's.
    size_t add(Node node, Shape shape);
    void name_parts_after(const onnx::NodeProto& n) { current_ = n.name(); }
    // Adds a node and defines the ONNX node's output by it.
    void emit(const onnx::NodeProto& n, Node node, Dims dims);
    size_t reshaped(size_t value, const Shape& shape);

    struct Axis {
        size_t label;
        int64_t size;
        bool operator==(const Axis& o) const { return label == o.label; }
    };
    // The axes longer than 1 in the order they have in memory.
    static std::vector<Axis> stored_axes(const Dims& dims);
    // Moves data from one order of axes in memory to another.
    size_t reordered(size_t value, const std::vector<Axis>& from, const std::vector<Axis>& to);
    // Defines the node's output as `in` in another shape, as ONNX's Reshape means it.
    void reshape(const onnx::NodeProto& n, const Known& in, Dims dims);
    // Defines the node's output as in * scale + shift, one pair a channel.
    void affine(const onnx::NodeProto& n, const Known& in, const std::vector<float>& scale,
                const std::vector<float>& shift);

  private:
    int64_t opset_;
    Graph graph_;
    std::map<std::string, Known> known_;
    std::string current_;
    size_t total_elements_ = 0;
};

}  // namespace lockstep::model
