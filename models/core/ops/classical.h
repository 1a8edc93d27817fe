// Parameters of the operators of classical models. Both take one float32 tensor of `features` elements, any
// shape, and give float32 scores; sums run in the order of the tables. A NaN feature goes right in a tree and
// counts as 0 elsewhere; a score that is no number becomes 0.
#pragma once

#include "models/core/operator.h"

namespace lockstep::model {

// Beside the numbers of models/core/ops.h; never reused either.
constexpr uint16_t kOpTrees = 50;
constexpr uint16_t kOpVectors = 51;

// From raw outputs to scores.
enum class Link : int32_t {
    none = 0,
    logistic = 1,  // one output -> scores of two classes, 1 - p and p
    softmax = 2,
    sides = 3,  // one output d -> -d and d
    votes = 4,  // outputs are pairs of classes (0,1) (0,2) ... (1,2) ...; > 0 is a vote for the first
};

// Params: TreesParams, float32 base[outputs], uint32 root[trees], TreeNode[nodes], float32
// leaf[leaves][outputs].
struct TreesParams {
    uint32_t features, outputs, trees, nodes, leaves;
    int32_t link;
    uint32_t reserved[2];
};
// x <= threshold goes left. A child >= 0 is a node behind this one, else ~child is a leaf; roots alike.
struct TreeNode {
    float threshold;
    uint32_t feature;
    int32_t left, right;
};
extern const Operator kTrees;  // ops/trees.cpp

enum class Similarity : int32_t { dot = 0, rbf = 1, distance = 2 };  // x.v, exp(-gamma |x-v|^2), -|x-v|^2

// Params: VectorsParams, float32 vector[vectors][features], float32 weight[outputs][vectors] unless `direct`,
// float32 intercept[outputs]. Output o is intercept[o] + sum of weight[o][v] * similarity(x, v); with
// `direct` intercept[o] + similarity(x, o). Scratch: 4 * vectors bytes.
struct VectorsParams {
    uint32_t features, outputs, vectors;
    int32_t similarity, link;
    float gamma;
    uint32_t direct;
    uint32_t reserved;
};
extern const Operator kVectors;  // ops/vectors.cpp

void eval_trees(const OperatorContext& c);
void eval_vectors(const OperatorContext& c);

constexpr uint32_t kMaxRawOutputs = 128;  // pairs of 16 classes
constexpr uint32_t kMaxTable = 1u << 24;

// How many scores the raw outputs give; 0 when the link does not fit.
uint32_t scores_of(Link link, uint32_t outputs);
void apply_link(Link link, const float* raw, uint32_t outputs, float* scores);

}  // namespace lockstep::model
