#include "models/core/runner.h"

#include "dsp/base/crc32c.h"
#include "models/core/engine.h"
#include "models/core/history.h"
#include "models/core/layout.h"
#include "models/core/plan_format.h"

namespace lockstep::model {
namespace {

constexpr size_t kNoStage = SIZE_MAX;

// When the last sample of window `window` was taken.
struct WindowEnd {
    uint32_t window = UINT32_MAX;
    uint64_t time_us = 0;
};

}  // namespace

struct Runner::State {
    Plan plan;
    Engine engine;
    size_t inputs = 0;
    size_t stages = 0;
    size_t operators = 0;
    size_t input_stage = kNoStage;  // whose hash is the input hash
    History input[kMaxInputs];
    uint64_t cursor[kMaxInputs] = {};  // secondary: no earlier sample is stamped after the last window's end
    uint32_t window = 0;               // the next to decide
    WindowEnd* ends = nullptr;         // of the windows not yet decided, by window % ends_count
    uint32_t ends_count = 0;
    uint32_t* kept = nullptr;  // [kKeptWindows][stages]
    uint32_t kept_window[kKeptWindows] = {};
    size_t kept_count = 0;  // ever kept
    uint32_t memory = 0;    // windows before its own that a result depends on
    uint32_t missing = 0;   // of the next windows, how many depend on a missing one
    uint32_t warming = 0;   // or on a warming one, or one before the epoch

    uint64_t start() const { return uint64_t(window) * input[0].spec().hop; }
    uint64_t end() const { return start() + input[0].spec().window; }

    MutableBytes lay_out(const Plan& p, uint32_t slack_ms, Layout* layout) {
        plan = p;
        inputs = p.inputs();
        stages = p.stages();
        operators = load_record<PlanHeader>(p.blob(), 0).operators.count;
        memory = p.memory();
        for (size_t i = 0; i < inputs; ++i)
            input[i].lay_out(p, i, slack_ms, i != 0, layout);
        // Every window that the primary's history still holds may be waiting for a secondary.
        ends_count = (input[0].capacity() - input[0].spec().window) / input[0].spec().hop + 2;
        ends = layout->take<WindowEnd>(inputs == 1 ? 1 : ends_count);
        if (inputs == 1) ends_count = 1;
        kept = layout->take<uint32_t>(kKeptWindows * stages);
        const size_t engine_bytes = Engine::memory_needed(p);
        return MutableBytes(layout->take<uint8_t>(engine_bytes), engine_bytes);
    }

    void reset() {
        for (size_t i = 0; i < inputs; ++i) {
            input[i].reset();
            cursor[i] = 0;
        }
        window = 0;
        for (uint32_t i = 0; i < ends_count; ++i)
            ends[i] = WindowEnd();
        kept_count = 0;
        missing = warming = 0;
        engine.forget();
    }

    // What window `window` is worth with those before it that its result depends on.
    WindowState settle(WindowState own) {
        const WindowState before = missing != 0   ? WindowState::missing
                                   : warming != 0 ? WindowState::warming
                                                  : WindowState::result;
        missing -= missing != 0 ? 1 : 0;
        warming -= warming != 0 ? 1 : 0;
        if (own == WindowState::missing) missing = memory;
        if (own == WindowState::warming) warming = memory;
        return own == WindowState::missing || before == WindowState::result ? own
               : before == WindowState::missing                             ? before
                                                                            : WindowState::warming;
    }

    // Remembers when the windows that end within [begin, end) of the primary do so.
    void note_ends(const BlockView& block, uint64_t begin, uint64_t to) {
        const InputSpec& spec = input[0].spec();
        if (to < spec.window) return;
        const uint64_t first =
            begin + 1 <= spec.window ? 0 : (begin + 1 - spec.window + spec.hop - 1) / spec.hop;
        for (uint64_t k = first; k * spec.hop + spec.window <= to; ++k)
            ends[k % ends_count] = {uint32_t(k), input[0].stamp_in(block, k * spec.hop + spec.window - 1)};
    }

    // Finds the windows of the secondaries; false while one of them may still change.
    bool place_secondaries(WindowState* state, WindowResult* out) {
        const WindowEnd& window_end = ends[window % ends_count];
        for (size_t i = 1; i < inputs; ++i) {
            History& h = input[i];
            const uint64_t oldest = h.oldest();
            const uint64_t after = h.first_after(window_end.time_us, cursor[i]);
            if (after == h.next()) {
                cursor[i] = after;
                return false;
            }
            const bool forgotten = cursor[i] < oldest && after == oldest;  // an earlier one may be it
            if (!forgotten) cursor[i] = after;
            const uint64_t length = h.spec().window;
            WindowState s = WindowState::missing;
            if (window_end.window != window || forgotten)
                s = WindowState::missing;
            else if (after >= length)
                s = h.judge(after - length, after);
            else if (h.judge(0, after) != WindowState::missing)
                s = WindowState::warming;
            out->first[i] = after >= length ? after - length : 0;
            if (s == WindowState::missing || *state == WindowState::result) *state = s;
        }
        return true;
    }

    void compute(WindowResult* out) {
        out->stages = uint8_t(stages);
        size_t stage = 0;
        uint32_t last[kMaxInputs];
        for (size_t i = 0; i < inputs; ++i) {
            const Tensor& tensor = engine.input(i);
            last[i] = out->stage_hash[stage++] = input[i].hash_counts(out->first[i]);
            input[i].copy_values(out->first[i], static_cast<float*>(tensor.data));
            if (input[i].filtered()) last[i] = out->stage_hash[stage++] = tensor_hash(tensor);
        }
        uint32_t* hashes = out->stage_hash + stage;
        engine.run([](void* user, size_t index,
                      const Tensor& t) { static_cast<uint32_t*>(user)[index] = tensor_hash(t); },
                   hashes);
        out->input_hash = input_stage != kNoStage
                              ? out->stage_hash[input_stage]
                              : crc32c(Bytes(reinterpret_cast<const uint8_t*>(last), 4 * inputs));
        out->output_hash = out->stage_hash[stages - 1];
        out->scores_count = uint8_t(engine.output().elements());
        memcpy(out->scores, engine.output().data, engine.output().bytes());
    }

