// What the runner must decide, written down as slowly and plainly as possible: every window looks at
// the whole recording and every filter output begins its filter anew (docs/parity.md).
#pragma once

#include <algorithm>
#include <map>
#include <vector>

#include "dsp/base/crc32c.h"
#include "dsp/biquad.h"
#include "tests/models_core/fixture.h"

namespace lockstep {

struct Decision {
    uint32_t window = 0;
    model::WindowState state = model::WindowState::result;
    std::vector<uint64_t> first;
    std::vector<uint32_t> input_hashes;  // samples, filtered of each input; results only
    uint32_t output_hash = 0;

    bool operator==(const Decision& o) const {
        return window == o.window && state == o.state && first == o.first && input_hashes == o.input_hashes;
    }
};

// One stream as it arrived: which samples came, and where the device had a discontinuity.
struct Arrival {
    uint32_t rate = 100;
    uint16_t channels = 2;  // of the stream, one more than the plan's
    std::map<uint64_t, std::vector<int32_t>> sample;
    std::vector<uint64_t> trusted;  // first samples after discontinuities

    uint64_t end() const { return sample.empty() ? 0 : sample.rbegin()->first + 1; }
    uint64_t stamp(uint64_t i) const { return sample_time_us(0, uint32_t(i), rate, 1); }
};

class ReferenceInput {
  public:
    ReferenceInput(const Arrival& arrival, const TestInput& spec) : arrival_(arrival), spec_(spec) {
        trusted_ = arrival.trusted;
        if (arrival.sample.count(0) != 0) trusted_.push_back(0);
    }

    model::WindowState judge(uint64_t begin, uint64_t end) {
        for (uint64_t i = begin; i < end; ++i)
            if (!known(i)) return model::WindowState::missing;
        for (const uint64_t t : trusted_)
            if (begin < t + spec_.warmup && end > t)
                return model::WindowState::warming;
            else if (begin < t && end > t)
                return model::WindowState::warming;
        return model::WindowState::result;
    }

    std::vector<uint32_t> hashes(uint64_t begin) {
        std::vector<int32_t> counts;
        std::vector<float> values;
        for (uint64_t i = begin; i < begin + spec_.window; ++i)
            for (uint32_t c = 0; c < spec_.channels; ++c) {
                counts.push_back(arrival_.sample.at(i)[c + 1]);
                if (spec_.period != 0) values.push_back(filtered(i, c));
            }
        std::vector<uint32_t> out = {crc32c(bytes_of(counts))};
        if (spec_.period != 0) out.push_back(crc32c(bytes_of(values)));
        return out;
    }

  private:
    // First sample that value i depends on.
    uint64_t origin(uint64_t i) const {
        if (spec_.period == 0) return i;
        const uint64_t block = i / spec_.period * spec_.period;
        uint64_t from = block > spec_.warmup ? block - spec_.warmup : 0;
        for (const uint64_t t : trusted_)
            if (t <= i) from = std::max(from, t);
        return from;
    }
    bool known(uint64_t i) const {
        for (uint64_t j = origin(i); j <= i; ++j)
            if (arrival_.sample.count(j) == 0) return false;
        return true;
    }
    float filtered(uint64_t i, uint32_t channel) {
        const auto key = std::make_pair(i, channel);
        const auto it = cache_.find(key);
        if (it != cache_.end()) return it->second;
        std::vector<dsp::Biquad> cascade;
        for (const auto& s : test_sections())
            cascade.push_back({s[0], s[1], s[2], s[3], s[4]});
        std::vector<dsp::BiquadState> state(cascade.size());
        float y = 0;
        for (uint64_t j = origin(i); j <= i; ++j) {
            const float x = float(arrival_.sample.at(j)[channel + 1]) * 0.5f + 1.0f;
            y = dsp::cascade_step(Span<const dsp::Biquad>(cascade.data(), cascade.size()),
                                  Span<dsp::BiquadState>(state.data(), state.size()), x);
        }
        return cache_[key] = y;
    }

    const Arrival& arrival_;
    TestInput spec_;
    std::vector<uint64_t> trusted_;
    std::map<std::pair<uint64_t, uint32_t>, float> cache_;
};

inline std::vector<Decision> reference_decisions(const std::vector<Arrival>& arrivals,
                                                 const std::vector<TestInput>& specs) {
    using model::WindowState;
    std::vector<Decision> out;
    std::vector<ReferenceInput> inputs;
    for (size_t i = 0; i < specs.size(); ++i)
        inputs.emplace_back(arrivals[i], specs[i]);
    const Arrival& primary = arrivals[0];
    if (primary.sample.empty()) return out;
    const uint64_t joined = primary.sample.begin()->first;
    for (uint64_t k = (joined + specs[0].hop - 1) / specs[0].hop;; ++k) {
        const uint64_t begin = k * specs[0].hop;
        const uint64_t end = begin + specs[0].window;
        if (end > primary.end()) return out;
        Decision d;
        d.window = uint32_t(k);
        d.first.assign(specs.size(), 0);
        d.first[0] = begin;
        d.state = inputs[0].judge(begin, end);
        for (size_t i = 1; i < specs.size() && d.state != WindowState::missing; ++i) {
            const auto later = std::find_if(
                arrivals[i].sample.begin(), arrivals[i].sample.end(),
                [&](const auto& s) { return arrivals[i].stamp(s.first) > primary.stamp(end - 1); });
            if (later == arrivals[i].sample.end()) return out;  // undecided, and so are all later ones
            const uint64_t m = later->first;
            const uint64_t n = specs[i].window;
            WindowState s = inputs[i].judge(m >= n ? m - n : 0, m);
            if (m < n && s != WindowState::missing) s = WindowState::warming;
            if (m >= n) d.first[i] = m - n;
            if (s == WindowState::missing || d.state == WindowState::result) d.state = s;
        }
        if (d.state == WindowState::result)
            for (size_t i = 0; i < specs.size(); ++i)
                for (const uint32_t h : inputs[i].hashes(d.first[i]))
                    d.input_hashes.push_back(h);
        out.push_back(d);
    }
}

}  // namespace lockstep
