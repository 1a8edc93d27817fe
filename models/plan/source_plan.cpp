#include "models/plan/source_plan.h"

#include <cstdio>
#include <cstring>
#include <numeric>
#include <vector>

#include "models/core/kernels/dsp_choice.h"
#include "models/core/ops.h"
#include "models/core/ops/classical.h"
#include "models/core/ops/features.h"
#include "models/core/ops/int16.h"
#include "models/core/ops/recurrent.h"
#include "models/core/ops/ring.h"
#include "models/core/ops/windows.h"
#include "models/core/plan_format.h"
#include "models/plan/arena_planner.h"
#include "models/plan/run.h"

namespace lockstep {
namespace {

using namespace model;

// The function behind an operator (models/core/ops/params.h); null when it has no source form.
const char* eval_of(uint16_t code) {
    switch (code) {
        case kOpNormalise:
            return "eval_normalise";
        case kOpQuantise:
            return "eval_quantise";
        case kOpDequantise:
            return "eval_dequantise";
        case kOpConv2d:
            return "eval_conv2d";
        case kOpDepthwiseConv2d:
            return "eval_depthwise_conv2d";
        case kOpFullyConnected:
            return "eval_fully_connected";
        case kOpMaxPool:
            return "eval_max_pool";
        case kOpAveragePool:
            return "eval_average_pool";
        case kOpMean:
            return "eval_mean";
        case kOpSoftmax:
            return "eval_softmax";
        case kOpAdd:
            return "eval_add";
        case kOpMul:
            return "eval_mul";
        case kOpConcat:
            return "eval_concat";
        case kOpPad:
            return "eval_pad";
        case kOpLookupTable:
            return "eval_lookup_table";
        case kOpTranspose:
            return "eval_transpose";
        case kOpSlice:
            return "eval_slice";
        case kOpArgmax:
            return "eval_argmax";
        case kOpGru:
            return "eval_gru";
        case kOpLstm:
            return "eval_lstm";
        case kOpQuantise16:
            return "eval_quantise16";
        case kOpDequantise16:
            return "eval_dequantise16";
        case kOpRequantise:
            return "eval_requantise";
        case kOpConv2d16:
            return "eval_conv2d16";
        case kOpDepthwiseConv2d16:
            return "eval_depthwise_conv2d16";
        case kOpFullyConnected16:
            return "eval_fully_connected16";
        case kOpMaxPool16:
            return "eval_max_pool16";
        case kOpAveragePool16:
            return "eval_average_pool16";
        case kOpMean16:
            return "eval_mean16";
        case kOpAdd16:
            return "eval_add16";
        case kOpMul16:
            return "eval_mul16";
        case kOpCurve:
            return "eval_curve";
        case kOpSigmoid16:
            return "eval_sigmoid16";
        case kOpOctaves:
            return "eval_octaves";
        case kOpSoftmax16:
            return "eval_softmax16";
        case kOpTrees:
            return "eval_trees";
        case kOpVectors:
            return "eval_vectors";
        case kOpBandPower:
            return "eval_band_power";
        case kOpResample:
            return "eval_resample";
        case kOpHeartRate:
            return "eval_heart_rate";
        case kOpSkinConductance:
            return "eval_skin_conductance";
        case kOpSmooth:
            return "eval_smooth";
        case kOpMajority:
            return "eval_majority";
        case kOpRing:
            return "eval_ring";
        default:
            return nullptr;
    }
}

template <typename... T>
std::string text(const char* format, T... values) {
    char line[256];
    snprintf(line, sizeof line, format, values...);
    return line;
}

class Writer {
  public:
    Writer(Bytes blob, bool int8) : blob_(blob), header_(load_record<PlanHeader>(blob, 0)) {
        for (size_t t = 0; t < header_.tensors.count; ++t)
            tensors_.push_back(
                load_record<TensorRecord>(blob_, header_.tensors.offset + t * sizeof(TensorRecord)));
        input_ = load_record<InputRecord>(blob_, header_.inputs.offset).tensor;
        for (size_t i = 0; i < header_.operators.count; ++i) {
            const auto op =
                load_record<OperatorRecord>(blob_, header_.operators.offset + i * sizeof(OperatorRecord));
            if (int8 && StageKind(op.stage_kind) == StageKind::quantised_input) {
                operators_.clear();
                input_ = output_ = op.output;
                continue;
            }
            // What follows the last layer turns its bytes into scores.
            if (int8 && StageKind(op.stage_kind) == StageKind::output) break;
            operators_.push_back(op);
            output_ = op.output;
        }
        share();
    }

