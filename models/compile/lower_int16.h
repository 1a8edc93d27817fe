// Nodes over int16 -> operators of models/core/ops/int16.h; part of lower.cpp.
#pragma once

#include "models/network/graph.h"

namespace lockstep::model {

// One operator of a plan.
struct Emitted {
    uint16_t code = 0;
    std::vector<uint8_t> params;
    uint32_t scratch = 0;
    uint16_t keeps = 0;
};

template <typename T>
void append(std::vector<uint8_t>* out, const T* data, size_t count) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(data);
    out->insert(out->end(), bytes, bytes + count * sizeof(T));
}

template <typename T>
std::vector<uint8_t> params_of(const T& header) {
    std::vector<uint8_t> out;
    append(&out, &header, 1);
    return out;
}

// Whether the node has an operator of its own for int16; those that only move numbers have none.
bool is_int16(const Graph& graph, const Node& node);

// REQUIRES: is_int16(), check_graph(graph) was ok, every value has a scale. Errors: usage, a factor or bias
// outside what the core accepts.
Result<Emitted> emit_int16(const Graph& graph, const Node& node);

}  // namespace lockstep::model
