// Every message, with random contents: what is written reads back as itself; a payload cut anywhere is
// refused; bytes a newer sender appends are ignored.
#include <cstring>
#include <random>
#include <vector>

#include "devices/wire/frame.h"
#include "devices/wire/injection.h"
#include "devices/wire/messages.h"
#include "gtest/gtest.h"

namespace lockstep::wire {
namespace {

class Random {
  public:
    explicit Random(unsigned seed) : engine_(seed) {}

    template <typename T>
    void fill(T& value) {
        if constexpr (std::is_same_v<T, float>) {
            value = std::uniform_real_distribution<float>(-1e6F, 1e6F)(engine_);
            if (value == 0) value = 1;
        } else if constexpr (std::is_same_v<T, bool>) {
            value = (engine_() & 1) != 0;
        } else {
            value = T(engine_());
        }
    }
    template <typename T, size_t N>
    void fill(T (&values)[N]) {
        for (T& value : values)
            fill(value);
    }
    template <size_t N>
    void fill(char (&text)[N]) {  // at least one character, any but the terminator
        const size_t n = 1 + engine_() % (N - 1);
        for (size_t i = 0; i < n; ++i)
            text[i] = char(1 + engine_() % 255);
        text[n] = 0;
    }
    template <typename... T>
    void fill_all(T&... values) {
        (fill(values), ...);
    }
    size_t below(size_t n) { return engine_() % n; }
    Bytes bytes(size_t most) {
        bytes_.resize(below(most + 1));
        for (uint8_t& b : bytes_)
            fill(b);
        return {bytes_.data(), bytes_.size()};
    }

