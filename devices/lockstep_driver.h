// The project's own protocol (docs/protocol.md) over any byte link. One link thread reads, decodes and
// hands facts to DriverEvents; control calls send a command and wait for its ack.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "acquisition/byte_link.h"
#include "acquisition/clock_map.h"
#include "acquisition/driver.h"
#include "devices/describe.h"
#include "devices/wire/frame.h"
#include "devices/wire/messages.h"

namespace lockstep {

struct LockstepOptions {
    std::string uri;  // for messages
    // Gives an opened link; called again, once a second, after a dropout.
    std::function<Result<std::unique_ptr<ByteLink>>()> open_link;
    double speed = 1;  // how much faster than the wall clock the board's time runs
};

class LockstepDriver final : public Driver, private DeviceModels {
  public:
    explicit LockstepDriver(LockstepOptions options);
    ~LockstepDriver() override;

    Result<DeviceInfo> open(DriverEvents* events) override;
    Status start() override;
    Status stop() override;
    Status configure(int device_stream, bool enabled, uint32_t rate_num, uint32_t rate_den,
                     uint16_t batch) override;
    Result<std::vector<uint32_t>> stages(int device_model, uint32_t window) override;
    Status mark(uint32_t code, const std::string& text) override;
    DeviceModels* models() override { return this; }
    LinkStatistics statistics() const override;
    void close() override;

  private:
    using Clock = std::chrono::steady_clock;
    struct Answer {
        bool done = false;
        Code code = Code::ok;
        std::vector<uint8_t> detail;
    };
    // Counts of a fault, told at most once a second.
    struct Tally {
        LinkEventKind kind;
        std::string text;
        uint64_t count = 0;
    };
    enum class Stopping { no, asked, acknowledged, given_up };
    // The answer, whatever it says; an error only when none came.
    template <typename Message>
    Result<Answer> ask(wire::Type type, Message message, const char* name, int timeout_ms, int attempts);
    template <typename Message>
    Result<std::vector<uint8_t>> command(wire::Type type, Message message, const char* name, int timeout_ms,
                                         int attempts);
    template <typename Message>
    Status send(wire::Type type, const Message& message);

    // DeviceModels, lockstep_models.cpp
    Result<DevicePlans> list() override;
    Status push(const PlanTransfer& transfer) override;
    Result<int> activate(const std::array<uint8_t, 32>& plan_id) override;
    Result<int> rollback() override;
    Result<int> change_model(const Result<Answer>& answer, const char* name);
    Error refusal(const Answer& answer, const char* name) const;

    // Link thread only.
    bool take_model_change(const wire::Ack& ack);
    bool early(const wire::Prediction& prediction);
    void run(std::promise<Result<DeviceInfo>> opened);
    Status pump(int timeout_ms);
    bool pump_until(const std::function<bool()>& done, int timeout_ms);
    void on_frame(const wire::FrameView& frame);
    void on_hello(Bytes payload);
    void on_data_frame(const wire::FrameView& frame);
    void on_ack(const wire::Ack& ack);
    void keep_time();
    void finish_stop();
    void end_stop(const std::vector<wire::StreamHealth>& sent, const std::string& reason);
    void report(LinkEventKind kind, const std::string& text, uint64_t count);
    void flush_reports(bool all);
    void watch_silence(int64_t now);
    void watch_flood(int64_t now);
    Result<DeviceInfo> handshake();
    Status greet();
    Status describe(std::vector<DescribedStream>* streams, std::vector<wire::ModelDescription>* models);
    bool resume(const char* otherwise);
    void reconnect(const std::string& why);
    bool on_link_thread() const { return std::this_thread::get_id() == thread_.get_id(); }
    std::shared_ptr<ByteLink> link() const;
    void set_link(std::shared_ptr<ByteLink> link);

    const LockstepOptions options_;
    DriverEvents* events_ = nullptr;
    std::thread thread_;

    mutable std::mutex link_mutex_;  // link_
    std::shared_ptr<ByteLink> link_;
    std::mutex write_mutex_;  // one frame at a time
    uint16_t sequence_ = 0;

