#include "models/plan/run.h"

#include <cstring>
#include <optional>

#include "models/core/engine.h"
#include "models/core/plan_format.h"

namespace lockstep {
namespace {

using model::ElementType;
using model::StageKind;

model::OperatorRecord operator_record(const model::Plan& plan, size_t index) {
    const auto h = model::load_record<model::PlanHeader>(plan.blob(), 0);
    return model::load_record<model::OperatorRecord>(
        plan.blob(), h.operators.offset + index * sizeof(model::OperatorRecord));
}
bool over_windows(const model::OperatorRecord& op) {
    return op.flags != 0 && StageKind(op.stage_kind) == StageKind::output;
}

// An engine with its memory.
class Engine {
  public:
    Status bind(const PlanPtr& plan) {
        plan_ = plan;
        memory_.resize(model::Engine::memory_needed(plan->plan) + 16);
        const auto at = reinterpret_cast<uintptr_t>(memory_.data());
        const size_t skip = (16 - at % 16) % 16;
        const Code code = engine_.bind(plan->plan, model::all_operators(),
                                       MutableBytes(memory_.data() + skip, memory_.size() - skip));
        if (code != Code::ok)
            return fail(ErrorKind::usage, std::string("this plan cannot run here: ") + code_name(code),
                        plan->path, "convert the model again with this version");
        return {};
    }
    // For what feeds tensors from files.
    Status bind_one_input(const PlanPtr& plan) {
        if (plan->plan.inputs() != 1)
            return fail(ErrorKind::usage, "the plan has several inputs", plan->path,
                        "feed it a session instead");
        return bind(plan);
    }
    const std::string& path() const { return plan_->path; }

    // How many one result takes.
    size_t values() const {
        const model::InputSpec in = plan_->plan.input(0);
        return size_t(in.span) * in.channels;
    }

    // The stages of a window that nothing comes before; where the plan goes by hops, those of its last one.
    std::vector<StageTensor> run(const float* values) {
        const model::Tensor& in = engine_.input(0);
        const size_t step = in.elements();
        stages_.clear();
        engine_.forget();
        for (size_t at = step; at <= this->values(); at += step) {
            memcpy(in.data, values + at - step, in.bytes());
            engine_.run(at == this->values() ? &Engine::sink : nullptr, this);
        }
        return std::move(stages_);
    }

  private:
    static void sink(void* user, size_t index, const model::Tensor& t) {
        auto* self = static_cast<Engine*>(user);
        const model::Plan& plan = self->plan_->plan;
        const size_t skipped = plan.stages() - self->engine_.operators();
        const model::StageInfo info = plan.stage(skipped + index);
        StageTensor s;
        s.name = info.name;
        s.kind = info.kind;
        s.type = t.type;
        s.over_windows = over_windows(operator_record(plan, index));
        s.dims.assign(t.dim, t.dim + t.rank);
        const auto* bytes = static_cast<const uint8_t*>(t.data);
        s.bytes.assign(bytes, bytes + t.bytes());
        self->stages_.push_back(std::move(s));
    }

