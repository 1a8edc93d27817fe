// Decision trees, random forests, gradient boosting: sums of leaves.
#include <string.h>

#include "models/core/ops.h"
#include "models/core/ops/classical.h"
#include "models/core/ops/exponential.h"

namespace lockstep::model {
namespace {

struct Tables {
    TreesParams p;
    const float* base;
    const int32_t* root;
    const TreeNode* node;
    const float* leaf;
};

const TreesParams& head(const OperatorContext& c) {
    return *reinterpret_cast<const TreesParams*>(c.params.data());
}

Tables tables(const OperatorContext& c) {
    Tables t;
    t.p = head(c);
    t.base = reinterpret_cast<const float*>(c.params.data() + sizeof(TreesParams));
    t.root = reinterpret_cast<const int32_t*>(t.base + t.p.outputs);
    t.node = reinterpret_cast<const TreeNode*>(t.root + t.p.trees);
    t.leaf = reinterpret_cast<const float*>(t.node + t.p.nodes);
    return t;
}

Code prepare(const OperatorContext& c) {
    if (c.input_count != 1 || c.params.size() < sizeof(TreesParams)) return Code::invalid;
    const TreesParams& p = head(c);
    if (p.trees > kMaxTable || p.nodes > kMaxTable || p.leaves > kMaxTable || p.outputs > kMaxRawOutputs ||
        p.outputs == 0)
        return Code::out_of_range;
    const uint64_t bytes = sizeof(TreesParams) + 4ull * p.outputs + 4ull * p.trees +
                           sizeof(TreeNode) * uint64_t(p.nodes) + 4ull * p.leaves * p.outputs;
    if (bytes != c.params.size()) return Code::invalid;
    const Tensor &in = *c.input[0], &out = *c.output;
    if (in.type != ElementType::float32 || out.type != ElementType::float32 || in.elements() != p.features ||
        scores_of(Link(p.link), p.outputs) != out.elements())
        return Code::invalid;
    const Tables t = tables(c);
    const auto child = [&](int32_t at, uint32_t own) {
        return at >= 0 ? uint32_t(at) >= own && uint32_t(at) < p.nodes : uint32_t(~at) < p.leaves;
    };
    for (uint32_t i = 0; i < p.trees; ++i)
        if (!child(t.root[i], 0)) return Code::out_of_range;
    // Children lie behind their parent, so every walk ends.
    for (uint32_t i = 0; i < p.nodes; ++i)
        if (t.node[i].feature >= p.features || !child(t.node[i].left, i + 1) ||
            !child(t.node[i].right, i + 1))
            return Code::out_of_range;
    return Code::ok;
}

}  // namespace

void eval_trees(const OperatorContext& c) {
    const Tables t = tables(c);
    const auto* x = static_cast<const float*>(c.input[0]->data);
    float raw[kMaxRawOutputs];
    memcpy(raw, t.base, 4 * t.p.outputs);
    for (uint32_t i = 0; i < t.p.trees; ++i) {
        int32_t at = t.root[i];
        while (at >= 0) {
            const TreeNode& n = t.node[at];
            at = x[n.feature] <= n.threshold ? n.left : n.right;
        }
        const float* leaf = t.leaf + size_t(~at) * t.p.outputs;
        for (uint32_t o = 0; o < t.p.outputs; ++o)
            raw[o] += leaf[o];
    }
    apply_link(Link(t.p.link), raw, t.p.outputs, static_cast<float*>(c.output->data));
}

uint32_t scores_of(Link link, uint32_t outputs) {
    switch (link) {
        case Link::none:
        case Link::softmax:
            return outputs;
        case Link::logistic:
        case Link::sides:
            return outputs == 1 ? 2 : 0;
        case Link::votes:
            for (uint32_t n = 3; n <= 16; ++n)
                if (n * (n - 1) / 2 == outputs) return n;
            return 0;
    }
    return 0;
}

void apply_link(Link link, const float* raw, uint32_t outputs, float* scores) {
    const uint32_t n = scores_of(link, outputs);
    if (link == Link::logistic || link == Link::sides) {
        const float p = link == Link::logistic ? logistic(raw[0]) : raw[0];
        scores[0] = link == Link::logistic ? 1.0f - p : -p;
        scores[1] = p;
    } else if (link == Link::votes) {
        for (uint32_t i = 0; i < n; ++i)
            scores[i] = 0;
        uint32_t pair = 0;
        for (uint32_t i = 0; i < n; ++i)
            for (uint32_t k = i + 1; k < n; ++k, ++pair)
                scores[raw[pair] > 0 ? i : k] += 1.0f;
    } else if (link == Link::softmax) {
        float top = raw[0], sum = 0;
        for (uint32_t i = 1; i < n; ++i)
            if (raw[i] > top) top = raw[i];
        for (uint32_t i = 0; i < n; ++i)
            sum += scores[i] = exponential(raw[i] - top);
        for (uint32_t i = 0; i < n; ++i)
            scores[i] = scores[i] / sum;
    } else {
        memcpy(scores, raw, 4 * n);
    }
    for (uint32_t i = 0; i < n; ++i)
        if (scores[i] != scores[i]) scores[i] = 0;
}

const Operator kTrees = {kOpTrees, "trees", prepare, eval_trees};

}  // namespace lockstep::model
