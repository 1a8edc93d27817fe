#include "acquisition/model_runner.h"

#include <chrono>
#include <cstdio>

#include "models/core/binding.h"

namespace lockstep {
namespace {

// How far a secondary stream may trail the primary; more than a board's own, which has less memory.
constexpr uint32_t kSlackMs = 2000;

std::string rate_text(uint32_t num, uint32_t den) {
    char text[32];
    std::snprintf(text, sizeof text, "%g Hz", double(num) / den);
    return text;
}

// Why no stream feeds this input: the nearest miss in words.
std::string why_not(const model::Plan& plan, size_t input, const DeviceInfo& info) {
    const model::InputSpec spec = plan.input(input);
    const std::string wants = rate_text(spec.rate_num, spec.rate_den);
    std::string kind_only;
    for (const StreamInfo& s : info.streams) {
        if (s.kind != spec.kind) continue;
        if (!s.enabled) {
            kind_only = "'" + s.name + "' is switched off";
            continue;
        }
        if (uint64_t(s.rate_num) * spec.rate_den != uint64_t(spec.rate_num) * s.rate_den) {
            kind_only =
                "'" + s.name + "' runs at " + rate_text(s.rate_num, s.rate_den) + ", it needs " + wants;
            continue;
        }
        for (size_t c = 0; c < spec.channels; ++c) {
            const std::string name = plan.channel_name(input, c);
            const std::string unit = plan.channel_unit(input, c);
            bool found = false;
            std::string other_unit;
            for (const ChannelInfo& channel : s.channels) {
                if (channel.name != name) continue;
                found = found || channel.unit == unit;
                other_unit = channel.unit;
            }
            if (found) continue;
            return other_unit.empty()
                       ? "'" + s.name + "' has no channel '" + name + "'"
                       : "'" + s.name + "' gives '" + name + "' in " + other_unit + ", it needs " + unit;
        }
    }
    if (!kind_only.empty()) return kind_only;
    return std::string("no stream of the kind '") + spec.kind + "' at " + wants;
}

}  // namespace

Result<std::unique_ptr<ModelRunner>> ModelRunner::bind(PlanPtr plan, const DeviceInfo& info,
                                                       const std::vector<int>& streams) {
    std::unique_ptr<ModelRunner> out(new ModelRunner);
    out->plan_ = std::move(plan);
    const model::Plan& p = out->plan_->plan;
    const auto misfit = [&](const std::string& why) {
        return fail(ErrorKind::usage, "the model '" + std::string(p.name()) + "' does not fit: " + why,
                    info.uri, "choose a model for these streams, or configure their rates");
    };
    std::vector<model::InputBinding> inputs;
    out->bindings_.resize(p.inputs());
    for (size_t i = 0; i < p.inputs(); ++i) {
        Binding& b = out->bindings_[i];
        const size_t n = p.input(i).channels;
        b.channel.resize(n);
        b.scale.resize(n);
        b.offset.resize(n);
        int found = -1;
        for (size_t s = 0; found < 0 && s < info.streams.size() && s < streams.size(); ++s) {
            const StreamInfo& stream = info.streams[s];
            if (!stream.enabled) continue;
            std::vector<model::ChannelView> channels;
            channels.reserve(stream.channels.size());
            for (const ChannelInfo& c : stream.channels)
                channels.push_back({c.name.c_str(), c.unit.c_str(), c.scale, c.offset});
            if (model::bind_channels(p, i, {stream.kind.c_str(), stream.rate_num, stream.rate_den},
                                     Span<const model::ChannelView>(channels.data(), channels.size()),
                                     Span<uint16_t>(b.channel.data(), n), Span<float>(b.scale.data(), n),
                                     Span<float>(b.offset.data(), n)))
                found = int(s);
        }
        if (found < 0) return misfit(why_not(p, i, info));
        const StreamInfo& stream = info.streams[size_t(found)];
        b.rate_num = stream.rate_num;
        b.rate_den = stream.rate_den;
        out->device_streams_.push_back(found);
        out->streams_.push_back(streams[size_t(found)]);
        inputs.push_back({b.channel.data(), b.scale.data(), b.offset.data(), uint16_t(stream.channels.size()),
                          stream.type == SampleType::float32});
    }
    const size_t bytes = model::Runner::memory_needed(p, kSlackMs);
    out->memory_.resize((bytes + sizeof(Chunk) - 1) / sizeof(Chunk));
    const Code code = out->runner_.bind(
        p, model::all_operators(), Span<const model::InputBinding>(inputs.data(), inputs.size()),
        MutableBytes(reinterpret_cast<uint8_t*>(out->memory_.data()), out->memory_.size() * sizeof(Chunk)),
        kSlackMs);
    if (code != Code::ok) return misfit(code_name(code));
    out->runner_.reset();
    return out;
}

void ModelRunner::push(const Block& block, const Sink& sink) {
    const auto began = std::chrono::steady_clock::now();
    for (size_t i = 0; i < streams_.size(); ++i) {
        if (streams_[i] != block.stream) continue;
        if (i == 0) {
            primary_first_ = block.first;
            primary_us_ = block.device_us;
        }
        auto before = began;
        model::feed(
            runner_, i, block.view(), &result_,
            [&](model::WindowState state, const model::WindowResult& result) {
                const auto now = std::chrono::steady_clock::now();
                Window w;
                w.state = state;
                w.result = &result;
                w.cost_us =
                    uint32_t(std::chrono::duration_cast<std::chrono::microseconds>(now - before).count());
                const Binding& b = bindings_[0];
                const uint64_t last = result.first[0] + plan_->plan.input(0).window - 1;
                w.device_us =
                    last >= primary_first_
                        ? sample_time_us(primary_us_, uint32_t(last - primary_first_), b.rate_num, b.rate_den)
                        : primary_us_ - (primary_first_ - last) * 1000000u * b.rate_den / b.rate_num;
                before = now;
                sink(w);
            });
    }
}

}  // namespace lockstep
