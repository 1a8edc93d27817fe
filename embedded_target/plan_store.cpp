#include "embedded_target/plan_store.h"

#include <string.h>

namespace lockstep::firmware {

using wire::ModelRefusal;

void PlanStore::init(MutableBytes memory) {
    memory_ = memory;
    slot_bytes_ = memory.size() / kSlots / 16 * 16;
}

// An empty slot, or else the one that was filled first, of those that nobody needs.
bool PlanStore::choose(Held held, void* user) {
    size_t best = kSlots;
    for (size_t i = 0; i < kSlots; ++i) {
        if (slot_[i].complete && held(user, i)) continue;
        const uint32_t age = slot_[i].complete ? slot_[i].order : 0;
        if (best == kSlots || age < (slot_[best].complete ? slot_[best].order : 0)) best = i;
    }
    into_ = best;
    return best != kSlots;
}

Code PlanStore::begin(const wire::ModelBegin& m, Held held, void* user, wire::ModelBeginReply* reply) {
    reply->chunk = kChunk;
    if (checking()) return Code::busy;
    if (m.size == 0 || m.size > slot_bytes_) return Code::no_space;
    has_signature_ = m.has_signature;
    memcpy(signature_, m.signature, sizeof signature_);
    for (size_t i = 0; i < kSlots; ++i) {
        if (!slot_[i].complete || memcmp(slot_[i].id, m.plan_id, sizeof m.plan_id) != 0) continue;
        phase_ = Phase::idle;  // a transfer of another plan is given up
        reply->next = slot_[i].size;
        into_ = i;
        return Code::ok;
    }
    const bool resumes = phase_ == Phase::filling && slot_[into_].size == m.size &&
                         memcmp(slot_[into_].id, m.plan_id, sizeof m.plan_id) == 0;
    if (!resumes) {
        phase_ = Phase::idle;
        if (!choose(held, user)) return Code::no_space;
        Slot& slot = slot_[into_];
        memcpy(slot.id, m.plan_id, sizeof slot.id);
        slot.size = m.size;
        slot.complete = false;
        next_ = 0;
        hash_.reset();
        phase_ = Phase::filling;
    }
    reply->next = next_;
    return Code::ok;
}

Code PlanStore::chunk(const wire::ModelChunk& m, wire::ModelChunkReply* reply) {
    reply->next = next_;
    if (phase_ != Phase::filling) return Code::not_ready;
    if (m.offset > next_ || m.bytes.size() > slot_[into_].size - m.offset) return Code::out_of_range;
    const size_t known = next_ - m.offset;
    if (known >= m.bytes.size()) return Code::ok;  // came before
    const Bytes fresh = m.bytes.subspan(known);
    memcpy(memory_.data() + into_ * slot_bytes_ + next_, fresh.data(), fresh.size());
    hash_.update(fresh);
    next_ += uint32_t(fresh.size());
    reply->next = next_;
    return Code::ok;
}

ModelRefusal PlanStore::commit() {
    if (phase_ == Phase::idle && into_ < kSlots && slot_[into_].complete) {
        verdict_ = ModelRefusal::none;  // known already
        return ModelRefusal::none;
    }
    if (phase_ != Phase::filling || next_ != slot_[into_].size) return ModelRefusal::incomplete;
    uint8_t hash[Sha256::kSize];
    hash_.finish(hash);
    if (memcmp(hash, slot_[into_].id, sizeof hash) != 0) {
        refuse(ModelRefusal::hash);
    } else if (has_signature_) {
        uint8_t message[16 + sizeof hash] = "lockstep plan 1";
        memcpy(message + 16, hash, sizeof hash);
        check_.begin(plan_key, signature_, Bytes(message));
        phase_ = Phase::signature;
    } else if (signed_plans_only) {
        refuse(ModelRefusal::not_signed);
    } else {
        phase_ = Phase::plan;
    }
    return ModelRefusal::none;
}

void PlanStore::refuse(ModelRefusal reason) {
    verdict_ = reason;
    phase_ = Phase::verdict;
}

bool PlanStore::step() {
    if (phase_ == Phase::signature) {
        if (check_.step()) return true;
        if (check_.valid())
            phase_ = Phase::plan;
        else
            refuse(ModelRefusal::signature);
        return true;
    }
    if (phase_ != Phase::plan) return false;
    const Code code = model::Plan::open(blob(into_), &plan_);
    refuse(code == Code::ok            ? ModelRefusal::none
           : code == Code::unsupported ? ModelRefusal::version
                                       : ModelRefusal::malformed);
    return true;
}

bool PlanStore::checked(ModelRefusal* verdict, model::Plan* plan) {
    if (phase_ != Phase::verdict) return false;
    *verdict = verdict_;
    *plan = plan_;
    return true;
}

void PlanStore::finish(bool keep) {
    Slot& slot = slot_[into_];
    slot.complete = keep;
    if (keep) {
        slot.order = ++order_;
        memset(slot.name, 0, sizeof slot.name);
        strncpy(slot.name, plan_.name(), sizeof slot.name - 1);
    } else {
        slot.size = 0;
    }
    phase_ = Phase::idle;
}

}  // namespace lockstep::firmware
