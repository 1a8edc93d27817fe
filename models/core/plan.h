// A plan: a model compiled offline for the shared engine - inputs, filters, operators, weights, arena
// offsets - as one position-independent blob (docs/model_format.md). This class is a view over a
// validated blob; it owns nothing and allocates nothing. The blob must outlive it, 16-byte aligned.
#pragma once

#include "dsp/base/code.h"
#include "dsp/base/span.h"

namespace lockstep::model {

constexpr size_t kMaxInputs = 4;   // = wire::kMaxModelInputs
constexpr size_t kMaxStages = 96;  // = wire::kMaxStages
constexpr size_t kMaxScores = 64;  // = wire::kMaxScores

// What input i of a model asks of a stream.
struct InputSpec {
    const char* kind = "";  // stream kind, "imu"
    uint32_t rate_num = 0;  // Hz, exact; a stream of another rate does not fit
    uint32_t rate_den = 1;
    uint16_t channels = 0;  // channel_name(input, c), channel_unit(input, c)
    uint32_t window = 0;    // samples per window
    uint32_t span = 0;      // samples that a result looks at: the window, or with those kept of earlier ones
    uint32_t hop = 0;       // samples between windows; only input 0, the primary, has one
    uint32_t warmup = 0;    // W: samples a filter needs after a reset before its output counts
    uint32_t reset_period = 0;  // K: filter states restart every K samples (runner.h); 0 = no filter
};

enum class StageKind : uint8_t { samples, filtered, features, quantised_input, layer, output };

struct StageInfo {
    const char* name = "";
    StageKind kind = StageKind::layer;
};

class Plan {
  public:
    // Checks magic, version, every offset and bound before anything is used; `out` is valid only on ok.
    // Code::unsupported for a newer format, Code::corrupt/invalid/out_of_range for a damaged blob.
    static Code open(Bytes blob, Plan* out);

    Bytes blob() const { return blob_; }
    const char* name() const;
    size_t inputs() const;
    InputSpec input(size_t i) const;
    const char* channel_name(size_t input, size_t channel) const;
    const char* channel_unit(size_t input, size_t channel) const;
    size_t stages() const;  // fixed order: per input samples, filtered; then every operator's output
    StageInfo stage(size_t i) const;
    size_t scores() const;                   // length of the output vector
    const char* score_name(size_t i) const;  // class names, or e.g. "heart_rate"
    const char* score_unit(size_t i) const;  // "" for classes, "bpm"
    bool is_classifier() const;              // scores are class scores; the decision is their argmax
    Bytes provenance() const;                // UTF-8 JSON, not validated here; may be empty
    size_t arena_bytes() const;              // tensors + scratch of the engine, exact
    uint32_t memory() const;                 // how many windows before its own a result depends on

  private:
    friend class Engine;
    friend class Runner;
    Bytes blob_;
};

}  // namespace lockstep::model
