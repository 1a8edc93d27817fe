// host_latency PLAN MODEL.onnx LIBRARY GOLDEN SET SHAPE...: latency of one inference of an int8 plan by the
// engine, float32 in and out, and of the float model by ONNX Runtime's LIBRARY, on one thread. Both take
// turns, so that a busy machine disturbs them alike. GOLDEN.input.i8 is the input, and the network's bytes
// must be GOLDEN.output.i8's; SET is a kernel set's name, or best; avx2-both is avx2 beside an ONNX Runtime
// from which all later instructions are hidden (avx2_only.h). SHAPE is the ONNX input's. Prints: the set,
// median us, ONNX Runtime's median us, largest difference of the outputs, their range
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "benchmarks/core/avx2_only.h"
#include "models/core/engine.h"
#include "models/core/kernels/sets.h"
#include "models/plan/plan_file.h"

namespace {

using namespace lockstep;

[[noreturn]] void stop(const char* why) {
    fprintf(stderr, "host_latency: %s\n", why);
    exit(2);
}

// The npm package brings the library without its header; these are the C API's entries used here, by their
// place in its table, which every version keeps.
class OnnxRuntime {
  public:
    OnnxRuntime(const char* library, const char* model, std::vector<float>* input,
                const std::vector<int64_t>& shape) {
        void* lib = dlopen(library, RTLD_NOW | RTLD_LOCAL);
        if (lib == nullptr) stop(dlerror());
        struct Base {
            const Entry* (*api)(uint32_t version);
        };
        const auto base = reinterpret_cast<const Base* (*)()>(dlsym(lib, "OrtGetApiBase"));
        if (base == nullptr || (api_ = base()->api(1)) == nullptr) stop("no C API in the library");
        void* env = nullptr;
        void* options = nullptr;
        void* memory = nullptr;
        call(3, 3, "lockstep", &env);             // CreateEnv, warnings and worse
        call(10, &options);                       // CreateSessionOptions
        call(24, options, 1);                     // SetIntraOpNumThreads
        call(25, options, 1);                     // SetInterOpNumThreads
        call(23, options, 99);                    // SetSessionGraphOptimizationLevel, all
        call(7, env, model, options, &session_);  // CreateSession
        call(69, 0, 0, &memory);                  // CreateCpuMemoryInfo
        call(49, memory, input->data(), input->size() * sizeof(float), shape.data(), shape.size(), 1,
             &input_);  // CreateTensorWithDataAsOrtValue, float
        run();
    }
    void run() {  // into the output of the first run
        const char* in = "x";
        const char* out = "y";
        call(9, session_, nullptr, &in, &input_, size_t(1), &out, size_t(1), &output_);
    }
    const float* output() {
        void* data = nullptr;
        call(51, output_, &data);  // GetTensorMutableData
        return static_cast<const float*>(data);
    }

