// skin_conductance: features.h.
#include <string.h>

#include "models/core/ops/features.h"

namespace lockstep::model {
namespace {

constexpr uint32_t kMaxRise = 8192;  // samples

SkinConductanceParams params_of(const OperatorContext& c) {
    SkinConductanceParams p;
    memcpy(&p, c.params.data(), sizeof p);
    return p;
}

bool bounded(float v) {
    return v > 0 && v < 1e9f;
}

Code prepare(const OperatorContext& c) {
    if (c.input_count != 1 || c.input[0] == nullptr || c.output == nullptr) return Code::invalid;
    if (c.params.size() != sizeof(SkinConductanceParams)) return Code::invalid;
    const Tensor& in = *c.input[0];
    if (in.type != ElementType::float32 || in.elements() != in.dim[2] || in.dim[2] < 2) return Code::invalid;
    if (c.output->type != ElementType::float32 || c.output->elements() != 4) return Code::invalid;
    const SkinConductanceParams p = params_of(c);
    const bool ok = bounded(p.threshold) && bounded(p.fall) && bounded(p.middle) && bounded(p.squares) &&
                    bounded(p.rate) && bounded(p.per_minute);
    if (p.longest < 1 || p.longest > kMaxRise) return Code::out_of_range;
    return ok ? Code::ok : Code::out_of_range;
}

struct Responses {
    int32_t count = 0;
    float rise = 0;  // of all together
};

Responses responses_of(Span<const float> x, const SkinConductanceParams& p) {
    Responses found;
    size_t low = 0;
    float high = x[0];
    bool rising = false;
    for (size_t i = 0; i < x.size(); ++i) {
        if (!rising) {
            if (i - low > p.longest) {
                low = i - p.longest;
                for (size_t k = low; k < i; ++k)
                    if (x[k] < x[low]) low = k;
            }
            if (x[i] < x[low]) low = i;
            rising = x[i] - x[low] >= p.threshold;
            high = x[i];
            continue;
        }
        if (x[i] > high) high = x[i];
        if (!(high - x[i] >= p.fall)) continue;
        ++found.count;
        found.rise += high - x[low];
        rising = false;
        low = i;
    }
    if (rising) {
        ++found.count;
        found.rise += high - x[low];
    }
    return found;
}

}  // namespace

void eval_skin_conductance(const OperatorContext& c) {
    const SkinConductanceParams p = params_of(c);
    const Span<const float> x(static_cast<const float*>(c.input[0]->data), c.input[0]->elements());
    auto* out = static_cast<float*>(c.output->data);
    const Trend trend = trend_of(x, p.middle, p.squares, p.rate);
    const Responses found = responses_of(x, p);
    out[0] = trend.level;
    out[1] = trend.slope;
    out[2] = float(found.count) * p.per_minute;
    out[3] = found.count == 0 ? 0.0f : found.rise / float(found.count);
}

Trend trend_of(Span<const float> x, float middle, float squares, float rate) {
    float sum = 0;
    for (const float v : x)
        sum = sum + v;
    const float level = sum / float(x.size());
    float slope = 0;
    for (size_t i = 0; i < x.size(); ++i)
        slope = slope + (float(i) - middle) * (x[i] - level);
    return {level, (slope / squares) * rate};
}

const Operator kSkinConductance = {kOpSkinConductance, "skin_conductance", prepare, eval_skin_conductance};

}  // namespace lockstep::model
