#include "models/core/plan.h"

#include "dsp/base/crc32c.h"
#include "models/core/operator.h"
#include "models/core/ops/windows.h"
#include "models/core/plan_format.h"

namespace lockstep::model {
namespace {

// Finite without libm: the exponent is not all ones.
bool finite(float v) {
    uint32_t bits;
    memcpy(&bits, &v, 4);
    return (bits & 0x7f800000u) != 0x7f800000u;
}

// Whether [offset, offset + count * size) lies within `limit` bytes.
bool within(uint32_t offset, uint64_t count, size_t size, size_t limit) {
    return offset <= limit && count <= (limit - offset) / size;
}

// Whether every byte is part of well-formed UTF-8 and no control character: names reach people, JSON
// and terminals. Zero bytes end strings.
bool readable(Bytes text) {
    size_t follow = 0;  // continuation bytes still due
    uint32_t rune = 0;
    uint32_t smallest = 0;  // a longer form of a smaller rune is malformed
    for (const uint8_t b : text) {
        if (follow != 0) {
            if ((b & 0xc0) != 0x80) return false;
            rune = rune << 6 | (b & 0x3fu);
            if (--follow == 0 && (rune < smallest || rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000)))
                return false;
        } else if (b < 0x80) {
            if ((b < 0x20 && b != 0) || b == 0x7f) return false;
        } else if (b >= 0xc2 && b < 0xf5) {
            follow = b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3;
            rune = b & (0x3fu >> follow);
            smallest = follow == 1 ? 0x80 : follow == 2 ? 0x800 : 0x10000;
        } else {
            return false;
        }
    }
    return follow == 0;
}

// A half-open range of arena bytes.
struct Range {
    uint64_t begin;
    uint64_t end;
    bool meets(const Range& o) const { return begin < o.end && o.begin < end; }
};

class Check {
  public:
    explicit Check(Bytes blob) : blob_(blob), header_(load_record<PlanHeader>(blob, 0)) {}

    Code run() {
        Code code = tables();
        if (code == Code::ok) code = tensors();
        if (code == Code::ok) code = inputs();
        if (code == Code::ok) code = operators();
        if (code == Code::ok) code = scores();
        if (code == Code::ok) code = arena();
        return code;
    }

  private:
    template <typename T>
    T record(const Table& t, size_t i) const {
        return load_record<T>(blob_, t.offset + i * sizeof(T));
    }
    template <typename T>
    bool fits(const Table& t) const {
        return within(t.offset, t.count, sizeof(T), blob_.size());
    }
    bool text(uint32_t at) const {
        return at >= header_.strings.offset && at - header_.strings.offset < header_.strings.count;
    }

    Code tables() const {
        const PlanHeader& h = header_;
        if (!fits<InputRecord>(h.inputs) || !fits<ChannelRecord>(h.channels) ||
            !fits<SectionRecord>(h.sections) || !fits<TensorRecord>(h.tensors) ||
            !fits<OperatorRecord>(h.operators) || !fits<ScoreRecord>(h.scores) || !fits<uint8_t>(h.strings) ||
            !fits<uint8_t>(h.data) || !fits<uint8_t>(h.provenance))
            return Code::invalid;
        if (h.inputs.count == 0 || h.operators.count == 0 || h.scores.count == 0) return Code::invalid;
        if (h.inputs.count > kMaxInputs || h.operators.count > kMaxOperators ||
            h.tensors.count > kMaxTensors || h.scores.count > kMaxScores || h.arena_bytes > kMaxArenaBytes)
            return Code::out_of_range;
        if (h.strings.count == 0 || blob_[h.strings.offset + h.strings.count - 1] != 0) return Code::invalid;
        if (!readable(blob_.subspan(h.strings.offset, h.strings.count))) return Code::invalid;
        return text(h.name) ? Code::ok : Code::invalid;
    }

