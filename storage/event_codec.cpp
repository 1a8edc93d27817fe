#include "storage/event_codec.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace lockstep::storage {
namespace {

// One description of every value serves both directions: visit() hands each field to an Encoder or a
// Decoder.
template <typename T>
struct Fields;

class Encoder {
  public:
    explicit Encoder(std::vector<uint8_t>* out) : out_(out) {}

    template <typename T>
    void operator()(const T& v) {
        if constexpr (std::is_same_v<T, bool>) {
            put(v ? 1 : 0, 1);
        } else if constexpr (std::is_enum_v<T>) {
            put(uint64_t(v), sizeof(T));
        } else if constexpr (std::is_integral_v<T>) {
            put(uint64_t(v), sizeof(T));
        } else if constexpr (std::is_floating_point_v<T>) {
            std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t> bits;
            memcpy(&bits, &v, sizeof bits);
            put(bits, sizeof bits);
        } else {
            Fields<T>::visit(*this, v);
        }
    }
    void operator()(const std::string& s) {
        put(s.size(), 4);
        out_->insert(out_->end(), s.begin(), s.end());
    }
    template <typename T>
    void operator()(const std::vector<T>& v) {
        put(v.size(), 4);
        for (const T& item : v)
            (*this)(item);
    }
    void operator()(const std::vector<uint8_t>& v) {
        put(v.size(), 4);
        out_->insert(out_->end(), v.begin(), v.end());
    }
    void operator()(const std::map<std::string, std::string>& m) {
        put(m.size(), 4);
        for (const auto& [key, value] : m) {
            (*this)(key);
            (*this)(value);
        }
    }
    void put(uint64_t v, size_t n) {
        for (size_t i = 0; i < n; ++i)
            out_->push_back(uint8_t(v >> (8 * i)));
    }
    std::vector<uint8_t>* out() { return out_; }

  private:
    std::vector<uint8_t>* out_;
};

class Decoder {
  public:
    explicit Decoder(Bytes in) : in_(in) {}

    template <typename T>
    void operator()(T& v) {
        if constexpr (std::is_same_v<T, bool>) {
            v = get(1) != 0;
        } else if constexpr (std::is_enum_v<T>) {
            v = T(get(sizeof(T)));
        } else if constexpr (std::is_integral_v<T>) {
            v = T(get(sizeof(T)));
        } else if constexpr (std::is_floating_point_v<T>) {
            std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t> bits = 0;
            bits = decltype(bits)(get(sizeof bits));
            memcpy(&v, &bits, sizeof bits);
        } else {
            Fields<T>::visit(*this, v);
        }
    }
    void operator()(std::string& s) {
        const size_t n = count();
        if (!ok_) return;
        s.assign(reinterpret_cast<const char*>(in_.data() + at_), n);
        at_ += n;
    }
    template <typename T>
    void operator()(std::vector<T>& v) {
        const size_t n = count();
        v.clear();
        for (size_t i = 0; i < n && ok_; ++i) {
            v.emplace_back();
            (*this)(v.back());
        }
    }
    void operator()(std::vector<uint8_t>& v) {
        const size_t n = count();
        if (!ok_) return;
        v.assign(in_.data() + at_, in_.data() + at_ + n);
        at_ += n;
    }
    void operator()(std::map<std::string, std::string>& m) {
        const size_t n = count();
        m.clear();
        for (size_t i = 0; i < n && ok_; ++i) {
            std::string key;
            (*this)(key);
            (*this)(m[key]);
        }
    }
    uint64_t get(size_t n) {
        if (!ok_ || in_.size() - at_ < n) {
            ok_ = false;
            return 0;
        }
        uint64_t v = 0;
        for (size_t i = 0; i < n; ++i)
            v |= uint64_t(in_[at_ + i]) << (8 * i);
        at_ += n;
        return v;
    }
    Bytes take(uint64_t n) {
        if (!ok_ || in_.size() - at_ < n) {
            ok_ = false;
            return {};
        }
        const Bytes out = in_.subspan(at_, size_t(n));
        at_ += size_t(n);
        return out;
    }
    void refuse() { ok_ = false; }
    bool done() const { return ok_ && at_ == in_.size(); }

