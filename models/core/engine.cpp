#include "models/core/engine.h"

#include "dsp/base/crc32c.h"
#include "models/core/layout.h"
#include "models/core/plan_format.h"

namespace lockstep::model {
namespace {

constexpr uint32_t kCanonicalNan = 0x7fc00000u;

struct Memory {
    Tensor* tensors = nullptr;
    OperatorContext* contexts = nullptr;
    const Operator** evaluate = nullptr;
    uint8_t* arena = nullptr;
};

Memory lay_out(const PlanHeader& h, Layout* layout) {
    Memory m;
    m.tensors = layout->take<Tensor>(h.tensors.count);
    m.contexts = layout->take<OperatorContext>(h.operators.count);
    m.evaluate = layout->take<const Operator*>(h.operators.count);
    m.arena = layout->take<uint8_t>(h.arena_bytes);
    return m;
}

Tensor make_tensor(const TensorRecord& r, uint8_t* arena) {
    Tensor t;
    t.type = ElementType(r.type);
    t.rank = r.rank;
    memcpy(t.dim, r.dim, sizeof t.dim);
    t.scale = r.scale;
    t.zero_point = r.zero_point;
    t.data = arena + r.arena;
    return t;
}

const Operator* find(OperatorTable operators, uint16_t code) {
    for (const Operator* op : operators)
        if (op->code == code) return op;
    return nullptr;
}

}  // namespace

uint32_t tensor_hash(const Tensor& tensor) {
    if (tensor.type != ElementType::float32)
        return crc32c(Bytes(static_cast<const uint8_t*>(tensor.data), tensor.bytes()));
    const float* values = static_cast<const float*>(tensor.data);
    const size_t n = tensor.elements();
    uint32_t crc = 0;
    uint32_t bits[32];
    for (size_t i = 0; i < n;) {
        size_t k = 0;
        for (; k < 32 && i < n; ++k, ++i) {
            memcpy(&bits[k], &values[i], 4);
            if ((bits[k] & 0x7fffffffu) > 0x7f800000u) bits[k] = kCanonicalNan;
        }
        crc = crc32c(Bytes(reinterpret_cast<const uint8_t*>(bits), 4 * k), crc);
    }
    return crc;
}

size_t Engine::memory_needed(const Plan& plan) {
    Layout layout;
    lay_out(load_record<PlanHeader>(plan.blob_, 0), &layout);
    return layout.needed();
}

Code Engine::bind(const Plan& plan, OperatorTable operators, MutableBytes memory) {
    const Bytes blob = plan.blob_;
    const PlanHeader h = load_record<PlanHeader>(blob, 0);
    Layout layout(memory);
    const Memory m = lay_out(h, &layout);
    if (!layout.ok()) return Code::no_space;
    for (size_t i = 0; i < h.tensors.count; ++i)
        m.tensors[i] = make_tensor(
            load_record<TensorRecord>(blob, h.tensors.offset + i * sizeof(TensorRecord)), m.arena);
    for (size_t i = 0; i < h.inputs.count; ++i)
        input_[i] =
            &m.tensors[load_record<InputRecord>(blob, h.inputs.offset + i * sizeof(InputRecord)).tensor];
    for (size_t i = 0; i < h.operators.count; ++i) {
        const OperatorRecord r =
            load_record<OperatorRecord>(blob, h.operators.offset + i * sizeof(OperatorRecord));
        const Operator* op = find(operators, r.code);
        if (op == nullptr) return Code::unsupported;
        if (op->keeps != r.flags) return Code::invalid;
        OperatorContext c;
        c.input_count = r.inputs;
        for (size_t k = 0; k < r.inputs; ++k)
            c.input[k] = &m.tensors[r.input[k]];
        c.output = &m.tensors[r.output];
        c.params = blob.subspan(r.params, r.params_bytes);
        c.scratch = MutableBytes(m.arena + r.scratch, r.scratch_bytes);
        const Code code = op->prepare(c);
        if (code != Code::ok) return code;
        m.contexts[i] = c;
        m.evaluate[i] = op;
    }
    contexts_ = m.contexts;
    evaluate_ = m.evaluate;
    operator_count_ = h.operators.count;
    forget();
    return Code::ok;
}

void Engine::forget() {
    for (size_t i = 0; i < operator_count_; ++i)
        if (evaluate_[i]->keeps != 0) memset(contexts_[i].scratch.data(), 0, contexts_[i].scratch.size());
}

void Engine::run(StageSink sink, void* user) {
    for (size_t i = 0; i < operator_count_; ++i) {
        evaluate_[i]->eval(contexts_[i]);
        if (sink != nullptr) sink(user, i, *contexts_[i].output);
    }
}

}  // namespace lockstep::model
