// The firmware's one object: commands in, streams out, in a main loop of prioritised steps. run_once()
// does the most urgent thing that is due and tells whether there was any.
#pragma once

#include "embedded_target/mapped_port.h"
#include "embedded_target/models.h"
#include "embedded_target/sensors/injected.h"
#include "embedded_target/sensors/synthetic.h"
#include "embedded_target/streamer.h"
#include "embedded_target/transmitter.h"

namespace lockstep::firmware {

class Device {
  public:
    // The memories are the device's for good.
    void init(MutableBytes sample_memory, MutableBytes model_memory, MutableBytes plan_memory);
    bool run_once();

  private:
    struct Step {
        bool (Device::*run)();
    };
    static const Step kSteps[];

    // Highest priority first.
    bool step_commands();
    bool step_sensor();
    bool step_injection();
    bool step_report();
    bool step_models();
    bool step_plans();
    bool step_stop();

    static void on_frame(void* self, const wire::FrameView& frame);
    void hello_request(Bytes payload);
    void start(uint16_t tag);
    void stop(uint16_t tag);
    void configure(Bytes payload);
    void ping(Bytes payload);
    void stages(Bytes payload);
    void describe_stream(Bytes payload);
    void describe_model(Bytes payload);
    void host_marker(Bytes payload);
    // device_models.cpp
    void model_command(wire::Type type, Bytes payload);
    void model_begin(Bytes payload);
    void model_chunk(Bytes payload);
    void model_commit(uint16_t tag);
    void model_list(uint16_t tag);
    void model_change(wire::Type type, uint16_t tag, const uint8_t (*id)[32]);
    void refuse_model(wire::Type type, uint16_t tag, wire::ModelRefusal reason, uint32_t bytes = 0);
    void finish_stop();
    void send_hello();
    void send_health(uint64_t now);
    void ack(wire::Type command, uint16_t tag, Code code, Bytes detail = {});
    // An ack that stands for something done: kept, so that a repeated command is answered, not repeated.
    void keep_ack(wire::Type command, uint16_t tag, Code code, Bytes detail = {});
    bool answered_before(wire::Type command, uint16_t tag);

    static constexpr size_t kKeptAcks = 8;
    static constexpr size_t kMaxDetail = 2 + 8 * wire::kMaxStreams;
    struct KeptAck {
        uint8_t command = 0;
        uint16_t tag = 0;
        Code code = Code::ok;
        uint16_t size = 0;
        uint8_t detail[kMaxDetail];
    };

    board::Port* port_ = nullptr;
    MappedPort mapped_;
    wire::Decoder decoder_;
    Transmitter transmitter_;
    Synthetic synthetic_;
    Injected injected_;
    Sensor* sensor_ = nullptr;
    PlanStore plans_;
    Models models_;
    Streamer streamer_;

    bool running_ = false;
    bool stopping_ = false;
    uint16_t stop_tag_ = 0;
    uint16_t commit_tag_ = 0;
    uint8_t epoch_ = 0;
    uint64_t boot_id_ = 0;
    uint64_t nonce_ = 0;
    uint64_t report_due_us_ = 0;
    bool hello_due_ = true;
    KeptAck kept_[kKeptAcks];
    size_t kept_next_ = 0;
};

}  // namespace lockstep::firmware
