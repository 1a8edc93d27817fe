// octaves over int16: int16.h.
#include "models/core/ops/check16.h"

namespace lockstep::model {
namespace {

Code prepare(const OperatorContext& c) {
    const Code code = check_int16<OctavesParams>(c, 1);
    if (code != Code::ok) return code;
    return c.input[0]->elements() == c.output->elements() ? Code::ok : Code::invalid;
}

}  // namespace

void eval_octaves(const OperatorContext& c) {
    const OctavesParams& p = header<OctavesParams>(c);
    const int16_t* in = i16(c.input[0]);
    int16_t* out = i16_out(c.output);
    for (size_t i = 0, n = c.output->elements(); i < n; ++i)
        out[i] = int16_t(octaves_at(p, in[i]));
}

const Operator kOctaves = {kOpOctaves, "octaves", prepare, eval_octaves};

}  // namespace lockstep::model
