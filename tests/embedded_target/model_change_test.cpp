// A model is replaced while a session streams from the board in QEMU: a plan that is refused changes nothing;
// one that runs begins a new segment; every window of both is the same on board and host.
#include <sodium.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>

#include "acquisition/session.h"
#include "devices/serial_driver.h"
#include "devices/virtual_board/recording_csv.h"
#include "devices/virtual_board/virtual_board.h"
#include "dsp/base/crc32c.h"
#include "gtest/gtest.h"
#include "models/plan/plan_file.h"
#include "models/plan/signature.h"

namespace lockstep {
namespace {

std::string source() {
    const char* root = std::getenv("LOCKSTEP_SOURCE");
    return root == nullptr ? "." : root;
}

PlanPtr shipped(const std::string& name) {
    auto plan = load_plan(source() + "/resources/models/" + name + "/" + name + ".lsplan");
    return plan ? *plan : nullptr;
}

// The same network with one other weight.
PlanPtr changed(const LoadedPlan& plan) {
    std::vector<uint8_t> bytes = plan.bytes;
    const auto u32 = [&](size_t at) {
        uint32_t v = 0;
        std::memcpy(&v, bytes.data() + at, 4);
        return v;
    };
    size_t at = u32(64);
    while (bytes[at] != 10)  // a convolution: its weights come last
        at += 36;
    const size_t params = u32(at + 20);
    const size_t size = u32(at + 24);
    bytes[params + size - 2] ^= 0x11;
    std::memset(bytes.data() + 16, 0, 4);
    const uint32_t crc = crc32c(Bytes(bytes.data(), bytes.size()));
    std::memcpy(bytes.data() + 16, &crc, 4);
    auto out = plan_from_bytes(std::move(bytes));
    return out ? *out : nullptr;
}

PlanTransfer transfer_of(const LoadedPlan& plan, const SecretKey& key) {
    PlanTransfer t;
    t.plan = plan.bytes;
    crypto_hash_sha256(t.plan_id.data(), plan.bytes.data(), plan.bytes.size());
    const auto file = sign_plan(plan.bytes, key);
    t.signature.emplace();
    std::copy(file.end() - 64, file.end(), t.signature->begin());
    return t;
}

// What came of the session so far, segment by segment.
struct Course {
    std::vector<std::string> reasons;
    std::vector<std::string> running;         // the plan at the place of the movement model
    std::map<std::pair<int, int>, int> same;  // windows by segment and model
    std::string wrong;

    // Until so many windows of a model were the same in a segment; false after a minute and a half.
    bool wait_for(Subscription& events, int segment, int model, int windows) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(90);
        while (same[{segment, model}] < windows && std::chrono::steady_clock::now() < end)
            take(events);
        return same[{segment, model}] >= windows;
    }
    void take(Subscription& events) {
        Event event;
        while (events.pop(&event, std::chrono::milliseconds(20))) {
            if (const auto* started = std::get_if<SegmentStarted>(&event)) {
                reasons.push_back(started->reason);
                for (const DeviceModel& m : started->info.models)
                    if (m.name == "movement") running.push_back(m.plan_id);
            } else if (const auto* v = std::get_if<WindowVerdict>(&event)) {
                if (v->verdict == Verdict::same) ++same[{v->segment, v->model}];
                if (v->verdict == Verdict::different || v->verdict == Verdict::lost)
                    wrong += "segment " + std::to_string(v->segment) + " model " + std::to_string(v->model) +
                             " window " + std::to_string(v->window) + ": " + v->reason + "\n";
            }
        }
    }
};

TEST(ModelChange, MidSession) {
    const PlanPtr movement = shipped("movement");
    const PlanPtr vitals = shipped("vitals");
    ASSERT_TRUE(movement && vitals);
    const PlanPtr other = changed(*movement);
    ASSERT_TRUE(other);
    const auto key = read_secret_key(source() + "/embedded_target/keys/development.key");
    ASSERT_TRUE(key);

    VirtualBoardOptions options;
    const std::string folder = source() + "/resources/recordings/";
    auto signals = open_recordings({folder + "gsr.csv", folder + "imu.csv", folder + "ppg.csv"});
    ASSERT_TRUE(signals) << signals.error().message();
    options.signals = std::move(*signals);
    options.injection.loop = true;
    auto board = VirtualBoard::start(options);
    ASSERT_TRUE(board) << board.error().message();

    auto driver = make_serial_driver("serial:test", (*board)->path(), 115200, 1);
    Driver* const device = driver.get();
    Session session;
    for (const PlanPtr& plan : {movement, vitals, other})
        session.add_model(plan);
    const auto added = session.add_device(std::move(driver));
    ASSERT_TRUE(added) << added.error().message();
    const auto events = session.hub().attach(1 << 16);
    Course course;
    ASSERT_TRUE(session.start());
    ASSERT_TRUE(course.wait_for(*events, 0, 0, 6));

    DeviceModels* const models = device->models();
    ASSERT_NE(models, nullptr);
    PlanTransfer forged = transfer_of(*other, *key);
    (*forged.signature)[9] ^= 1;
    const Status refused = models->push(forged);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().what.find("not signed by the key"), std::string::npos) << refused.error().what;
    const PlanTransfer good = transfer_of(*other, *key);
    EXPECT_FALSE(models->activate(good.plan_id));
    const Status pushed = models->push(good);
    ASSERT_TRUE(pushed) << pushed.error().message();
    const auto listed = models->list();
    ASSERT_TRUE(listed);
    EXPECT_EQ(listed->plans.back().plan_id, other->plan_id);
    EXPECT_EQ(listed->plans.back().place, -1);

    const auto activated = models->activate(good.plan_id);
    ASSERT_TRUE(activated) << activated.error().message();
    ASSERT_TRUE(course.wait_for(*events, 1, 2, 6)) << course.wrong;
    ASSERT_TRUE(models->rollback());
    ASSERT_TRUE(course.wait_for(*events, 2, 0, 6)) << course.wrong;
    const Status stopped = session.stop();
    ASSERT_TRUE(stopped) << stopped.error().message();

    course.take(*events);
    EXPECT_EQ(course.wrong, "");
    EXPECT_EQ(course.reasons, (std::vector<std::string>{"start", "model changed", "model changed"}));
    EXPECT_EQ(course.running,
              (std::vector<std::string>{movement->plan_id, other->plan_id, movement->plan_id}));
    const Summary summary = session.summary();
    for (const WindowAccount& w : summary.models) {
        EXPECT_EQ(w.different, 0U);
        EXPECT_EQ(w.lost, 0U);
    }
    for (const StreamAccount& s : summary.streams)
        EXPECT_EQ(s.lost, 0U) << s.name;
}

}  // namespace
}  // namespace lockstep
