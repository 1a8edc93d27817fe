// Model transfer over the project's own protocol (docs/protocol.md, "Models").
#include <algorithm>
#include <cstring>

#include "devices/lockstep_driver.h"

namespace lockstep {
namespace {

constexpr int kAnswerMs =
    5000;  // a chunk takes 25 ms at 115200 baud; an emulated board may wait for its turn
constexpr int kAttempts = 5;
constexpr int kCheckMs = 1000;  // of a slow board's check of a large plan, 30 of them
constexpr int kCheckAttempts = 30;
constexpr int kResumes = 20;
constexpr auto kBack = std::chrono::seconds(30);

std::string hex(const uint8_t* bytes, size_t size) {
    static const char digits[] = "0123456789abcdef";
    std::string out;
    for (size_t i = 0; i < size; ++i) {
        out += digits[bytes[i] >> 4];
        out += digits[bytes[i] & 15];
    }
    return out;
}

struct Words {
    wire::ModelRefusal reason;
    const char* what;
    const char* remedy;
};

constexpr Words kWords[] = {
    {wire::ModelRefusal::incomplete, "bytes of the plan are missing", "push it again"},
    {wire::ModelRefusal::hash, "the plan's bytes do not have its id", "push it again"},
    {wire::ModelRefusal::not_signed, "it takes signed plans only",
     "'lockstep model sign PLAN --key NAME.key' with the key that the firmware was built for"},
    {wire::ModelRefusal::signature, "the plan is not signed by the key that it trusts",
     "sign with the key that the firmware was built for (embedded_target/keys/README.md)"},
    {wire::ModelRefusal::malformed, "it is no valid plan",
     "'lockstep model info' tells what is wrong with it"},
    {wire::ModelRefusal::version, "the plan's format is newer than the firmware", "update the firmware"},
    {wire::ModelRefusal::operators, "the firmware lacks an operator of the plan, or a layout of its weights",
     "convert with another --target, or update the firmware"},
    {wire::ModelRefusal::memory, "it has not enough free memory for the model",
     "a smaller window or network, or rollback of a model that runs beside"},
    {wire::ModelRefusal::streams, "no stream of the device fits the plan's inputs",
     "'lockstep info URI' lists the streams; kind, rate, channels and units must be equal"},
    {wire::ModelRefusal::places, "all its places for models are taken", "roll one back"},
    {wire::ModelRefusal::not_there, "there is no such plan on it", "'lockstep model list URI' lists them"},
};

}  // namespace

Error LockstepDriver::refusal(const Answer& answer, const char* name) const {
    Error error{ErrorKind::device, std::string("the board refuses '") + name + "': " + code_name(answer.code),
                options_.uri, ""};
    if (answer.code == Code::unsupported && answer.detail.empty()) {
        error.remedy = "its firmware knows no model transfer: update it";
        return error;
    }
    wire::ModelVerdict verdict;
    if (!wire::decode(Bytes(answer.detail.data(), answer.detail.size()), &verdict)) return error;
    const auto words = std::find_if(std::begin(kWords), std::end(kWords),
                                    [&](const Words& w) { return w.reason == verdict.reason; });
    if (words == std::end(kWords)) return error;
    if (verdict.reason == wire::ModelRefusal::not_there && std::string(name) == "rollback") {
        error.what = "no model was changed since the board started, so there is nothing to undo";
        return error;
    }
    error.what = std::string("the board refuses '") + name + "': " + words->what;
    if (verdict.bytes != 0) error.what += " (" + std::to_string(verdict.bytes) + " bytes)";
    error.remedy = words->remedy;
    return error;
}

Result<DevicePlans> LockstepDriver::list() {
    const auto answer = ask(wire::Type::model_list, wire::Command{}, "list", kAnswerMs, kAttempts);
    if (!answer) return tl::make_unexpected(answer.error());
    if (answer->code != Code::ok) return tl::make_unexpected(refusal(*answer, "list"));
    wire::ModelList list;
    if (!wire::decode(Bytes(answer->detail.data(), answer->detail.size()), &list))
        return fail(ErrorKind::device, "the board's list of models is malformed", options_.uri);
    DevicePlans out{list.largest, list.signed_only, {}};
    for (size_t i = 0; i < list.count; ++i) {
        const wire::StoredModel& m = list.model[i];
        out.plans.push_back({hex(m.plan_id, sizeof m.plan_id), m.name, m.size, m.built_in, m.previous,
                             m.place == 255 ? -1 : int(m.place)});
    }
    return out;
}

Status LockstepDriver::push(const PlanTransfer& transfer) {
    wire::ModelBegin begin;
    std::copy(transfer.plan_id.begin(), transfer.plan_id.end(), begin.plan_id);
    begin.size = uint32_t(transfer.plan.size());
    begin.has_signature = transfer.signature.has_value();
    if (transfer.signature)
        std::copy(transfer.signature->begin(), transfer.signature->end(), begin.signature);
    Error last{ErrorKind::device, "the transfer does not come through", options_.uri, "check the cable"};
    for (int attempt = 0; attempt < kResumes; ++attempt) {
        {
            std::unique_lock<std::mutex> lock(mutex_);
            if (!changed_.wait_for(lock, kBack, [this] { return connected_ || closing_; }) || closing_)
                return tl::make_unexpected(last);
        }
        const auto answer = ask(wire::Type::model_begin, begin, "push", kAnswerMs, kAttempts);
        if (!answer) {
            last = answer.error();
            continue;
        }
        if (answer->code == Code::no_space)
            return fail(ErrorKind::device,
                        "the board has no room to store the plan (" + std::to_string(begin.size) + " bytes)",
                        options_.uri,
                        "'lockstep model list URI' tells how large a plan may be and what is stored");
        wire::ModelBeginReply reply;
        if (answer->code != Code::ok) return tl::make_unexpected(refusal(*answer, "push"));
        if (!wire::decode(Bytes(answer->detail.data(), answer->detail.size()), &reply) ||
            reply.next > begin.size)
            return fail(ErrorKind::device, "the board's answer to 'push' is malformed", options_.uri);
        uint32_t next = reply.next;
        bool sent = true;
        while (sent && next < begin.size) {
            if (transfer.progress && !transfer.progress(double(next) / begin.size))
                return fail(ErrorKind::system, "interrupted", options_.uri,
                            "the same command goes on where this one ended");
            wire::ModelChunk chunk;
            chunk.offset = next;
            chunk.bytes = Bytes(transfer.plan.data() + next,
                                std::min<size_t>({begin.size - next, reply.chunk, wire::kModelChunk}));
            const auto taken = ask(wire::Type::model_chunk, chunk, "push", kAnswerMs, kAttempts);
            wire::ModelChunkReply where;
            sent = taken && taken->code == Code::ok &&
                   wire::decode(Bytes(taken->detail.data(), taken->detail.size()), &where) &&
                   where.next > next && where.next <= begin.size;
            if (sent) next = where.next;
            if (!taken) last = taken.error();
        }
        if (!sent) continue;  // asks again from where on
        const auto verdict = ask(wire::Type::model_commit, wire::Command{}, "push", kCheckMs, kCheckAttempts);
        if (!verdict) {
            last = verdict.error();
            continue;
        }
        if (verdict->code == Code::ok) return {};
        wire::ModelVerdict why;
        const bool known = wire::decode(Bytes(verdict->detail.data(), verdict->detail.size()), &why);
        // The board restarted in between: from the beginning.
        if (known && why.reason == wire::ModelRefusal::incomplete) continue;
        return tl::make_unexpected(refusal(*verdict, "push"));
    }
    return tl::make_unexpected(last);
}

Result<int> LockstepDriver::activate(const std::array<uint8_t, 32>& plan_id) {
    wire::ModelSelect select;
    std::copy(plan_id.begin(), plan_id.end(), select.plan_id);
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        std::copy_n(plan_id.begin(), coming_.size(), coming_.begin());
    }
    return change_model(ask(wire::Type::model_activate, select, "activate", kAnswerMs, kAttempts),
                        "activate");
}