    void keep(const WindowResult* out) {
        const size_t at = kept_count++ % kKeptWindows;
        kept_window[at] = window;
        memcpy(kept + at * stages, out->stage_hash, sizeof(uint32_t) * stages);
    }
};

size_t Runner::memory_needed(const Plan& plan, uint32_t slack_ms) {
    Layout layout;
    layout.take<State>(1);
    State counter;
    counter.lay_out(plan, slack_ms, &layout);
    return layout.needed();
}

Code Runner::bind(const Plan& plan, OperatorTable operators, Span<const InputBinding> inputs,
                  MutableBytes memory, uint32_t slack_ms) {
    state_ = nullptr;
    if (inputs.size() != plan.inputs()) return Code::invalid;
    for (size_t i = 0; i < inputs.size(); ++i)
        for (size_t c = 0; c < plan.input(i).channels; ++c)
            if (inputs[i].channel[c] >= inputs[i].stream_channels) return Code::out_of_range;
    Layout layout(memory);
    State* state = layout.take<State>(1);
    if (state == nullptr) return Code::no_space;
    static_assert(__is_trivially_copyable(State), "begins its life as a copy; the core has no placement new");
    const State fresh;
    memcpy(static_cast<void*>(state), &fresh, sizeof fresh);
    const MutableBytes engine_memory = state->lay_out(plan, slack_ms, &layout);
    if (!layout.ok()) return Code::no_space;
    const Code code = state->engine.bind(plan, operators, engine_memory);
    if (code != Code::ok) return code;
    for (size_t i = 0; i < state->inputs; ++i)
        state->input[i].bind(plan, i, inputs[i]);
    for (size_t s = 0; s < state->stages; ++s) {
        const StageKind kind = plan.stage(s).kind;
        const bool better = state->input_stage == kNoStage ||
                            plan.stage(state->input_stage).kind != StageKind::quantised_input;
        if (kind == StageKind::quantised_input || (kind == StageKind::features && better))
            state->input_stage = s;
    }
    state->reset();
    state_ = state;
    return Code::ok;
}

void Runner::reset() {
    state_->reset();
}

void Runner::push(size_t input, const BlockView& block) {
    for (uint32_t from = 0; from < block.count;)
        from = push_some(input, block, from);
}

uint32_t Runner::push_some(size_t input, const BlockView& block, uint32_t from) {
    State& s = *state_;
    if (input >= s.inputs || !s.input[input].accepts(block)) return block.count;
    History& h = s.input[input];
    const uint64_t begin = h.begin_of(block, from);
    const uint64_t last = block.first + block.count;
    uint64_t to = last;
    if (input == 0) {
        const uint32_t hop = h.spec().hop;
        if (!h.started()) {
            const uint64_t k = (begin + hop - 1) / hop;
            if (k >= UINT32_MAX) return block.count;
            s.window = uint32_t(k);
            (k == 0 ? s.warming : s.missing) = s.memory;  // the windows before it were none, or unseen
        }
        const uint64_t full = s.start() + h.capacity();  // one more would push the window out
        to = begin < s.end() ? s.end() : begin < full ? full : begin + 1;
    } else if (s.input[0].next() >= s.end()) {
        const uint64_t time_us = s.ends[s.window % s.ends_count].time_us;
        to = begin;
        while (to < last && h.stamp_in(block, to) <= time_us)
            ++to;
        ++to;  // the one that tells
    }
    if (to > last) to = last;
    h.push(block, from, to);
    if (input == 0 && s.inputs != 1) s.note_ends(block, begin, to);
    return uint32_t(to - block.first);
}

bool Runner::step(WindowState* state, WindowResult* out) {
    State& s = *state_;
    const History& primary = s.input[0];
    if (!primary.started() || primary.next() < s.end()) return false;
    WindowResult& r = *out;
    r = WindowResult();
    r.window = s.window;
    r.first[0] = s.start();
    *state = primary.judge(s.start(), s.end());
    if (*state != WindowState::missing && !s.place_secondaries(state, out)) return false;
    const bool computed = *state == WindowState::result;
    if (computed && primary.restarts_at(s.start())) s.warming = s.memory;  // nothing spans a discontinuity
    if (computed) s.compute(out);  // later windows may depend on it, whatever it is worth itself
    *state = s.settle(*state);
    if (*state == WindowState::result) {
        s.keep(out);
    } else if (computed) {
        r.input_hash = r.output_hash = 0;
        r.scores_count = r.stages = 0;
        memset(r.scores, 0, sizeof r.scores);
        memset(r.stage_hash, 0, sizeof r.stage_hash);
    }
    ++s.window;
    return true;
}

uint32_t Runner::next_window() const {
    return state_->window;
}

bool Runner::stages_of(uint32_t window, Span<const uint32_t>* out) const {
    const State& s = *state_;
    const size_t n = s.kept_count < kKeptWindows ? s.kept_count : kKeptWindows;
    for (size_t i = 0; i < n; ++i) {
        if (s.kept_window[i] != window) continue;
        *out = Span<const uint32_t>(s.kept + i * s.stages, s.stages);
        return true;
    }
    return false;
}

}  // namespace lockstep::model