  private:
    // Every element takes at least a byte, so a count past the end is a lie: no large allocation.
    size_t count() {
        const auto n = size_t(get(4));
        if (ok_ && n > in_.size() - at_) ok_ = false;
        return ok_ ? n : 0;
    }
    Bytes in_;
    size_t at_ = 0;
    bool ok_ = true;
};

constexpr bool in_range(int v, int low, int high) {
    return v >= low && v <= high;
}

// A Decoder refuses numbers that are no value of an enumeration.
template <typename A, typename T>
void enumeration(A& a, T& v, int low, int high) {
    a(v);
    if constexpr (std::is_same_v<A, Decoder>) {
        if (!in_range(int(v), low, high)) a.refuse();
    }
}

template <>
struct Fields<ChannelInfo> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.name), a(v.unit), a(v.scale), a(v.offset);
    }
};
template <>
struct Fields<StreamInfo> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.name), a(v.kind);
        enumeration(a, v.type, 1, 4);
        a(v.rate_num), a(v.rate_den), a(v.batch), a(v.enabled), a(v.channels);
        if constexpr (std::is_same_v<A, Decoder>) {
            if (v.rate_num == 0 || v.rate_den == 0) a.refuse();
        }
    }
};
template <>
struct Fields<DeviceModel> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.name), a(v.plan_id), a(v.input_streams), a(v.active);
    }
};
template <>
struct Fields<DeviceInfo> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.uri), a(v.board), a(v.firmware), a(v.build_id), a(v.boot_id), a(v.reset_cause), a(v.serial);
        a(v.verified_link), a(v.streams), a(v.models);
    }
};
template <>
struct Fields<wire::StreamHealth> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.produced), a(v.dropped);
    }
};
template <>
struct Fields<wire::Health> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.uptime_us), a(v.tx_queue_high), a(v.rx_queue_high), a(v.stack_size), a(v.stack_high);
        a(v.bad_frames), a(v.late_samples), a(v.windows_skipped), a(v.streams);
        if (v.streams > wire::kMaxStreams) {
            if constexpr (std::is_same_v<A, Decoder>) a.refuse();
            return;
        }
        for (size_t i = 0; i < v.streams; ++i)
            a(v.stream[i]);
    }
};
template <>
struct Fields<SegmentStarted> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.segment), a(v.device), a(v.epoch), a(v.host_ns), a(v.reason), a(v.info), a(v.streams);
    }
};
template <>
struct Fields<SegmentEnded> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.segment), a(v.host_ns), a(v.reason), a(v.counted), a(v.sent);
    }
};

// 2, 3 or 4: the fewest bytes that hold every count.
uint8_t count_bytes(const std::vector<int32_t>& counts) {
    uint8_t bytes = 2;
    for (const int32_t c : counts) {
        if (c < -(1 << 23) || c >= (1 << 23)) return 4;
        if (c < INT16_MIN || c > INT16_MAX) bytes = 3;
    }
    return bytes;
}
SampleType packing(uint8_t bytes) {
    return bytes == 2 ? SampleType::int16 : bytes == 3 ? SampleType::int24 : SampleType::int32;
}