Result<int> LockstepDriver::rollback() {
    return change_model(ask(wire::Type::model_rollback, wire::Command{}, "rollback", kAnswerMs, kAttempts),
                        "rollback");
}

Result<int> LockstepDriver::change_model(const Result<Answer>& answer, const char* name) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        coming_.fill(0);
    }
    if (!answer) return tl::make_unexpected(answer.error());
    if (answer->code != Code::ok) return tl::make_unexpected(refusal(*answer, name));
    wire::ModelChange change;
    if (!wire::decode(Bytes(answer->detail.data(), answer->detail.size()), &change))
        return fail(ErrorKind::device, "the board's answer is malformed", options_.uri);
    return int(change.changed.model);
}

// On the link thread, between the frames of the old models and those of the new; mutex_ is held. Whether a
// new segment begins.
bool LockstepDriver::take_model_change(const wire::Ack& ack) {
    wire::ModelChange change;
    if (ack.code != Code::ok || !wire::decode(ack.detail, &change)) return false;
    const size_t place = change.changed.model;
    bool changed = false;
    if (place < change.models) {
        auto model = describe_model(change.changed, info_.streams.size(), options_.uri);
        if (!model || place > info_.models.size()) {
            hello_due_ = true;  // it has become somebody else
            return false;
        }
        if (place == info_.models.size()) info_.models.emplace_back();
        changed = info_.models[place].plan_id != model->plan_id;
        info_.models[place] = std::move(*model);
    } else if (info_.models.size() > change.models) {
        info_.models.resize(change.models);
        changed = true;
    }
    return changed && streaming_ && change.running && change.epoch == epoch_;
}

// The answer that announces a model may have been lost, and its first predictions not: they belong to the
// segment that begins with the repeated answer.
bool LockstepDriver::early(const wire::Prediction& prediction) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (std::memcmp(prediction.plan_id, coming_.data(), coming_.size()) != 0) return false;
    return prediction.model >= info_.models.size() ||
           info_.models[prediction.model].plan_id.compare(0, 2 * coming_.size(),
                                                          hex(coming_.data(), coming_.size())) != 0;
}

}  // namespace lockstep
