// What the shared core computes from recordings on this computer, for comparison with a board:
//   host_windows PLAN SECONDS RECORDINGS     one line a window: k input_hash output_hash stage hashes ...
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <new>

#include "devices/virtual_board/recording_csv.h"
#include "models/core/binding.h"
#include "models/core/runner.h"

int main(int argc, char** argv) {
    using namespace lockstep;
    if (argc != 4) return 2;
    std::ifstream file(argv[1], std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    const auto aligned = [](size_t size) {
        return MutableBytes(static_cast<uint8_t*>(::operator new(size, std::align_val_t(16))), size);
    };
    const MutableBytes blob = aligned(bytes.size());
    std::memcpy(blob.data(), bytes.data(), bytes.size());
    auto source = open_recordings({argv[3]});
    model::Plan plan;
    if (!source || model::Plan::open(blob, &plan) != Code::ok) return 2;

    std::vector<model::InputBinding> inputs(plan.inputs());
    std::vector<size_t> stream_of(plan.inputs());
    std::vector<std::vector<uint16_t>> channel(plan.inputs());
    std::vector<std::vector<float>> scale(plan.inputs()), offset(plan.inputs());
    for (size_t i = 0; i < plan.inputs(); ++i) {
        const size_t n = plan.input(i).channels;
        channel[i].resize(n);
        scale[i].resize(n);
        offset[i].resize(n);
        bool bound = false;
        for (size_t s = 0; s < (*source)->streams().size() && !bound; ++s) {
            const StreamInfo& info = (*source)->streams()[s];
            std::vector<model::ChannelView> view;
            for (const ChannelInfo& c : info.channels)
                view.push_back({c.name.c_str(), c.unit.c_str(), c.scale, c.offset});
            bound = model::bind_channels(plan, i, {info.kind.c_str(), info.rate_num, info.rate_den},
                                         Span<const model::ChannelView>(view.data(), view.size()),
                                         Span<uint16_t>(channel[i].data(), n),
                                         Span<float>(scale[i].data(), n), Span<float>(offset[i].data(), n));
            stream_of[i] = s;
            inputs[i] = {channel[i].data(), scale[i].data(), offset[i].data(), uint16_t(info.channels.size()),
                         false};
        }
        if (!bound) return 1;
    }
    model::Runner runner;
    const size_t need = model::Runner::memory_needed(plan, 2000);
    if (runner.bind(plan, model::all_operators(),
                    Span<const model::InputBinding>(inputs.data(), inputs.size()), aligned(need),
                    2000) != Code::ok)
        return 1;
    // One sample at a time, in the order of the stamps: another cut into blocks than the board's.
    std::vector<uint64_t> next(plan.inputs());
    const uint64_t end_us = uint64_t(std::atof(argv[2]) * 1e6);
    static model::WindowResult result;
    for (;;) {
        size_t first = 0;
        const auto stamp = [&](size_t i) {
            const StreamInfo& info = (*source)->streams()[stream_of[i]];
            return sample_time_us(0, uint32_t(next[i]), info.rate_num, info.rate_den);
        };
        for (size_t i = 1; i < plan.inputs(); ++i)
            if (stamp(i) < stamp(first)) first = i;
        if (stamp(first) >= end_us) return 0;
        const size_t s = stream_of[first];
        const auto chunk = (*source)->read(s, next[first] % (*source)->length(s), 1);
        const uint16_t channels = uint16_t((*source)->streams()[s].channels.size());
        runner.push(first, {next[first], stamp(first), 1, channels, false,
                            Span<const int32_t>(chunk->counts.data(), channels)});
        ++next[first];
        model::WindowState state;
        while (runner.step(&state, &result)) {
            if (state != model::WindowState::result) continue;
            std::printf("%u %u %u", result.window, result.input_hash, result.output_hash);
            for (size_t h = 0; h < result.stages; ++h)
                std::printf(" %u", result.stage_hash[h]);
            std::printf("\n");
        }
    }
}