template <>
struct Fields<Block> {
    static void visit(Encoder& a, const Block& v) {
        head(a, v);
        const uint8_t bytes = count_bytes(v.counts);
        a(bytes), a(uint32_t(v.counts.size()));
        const size_t at = a.out()->size();
        a.out()->resize(at + v.counts.size() * bytes);
        if (!v.counts.empty())
            pack_samples(packing(bytes), Span<const int32_t>(v.counts.data(), v.counts.size()),
                         MutableBytes(a.out()->data() + at, v.counts.size() * bytes));
    }
    static void visit(Decoder& a, Block& v) {
        head(a, v);
        uint8_t bytes = 0;
        uint32_t elements = 0;
        a(bytes), a(elements);
        if (!in_range(bytes, 2, 4) || elements != uint64_t(v.count) * v.channels) return a.refuse();
        const Bytes packed = a.take(uint64_t(elements) * bytes);
        if (packed.size() != size_t(elements) * bytes) return a.refuse();
        v.counts.resize(elements);
        if (elements != 0) unpack_samples(packing(bytes), packed, Span<int32_t>(v.counts.data(), elements));
    }
    template <typename A, typename V>
    static void head(A& a, V& v) {
        a(v.stream), a(v.segment), a(v.first), a(v.device_us), a(v.host_ns), a(v.sequence);
        a(v.discontinuity), a(v.count), a(v.channels);
    }
};
template <>
struct Fields<Gap> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.stream), a(v.segment), a(v.first), a(v.missing);
        enumeration(a, v.cause, 1, 3);
        a(v.host_ns);
    }
};
template <>
struct Fields<Prediction> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        enumeration(a, v.origin, 1, 2);
        a(v.segment), a(v.model), a(v.plan_id), a(v.window), a(v.first), a(v.input_hash), a(v.output_hash);
        a(v.scores);
        enumeration(a, v.cost_kind, 0, 3);
        a(v.cost), a(v.device_us), a(v.host_ns), a(v.stages);
    }
};
template <>
struct Fields<ClockObservation> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.device), a(v.segment), a(v.sent_ns), a(v.device_received_us), a(v.device_sent_us),
            a(v.received_ns);
    }
};
template <>
struct Fields<HealthReport> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.device), a(v.host_ns), a(v.health);
    }
};
template <>
struct Fields<LinkEvent> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.device);
        enumeration(a, v.kind, 1, 8);
        a(v.count), a(v.host_ns), a(v.text);
    }
};
template <>
struct Fields<DeviceMarker> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.device), a(v.device_us), a(v.host_ns), a(v.code), a(v.text);
    }
};
template <>
struct Fields<WindowVerdict> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.segment), a(v.model), a(v.window);
        enumeration(a, v.verdict, 1, 4);
        enumeration(a, v.difference, 0, 4);
        a(v.stage), a(v.reason);
    }
};
template <>
struct Fields<Label> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.id), a(v.start), a(v.stop), a(v.stream), a(v.channel), a(v.label_class), a(v.source);
        a(v.confidence), a(v.note);
    }
};
template <>
struct Fields<LabelEdit> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        enumeration(a, v.operation, 1, 3);
        a(v.before), a(v.after), a(v.author), a(v.reason), a(v.utc_ns), a(v.revision);
    }
};
template <>
struct Fields<SessionHeader> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.identifier), a(v.start_utc_ns), a(v.start_host_ns), a(v.software), a(v.git_commit), a(v.subject);
        a(v.task), a(v.composite), a(v.mains_hz), a(v.settings);
    }
};
template <>
struct Fields<SessionModel> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.name), a(v.plan_id), a(v.plan);
    }
};
template <>
struct Fields<LabelClass> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.name), a(v.color), a(v.hotkey), a(v.hed);
    }
};
template <>
struct Fields<WriterOptions> {
    template <typename A, typename V>
    static void visit(A& a, V& v) {
        a(v.path), a(v.header), a(v.models), a(v.classes);
    }
};

// The tag is the alternative's position in Event and part of the format: append alternatives only.
static_assert(std::variant_size_v<Event> == 11, "a new event needs a new tag");
static_assert(std::is_same_v<std::variant_alternative_t<2, Event>, std::shared_ptr<const Block>>);
static_assert(std::is_same_v<std::variant_alternative_t<10, Event>, LabelEdit>);

template <size_t Tag = 0>
bool decode_tag(size_t tag, Decoder& in, Event* out) {
    if constexpr (Tag < std::variant_size_v<Event>) {
        if (tag != Tag) return decode_tag<Tag + 1>(tag, in, out);
        using T = std::variant_alternative_t<Tag, Event>;
        if constexpr (std::is_same_v<T, std::shared_ptr<const Block>>) {
            auto block = std::make_shared<Block>();
            in(*block);
            *out = std::shared_ptr<const Block>(std::move(block));
        } else {
            T value;
            in(value);
            *out = std::move(value);
        }
        return in.done();
    } else {
        return false;
    }
}

template <typename T>
bool decode_value(Bytes bytes, T* out) {
    Decoder in(bytes);
    in(*out);
    return in.done();
}

}  // namespace

void encode(const Event& event, std::vector<uint8_t>* out) {
    Encoder a(out);
    a(uint8_t(event.index()));
    std::visit(
        [&a](const auto& v) {
            if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::shared_ptr<const Block>>)
                a(*v);
            else
                a(v);
        },
        event);
}

void encode(const WriterOptions& options, std::vector<uint8_t>* out) {
    Encoder{out}(options);
}
void encode(const LabelClass& label_class, std::vector<uint8_t>* out) {
    Encoder{out}(label_class);
}

bool decode(Bytes bytes, Event* out) {
    Decoder in(bytes);
    const size_t tag = size_t(in.get(1));
    return decode_tag(tag, in, out);
}
bool decode(Bytes bytes, WriterOptions* out) {
    return decode_value(bytes, out);
}
bool decode(Bytes bytes, LabelClass* out) {
    return decode_value(bytes, out);
}

size_t event_bytes(const Event& event) {
    size_t bytes = sizeof(Event) + 64;
    if (const auto* block = std::get_if<std::shared_ptr<const Block>>(&event))
        bytes += sizeof(Block) + (*block)->counts.size() * sizeof(int32_t);
    else if (const auto* p = std::get_if<Prediction>(&event))
        bytes += p->scores.size() * 4 + p->stages.size() * 4 + p->first.size() * 8 + 96;
    return bytes;
}

}  // namespace lockstep::storage