    mutable std::mutex mutex_;  // all below, up to the link thread's own
    std::condition_variable changed_;
    std::map<uint16_t, Answer> answers_;
    uint16_t next_tag_ = 1;
    std::array<uint8_t, 8> coming_{};  // plan whose activation was asked for; zeros: none
    DeviceInfo info_;
    bool closing_ = false;
    bool connected_ = false;
    bool wanted_ = false;     // the user wants data
    bool streaming_ = false;  // an epoch is open
    std::string start_reason_ = "start";
    Stopping stopping_ = Stopping::no;
    bool describe_again_ = false;
    std::vector<wire::StreamHealth> sent_;
    LinkStatistics statistics_;

    // Link thread's own.
    wire::Decoder decoder_;
    uint8_t epoch_ = 0;
    int64_t read_ns_ = 0;  // when the bytes at hand were read
    bool greeting_ = false;
    bool have_hello_ = false;
    bool malformed_hello_ = false;
    wire::Hello hello_;
    std::vector<DescribedStream> pages_;  // of the stream being described
    std::vector<wire::ModelDescription> described_models_;
    std::string refused_description_;
    bool hello_due_ = false;     // something changed: ask the device who it is
    int64_t resume_due_ns_ = 0;  // not sooner, after a failure
    int64_t stale_since_ = 0;    // frames of another epoch keep coming
    int64_t last_data_ns_ = 0;
    int64_t last_frame_ns_ = 0;
    uint64_t bytes_since_frame_ = 0;
    bool silent_ = false;
    bool lost_ = false;  // told so, and not yet told that it is back
    ClockMap clock_;     // tells how often to ping
    int64_t ping_due_ns_ = 0;
    int64_t ping_sent_ns_ = 0;
    bool ping_open_ = false;
    int64_t heartbeat_due_ns_ = 0;
    int64_t stop_deadline_ns_ = 0;
    std::vector<Tally> tallies_;
    int64_t tally_due_ns_ = 0;
    uint64_t damaged_before_ = 0;
    int64_t flood_from_ns_ = 0;
    uint64_t flood_bytes_ = 0;
    std::vector<uint8_t> buffer_;
};

// Members, because both files of the driver send.
template <typename Message>
Status LockstepDriver::send(wire::Type type, const Message& message) {
    uint8_t payload[wire::kMaxPayload];
    uint8_t frame[wire::kMaxEncoded];
    const size_t size = wire::encode(message, MutableBytes(payload));
    const auto open_link = link();
    if (!open_link) return fail(ErrorKind::device, "not connected", options_.uri);
    const std::lock_guard<std::mutex> lock(write_mutex_);
    const size_t length =
        wire::encode_frame(uint8_t(type), sequence_++, Bytes(payload, size), MutableBytes(frame));
    return open_link->write(frame, length);
}

template <typename Message>
Result<LockstepDriver::Answer> LockstepDriver::ask(wire::Type type, Message message, const char* name,
                                                   int timeout_ms, int attempts) {
    uint16_t tag = 0;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        tag = next_tag_++;
        answers_[tag] = {};
    }
    message.tag = tag;
    Answer answer;
    Status sent;
    for (int i = 0; i < attempts && !answer.done; ++i) {
        sent = send(type, message);
        if (!sent) break;
        if (on_link_thread()) {
            pump_until(
                [&] {
                    const std::lock_guard<std::mutex> lock(mutex_);
                    return answers_[tag].done;
                },
                timeout_ms);
        } else {
            std::unique_lock<std::mutex> lock(mutex_);
            changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                              [&] { return answers_[tag].done || closing_ || !connected_; });
        }
        const std::lock_guard<std::mutex> lock(mutex_);
        answer = answers_[tag];
        if (closing_) break;
    }
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        answers_.erase(tag);
    }
    if (!sent) return tl::make_unexpected(sent.error());
    if (!answer.done)
        return fail(ErrorKind::device, std::string("the board does not answer '") + name + "'", options_.uri,
                    "check the cable, or reset the board");
    return answer;
}

template <typename Message>
Result<std::vector<uint8_t>> LockstepDriver::command(wire::Type type, Message message, const char* name,
                                                     int timeout_ms, int attempts) {
    auto answer = ask(type, std::move(message), name, timeout_ms, attempts);
    if (!answer) return tl::make_unexpected(answer.error());
    if (answer->code != Code::ok)
        return fail(ErrorKind::device,
                    std::string("the board refuses '") + name + "': " + code_name(answer->code),
                    options_.uri);
    return std::move(answer->detail);
}

}  // namespace lockstep
