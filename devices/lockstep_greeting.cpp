// Who the device is: at first, and after anything that may have changed it.
#include <algorithm>
#include <chrono>
#include <random>

#include "devices/lockstep_driver.h"

namespace lockstep {
namespace {

constexpr int kGreetMs = 3000;
constexpr int kAskMs = 400;
constexpr int kAskAttempts = 5;
constexpr int kAnswerMs = 500;
constexpr int kAttempts = 3;
constexpr auto kRescan = std::chrono::seconds(1);

int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

uint64_t make_nonce() {
    std::random_device random;
    uint64_t nonce = 0;
    while (nonce == 0)
        nonce = uint64_t(random()) << 32 | random();
    return nonce;
}

std::string version(unsigned major, unsigned minor) {
    return std::to_string(major) + "." + std::to_string(minor);
}

}  // namespace

Status LockstepDriver::greet() {
    have_hello_ = false;
    malformed_hello_ = false;
    refused_description_.clear();
    const wire::Decoder::Counters before = decoder_.counters();
    wire::HelloRequest request;
    request.nonce = make_nonce();
    const auto answered = [this] { return have_hello_ || malformed_hello_ || !refused_description_.empty(); };
    for (int64_t end = now_ns() + kGreetMs * int64_t(1000000); !answered() && now_ns() < end;) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (closing_) return fail(ErrorKind::device, "closed", options_.uri);
            request.tag = next_tag_++;
        }
        if (const Status sent = send(wire::Type::hello_request, request); !sent) return sent;
        const int64_t asked = now_ns();
        pump_until(answered, kAskMs);
        // pump_until returns early when the link broke.
        if (!answered() && now_ns() - asked < kAskMs * int64_t(1000000))
            if (const Status status = pump(0); !status) return status;
    }
    const std::string ours = version(wire::kProtocolMajor, wire::kProtocolMinor);
    if (have_hello_ && hello_.major != wire::kProtocolMajor)
        return fail(
            ErrorKind::device,
            "the board speaks protocol " + version(hello_.major, hello_.minor) + ", this program " + ours,
            options_.uri,
            hello_.major > wire::kProtocolMajor ? "install a newer Lockstep" : "update the board's firmware");
    if (have_hello_) return {};
    if (malformed_hello_)
        return fail(ErrorKind::device, "the board's hello is malformed", options_.uri, "update its firmware");
    if (!refused_description_.empty())
        return fail(ErrorKind::device,
                    "the board refuses: " + refused_description_ + " (ours is " + ours + ")", options_.uri,
                    "install matching versions of Lockstep and firmware");
    const wire::Decoder::Counters& after = decoder_.counters();
    const uint64_t bytes = after.bytes - before.bytes;
    if (after.frames != before.frames)
        return fail(ErrorKind::device, "the board sends frames but does not answer a hello", options_.uri,
                    "reset the board");
    if (bytes != 0)
        return fail(ErrorKind::device,
                    std::to_string(bytes) +
                        " bytes came in 3 s, none of them a valid frame: another protocol " +
                        "or another baud rate",
                    options_.uri, "check the device's kind and the option 'baud'");
    return fail(ErrorKind::device, "no answer within 3 s", options_.uri,
                "check that the board runs the Lockstep firmware, and the option 'baud'");
}

