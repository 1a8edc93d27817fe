#include "models/core/history.h"

#include "dsp/base/crc32c.h"
#include "models/core/plan_format.h"

namespace lockstep::model {
namespace {

constexpr uint64_t kMaxIndex = uint64_t(1) << 62;  // far past any counter; keeps sums from wrapping

}  // namespace

void History::lay_out(const Plan& plan, size_t input, uint32_t slack_ms, bool stamps, Layout* layout) {
    const PlanHeader h = load_record<PlanHeader>(plan.blob(), 0);
    sections_ = load_record<InputRecord>(plan.blob(), h.inputs.offset + input * sizeof(InputRecord)).sections;
    spec_ = plan.input(input);
    const uint64_t slack = uint64_t(slack_ms) * spec_.rate_num / spec_.rate_den / 1000 + 1;
    const uint64_t capacity = spec_.window + slack;
    capacity_ = uint32_t(capacity < UINT32_MAX ? capacity : UINT32_MAX);
    const uint64_t elements = uint64_t(capacity_) * spec_.channels;
    const size_t states = dsp::RestartingCascade::states_needed(sections_, spec_.channels);
    counts_ = layout->take<int32_t>(elements);
    worth_ = layout->take<uint8_t>(capacity_);
    stamp_ = stamps ? layout->take<uint64_t>(capacity_) : nullptr;
    if (sections_ == 0) return;
    values_ = layout->take<float>(elements);
    sample_ = layout->take<float>(spec_.channels);
    cascade_ = Span<dsp::Biquad>(layout->take<dsp::Biquad>(sections_), sections_);
    state_ = Span<dsp::BiquadState>(layout->take<dsp::BiquadState>(states), states);
}

void History::bind(const Plan& plan, size_t input, const InputBinding& binding) {
    binding_ = binding;
    const PlanHeader h = load_record<PlanHeader>(plan.blob(), 0);
    const InputRecord r =
        load_record<InputRecord>(plan.blob(), h.inputs.offset + input * sizeof(InputRecord));
    for (size_t i = 0; i < sections_; ++i) {
        const size_t at = h.sections.offset + (r.first_section + i) * sizeof(SectionRecord);
        const SectionRecord s = load_record<SectionRecord>(plan.blob(), at);
        cascade_[i] = {s.b0, s.b1, s.b2, s.a1, s.a2};
    }
    if (sections_ != 0) filter_.bind(cascade_, spec_.channels, spec_.reset_period, spec_.warmup, state_);
    reset();
}

void History::reset() {
    started_ = false;
    restart_ = false;
    next_ = 0;
    head_ = 0;
    trust_from_ = 0;
    warm_from_ = 0;
    memset(worth_, kMissing, capacity_);
    if (stamp_ != nullptr) memset(stamp_, 0, sizeof(uint64_t) * capacity_);
}

bool History::accepts(const BlockView& block) const {
    return block.channels == binding_.stream_channels && block.first < kMaxIndex &&
           block.counts.size() >= uint64_t(block.count) * block.channels && block.first + block.count > next_;
}

uint64_t History::begin_of(const BlockView& block, uint32_t from) const {
    const uint64_t index = block.first + from;
    return index < next_ ? next_ : index;
}

void History::push(const BlockView& block, uint32_t from, uint64_t end) {
    const uint64_t begin = begin_of(block, from);
    const bool trusted = block.discontinuity && begin == block.first;
    if (!started_ && begin == 0)
        gap(0, true);  // the start of an epoch: both sides begin here
    else if (begin != next_ || trusted)
        gap(begin, trusted);
    started_ = true;
    for (uint64_t i = begin; i < end; ++i)
        store(block.counts.data() + size_t(i - block.first) * block.channels,
              stamp_ != nullptr ? stamp_in(block, i) : 0);
}

void History::gap(uint64_t to, bool trusted) {
    const uint64_t lost = to - next_;
    for (uint64_t i = 0; i < lost && i < capacity_; ++i) {
        worth_[head_] = kMissing;
        if (stamp_ != nullptr) stamp_[head_] = 0;
        head_ = head_ + 1 == capacity_ ? 0 : head_ + 1;
    }
    next_ = to;
    if (trusted) {
        trust_from_ = to;
        warm_from_ = to + spec_.warmup;
        restart_ = true;
    } else {
        const uint64_t k = spec_.reset_period;
        trust_from_ = sections_ == 0 ? to : (to + spec_.warmup + k - 1) / k * k;
    }
    if (sections_ != 0) filter_.restart(to);
}

void History::store(const int32_t* counts, uint64_t stamp) {
    int32_t* kept = counts_ + head_ * spec_.channels;
    for (size_t c = 0; c < spec_.channels; ++c)
        kept[c] = counts[binding_.channel[c]];
    if (sections_ != 0) {
        for (size_t c = 0; c < spec_.channels; ++c)
            sample_[c] = physical(kept[c], c);
        filter_.step(sample_, values_ + head_ * spec_.channels);
    }
    worth_[head_] = uint8_t((next_ < trust_from_ ? kMissing : 0) | (next_ < warm_from_ ? kWarming : 0) |
                            (restart_ ? kRestart : 0));
    restart_ = false;
    if (stamp_ != nullptr) stamp_[head_] = stamp;
    head_ = head_ + 1 == capacity_ ? 0 : head_ + 1;
    ++next_;
}

float History::physical(int32_t count, size_t channel) const {
    float value = float(count);
    if (binding_.float_samples) memcpy(&value, &count, 4);
    return value * binding_.scale[channel] + binding_.offset[channel];
}

size_t History::slot_of(uint64_t index) const {
    const size_t back = size_t(next_ - index);
    return back <= head_ ? head_ - back : head_ + capacity_ - back;
}

WindowState History::judge(uint64_t begin, uint64_t end) const {
    if (begin < oldest()) return WindowState::missing;
    bool warming = false;
    size_t slot = slot_of(begin);
    for (uint64_t i = begin; i < end; ++i) {
        const uint8_t worth = worth_[slot];
        if ((worth & kMissing) != 0) return WindowState::missing;
        // A window that only begins at a discontinuity does not span it.
        if ((worth & kWarming) != 0 || ((worth & kRestart) != 0 && i != begin)) warming = true;
        slot = slot + 1 == capacity_ ? 0 : slot + 1;
    }
    return warming ? WindowState::warming : WindowState::result;
}

uint64_t History::first_after(uint64_t time_us, uint64_t from) const {
    if (from < oldest()) from = oldest();
    if (from >= next_) return next_;
    size_t slot = slot_of(from);
    while (from < next_ && stamp_[slot] <= time_us) {  // a missing sample is stamped 0
        ++from;
        slot = slot + 1 == capacity_ ? 0 : slot + 1;
    }
    return from;
}

uint32_t History::hash_counts(uint64_t begin) const {
    const size_t slot = slot_of(begin);
    const size_t tail = capacity_ - slot;
    const size_t first = tail < spec_.window ? tail : spec_.window;
    const size_t row = sizeof(int32_t) * spec_.channels;
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(counts_);
    const uint32_t crc = crc32c(Bytes(bytes + slot * row, first * row));
    return crc32c(Bytes(bytes, (spec_.window - first) * row), crc);
}

void History::copy_values(uint64_t begin, float* out) const {
    size_t slot = slot_of(begin);
    for (uint32_t i = 0; i < spec_.window; ++i) {
        for (size_t c = 0; c < spec_.channels; ++c) {
            const size_t at = slot * spec_.channels + c;
            *out++ = sections_ != 0 ? values_[at] : physical(counts_[at], c);
        }
        slot = slot + 1 == capacity_ ? 0 : slot + 1;
    }
}

}  // namespace lockstep::model