  private:
    using Entry = void* (*)();
    template <typename... T>
    void call(size_t entry, T... values) {
        void* (*f)(T...);
        memcpy(&f, &api_[entry], sizeof f);
        if (f(values...) != nullptr) stop("ONNX Runtime refused a call");
    }
    const Entry* api_ = nullptr;
    void* session_ = nullptr;
    void* input_ = nullptr;
    void* output_ = nullptr;
};

double now_us() {
    using namespace std::chrono;
    return duration<double, std::micro>(steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double>* v) {
    std::nth_element(v->begin(), v->begin() + long(v->size() / 2), v->end());
    return (*v)[v->size() / 2];
}

template <typename Run>
void turn(int runs, std::vector<double>* us, Run run) {
    run();  // brings code and weights back into the caches
    for (int i = 0; i < runs; ++i) {
        const double begin = now_us();
        run();
        us->push_back(now_us() - begin);
    }
}

std::vector<char> read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

const char* choose(const char* name) {
#if defined(LOCKSTEP_KERNEL_SETS)
    namespace kernels = model::kernels;
    if (strcmp(name, "best") != 0) {
        const auto sets = kernels::all_sets();
        const auto* found = std::find_if(sets.begin(), sets.end(), [&](const kernels::Set* s) {
            return strcmp(s->name, name) == 0 && s->supported();
        });
        if (found == sets.end()) stop("this processor does not have the kernel set");
        kernels::chosen_set = *found;
    }
    if (kernels::chosen_set != nullptr) return kernels::chosen_set->name;
#endif
    return "reference";
}

// The network's ends: its quantised input and its last int8 tensor.
struct Ends {
    model::Tensor first, last;
    bool any = false;
    static void see(void* user, size_t, const model::Tensor& t) {
        auto* ends = static_cast<Ends*>(user);
        if (t.type != model::ElementType::int8) return;
        if (!ends->any) ends->first = t;
        ends->last = t;
        ends->any = true;
    }
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 7) stop("PLAN MODEL.onnx LIBRARY GOLDEN SET SHAPE...");
    const bool both = strcmp(argv[5], "avx2-both") == 0;
    const char* set = choose(both ? "avx2" : argv[5]);
    if (both && !avx2_only::begin()) stop("CPUID cannot be made to fault here");
    const std::vector<char> bytes = read(argv[1]);
    const auto plan = plan_from_bytes({bytes.begin(), bytes.end()});
    if (!plan) stop(plan.error().message().c_str());
    std::vector<uint8_t> memory(model::Engine::memory_needed((*plan)->plan) + 64);
    uint8_t* aligned = memory.data() + (-reinterpret_cast<uintptr_t>(memory.data()) & 63);
    model::Engine engine;
    if (engine.bind((*plan)->plan, model::all_operators(), MutableBytes(aligned, memory.size() - 64)) !=
        Code::ok)
        stop("the plan does not bind");
    Ends ends;
    engine.run(Ends::see, &ends);

    // A float model of [1, channels, height, width] takes the same values in another order.
    std::vector<int64_t> shape;
    for (int i = 6; i < argc; ++i)
        shape.push_back(atoi(argv[i]));
    const std::vector<char> golden_in = read(std::string(argv[4]) + ".input.i8"),
                            golden_out = read(std::string(argv[4]) + ".output.i8");
    const size_t n = engine.input(0).elements(), channels = shape.size() == 4 ? size_t(shape[1]) : 1;
    if (!ends.any || golden_in.size() < n || golden_out.size() < ends.last.elements())
        stop("no golden vector");
    std::vector<float> values(n), other(n);
    for (size_t i = 0; i < n; ++i)
        values[i] = float(int8_t(golden_in[i]) - ends.first.zero_point) * ends.first.scale;
    memcpy(engine.input(0).data, values.data(), 4 * n);
    engine.run(Ends::see, &ends);
    if (memcmp(ends.last.data, golden_out.data(), ends.last.elements()) != 0)
        stop("the output is not the golden one");

    // The golden vectors are noise up to where int8 clips; the two models are compared on quieter values.
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < n; ++i) {
        values[i] = normal(random);
        other[i % channels * (n / channels) + i / channels] = values[i];
    }
    OnnxRuntime peer(argv[3], argv[2], &other, shape);
    const auto infer = [&] {
        memcpy(engine.input(0).data, values.data(), 4 * n);
        engine.run(nullptr, nullptr);
    };
    std::vector<double> ours, theirs;
    for (int turns = 0; turns < 200; ++turns) {
        turn(20, &ours, infer);
        turn(20, &theirs, [&] { peer.run(); });
    }
    infer();
    const auto* y = static_cast<const float*>(engine.output().data);
    double largest = 0, low = 0, high = 0;
    for (size_t i = 0; i < engine.output().elements(); ++i) {
        largest = std::max(largest, double(std::fabs(y[i] - peer.output()[i])));
        low = std::min(low, double(peer.output()[i]));
        high = std::max(high, double(peer.output()[i]));
    }
    printf("%s %.3f %.3f %.6f %.6f\n", set, median(&ours), median(&theirs), largest, high - low);
    return 0;
}