Status LockstepDriver::describe(std::vector<DescribedStream>* streams,
                                std::vector<wire::ModelDescription>* models) {
    const auto refused = [this] {
        return fail(ErrorKind::device, "the board's self-description is refused: " + refused_description_,
                    options_.uri, "update its firmware");
    };
    // Asks until `answered` or the attempts are over.
    const auto ask = [this](wire::Type type, uint8_t index, uint16_t first_channel,
                            const std::function<bool()>& answered) -> Status {
        for (int i = 0; i < kAskAttempts && !answered(); ++i) {
            wire::Describe message;
            {
                const std::lock_guard<std::mutex> lock(mutex_);
                if (closing_) return fail(ErrorKind::device, "closed", options_.uri);
                message.tag = next_tag_++;
            }
            message.index = index;
            message.first_channel = first_channel;
            if (const Status sent = send(type, message); !sent) return sent;
            pump_until([&] { return answered() || !refused_description_.empty(); }, kAskMs);
            if (!refused_description_.empty()) return {};
        }
        if (answered()) return {};
        return fail(ErrorKind::device, "the board does not describe itself", options_.uri, "reset the board");
    };
    for (uint8_t i = 0; i < hello_.streams; ++i) {
        DescribedStream whole;
        do {
            const auto first = uint16_t(whole.channels.size());
            pages_.clear();
            const auto page = [&] {
                return std::find_if(pages_.begin(), pages_.end(), [&](const DescribedStream& d) {
                    return d.stream.stream == i && d.stream.first_channel == first;
                });
            };
            if (const Status asked =
                    ask(wire::Type::describe_stream, i, first, [&] { return page() != pages_.end(); });
                !asked)
                return asked;
            if (!refused_description_.empty()) return refused();
            const DescribedStream& answer = *page();
            if (answer.channels.empty() || (first != 0 && answer.stream.channels != whole.stream.channels)) {
                refused_description_ = "the pages of a stream's channels contradict each other";
                return refused();
            }
            if (first == 0) whole.stream = answer.stream;
            whole.channels.insert(whole.channels.end(), answer.channels.begin(), answer.channels.end());
        } while (whole.channels.size() < whole.stream.channels);
        streams->push_back(std::move(whole));
    }
    for (uint8_t i = 0; i < hello_.models; ++i) {
        described_models_.clear();
        const auto found = [&] {
            return std::find_if(described_models_.begin(), described_models_.end(),
                                [&](const wire::ModelDescription& m) { return m.model == i; });
        };
        if (const Status asked =
                ask(wire::Type::describe_model, i, 0, [&] { return found() != described_models_.end(); });
            !asked)
            return asked;
        if (!refused_description_.empty()) return refused();
        models->push_back(*found());
    }
    return {};
}

Result<DeviceInfo> LockstepDriver::handshake() {
    greeting_ = true;
    std::vector<DescribedStream> streams;
    std::vector<wire::ModelDescription> models;
    Status status = greet();
    if (status) status = describe(&streams, &models);
    greeting_ = false;
    hello_due_ = false;
    last_frame_ns_ = now_ns();
    if (!status) return tl::make_unexpected(status.error());
    return describe_device(options_.uri, hello_, streams, models);
}

// Greets again and continues, or starts again, what was wanted. True when the device is as it should be.
bool LockstepDriver::resume(const char* otherwise) {
    auto info = handshake();
    if (!info) {
        report(LinkEventKind::refused, info.error().what, 1);
        hello_due_ = true;
        return false;
    }
    bool wanted = false;
    bool streaming = false;
    bool changed = false;
    bool rebooted = false;
    bool back = false;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        rebooted = info->boot_id != info_.boot_id;
        changed = !same_meaning(*info, info_);
        back = !connected_ || lost_;
        info_ = *info;
        connected_ = true;
        lost_ = false;
        wanted = wanted_;
        streaming = streaming_;
        start_reason_ = rebooted ? "reboot" : otherwise;
    }
    changed_.notify_all();
    if (back) events_->on_link(LinkEventKind::reconnected, 0, info->board + " answers again", now_ns());
    if (rebooted) {
        clock_.restart();
        ping_due_ns_ = 0;
        events_->on_link(LinkEventKind::rebooted, 0, info->board + " rebooted: " + info->reset_cause,
                         now_ns());
    }
    if (!wanted) return true;
    if (streaming && !rebooted && hello_.running && hello_.epoch == epoch_) {
        if (changed) events_->on_started(*info, epoch_, "description changed");
        return true;
    }
    auto answer = command(wire::Type::start, wire::Command{}, "start", kAnswerMs, kAttempts);
    if (answer) return true;
    report(LinkEventKind::refused, answer.error().what, 1);
    hello_due_ = true;
    return false;
}

// Until the device is back or close().
void LockstepDriver::reconnect(const std::string& why) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        connected_ = false;
    }
    changed_.notify_all();
    flush_reports(true);
    if (!lost_) events_->on_link(LinkEventKind::lost, 0, why, now_ns());
    lost_ = true;
    silent_ = false;
    for (;;) {
        finish_stop();
        {
            std::unique_lock<std::mutex> lock(mutex_);
            const auto until = Clock::now() + kRescan;
            while (!closing_ && stopping_ == Stopping::no &&
                   changed_.wait_until(lock, until) != std::cv_status::timeout) {
            }
            if (closing_) return;
            if (stopping_ == Stopping::asked) stopping_ = Stopping::given_up;
            if (stopping_ != Stopping::no) continue;
        }
        set_link(nullptr);  // closes the old one, so that a serial server accepts the new one
        auto opened = options_.open_link();
        if (!opened) continue;
        set_link(std::move(*opened));
        decoder_.reset();
        if (resume("reconnected")) return;
        const bool here = [this] {
            const std::lock_guard<std::mutex> lock(mutex_);
            return connected_;
        }();
        if (here) return;
        flush_reports(true);
    }
}

}  // namespace lockstep
