#include "embedded_target/models.h"

#include <string.h>

#include "embedded_target/board.h"
#include "embedded_target/plans.h"

namespace lockstep::firmware {

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

void Models::bind(const Sensor& sensor) {
    count_ = plan_count < wire::kMaxModels ? plan_count : wire::kMaxModels;
    Arena arena(memory_);
    for (size_t i = 0; i < count_; ++i) {
        Model& m = model_[i];
        m.id = plans[i].id;
        m.active = false;
        memset(m.stream, kUnbound, sizeof m.stream);
        m.usable = model::Plan::open(Bytes(plans[i].begin, size_t(plans[i].end - plans[i].begin)), &m.plan) ==
                   Code::ok;
        if (!m.usable) continue;
        model::InputBinding input[model::kMaxInputs];
        bool all = true;
        for (size_t k = 0; k < m.plan.inputs(); ++k)
            all = bind_input(&m, k, sensor, &input[k]) && all;
        if (!all) continue;
        arena.take<uint8_t>(-arena.used() & 15);  // the runner's memory on 16 bytes
        const Span<uint8_t> memory = arena.take<uint8_t>(model::Runner::memory_needed(m.plan, kSlackMs));
        m.active = !memory.empty() && m.runner.bind(m.plan, model::all_operators(),
                                                    Span<const model::InputBinding>(input, m.plan.inputs()),
                                                    memory, kSlackMs) == Code::ok;
    }
}

void Models::start(uint8_t epoch) {
    epoch_ = epoch;
    skipped_ = 0;
    for (size_t i = 0; i < count_; ++i)
        if (model_[i].active) model_[i].runner.reset();
}

void Models::push(size_t stream, const BlockView& block) {
    waiting_ = true;
    for (size_t i = 0; i < count_; ++i)
        for (size_t k = 0; model_[i].active && k < model_[i].plan.inputs(); ++k)
            if (model_[i].stream[k] == stream) model_[i].runner.push(k, block);
}

bool Models::step(Transmitter& transmitter) {
    for (size_t i = 0; i < count_; ++i) {
        Model& m = model_[i];
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
        memcpy(p.plan_id, m.id, sizeof p.plan_id);
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
    const Model& m = model_[index];
    out->model = uint8_t(index);
    memcpy(out->plan_id, m.id, sizeof out->plan_id);
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
    if (!model_[index].active || !model_[index].runner.stages_of(window, &hashes)) return Code::not_found;
    out->model = uint8_t(index);
    out->window = window;
    out->count = uint8_t(hashes.size());
    memcpy(out->hash, hashes.data(), hashes.size() * sizeof out->hash[0]);
    return Code::ok;
}

}  // namespace lockstep::firmware
