// A hostile plan: whatever open() and bind() accept must run inside its own memory. The checksum is made
// right first, so that the fuzzer reaches what lies behind it.
#include <algorithm>
#include <cstring>
#include <vector>

#include "dsp/base/crc32c.h"
#include "models/core/engine.h"
#include "models/core/plan_format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace lockstep;
    using namespace lockstep::model;
    std::vector<uint8_t> storage(size + 16);
    const size_t shift = (16 - reinterpret_cast<uintptr_t>(storage.data()) % 16) % 16;
    uint8_t* blob = storage.data() + shift;
    if (size != 0) std::memcpy(blob, data, size);
    if (size >= sizeof(PlanHeader)) {
        const uint32_t bytes = uint32_t(size);
        const uint32_t zero = 0;
        std::memcpy(blob + offsetof(PlanHeader, bytes), &bytes, 4);
        std::memcpy(blob + offsetof(PlanHeader, crc), &zero, 4);
        const uint32_t crc = crc32c(Bytes(blob, size));
        std::memcpy(blob + offsetof(PlanHeader, crc), &crc, 4);
    }
    Plan plan;
    if (Plan::open(Bytes(blob, size), &plan) != Code::ok) return 0;
    const size_t needed = Engine::memory_needed(plan);
    if (needed > (size_t(1) << 20)) return 0;
    std::vector<uint64_t> memory(needed / 8 + 2);
    Engine engine;
    const Code code = engine.bind(plan, all_operators(),
                                  MutableBytes(reinterpret_cast<uint8_t*>(memory.data()), memory.size() * 8));
    if (code != Code::ok) return 0;
    // A plan may name a convolution of any size; a fuzzer has no time for the large ones.
    size_t work = 0;
    for (size_t i = 0; i < plan.inputs(); ++i)
        work += engine.input(i).elements();
    if (work > 20000) return 0;
    for (size_t i = 0; i < plan.inputs(); ++i) {
        auto* values = static_cast<float*>(engine.input(i).data);
        for (size_t n = 0; n < engine.input(i).elements(); ++n)
            values[n] = float(int(n % 17) - 8);
    }
    engine.run(nullptr, nullptr);
    return 0;
}