    PlanPtr plan_;
    std::vector<uint8_t> memory_;
    model::Engine engine_;
    std::vector<StageTensor> stages_;
};

// Scale and zero point of the network's quantised input.
std::optional<model::TensorRecord> quantised_input(const model::Plan& plan) {
    const Bytes blob = plan.blob();
    const auto h = model::load_record<model::PlanHeader>(blob, 0);
    for (size_t i = 0; i < h.operators.count; ++i) {
        const model::OperatorRecord op = operator_record(plan, i);
        if (StageKind(op.stage_kind) != StageKind::quantised_input) continue;
        return model::load_record<model::TensorRecord>(
            blob, h.tensors.offset + op.output * sizeof(model::TensorRecord));
    }
    return std::nullopt;
}

const StageTensor& network_output(const std::vector<StageTensor>& stages) {
    for (size_t i = stages.size(); i-- > 0;)
        if (stages[i].kind == StageKind::layer) return stages[i];
    return stages.back();
}

}  // namespace

model::ElementType raw_type(const model::Plan& plan) {
    const char* unit = plan.channel_unit(0, 0);
    return strcmp(unit, "int8") == 0    ? ElementType::int8
           : strcmp(unit, "int16") == 0 ? ElementType::int16
                                        : ElementType::float32;
}

bool smooths(const model::Plan& plan) {
    const auto h = model::load_record<model::PlanHeader>(plan.blob(), 0);
    for (size_t i = 0; i < h.operators.count; ++i)
        if (over_windows(operator_record(plan, i))) return true;
    return false;
}

Result<std::vector<uint8_t>> run_raw(const PlanPtr& plan, const std::vector<uint8_t>& inputs) {
    Engine engine;
    if (const Status s = engine.bind_one_input(plan); !s) return tl::make_unexpected(s.error());
    const ElementType type = raw_type(plan->plan);
    const bool quantised = type != ElementType::float32;
    const auto quant = quantised_input(plan->plan);
    if (quantised && (!quant || ElementType(quant->type) != type))
        return fail(ErrorKind::usage, "the plan does not quantise its input", plan->path);
    const size_t n = engine.values(), step = n * model::element_bytes(type);
    if (inputs.empty() || inputs.size() % step != 0)
        return fail(ErrorKind::usage,
                    "the input has " + std::to_string(inputs.size()) + " bytes, not a multiple of " +
                        std::to_string(step),
                    plan->path,
                    std::string("give ") + std::to_string(n) +
                        (type == ElementType::int8    ? " int8"
                         : type == ElementType::int16 ? " int16"
                                                      : " float32") +
                        " values");
    std::vector<uint8_t> out;
    std::vector<float> x(n);
    for (size_t at = 0; at < inputs.size(); at += step) {
        // Exact: the quantiser's division gives q - zero point back.
        if (type == ElementType::int8)
            for (size_t i = 0; i < n; ++i)
                x[i] = float(int8_t(inputs[at + i]) - quant->zero_point) * quant->scale;
        else if (type == ElementType::int16)
            for (size_t i = 0; i < n; ++i) {
                int16_t q = 0;
                memcpy(&q, &inputs[at + 2 * i], 2);
                x[i] = float(q) * quant->scale;
            }
        else
            memcpy(x.data(), inputs.data() + at, step);
        const std::vector<StageTensor> stages = engine.run(x.data());
        const std::vector<uint8_t>& bytes =
            quantised ? network_output(stages).bytes : own_scores(stages).bytes;
        out.insert(out.end(), bytes.begin(), bytes.end());
    }
    return out;
}

const StageTensor& own_scores(const std::vector<StageTensor>& stages) {
    for (size_t i = stages.size(); i-- > 0;)
        if (!stages[i].over_windows) return stages[i];
    return stages.back();
}

Status check_runs(const PlanPtr& plan) {
    Engine engine;
    return engine.bind(plan);
}

class StageRunner::Machine : public Engine {};

StageRunner::StageRunner(std::unique_ptr<Machine> machine) : machine_(std::move(machine)) {}
StageRunner::~StageRunner() = default;

Result<std::unique_ptr<StageRunner>> StageRunner::make(const PlanPtr& plan) {
    auto machine = std::make_unique<Machine>();
    if (const Status s = machine->bind_one_input(plan); !s) return tl::make_unexpected(s.error());
    return std::unique_ptr<StageRunner>(new StageRunner(std::move(machine)));
}

Result<std::vector<StageTensor>> StageRunner::run(const std::vector<float>& input) {
    if (input.size() != machine_->values())
        return fail(ErrorKind::usage, "the plan takes " + std::to_string(machine_->values()) + " values",
                    machine_->path());
    return machine_->run(input.data());
}

Result<std::vector<StageTensor>> run_stages(const PlanPtr& plan, const std::vector<float>& input) {
    auto runner = StageRunner::make(plan);
    if (!runner) return tl::make_unexpected(runner.error());
    return (*runner)->run(input);
}

}  // namespace lockstep