    Result<SourcePlan> write(const std::string& name) {
        SourcePlan out;
        place();
        out.arena_bytes = arena_bytes_;
        const std::string head = "// Made from a plan; do not edit.\n";
        out.header =
            head + "#pragma once\n#include <stddef.h>\n\nnamespace lockstep::" + name + " {\n" +
            text("constexpr size_t kInputBytes = %zu;\n", bytes(input_)) +
            text("constexpr size_t kOutputBytes = %zu;\n", bytes(output_)) +
            text("constexpr size_t kArenaBytes = %zu;  // input and output lie in it\n",
                 size_t(arena_bytes_)) +
            "void* input();         // fill before each run()\n"
            "const void* output();  // valid until the next one\n"
            "void run();\n" +
            (keeps() ? "void forget();  // what windows before left; after a gap in the stream\n" : "") +
            "}  // namespace lockstep::" + name + "\n";
        std::string& s = out.source;
        s = head + "#include \"" + name +
            ".h\"\n#include <string.h>\n#include \"models/core/kernels/dsp_choice.h\"\n"
            "#include \"models/core/ops/params.h\"\n#include \"models/core/ops/recurrent.h\"\n"
            "#include \"models/core/ops/classical.h\"\n#include \"models/core/ops/features.h\"\n"
            "#include \"models/core/ops/int16.h\"\n#include \"models/core/ops/ring.h\"\n"
            "#include \"models/core/ops/windows.h\"\n\nnamespace "
            "lockstep::" +
            name +
            " {\nnamespace {\n\nusing namespace model;\n#define PLAN_DATA "
            "__attribute__((section(\".rodata.lockstep_plan\")))\n" +
            text("alignas(16) uint8_t arena[%zu];\n", size_t(arena_bytes_));
        for (size_t i = 0; i < operators_.size(); ++i)
            params(i, &s);
        tensors(&s);
        std::string run;
        for (size_t i = 0; i < operators_.size(); ++i) {
            if (operators_[i].code == kOpReshape) continue;
            const char* eval = eval_of(operators_[i].code);
            if (eval == nullptr)
                return fail(ErrorKind::usage, "an operator of the plan has no source form",
                            "operator " + std::to_string(operators_[i].code), "use the plan itself");
            context(i, &s);
            const char* kernel = armv7em_kernel(i);
            if (kernel != nullptr)
                run += text("#if defined(LOCKSTEP_DSP_KERNELS)\n    kernels::dsp::%s(context_%zu);\n#else\n",
                            kernel, i);
            run += text("    %s(context_%zu);\n", eval, i);
            if (kernel != nullptr) run += "#endif\n";
        }
        s += "}  // namespace\n\n" + text("void* input() {\n    return arena + %u;\n}\n", offset_[input_]) +
             text("const void* output() {\n    return arena + %u;\n}\n", offset_[output_]) +
             "void run() {\n" + run + "}\n";
        if (keeps()) s += "void forget() {\n" + forgetting() + "}\n";
        s += "\n}  // namespace lockstep::" + name + "\n";
        return out;
    }

  private:
    bool keeps() const { return !forgetting().empty(); }
    std::string forgetting() const {
        std::string lines;
        for (size_t i = 0; i < operators_.size(); ++i)
            if (operators_[i].flags != 0)
                lines += text("    memset(arena + %u, 0, %u);\n", i < scratch_.size() ? scratch_[i] : 0,
                              operators_[i].scratch_bytes);
        return lines;
    }

    size_t bytes(uint16_t t) const {
        const TensorRecord& r = tensors_[t];
        return size_t(r.dim[0]) * r.dim[1] * r.dim[2] * r.dim[3] * element_bytes(ElementType(r.type));
    }

    void share() {
        home_.resize(tensors_.size());
        std::iota(home_.begin(), home_.end(), uint16_t(0));
        for (const OperatorRecord& op : operators_)
            if (op.code == kOpReshape) home_[op.output] = home_[op.input[0]];
    }