    Code tensors() {
        for (size_t t = 0; t < header_.tensors.count; ++t) {
            const TensorRecord r = record<TensorRecord>(header_.tensors, t);
            if (r.type < 1 || r.type > 4 || r.rank < 1 || r.rank > 4 || !finite(r.scale))
                return Code::invalid;
            uint64_t n = element_bytes(ElementType(r.type));
            for (size_t d = 0; d < 4; ++d) {
                if (r.dim[d] == 0 || (d >= r.rank && r.dim[d] != 1)) return Code::invalid;
                n *= r.dim[d];
                if (n > kMaxArenaBytes) return Code::out_of_range;
            }
            if (r.arena % kPlanAlign != 0) return Code::invalid;
            if (!within(r.arena, n, 1, header_.arena_bytes)) return Code::out_of_range;
            range_[t] = {r.arena, r.arena + n};
        }
        return Code::ok;
    }

    Code inputs() {
        size_t stages = header_.operators.count;
        for (size_t i = 0; i < header_.inputs.count; ++i) {
            const InputRecord r = record<InputRecord>(header_.inputs, i);
            if (!text(r.kind) || !text(r.samples_stage) || !text(r.filtered_stage)) return Code::invalid;
            if (r.rate_num == 0 || r.rate_den == 0 || r.window == 0 || r.channels == 0) return Code::invalid;
            if (r.rate_num / r.rate_den >= kMaxRateHz || r.channels > kMaxInputChannels ||
                r.sections > kMaxSections || r.hop > kMaxPeriod || r.reset_period > kMaxPeriod)
                return Code::out_of_range;
            if ((i == 0) != (r.hop != 0)) return Code::invalid;
            if (r.span != 0 && (header_.inputs.count != 1 || r.hop != r.window || r.span <= r.window ||
                                r.span % r.window != 0))
                return Code::invalid;
            if (r.sections == 0 && (r.warmup != 0 || r.reset_period != 0)) return Code::invalid;
            if (r.sections != 0 && (r.reset_period == 0 || r.warmup > r.reset_period)) return Code::invalid;
            if (!within(r.first_channel, r.channels, 1, header_.channels.count) ||
                !within(r.first_section, r.sections, 1, header_.sections.count) ||
                r.tensor >= header_.tensors.count)
                return Code::out_of_range;
            for (size_t c = 0; c < r.channels; ++c) {
                const ChannelRecord channel = record<ChannelRecord>(header_.channels, r.first_channel + c);
                if (!text(channel.name) || !text(channel.unit)) return Code::invalid;
            }
            for (size_t s = 0; s < r.sections; ++s) {
                const SectionRecord q = record<SectionRecord>(header_.sections, r.first_section + s);
                if (!finite(q.b0) || !finite(q.b1) || !finite(q.b2) || !finite(q.a1) || !finite(q.a2))
                    return Code::invalid;
            }
            const TensorRecord t = record<TensorRecord>(header_.tensors, r.tensor);
            if (ElementType(t.type) != ElementType::float32 || t.rank != 4 || t.dim[0] != 1 ||
                t.dim[1] != 1 || t.dim[2] != r.window || t.dim[3] != r.channels || written_[r.tensor])
                return Code::invalid;
            written_[r.tensor] = true;
            stages += r.sections == 0 ? 1 : 2;
        }
        return stages <= kMaxStages ? Code::ok : Code::out_of_range;
    }

    Code operators() {
        for (size_t i = 0; i < header_.operators.count; ++i) {
            const OperatorRecord r = record<OperatorRecord>(header_.operators, i);
            if (r.inputs == 0 || r.inputs > kMaxOperatorInputs || !text(r.stage_name)) return Code::invalid;
            if (r.stage_kind < uint8_t(StageKind::features) || r.stage_kind > uint8_t(StageKind::output))
                return Code::invalid;
            for (size_t k = 0; k < r.inputs; ++k) {
                if (r.input[k] >= header_.tensors.count || !written_[r.input[k]]) return Code::invalid;
                last_[r.input[k]] = uint16_t(i);
            }
            if (r.output >= header_.tensors.count || written_[r.output]) return Code::invalid;
            written_[r.output] = true;
            first_[r.output] = last_[r.output] = uint16_t(i);
            if (r.flags != 0 && r.flags != kOperatorKeeps &&
                r.flags != (kOperatorKeeps | kOperatorKeepsOutput))
                return Code::invalid;
            if (r.params % kPlanAlign != 0 || r.scratch % kPlanAlign != 0) return Code::invalid;
            if (r.params < header_.data.offset ||
                !within(r.params - header_.data.offset, r.params_bytes, 1, header_.data.count) ||
                !within(r.scratch, r.scratch_bytes, 1, header_.arena_bytes))
                return Code::out_of_range;
            if (r.flags == 0) continue;
            always_[r.output] = (r.flags & kOperatorKeepsOutput) != 0;
            if (r.params_bytes < sizeof(HistoryParams)) return Code::invalid;
            const uint32_t windows = load_record<HistoryParams>(blob_, r.params).windows;
            if (windows < 1 || windows > kMaxMemory + 1) return Code::out_of_range;
            memory_ += windows - 1;
        }
        return memory_ <= kMaxMemory ? Code::ok : Code::out_of_range;
    }

