#include "embedded_target/models.h"

#include <string.h>

#include "embedded_target/board.h"
#include "embedded_target/plans.h"
#include "models/core/engine.h"

namespace lockstep::firmware {

using wire::ModelRefusal;

bool Models::bind_input(Model* m, size_t input, const Sensor& sensor, model::InputBinding* out) {
    if (m->plan.input(input).channels > kMaxInputChannels) return false;
    const size_t channels = m->plan.input(input).channels;
    for (size_t s = 0; s < sensor.streams(); ++s) {
        const wire::StreamDescription& d = sensor.description(s);
        if (!d.enabled) continue;
        model::ChannelView view[wire::kMaxChannels];
        const Span<const wire::ChannelDescription> all = sensor.channels(s);
        for (size_t c = 0; c < all.size(); ++c)
            view[c] = {all[c].name, all[c].unit, all[c].scale, all[c].offset};
        if (!model::bind_channels(
                m->plan, input, {d.kind, d.rate_num, d.rate_den},
                Span<const model::ChannelView>(view, all.size()), Span<uint16_t>(m->channel[input], channels),
                Span<float>(m->scale[input], channels), Span<float>(m->offset[input], channels)))
            continue;
        m->stream[input] = uint8_t(s);
        *out = {m->channel[input], m->scale[input], m->offset[input], d.channels,
                d.type == SampleType::float32};
        return true;
    }
    return false;
}

Models::Source Models::built_in(size_t i) {
    return {Bytes(plans[i].begin, size_t(plans[i].end - plans[i].begin)), plans[i].id, -1};
}

void Models::init(MutableBytes memory, PlanStore* store) {
    memory_ = memory;
    store_ = store;
    count_ = plan_count < wire::kMaxModels ? plan_count : wire::kMaxModels;
    for (size_t i = 0; i <= wire::kMaxModels; ++i)
        object_[i] = uint8_t(i);
    for (size_t i = 0; i < count_; ++i)
        at(i).source = built_in(i);
}

// The first part that no running model has.
MutableBytes Models::free_memory(size_t bytes) {
    size_t begin = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (const Model& m : model_) {
            if (!m.active || begin >= m.end || m.begin >= begin + bytes) continue;
            begin = m.end;
            moved = true;
        }
    }
    if (bytes > memory_.size() || begin > memory_.size() - bytes) return {};
    return memory_.subspan(begin, bytes);
}

ModelRefusal Models::load(Model* m, const Source& source, const Sensor& sensor) {
    m->source = source;
    m->active = false;
    memset(m->stream, kUnbound, sizeof m->stream);
    m->usable = model::Plan::open(source.blob, &m->plan) == Code::ok;
    if (!m->usable) return ModelRefusal::malformed;
    model::InputBinding input[model::kMaxInputs];
    bool all = true;
    for (size_t k = 0; k < m->plan.inputs(); ++k)
        all = bind_input(m, k, sensor, &input[k]) && all;
    if (!all) return ModelRefusal::streams;
    const MutableBytes memory = free_memory(model::Runner::memory_needed(m->plan, kSlackMs));
    if (memory.empty()) return ModelRefusal::memory;
    const Code code =
        m->runner.bind(m->plan, model::all_operators(),
                       Span<const model::InputBinding>(input, m->plan.inputs()), memory, kSlackMs);
    if (code != Code::ok) return code == Code::no_space ? ModelRefusal::memory : ModelRefusal::operators;
    m->begin = size_t(memory.data() - memory_.data());
    m->end = (m->begin + memory.size() + 15) / 16 * 16;  // the next one on 16 bytes, too
    m->active = true;
    return ModelRefusal::none;
}

void Models::bind(const Sensor& sensor) {
    for (Model& m : model_)
        m.active = false;
    for (size_t i = 0; i < count_; ++i)
        (void)load(&at(i), at(i).source, sensor);
}

ModelRefusal Models::fits(const model::Plan& plan, uint32_t* bytes) {
    const size_t needed = model::Runner::memory_needed(plan, kSlackMs);
    *bytes = needed < UINT32_MAX ? uint32_t(needed) : UINT32_MAX;
    const MutableBytes memory = free_memory(needed);
    if (memory.empty()) return ModelRefusal::memory;
    model::Engine trial;
    const Code code = trial.bind(plan, model::all_operators(), memory);
    return code == Code::ok ? ModelRefusal::none : ModelRefusal::operators;
}

bool Models::find(const uint8_t (&id)[32], Source* out) const {
    for (size_t i = 0; i < plan_count; ++i)
        if (memcmp(plans[i].id, id, sizeof id) == 0) {
            *out = built_in(i);
            return true;
        }
    for (size_t i = 0; i < PlanStore::kSlots; ++i)
        if (store_->slot(i).complete && memcmp(store_->slot(i).id, id, sizeof id) == 0) {
            *out = {store_->blob(i), store_->slot(i).id, int(i)};
            return true;
        }
    return false;
}

// Bound to the spare model first: when that fails, what runs has not been touched.
ModelRefusal Models::activate(const uint8_t (&id)[32], const Sensor& sensor, uint8_t* place) {
    for (size_t i = 0; i < count_; ++i)
        if (at(i).active && memcmp(at(i).source.id, id, sizeof id) == 0) {
            *place = uint8_t(i);
            return ModelRefusal::none;  // it runs
        }
    Source source;
    if (!find(id, &source)) return ModelRefusal::not_there;
    const ModelRefusal refusal = load(&spare(), source, sensor);
    if (refusal != ModelRefusal::none) return refusal;
    size_t to = 0;
    while (to < count_ && !(at(to).usable && strcmp(at(to).plan.name(), spare().plan.name()) == 0))
        ++to;
    if (to == wire::kMaxModels) {
        spare().active = false;
        return ModelRefusal::places;
    }
    has_previous_ = true;
    previous_place_ = *place = uint8_t(to);
    previous_ = to == count_ ? Source() : at(to).source;
    if (to == count_) ++count_;
    swap_in(to);
    return ModelRefusal::none;
}

