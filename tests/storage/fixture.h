// A folder of its own for every test, and what several of them do.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "storage/event_codec.h"
#include "storage/reader.h"
#include "storage/recorder.h"
#include "storage/repair.h"
#include "synthetic.h"

namespace lockstep::storage {

inline std::vector<uint8_t> bytes_of(const Event& event) {
    std::vector<uint8_t> bytes;
    encode(event, &bytes);
    return bytes;
}

// Two event lists are the same when their encodings are.
inline void expect_same(const std::vector<Event>& want, const std::vector<Event>& got) {
    ASSERT_EQ(want.size(), got.size());
    for (size_t i = 0; i < want.size(); ++i)
        ASSERT_EQ(bytes_of(want[i]), bytes_of(got[i]))
            << "event " << i << " of kind " << want[i].index() << "/" << got[i].index();
}

class Storage : public ::testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/lockstep_storage_XXXXXX";
        folder_ = mkdtemp(name);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    std::string at(const std::string& name) const { return folder_ + "/" + name; }

    std::string record(const std::string& name, const std::vector<Event>& events) {
        auto writer = create_session(synthetic::options(at(name)));
        EXPECT_TRUE(writer) << writer.error().message();
        for (const Event& event : events)
            (*writer)->append(event);
        auto path = (*writer)->finish();
        EXPECT_TRUE(path) << path.error().message();
        return path ? *path : "";
    }

    static std::vector<Event> replayed(const std::string& path) {
        std::vector<Event> events;
        auto session = open_session(path);
        EXPECT_TRUE(session) << session.error().message();
        if (!session) return events;
        auto status = (*session)->replay([&](const Event& e) {
            events.push_back(e);
            return true;
        });
        EXPECT_TRUE(status) << status.error().message();
        return events;
    }

    static void expect_in_order(const std::string& path) {
        const auto problems = verify(path);
        ASSERT_TRUE(problems) << problems.error().message();
        EXPECT_TRUE(problems->empty()) << problems->front();
    }

    static std::string content(const std::string& path) {
        std::ifstream file(path, std::ios::binary);
        return std::string((std::istreambuf_iterator<char>(file)), {});
    }
    static void put(const std::string& path, const std::string& bytes) {
        std::ofstream(path, std::ios::binary) << bytes;
    }

    std::string folder_;
};

}  // namespace lockstep::storage
