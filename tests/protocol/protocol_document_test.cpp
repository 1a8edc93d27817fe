// The byte examples of docs/protocol.md are what this build sends: a stranger may write a board from
// the document alone. Prints the right bytes when an example is out of date.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "devices/wire/frame.h"
#include "devices/wire/messages.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lockstep::wire {
namespace {

std::string hex(const uint8_t* data, size_t size) {
    std::string text;
    char two[4];
    for (size_t i = 0; i < size; ++i) {
        std::snprintf(two, sizeof two, "%02x", data[i]);
        text += two;
        if (i + 1 < size) text += (i % 16 == 15) ? "\n" : " ";
    }
    return text;
}

// "example NAME" code blocks of the document, white space folded.
std::map<std::string, std::string> examples() {
    const char* root = std::getenv("LOCKSTEP_SOURCE");
    std::ifstream file(std::string(root ? root : ".") + "/docs/protocol.md");
    std::map<std::string, std::string> found;
    std::string line;
    std::string name;
    while (std::getline(file, line)) {
        if (line.rfind("```example ", 0) == 0) {
            name = line.substr(11);
        } else if (line.rfind("```", 0) == 0) {
            name.clear();
        } else if (!name.empty()) {
            found[name] += line + " ";
        }
    }
    return found;
}

std::string fold(const std::string& text) {
    std::istringstream in(text);
    std::string word;
    std::string out;
    while (in >> word)
        out += word + " ";
    return out;
}

template <typename Message>
std::string line_of(Type type, uint16_t sequence, const Message& message) {
    uint8_t payload[kMaxPayload];
    uint8_t out[kMaxEncoded];
    const size_t n = encode(message, MutableBytes(payload));
    return hex(out, encode_frame(uint8_t(type), sequence, Bytes(payload, n), MutableBytes(out)));
}

std::string hello_request() {
    HelloRequest m;
    m.tag = 1;
    m.nonce = 0x1122334455667788;
    return line_of(Type::hello_request, 0, m);
}

std::string hello() {
    Hello m;
    m.boot_id = 0x0102030405060708;
    std::memset(m.build_id, 0xAB, sizeof m.build_id);
    std::strcpy(m.board, "mps2-an386");
    std::strcpy(m.firmware, "0.1.0");
    m.streams = 4;
    m.models = 2;
    m.max_payload = 512;
    m.device_us = 1000000;
    m.reset_cause = ResetCause::power_on;
    return line_of(Type::hello, 7, m);
}

std::string data() {
    const int32_t counts[] = {1, -1, 256, -256};
    uint8_t samples[8];
    pack_samples(SampleType::int16, Span<const int32_t>(counts, 4), MutableBytes(samples));
    Data m;
    m.stream = 2;
    m.epoch = 1;
    m.count = 2;
    m.first = 1000;
    m.time_us = 10000000;
    m.samples = Bytes(samples);
    return line_of(Type::data, 258, m);
}

std::string prediction() {
    Prediction m;
    m.epoch = 1;
    for (uint8_t i = 0; i < 8; ++i)
        m.plan_id[i] = i;
    m.window = 3;
    m.time_us = 1750000;
    m.inputs = 1;
    m.first[0] = 75;
    m.input_hash = 0xDEADBEEF;
    m.output_hash = 0x01020304;
    m.scores_count = 2;
    m.scores[0] = 0.25F;
    m.scores[1] = 0.75F;
    return line_of(Type::prediction, 9, m);
}

std::string start_ack() {
    uint8_t detail[16];
    StartReply reply;
    reply.epoch = 1;
    reply.device_us = 5000000;
    Ack m;
    m.command = uint8_t(Type::start);
    m.tag = 2;
    m.detail = Bytes(detail, encode(reply, MutableBytes(detail)));
    return line_of(Type::ack, 8, m);
}

std::string model_begin() {
    ModelBegin m;
    m.tag = 3;
    for (uint8_t i = 0; i < 32; ++i)
        m.plan_id[i] = i;
    m.size = 9392;
    m.has_signature = true;
    std::memset(m.signature, 0x55, sizeof m.signature);
    return line_of(Type::model_begin, 4, m);
}

std::string model_chunk() {
    const uint8_t bytes[] = {'L', 'S', 'P', 'L', 'A', 'N', 0, 0};
    ModelChunk m;
    m.tag = 4;
    m.bytes = Bytes(bytes);
    return line_of(Type::model_chunk, 5, m);
}

std::string model_refused() {
    uint8_t detail[16];
    Ack m;
    m.command = uint8_t(Type::model_commit);
    m.tag = 5;
    m.code = Code::invalid;
    m.detail = Bytes(detail, encode(ModelVerdict{ModelRefusal::signature, 0}, MutableBytes(detail)));
    return line_of(Type::ack, 10, m);
}

std::string model_activated() {
    uint8_t detail[128];
    ModelChange change;
    change.epoch = 1;
    change.running = true;
    change.device_us = 5000000;
    change.models = 2;
    for (uint8_t i = 0; i < 32; ++i)
        change.changed.plan_id[i] = i;
    std::strcpy(change.changed.name, "movement");
    change.changed.inputs = 1;
    change.changed.input_stream[0] = 2;
    change.changed.active = true;
    change.changed.stages = 13;
    Ack m;
    m.command = uint8_t(Type::model_activate);
    m.tag = 6;
    m.detail = Bytes(detail, encode(change, MutableBytes(detail)));
    return line_of(Type::ack, 11, m);
}

TEST(ProtocolDocument, ExamplesAreTheBytesThisBuildSends) {
    const std::map<std::string, std::function<std::string()>> makers = {
        {"hello_request", hello_request},
        {"hello", hello},
        {"start_ack", start_ack},
        {"data", data},
        {"prediction", prediction},
        {"model_begin", model_begin},
        {"model_chunk", model_chunk},
        {"model_refused", model_refused},
        {"model_activated", model_activated},
    };
    const auto in_document = examples();
    for (const auto& [name, make] : makers) {
        const auto it = in_document.find(name);
        EXPECT_TRUE(it != in_document.end()) << "docs/protocol.md has no example " << name << ":\n" << make();
        if (it != in_document.end()) {
            EXPECT_EQ(fold(it->second), fold(make())) << name << " should be\n" << make();
        }
    }
    EXPECT_EQ(in_document.size(), makers.size());
}

}  // namespace
}  // namespace lockstep::wire
