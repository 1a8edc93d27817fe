// ring: ring.h.
#include "models/core/ops/ring.h"

#include <string.h>

#include "models/core/ops/check.h"
#include "models/core/plan_format.h"

namespace lockstep::model {
namespace {

Code prepare(const OperatorContext& c) {
    if (c.input_count != 1 || c.input[0] == nullptr || c.output == nullptr) return Code::invalid;
    if (c.params.size() != sizeof(RingParams)) return Code::invalid;
    const auto& p = header<RingParams>(c);
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    if (p.axis > 3 || p.rows < 1 || p.rows > 65535) return Code::out_of_range;
    if (x.type != y.type || x.rank != y.rank || !same_quantisation(x, y)) return Code::invalid;
    if (x.zero_point < -128 || x.zero_point > 127) return Code::out_of_range;
    if (x.type != ElementType::int8 && x.zero_point != 0) return Code::invalid;  // filled byte by byte
    for (uint32_t d = 0; d < 4; ++d)
        if (y.dim[d] != x.dim[d] + (d == p.axis ? p.rows : 0)) return Code::invalid;
    return c.scratch.size() < kRingScratchBytes ? Code::no_space : Code::ok;
}

}  // namespace

void eval_ring(const OperatorContext& c) {
    const auto& p = header<RingParams>(c);
    const Tensor& x = *c.input[0];
    const Tensor& y = *c.output;
    size_t outer = 1;
    for (uint32_t d = 0; d < p.axis; ++d)
        outer *= x.dim[d];
    const size_t fresh = x.bytes() / outer, all = y.bytes() / outer, kept = all - fresh;
    auto* to = static_cast<uint8_t*>(y.data);
    if (c.scratch[0] == 0) memset(to, uint8_t(int8_t(x.zero_point)), y.bytes());
    c.scratch[0] = 1;
    const auto* from = static_cast<const uint8_t*>(x.data);
    for (size_t a = 0; a < outer; ++a, to += all, from += fresh) {
        memmove(to, to + fresh, kept);
        memcpy(to + kept, from, fresh);
    }
}

const Operator kRing = {kOpRing, "ring", prepare, eval_ring, kOperatorKeeps | kOperatorKeepsOutput};

}  // namespace lockstep::model
