#include "embedded_target/sensors/synthetic.h"

#include <string.h>

namespace lockstep::firmware {
namespace {

using wire::ChannelDescription;

constexpr float kEegUv = 0.022351744455307063f;  // 4.5 V / 24 / (2^23 - 1)
constexpr float kG = 1.0f / 2048;
constexpr float kDps = 2000.0f / 32768;

constexpr ChannelDescription kEeg[] = {{"EXG1", "uV", kEegUv, 0}, {"EXG2", "uV", kEegUv, 0},
                                       {"EXG3", "uV", kEegUv, 0}, {"EXG4", "uV", kEegUv, 0},
                                       {"EXG5", "uV", kEegUv, 0}, {"EXG6", "uV", kEegUv, 0},
                                       {"EXG7", "uV", kEegUv, 0}, {"EXG8", "uV", kEegUv, 0}};
constexpr ChannelDescription kGsr[] = {{"EDA", "uS", 0.001f, 0}};
constexpr ChannelDescription kImu[] = {{"acc_x", "g", kG, 0},        {"acc_y", "g", kG, 0},
                                       {"acc_z", "g", kG, 0},        {"gyro_x", "deg/s", kDps, 0},
                                       {"gyro_y", "deg/s", kDps, 0}, {"gyro_z", "deg/s", kDps, 0}};
constexpr ChannelDescription kPpg[] = {
    {"red", "count", 1, 0}, {"infrared", "count", 1, 0}, {"green", "count", 1, 0}};

// One period over 2^32 of phase, -32768..32767: two parabolas, within 6 % of a sine.
int32_t wave(uint32_t phase) {
    const int32_t x = int32_t(phase >> 16) - 32768;  // -32768..32767
    const int32_t magnitude = x < 0 ? -x : x;
    return -((x * (32768 - magnitude)) >> 13);
}

// Millihertz to a phase at sample i of a rate.
uint32_t phase(uint32_t millihertz, uint32_t i, const wire::StreamDescription& d) {
    const uint64_t step = (uint64_t(millihertz) << 32) * d.rate_den / (uint64_t(1000) * d.rate_num);
    return uint32_t(step) * i;
}

int32_t noise(uint32_t i, uint32_t channel) {
    uint32_t x = i * 2654435761u + channel * 40503u + 1;
    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    return int32_t(x & 0xFFFF) - 32768;
}

void eeg(uint32_t i, const wire::StreamDescription& d, int32_t* out) {
    for (uint32_t c = 0; c < 8; ++c) {
        const int32_t alpha = wave(phase(10000, i, d) + c * 0x10000000u) * int32_t(c + 1) / 128;
        const int32_t slow = wave(phase(300, i, d) + c * 0x20000000u) / 8;
        const int32_t mains = wave(phase(50000, i, d)) / 64;
        out[c] = int32_t(c) * 20000 - 70000 + alpha + slow + mains + noise(i, c) / 256;
    }
}

void gsr(uint32_t i, const wire::StreamDescription& d, int32_t* out) {
    out[0] = 2400 + wave(phase(50, i, d)) / 64 + wave(phase(11, i, d)) / 32;
}

void imu(uint32_t i, const wire::StreamDescription& d, int32_t* out) {
    const uint32_t step = phase(1800, i, d);
    out[0] = wave(step) / 48 + noise(i, 0) / 2048;
    out[1] = wave(2 * step) / 64 + noise(i, 1) / 2048;
    out[2] = 2048 + wave(2 * step + 0x40000000u) / 24 + noise(i, 2) / 2048;
    for (uint32_t c = 3; c < 6; ++c)
        out[c] = wave(step + c * 0x30000000u) / int32_t(16 * (c - 2)) + noise(i, c) / 4096;
}

void ppg(uint32_t i, const wire::StreamDescription& d, int32_t* out) {
    const uint32_t beat = phase(1200, i, d);
    const int32_t pulse = wave(beat) + wave(2 * beat + 0x30000000u) / 3;
    out[0] = 62000 - pulse / 64 + noise(i, 0) / 8192;
    out[1] = 71000 - pulse / 40 + noise(i, 1) / 8192;
    out[2] = 9000 - pulse / 20 + noise(i, 2) / 8192;
}

struct Signal {
    const char* name;
    SampleType type;
    uint32_t rate;
    Span<const ChannelDescription> channels;
    void (*sample)(uint32_t i, const wire::StreamDescription& d, int32_t* out);
};

const Signal kSignals[] = {
    {"eeg", SampleType::int24, 250, Span<const ChannelDescription>(kEeg), eeg},
    {"gsr", SampleType::int16, 32, Span<const ChannelDescription>(kGsr), gsr},
    {"imu", SampleType::int16, 100, Span<const ChannelDescription>(kImu), imu},
    {"ppg", SampleType::int24, 100, Span<const ChannelDescription>(kPpg), ppg},
};
constexpr size_t kMostChannels = 8;
constexpr uint32_t kMaxRate = 2000;

}  // namespace

void Synthetic::init() {
    for (size_t s = 0; s < kStreams; ++s) {
        wire::StreamDescription& d = description_[s];
        strncpy(d.name, kSignals[s].name, sizeof d.name - 1);
        strncpy(d.kind, kSignals[s].name, sizeof d.kind - 1);
        d.type = kSignals[s].type;
        d.channels = uint16_t(kSignals[s].channels.size());
        d.rate_num = kSignals[s].rate;
        d.batch = default_batch(d);
    }
}

Span<const ChannelDescription> Synthetic::channels(size_t stream) const {
    return kSignals[stream].channels;
}

Code Synthetic::configure(const wire::Configure& wish) {
    wire::StreamDescription& d = description_[wish.stream];
    if (wish.rate_num != 0) {
        if (wish.rate_den == 0 || wish.rate_num < wish.rate_den || wish.rate_num / wish.rate_den > kMaxRate ||
            wish.rate_den > 1000)
            return Code::out_of_range;
        d.rate_num = wish.rate_num;
        d.rate_den = wish.rate_den;
        if (wish.batch == 0) d.batch = default_batch(d);
    }
    return configure_common(wish, &d);
}

void Synthetic::start(uint64_t now_us) {
    origin_us_ = now_us;
    for (size_t s = 0; s < kStreams; ++s) {
        next_[s] = 0;
        due_us_[s] = now_us;
    }
    late_ = 0;
    running_ = true;
}

bool Synthetic::poll(uint64_t now_us, SampleSink& sink) {
    bool more = false;
    for (size_t s = 0; running_ && s < kStreams; ++s) {
        const wire::StreamDescription& d = description_[s];
        if (!d.enabled || due_us_[s] > now_us) continue;
        int32_t counts[kMostChannels];
        kSignals[s].sample(next_[s], d, counts);
        if (now_us - due_us_[s] > kLateUs) ++late_;
        sink.sample(s, Span<const int32_t>(counts, d.channels), due_us_[s]);
        due_us_[s] = sample_time_us(origin_us_, ++next_[s], d.rate_num, d.rate_den);
        more = true;
    }
    return more;
}

}  // namespace lockstep::firmware