    void place() {
        std::vector<ArenaNeed> needs(tensors_.size() + operators_.size());
        const int last = int(operators_.size());
        for (int i = 0; i < last; ++i) {
            const OperatorRecord& op = operators_[size_t(i)];
            const bool keeps = op.flags != 0;  // run() after run() is window after window
            needs[tensors_.size() + size_t(i)] = {op.scratch_bytes, keeps ? 0 : i, keeps ? last : i, 0};
            for (size_t k = 0; k < op.inputs; ++k)
                needs[home_[op.input[k]]].last = i;
            ArenaNeed& out = needs[home_[op.output]];
            if (out.bytes == 0) out.first = i;
            out.bytes = uint32_t(bytes(home_[op.output]));
            out.last = i;
        }
        for (const OperatorRecord& op : operators_)
            if ((op.flags & kOperatorKeepsOutput) != 0) {
                needs[home_[op.output]].first = 0;
                needs[home_[op.output]].last = last;
            }
        needs[home_[input_]].bytes = uint32_t(bytes(input_));
        needs[home_[input_]].first = 0;
        needs[home_[output_]].last = last;
        arena_bytes_ = place_in_arena(needs);
        for (size_t t = 0; t < tensors_.size(); ++t)
            offset_.push_back(needs[home_[t]].offset);
        for (size_t i = 0; i < operators_.size(); ++i)
            scratch_.push_back(needs[tensors_.size() + i].offset);
    }

    // The kernel that takes the operator on an Armv7E-M for sure, so that nothing stands behind it.
    const char* armv7em_kernel(size_t i) const {
        const OperatorRecord& op = operators_[i];
        Tensor in, out;
        const auto shape = [this](uint16_t t, Tensor* to) {
            memcpy(to->dim, tensors_[t].dim, sizeof to->dim);
            to->rank = tensors_[t].rank;
        };
        shape(op.input[0], &in);
        shape(op.output, &out);
        OperatorContext c;
        c.input_count = op.inputs;
        c.input[0] = &in;
        c.output = &out;
        c.params = blob_.subspan(op.params, op.params_bytes);
        c.scratch = MutableBytes(nullptr, op.scratch_bytes);
        return kernels::dsp::kernel_of(op.code, c);
    }

    void params(size_t i, std::string* s) const {
        const OperatorRecord& op = operators_[i];
        if (op.params_bytes == 0) return;
        *s += text("alignas(16) PLAN_DATA const uint8_t params_%zu[] = {", i);
        for (size_t b = 0; b < (op.params_bytes + 15) / 16 * 16; ++b) {
            const int value = b < op.params_bytes ? blob_[op.params + b] : 0;
            *s += text(b % 24 == 0 ? "\n    %d," : " %d,", value);
        }
        *s += "\n};\n";
    }

    void tensors(std::string* s) const {
        *s += "PLAN_DATA constexpr Tensor tensor[] = {\n";
        for (size_t t = 0; t < tensors_.size(); ++t) {
            const TensorRecord& r = tensors_[t];
            *s += text("    {ElementType(%d), %d, {%d, %d, %d, %d}, %af, %d, arena + %u},\n", r.type, r.rank,
                       r.dim[0], r.dim[1], r.dim[2], r.dim[3], double(r.scale), r.zero_point, offset_[t]);
        }
        *s += "};\n";
    }

    void context(size_t i, std::string* s) const {
        const OperatorRecord& op = operators_[i];
        *s += text("PLAN_DATA constexpr OperatorContext context_%zu = {\n    %d, {", i, op.inputs);
        for (size_t k = 0; k < op.inputs; ++k)
            *s += text("&tensor[%d], ", op.input[k]);
        *s += text("}, const_cast<Tensor*>(&tensor[%d]),\n    ", op.output);
        *s += op.params_bytes == 0 ? std::string("Bytes(), ")
                                   : text("Bytes(params_%zu, sizeof params_%zu), ", i, i);
        *s += text("MutableBytes(arena + %u, %u)};\n", scratch_[i], op.scratch_bytes);
    }

    Bytes blob_;
    PlanHeader header_;
    std::vector<TensorRecord> tensors_;
    std::vector<OperatorRecord> operators_;
    std::vector<uint16_t> home_;  // the tensor whose bytes a tensor shares
    std::vector<uint32_t> offset_, scratch_;
    uint16_t input_ = 0, output_ = 0;
    uint32_t arena_bytes_ = 0;
};

}  // namespace

Result<SourcePlan> plan_source(const PlanPtr& plan, const std::string& name, bool int8_ends) {
    if (plan->plan.inputs() != 1)
        return fail(ErrorKind::usage, "a plan in source form has one input", plan->path);
    return Writer(plan->plan.blob(), int8_ends || raw_type(plan->plan) != ElementType::float32).write(name);
}

}  // namespace lockstep