    Code scores() const {
        for (size_t i = 0; i < header_.scores.count; ++i) {
            const ScoreRecord r = record<ScoreRecord>(header_.scores, i);
            if (!text(r.name) || !text(r.unit)) return Code::invalid;
        }
        const OperatorRecord last = record<OperatorRecord>(header_.operators, header_.operators.count - 1);
        const TensorRecord t = record<TensorRecord>(header_.tensors, last.output);
        const size_t elements = size_t(range_[last.output].end - range_[last.output].begin) / 4;
        if (StageKind(last.stage_kind) != StageKind::output || ElementType(t.type) != ElementType::float32 ||
            elements != header_.scores.count)
            return Code::invalid;
        return Code::ok;
    }

    // What is alive at the same time must not share bytes: operators rely on it.
    Code arena() const {
        for (size_t a = 0; a < header_.tensors.count; ++a) {
            if (!written_[a]) continue;
            for (size_t b = 0; b < a; ++b)
                if (written_[b] &&
                    (always_[a] || always_[b] || (first_[a] <= last_[b] && first_[b] <= last_[a])) &&
                    range_[a].meets(range_[b]))
                    return Code::invalid;
        }
        for (size_t i = 0; i < header_.operators.count; ++i) {
            const OperatorRecord r = record<OperatorRecord>(header_.operators, i);
            const Range scratch = {r.scratch, uint64_t(r.scratch) + r.scratch_bytes};
            for (size_t t = 0; t < header_.tensors.count; ++t)
                if (written_[t] && (r.flags != 0 || always_[t] || (first_[t] <= i && i <= last_[t])) &&
                    scratch.meets(range_[t]))
                    return Code::invalid;
            for (size_t k = 0; r.flags != 0 && k < header_.operators.count; ++k) {
                const OperatorRecord o = record<OperatorRecord>(header_.operators, k);
                if (k != i && scratch.meets({o.scratch, uint64_t(o.scratch) + o.scratch_bytes}))
                    return Code::invalid;
            }
        }
        return Code::ok;
    }

    Bytes blob_;
    PlanHeader header_;
    Range range_[kMaxTensors] = {};
    uint16_t first_[kMaxTensors] = {};  // operator that writes the tensor; 0 for inputs
    uint16_t last_[kMaxTensors] = {};   // last operator that reads it
    bool written_[kMaxTensors] = {};
    bool always_[kMaxTensors] = {};  // keeps its bytes from window to window
    uint32_t memory_ = 0;
};

uint32_t checksum(Bytes blob) {
    const size_t at = offsetof(PlanHeader, crc);
    const uint8_t zero[4] = {};
    uint32_t crc = crc32c(blob.subspan(0, at));
    crc = crc32c(Bytes(zero), crc);
    return crc32c(blob.subspan(at + 4), crc);
}

PlanHeader header_of(Bytes blob) {
    return load_record<PlanHeader>(blob, 0);
}

InputRecord input_of(Bytes blob, size_t i) {
    return load_record<InputRecord>(blob, header_of(blob).inputs.offset + i * sizeof(InputRecord));
}

const char* text_at(Bytes blob, uint32_t at) {
    return reinterpret_cast<const char*>(blob.data() + at);
}

ChannelRecord channel_of(Bytes blob, size_t input, size_t channel) {
    const size_t i = input_of(blob, input).first_channel + channel;
    return load_record<ChannelRecord>(blob, header_of(blob).channels.offset + i * sizeof(ChannelRecord));
}

ScoreRecord score_of(Bytes blob, size_t i) {
    return load_record<ScoreRecord>(blob, header_of(blob).scores.offset + i * sizeof(ScoreRecord));
}

}  // namespace

