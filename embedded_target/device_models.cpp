// The device's side of model transfer (docs/protocol.md, "Models").
#include "embedded_target/device.h"

namespace lockstep::firmware {

using wire::ModelRefusal;
using wire::Type;

namespace {

Code code_of(ModelRefusal reason) {
    switch (reason) {
        case ModelRefusal::none:
            return Code::ok;
        case ModelRefusal::incomplete:
            return Code::not_ready;
        case ModelRefusal::hash:
        case ModelRefusal::malformed:
            return Code::corrupt;
        case ModelRefusal::version:
        case ModelRefusal::operators:
            return Code::unsupported;
        case ModelRefusal::memory:
        case ModelRefusal::places:
            return Code::no_space;
        case ModelRefusal::streams:
        case ModelRefusal::not_there:
            return Code::not_found;
        default:
            return Code::invalid;
    }
}

}  // namespace

void Device::model_command(Type type, Bytes payload) {
    wire::Command plain;
    wire::ModelSelect select;
    if (type == Type::model_begin) return model_begin(payload);
    if (type == Type::model_chunk) return model_chunk(payload);
    if (type == Type::model_activate) {
        if (decode(payload, &select)) model_change(type, select.tag, &select.plan_id);
        return;
    }
    if (!decode(payload, &plain)) return;
    if (type == Type::model_commit) model_commit(plain.tag);
    if (type == Type::model_list) model_list(plain.tag);
    if (type == Type::model_rollback) model_change(type, plain.tag, nullptr);
}

void Device::refuse_model(Type type, uint16_t tag, ModelRefusal reason, uint32_t bytes) {
    uint8_t detail[8];
    keep_ack(type, tag, code_of(reason),
             Bytes(detail, encode(wire::ModelVerdict{reason, bytes}, MutableBytes(detail))));
}

void Device::model_begin(Bytes payload) {
    wire::ModelBegin m;
    if (!decode(payload, &m)) return;
    wire::ModelBeginReply reply;
    const Code code = plans_.begin(m, Models::holds, &models_, &reply);
    uint8_t detail[8];
    ack(Type::model_begin, m.tag, code, Bytes(detail, encode(reply, MutableBytes(detail))));
}

// Doing it twice changes nothing, so the answer need not be kept.
void Device::model_chunk(Bytes payload) {
    wire::ModelChunk m;
    if (!decode(payload, &m)) return;
    wire::ModelChunkReply reply;
    const Code code = plans_.chunk(m, &reply);
    uint8_t detail[8];
    ack(Type::model_chunk, m.tag, code, Bytes(detail, encode(reply, MutableBytes(detail))));
}

void Device::model_commit(uint16_t tag) {
    if (answered_before(Type::model_commit, tag)) return;
    if (plans_.checking()) {
        commit_tag_ = tag;  // the answer comes with the verdict
        return;
    }
    const ModelRefusal reason = plans_.commit();
    if (reason == ModelRefusal::none && plans_.checking())
        commit_tag_ = tag;
    else
        refuse_model(Type::model_commit, tag, reason);
}

// Runs when nothing more urgent is due.
bool Device::step_plans() {
    if (plans_.step()) return true;
    ModelRefusal verdict = ModelRefusal::none;
    model::Plan plan;
    if (!plans_.checked(&verdict, &plan)) return false;
    uint32_t bytes = 0;
    if (verdict == ModelRefusal::none) verdict = models_.fits(plan, &bytes);
    plans_.finish(verdict == ModelRefusal::none);
    refuse_model(Type::model_commit, commit_tag_, verdict, bytes);
    return true;
}

void Device::model_list(uint16_t tag) {
    wire::ModelList list;
    models_.list(&list);
    uint8_t detail[1536];
    ack(Type::model_list, tag, Code::ok, Bytes(detail, encode(list, MutableBytes(detail))));
}

// The answer goes out between two data frames: what came before it was the old models', the rest is the new
// ones'.
void Device::model_change(Type type, uint16_t tag, const uint8_t (*id)[32]) {
    if (answered_before(type, tag)) return;
    while (running_ && models_.step(transmitter_)) {
    }
    uint8_t place = 0;
    const ModelRefusal reason =
        id != nullptr ? models_.activate(*id, *sensor_, &place) : models_.rollback(*sensor_, &place);
    if (reason != ModelRefusal::none) return refuse_model(type, tag, reason);
    wire::ModelChange change;
    change.epoch = epoch_;
    change.running = running_;
    change.device_us = board::now_us();
    change.models = uint8_t(models_.count());
    change.changed.model = place;
    (void)models_.describe(place, &change.changed);  // not when it went
    uint8_t detail[kMaxDetail];
    keep_ack(type, tag, Code::ok, Bytes(detail, encode(change, MutableBytes(detail))));
}

}  // namespace lockstep::firmware
