// Linear and logistic regression, support vector machines, k-means: similarity to vectors.
#include "models/core/ops.h"
#include "models/core/ops/classical.h"
#include "models/core/ops/exponential.h"

namespace lockstep::model {
namespace {

const VectorsParams& head(const OperatorContext& c) {
    return *reinterpret_cast<const VectorsParams*>(c.params.data());
}

Code prepare(const OperatorContext& c) {
    if (c.input_count != 1 || c.params.size() < sizeof(VectorsParams)) return Code::invalid;
    const VectorsParams& p = head(c);
    if (p.features > kMaxTable || p.vectors > kMaxTable || p.outputs > kMaxRawOutputs || p.outputs == 0)
        return Code::out_of_range;
    if (p.direct > 1 || (p.direct == 1 && p.vectors != p.outputs) || p.similarity < 0 || p.similarity > 2)
        return Code::invalid;
    const uint64_t bytes = sizeof(VectorsParams) + 4ull * p.vectors * p.features +
                           (p.direct == 1 ? 0 : 4ull * p.outputs * p.vectors) + 4ull * p.outputs;
    if (bytes != c.params.size()) return Code::invalid;
    const Tensor &in = *c.input[0], &out = *c.output;
    if (in.type != ElementType::float32 || out.type != ElementType::float32 || in.elements() != p.features ||
        scores_of(Link(p.link), p.outputs) != out.elements())
        return Code::invalid;
    return c.scratch.size() >= 4ull * p.vectors ? Code::ok : Code::no_space;
}

float known(float x) {
    return x == x ? x : 0.0f;
}

}  // namespace

void eval_vectors(const OperatorContext& c) {
    const VectorsParams& p = head(c);
    const auto* x = static_cast<const float*>(c.input[0]->data);
    const auto* vector = reinterpret_cast<const float*>(c.params.data() + sizeof(VectorsParams));
    const float* weight = vector + size_t(p.vectors) * p.features;
    const float* intercept = p.direct == 1 ? weight : weight + size_t(p.outputs) * p.vectors;
    auto* similar = reinterpret_cast<float*>(c.scratch.data());
    for (uint32_t v = 0; v < p.vectors; ++v) {
        float sum = 0;
        for (uint32_t i = 0; i < p.features; ++i) {
            const float a = known(x[i]), b = vector[size_t(v) * p.features + i];
            sum += p.similarity == int32_t(Similarity::dot) ? a * b : (a - b) * (a - b);
        }
        similar[v] = p.similarity == int32_t(Similarity::dot)   ? sum
                     : p.similarity == int32_t(Similarity::rbf) ? exponential(-p.gamma * sum)
                                                                : -sum;
    }
    float raw[kMaxRawOutputs];
    for (uint32_t o = 0; o < p.outputs; ++o) {
        float sum = intercept[o];
        if (p.direct == 1) {
            sum += similar[o];
        } else {
            for (uint32_t v = 0; v < p.vectors; ++v)
                sum += weight[size_t(o) * p.vectors + v] * similar[v];
        }
        raw[o] = sum;
    }
    apply_link(Link(p.link), raw, p.outputs, static_cast<float*>(c.output->data));
}

const Operator kVectors = {kOpVectors, "vectors", prepare, eval_vectors};

}  // namespace lockstep::model