Code Plan::open(Bytes blob, Plan* out) {
    *out = Plan();
    if (reinterpret_cast<uintptr_t>(blob.data()) % kPlanAlign != 0) return Code::invalid;
    if (blob.size() < sizeof(PlanHeader)) return Code::corrupt;
    const PlanHeader header = header_of(blob);
    if (memcmp(header.magic, kPlanMagic, sizeof kPlanMagic) != 0) return Code::invalid;
    if (header.major != kPlanMajor) return Code::unsupported;
    if (header.bytes < sizeof(PlanHeader) || header.bytes > blob.size() || header.bytes > kMaxPlanBytes)
        return Code::corrupt;
    blob = blob.subspan(0, header.bytes);
    if (checksum(blob) != header.crc) return Code::corrupt;
    const Code code = Check(blob).run();
    if (code == Code::ok) out->blob_ = blob;
    return code;
}

const char* Plan::name() const {
    return text_at(blob_, header_of(blob_).name);
}

size_t Plan::inputs() const {
    return header_of(blob_).inputs.count;
}

InputSpec Plan::input(size_t i) const {
    const InputRecord r = input_of(blob_, i);
    InputSpec spec;
    spec.kind = text_at(blob_, r.kind);
    spec.rate_num = r.rate_num;
    spec.rate_den = r.rate_den;
    spec.channels = r.channels;
    spec.window = r.window;
    spec.span = r.span != 0 ? r.span : r.window;
    spec.hop = r.hop;
    spec.warmup = r.warmup;
    spec.reset_period = r.reset_period;
    return spec;
}

const char* Plan::channel_name(size_t input, size_t channel) const {
    return text_at(blob_, channel_of(blob_, input, channel).name);
}

const char* Plan::channel_unit(size_t input, size_t channel) const {
    return text_at(blob_, channel_of(blob_, input, channel).unit);
}

size_t Plan::stages() const {
    size_t n = header_of(blob_).operators.count;
    for (size_t i = 0; i < inputs(); ++i)
        n += input_of(blob_, i).sections == 0 ? 1 : 2;
    return n;
}

StageInfo Plan::stage(size_t i) const {
    for (size_t k = 0; k < inputs(); ++k) {
        const InputRecord r = input_of(blob_, k);
        if (i == 0) return {text_at(blob_, r.samples_stage), StageKind::samples};
        if (i == 1 && r.sections != 0) return {text_at(blob_, r.filtered_stage), StageKind::filtered};
        i -= r.sections == 0 ? 1 : 2;
    }
    const PlanHeader h = header_of(blob_);
    const OperatorRecord r =
        load_record<OperatorRecord>(blob_, h.operators.offset + i * sizeof(OperatorRecord));
    return {text_at(blob_, r.stage_name), StageKind(r.stage_kind)};
}

size_t Plan::scores() const {
    return header_of(blob_).scores.count;
}

const char* Plan::score_name(size_t i) const {
    return text_at(blob_, score_of(blob_, i).name);
}

const char* Plan::score_unit(size_t i) const {
    return text_at(blob_, score_of(blob_, i).unit);
}

bool Plan::is_classifier() const {
    return (header_of(blob_).flags & kPlanIsClassifier) != 0;
}

Bytes Plan::provenance() const {
    const Table t = header_of(blob_).provenance;
    return blob_.subspan(t.offset, t.count);
}

uint32_t Plan::memory() const {
    const PlanHeader h = header_of(blob_);
    uint32_t n = 0;
    for (size_t i = 0; i < h.operators.count; ++i) {
        const auto r = load_record<OperatorRecord>(blob_, h.operators.offset + i * sizeof(OperatorRecord));
        if (r.flags != 0) n += load_record<HistoryParams>(blob_, r.params).windows - 1;
    }
    return n;
}

size_t Plan::arena_bytes() const {
    return header_of(blob_).arena_bytes;
}

}  // namespace lockstep::model