void Models::swap_in(size_t place) {
    at(place).active = false;
    const uint8_t old = object_[place];
    object_[place] = object_[wire::kMaxModels];
    object_[wire::kMaxModels] = old;
}

ModelRefusal Models::rollback(const Sensor& sensor, uint8_t* place) {
    if (!has_previous_) return ModelRefusal::not_there;
    *place = previous_place_;
    if (previous_.blob.empty()) {
        // Added last, so it is the last.
        at(previous_place_).active = false;
        --count_;
    } else {
        const ModelRefusal refusal = load(&spare(), previous_, sensor);
        if (refusal != ModelRefusal::none) return refusal;
        swap_in(previous_place_);
    }
    has_previous_ = false;
    return ModelRefusal::none;
}

bool Models::holds(void* self, size_t slot) {
    const Models& me = *static_cast<const Models*>(self);
    if (me.has_previous_ && me.previous_.slot == int(slot)) return true;
    for (size_t i = 0; i < me.count_; ++i)
        if (me.at(i).source.slot == int(slot)) return true;
    return false;
}

void Models::list(wire::ModelList* out) const {
    out->largest = uint32_t(store_->capacity());
    out->signed_only = signed_plans_only;
    const auto add = [&](const Source& source, const char* name) {
        if (out->count == wire::kMaxStoredModels) return;
        wire::StoredModel& row = out->model[out->count++];
        memcpy(row.plan_id, source.id, sizeof row.plan_id);
        strncpy(row.name, name, sizeof row.name - 1);
        row.size = uint32_t(source.blob.size());
        row.built_in = source.slot < 0;
        row.previous = has_previous_ && previous_.id == source.id;
        for (size_t i = 0; i < count_; ++i)
            if (at(i).active && at(i).source.id == source.id) row.place = uint8_t(i);
    };
    for (size_t i = 0; i < plan_count; ++i) {
        model::Plan plan;
        const Source source = built_in(i);
        add(source, model::Plan::open(source.blob, &plan) == Code::ok ? plan.name() : "");
    }
    for (size_t i = 0; i < PlanStore::kSlots; ++i)
        if (store_->slot(i).complete)
            add({store_->blob(i), store_->slot(i).id, int(i)}, store_->slot(i).name);
}

void Models::start(uint8_t epoch) {
    epoch_ = epoch;
    skipped_ = 0;
    for (size_t i = 0; i < count_; ++i)
        if (at(i).active) at(i).runner.reset();
}

void Models::push(size_t stream, const BlockView& block) {
    waiting_ = true;
    for (size_t i = 0; i < count_; ++i)
        for (size_t k = 0; at(i).active && k < at(i).plan.inputs(); ++k)
            if (at(i).stream[k] == stream) at(i).runner.push(k, block);
}

bool Models::step(Transmitter& transmitter) {
    for (size_t i = 0; i < count_; ++i) {
        Model& m = at(i);
        model::WindowState state;
        static model::WindowResult result;  // zero-initialised, no guard; too large for the stack
        const uint32_t before = board::cost_now();
        if (!m.active || !m.runner.step(&state, &result)) continue;
        const uint32_t cost = board::cost_now() - before;
        if (state != model::WindowState::result) {
            if (state == model::WindowState::missing) ++skipped_;
            return true;
        }
        wire::Prediction p;
        p.model = uint8_t(i);
        p.epoch = epoch_;
        memcpy(p.plan_id, m.source.id, sizeof p.plan_id);
        p.window = result.window;
        p.time_us = board::now_us();
        p.inputs = uint8_t(m.plan.inputs());
        for (size_t k = 0; k < p.inputs; ++k)
            p.first[k] = uint32_t(result.first[k]);
        p.input_hash = result.input_hash;
        p.output_hash = result.output_hash;
        p.cost_kind = board::cost_kind();
        p.cost = cost;
        p.scores_count = result.scores_count;
        memcpy(p.scores, result.scores, result.scores_count * sizeof p.scores[0]);
        if (!transmitter.send(wire::Type::prediction, p)) ++skipped_;
        return true;
    }
    waiting_ = false;
    return false;
}

Code Models::describe(size_t index, wire::ModelDescription* out) const {
    if (index >= count_) return Code::not_found;
    const Model& m = at(index);
    out->model = uint8_t(index);
    memcpy(out->plan_id, m.source.id, sizeof out->plan_id);
    out->active = m.active;
    if (!m.usable) return Code::ok;
    strncpy(out->name, m.plan.name(), sizeof out->name - 1);
    out->inputs = uint8_t(m.plan.inputs());
    memcpy(out->input_stream, m.stream, out->inputs);
    out->stages = uint8_t(m.plan.stages());
    return Code::ok;
}

Code Models::stages(size_t index, uint32_t window, wire::StagesReply* out) const {
    if (index >= count_) return Code::not_found;
    Span<const uint32_t> hashes;
    if (!at(index).active || !at(index).runner.stages_of(window, &hashes)) return Code::not_found;
    out->model = uint8_t(index);
    out->window = window;
    out->count = uint8_t(hashes.size());
    memcpy(out->hash, hashes.data(), hashes.size() * sizeof out->hash[0]);
    return Code::ok;
}

}  // namespace lockstep::firmware