  private:
    std::mt19937 engine_;
    std::vector<uint8_t> bytes_;
};

void make(Random& r, Hello& m) {
    r.fill_all(m.minor, m.boot_id, m.build_id, m.board, m.firmware, m.max_payload, m.device_us, m.running,
               m.epoch);
    m.streams = uint8_t(r.below(kMaxStreams + 1));
    m.models = uint8_t(r.below(kMaxModels + 1));
    m.reset_cause = ResetCause(r.below(5));
    m.cost_kind = CostKind(r.below(4));
}
void make(Random& r, ModelDescription& m) {
    r.fill_all(m.plan_id, m.name, m.input_stream, m.active);
    m.model = uint8_t(r.below(kMaxModels));
    m.inputs = uint8_t(r.below(kMaxModelInputs + 1));
    m.stages = uint8_t(r.below(kMaxStages + 1));
}
void make(Random& r, Data& m) {
    r.fill_all(m.flags, m.epoch, m.first, m.time_us);
    m.stream = uint8_t(r.below(kMaxStreams));
    m.count = uint16_t(1 + r.below(65535));
    m.samples = r.bytes(500);
}
void make(Random& r, Prediction& m) {
    r.fill_all(m.epoch, m.plan_id, m.window, m.time_us, m.first, m.input_hash, m.output_hash, m.cost,
               m.scores);
    m.model = uint8_t(r.below(kMaxModels));
    m.inputs = uint8_t(r.below(kMaxModelInputs + 1));
    m.cost_kind = CostKind(r.below(4));
    m.scores_count = uint8_t(r.below(kMaxScores + 1));
}
void make(Random& r, StreamHealth& m) {
    r.fill_all(m.produced, m.dropped);
}
void make(Random& r, Health& m) {
    r.fill_all(m.uptime_us, m.tx_queue_high, m.rx_queue_high, m.stack_size, m.stack_high, m.bad_frames,
               m.late_samples, m.windows_skipped);
    m.streams = uint8_t(r.below(kMaxStreams + 1));
    for (StreamHealth& s : m.stream)
        make(r, s);
}
void make(Random& r, Marker& m) {
    r.fill_all(m.time_us, m.code, m.text);
}
void make(Random& r, Heartbeat& m) {
    r.fill_all(m.device_us, m.epoch, m.running);
}
void make(Random& r, Ack& m) {
    r.fill_all(m.command, m.tag);
    m.code = Code(r.below(6));
    m.detail = r.bytes(300);
}
void make(Random& r, HelloRequest& m) {
    r.fill_all(m.tag, m.major, m.minor, m.nonce);
}
void make(Random& r, Command& m) {
    r.fill(m.tag);
}
void make(Random& r, StartReply& m) {
    r.fill_all(m.epoch, m.device_us);
}
void make(Random& r, StopReply& m) {
    r.fill(m.epoch);
    m.streams = uint8_t(r.below(kMaxStreams + 1));
    for (StreamHealth& s : m.stream)
        make(r, s);
}
void make(Random& r, Configure& m) {
    r.fill_all(m.tag, m.stream, m.enabled, m.rate_num, m.batch);
    m.rate_den = uint32_t(1 + r.below(1000000));
}
void make(Random& r, ConfigureReply& m) {
    r.fill_all(m.stream, m.enabled, m.batch);
    m.rate_num = uint32_t(1 + r.below(1000000));
    m.rate_den = uint32_t(1 + r.below(1000000));
}
void make(Random& r, Ping& m) {
    r.fill_all(m.tag, m.host_ns);
}
void make(Random& r, PingReply& m) {
    r.fill_all(m.host_ns, m.received_us, m.transmitted_us);
}
void make(Random& r, StagesRequest& m) {
    r.fill_all(m.tag, m.window);
    m.model = uint8_t(r.below(kMaxModels));
}
void make(Random& r, StagesReply& m) {
    r.fill_all(m.window, m.hash);
    m.model = uint8_t(r.below(kMaxModels));
    m.count = uint8_t(r.below(kMaxStages + 1));
}
void make(Random& r, Describe& m) {
    r.fill_all(m.tag, m.index, m.first_channel);
}
void make(Random& r, HostMarker& m) {
    r.fill_all(m.tag, m.code, m.text);
}
void make(Random& r, ModelBegin& m) {
    r.fill_all(m.tag, m.plan_id, m.size, m.has_signature);
    if (m.has_signature) r.fill(m.signature);
}
void make(Random& r, ModelBeginReply& m) {
    r.fill(m.next);
    m.chunk = uint16_t(1 + r.below(65535));
}
void make(Random& r, ModelChunk& m) {
    r.fill_all(m.tag, m.offset);
    m.bytes = r.bytes(kModelChunk);
}
void make(Random& r, ModelChunkReply& m) {
    r.fill(m.next);
}
void make(Random& r, ModelVerdict& m) {
    r.fill(m.bytes);
    m.reason = ModelRefusal(r.below(256));
}
void make(Random& r, ModelSelect& m) {
    r.fill_all(m.tag, m.plan_id);
}
void make(Random& r, ModelList& m) {
    r.fill_all(m.largest, m.signed_only);
    m.count = uint8_t(r.below(kMaxStoredModels + 1));
    for (StoredModel& model : m.model)
        r.fill_all(model.plan_id, model.name, model.size, model.built_in, model.previous, model.place);
}
void make(Random& r, ModelChange& m) {
    r.fill_all(m.epoch, m.running, m.device_us);
    m.models = uint8_t(r.below(kMaxModels + 1));
    make(r, m.changed);
}
void make(Random& r, InjectBegin& m) {
    m.streams = uint8_t(1 + r.below(kMaxStreams));
    m.speed_permille = uint32_t(1 + r.below(100000));
}
void make(Random& r, InjectSamples& m) {
    r.fill_all(m.run, m.first);
    m.stream = uint8_t(r.below(kMaxStreams));
    m.count = uint16_t(1 + r.below(1000));
    m.samples = r.bytes(500);
}
void make(Random& r, InjectGap& m) {
    r.fill(m.run);
    m.stream = uint8_t(r.below(kMaxStreams));
    m.first = uint32_t(r.below(1000000));
    m.count = uint32_t(1 + r.below(1000000));
}
void make(Random& r, InjectEnd& m) {
    r.fill_all(m.run, m.total);
    m.stream = uint8_t(r.below(kMaxStreams));
}
void make(Random& r, InjectReady& m) {
    r.fill_all(m.run, m.epoch, m.running);
    m.code = Code(r.below(6));
}
void make(Random& r, InjectCredit& m) {
    r.fill_all(m.run, m.limit);
    m.streams = uint8_t(r.below(kMaxStreams + 1));
}

template <typename Message>
std::vector<uint8_t> encoded(const Message& m) {
    std::vector<uint8_t> out(kMaxPayload);
    out.resize(encode(m, MutableBytes(out.data(), out.size())));
    return out;
}

// The last field of these is "the rest of the payload": a cut or longer one is another message, not a bad
// one.
template <typename Message>
constexpr bool kOpenEnded =
    std::is_same_v<Message, Data> || std::is_same_v<Message, Ack> || std::is_same_v<Message, InjectSamples>;

template <typename Message>
class RoundTrip : public testing::Test {};

using Messages =
    testing::Types<Hello, ModelDescription, Data, Prediction, Health, Marker, Heartbeat, Ack, HelloRequest,
                   Command, StartReply, StopReply, Configure, ConfigureReply, Ping, PingReply, StagesRequest,
                   StagesReply, Describe, HostMarker, ModelBegin, ModelBeginReply, ModelChunk,
                   ModelChunkReply, ModelVerdict, ModelSelect, ModelList, ModelChange, InjectBegin,
                   InjectSamples, InjectGap, InjectEnd, InjectReady, InjectCredit>;
TYPED_TEST_SUITE(RoundTrip, Messages);

TYPED_TEST(RoundTrip, ReadsBackAsItself) {
    for (unsigned seed = 0; seed < 200; ++seed) {
        Random random(seed);
        TypeParam sent;
        make(random, sent);
        const std::vector<uint8_t> line = encoded(sent);
        ASSERT_FALSE(line.empty());

        TypeParam read;
        ASSERT_TRUE(decode(Bytes(line.data(), line.size()), &read)) << "seed " << seed;
        ASSERT_EQ(encoded(read), line) << "seed " << seed;

        // A buffer one byte too small holds nothing rather than a part.
        std::vector<uint8_t> tight(line.size() - 1);
        ASSERT_EQ(encode(sent, MutableBytes(tight.data(), tight.size())), 0U);

        if (kOpenEnded<TypeParam>) continue;
        for (size_t n = 0; n < line.size(); ++n)
            ASSERT_FALSE(decode(Bytes(line.data(), n), &read)) << "seed " << seed << ", cut at " << n;
        std::vector<uint8_t> newer = line;
        newer.insert(newer.end(), {1, 2, 3});
        TypeParam older;
        ASSERT_TRUE(decode(Bytes(newer.data(), newer.size()), &older));
        ASSERT_EQ(encoded(older), line);
    }
}

TEST(StreamPage, ReadsBackAsItself) {
    for (unsigned seed = 0; seed < 500; ++seed) {
        Random random(seed);
        StreamDescription sent;
        random.fill_all(sent.name, sent.kind, sent.enabled);
        sent.stream = uint8_t(random.below(kMaxStreams));
        sent.type = SampleType(1 + random.below(4));
        sent.channels = uint16_t(1 + random.below(kMaxChannels));
        sent.rate_num = uint32_t(1 + random.below(100000));
        sent.rate_den = uint32_t(1 + random.below(1000));
        sent.batch = uint16_t(1 + random.below(100));
        sent.page_channels = uint16_t(random.below(kPageChannels + 1));
        if (sent.page_channels > sent.channels) sent.page_channels = sent.channels;
        sent.first_channel = uint16_t(random.below(size_t(sent.channels - sent.page_channels) + 1));
        ChannelDescription page[kPageChannels];
        for (ChannelDescription& channel : page)
            random.fill_all(channel.name, channel.unit, channel.scale, channel.offset);

        uint8_t line[kMaxPayload];
        const size_t n = encode(sent, Span<const ChannelDescription>(page), MutableBytes(line));
        ASSERT_NE(n, 0U) << "a full page of the longest names must fit a frame";
        StreamDescription read;
        ChannelDescription read_page[kPageChannels];
        ASSERT_TRUE(decode(Bytes(line, n), &read, Span<ChannelDescription>(read_page)));
        uint8_t again[kMaxPayload];
        ASSERT_EQ(encode(read, Span<const ChannelDescription>(read_page), MutableBytes(again)), n);
        ASSERT_EQ(std::memcmp(line, again, n), 0);
        for (size_t cut = 0; cut < n; ++cut)
            ASSERT_FALSE(decode(Bytes(line, cut), &read, Span<ChannelDescription>(read_page))) << cut;
    }
}

}  // namespace
}  // namespace lockstep::wire
