// The driver against a board that misbehaves in every way a person may meet.
#include "devices/lockstep_driver.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <pty.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/registry.h"
#include "devices/serial_driver.h"
#include "devices/serial_link.h"
#include "tests/devices/fake_board.h"

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using test::FakeBoard;
using test::FakeOptions;
using testing::HasSubstr;

// Notes what a driver says, in order.
class Listener : public DriverEvents {
  public:
    void on_started(const DeviceInfo& info, uint8_t epoch, const std::string& reason) override {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            boot_id = info.boot_id;
            epoch_ = epoch;
            next_ = 0;
        }
        note("started " + reason);
    }
    void on_data(int, uint8_t epoch, uint32_t first, uint64_t, int64_t, uint16_t, bool,
                 std::vector<int32_t> counts) override {
        const std::lock_guard<std::mutex> lock(mutex_);
        samples += counts.size() / 2;
        if (epoch == epoch_) {
            if (first != next_) ++gaps;
            next_ = first + uint32_t(counts.size() / 2);
        }
    }
    void on_prediction(const wire::Prediction&, int64_t) override {}
    void on_health(const wire::Health&, int64_t) override {}
    void on_marker(const wire::Marker&, int64_t) override {}
    void on_clock(const ClockObservation& o) override {
        EXPECT_LE(o.sent_ns, o.received_ns);
        ++pings;
    }
    void on_link(LinkEventKind kind, uint64_t, const std::string& text, int64_t) override {
        static const char* const names[] = {"",         "connected", "lost",    "reconnected", "damaged",
                                            "rebooted", "overrun",   "refused", "note"};
        note(std::string(names[int(kind)]) + " " + text);
    }
    void on_stopped(const std::vector<wire::StreamHealth>& sent, const std::string& reason,
                    int64_t) override {
        note("stopped " + reason);
        const std::lock_guard<std::mutex> lock(mutex_);
        stated = sent;
    }
    // Waits until a note contains `text`.
    bool wait(const std::string& text, std::chrono::milliseconds time = 8s) {
        std::unique_lock<std::mutex> lock(mutex_);
        return changed_.wait_for(lock, time, [&] { return log_.find(text) != std::string::npos; });
    }
    std::string log() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return log_;
    }
    std::atomic<uint64_t> samples{0};
    std::atomic<int> gaps{0};
    std::atomic<int> pings{0};
    std::atomic<uint64_t> boot_id{0};
    std::vector<wire::StreamHealth> stated;

  private:
    void note(const std::string& text) {
        const std::lock_guard<std::mutex> lock(mutex_);
        log_ += text + "\n";
        changed_.notify_all();
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string log_;
    uint8_t epoch_ = 0;
    uint32_t next_ = 0;
};

class LockstepDriverTest : public testing::Test {
  protected:
    ~LockstepDriverTest() override {
        driver.reset();
        board.reset();
    }
    Result<DeviceInfo> connect() {
        board = std::make_unique<FakeBoard>(options);
        LockstepOptions link;
        link.uri = "loop:0";
        link.speed = options.speed;
        link.open_link = [this]() -> Result<std::unique_ptr<ByteLink>> {
            if (unplugged) return fail(ErrorKind::device, "there is no such port", "loop:0");
            int ends[2];
            if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0)
                return fail(ErrorKind::system, "no socket");
            board->attach(ends[0]);
            return std::make_unique<test::OpenLink>(ends[1]);
        };
        driver = std::make_unique<LockstepDriver>(std::move(link));
        return driver->open(&listener);
    }
    FakeOptions options;
    std::unique_ptr<FakeBoard> board;
    std::unique_ptr<LockstepDriver> driver;
    Listener listener;
    std::atomic<bool> unplugged{false};
};

TEST_F(LockstepDriverTest, reads_the_description_streams_and_stops_with_the_final_count) {
    options.streams = {{"eeg", "eeg", SampleType::int24, 250, 9, {"a", "b"}, "uV"}};
    const auto info = connect();
    ASSERT_TRUE(info) << info.error().message();
    EXPECT_EQ(info->board, "fake");
    ASSERT_EQ(info->streams.size(), 1u);
    EXPECT_EQ(info->streams[0].channels[1].name, "b");
    EXPECT_EQ(info->streams[0].rate(), 250);
    ASSERT_TRUE(driver->start());
    std::this_thread::sleep_for(700ms);
    ASSERT_TRUE(driver->stop());
    EXPECT_THAT(listener.log(), HasSubstr("stopped stop"));
    ASSERT_EQ(listener.stated.size(), 1u);
    EXPECT_EQ(listener.samples, listener.stated[0].produced);
    EXPECT_EQ(listener.gaps, 0);
    EXPECT_GE(listener.pings, 4);
    EXPECT_GT(driver->statistics().frames, 0u);
    EXPECT_EQ(driver->statistics().damaged, 0u);
}

TEST_F(LockstepDriverTest, many_channels_come_in_pages) {
    options.streams[0].channels.clear();
    for (int i = 0; i < 100; ++i)
        options.streams[0].channels.push_back("ch" + std::to_string(i));
    const auto info = connect();
    ASSERT_TRUE(info) << info.error().message();
    ASSERT_EQ(info->streams[0].channels.size(), 100u);
    EXPECT_EQ(info->streams[0].channels[99].name, "ch99");
}

TEST_F(LockstepDriverTest, a_newer_protocol_is_refused_with_both_versions) {
    options.major = 2;
    const auto info = connect();
    ASSERT_FALSE(info);
    EXPECT_EQ(info.error().kind, ErrorKind::device);
    EXPECT_THAT(info.error().message(), HasSubstr("2.0"));
    EXPECT_THAT(info.error().message(), HasSubstr("1.0"));
}

TEST_F(LockstepDriverTest, another_protocol_on_the_line_is_said_so) {
    options.answers = false;
    options.babble = true;
    const auto info = connect();
    ASSERT_FALSE(info);
    EXPECT_THAT(info.error().what, HasSubstr("another protocol"));
}

TEST_F(LockstepDriverTest, a_silent_device_is_said_so) {
    options.answers = false;
    const auto info = connect();
    ASSERT_FALSE(info);
    EXPECT_THAT(info.error().what, HasSubstr("no answer"));
}

TEST_F(LockstepDriverTest, hostile_descriptions_are_refused_with_a_reason) {
    const std::vector<std::pair<std::function<void(wire::StreamDescription*)>, const char*>> lies = {
        {[](wire::StreamDescription* d) { d->rate_num = 0; }, "malformed"},
        {[](wire::StreamDescription* d) { d->rate_num = 2000000000; }, "malformed"},
        {[](wire::StreamDescription* d) { d->channels = 60000; }, "malformed"},
        {[](wire::StreamDescription* d) { d->channels = 0; }, "malformed"},
        {[](wire::StreamDescription* d) { d->type = SampleType(9); }, "malformed"},
        {[](wire::StreamDescription* d) { std::string("../etc").copy(d->name, 8); }, "name"},
    };
    for (const auto& [lie, reason] : lies) {
        options.lie = lie;
        const auto info = connect();
        ASSERT_FALSE(info) << reason;
        EXPECT_THAT(info.error().message(), HasSubstr(reason));
        driver.reset();
    }
    options.lie = nullptr;
    options.streams = {{}, {}};  // two of one name
    const auto info = connect();
    ASSERT_FALSE(info);
    EXPECT_THAT(info.error().message(), HasSubstr("two streams"));
}

TEST_F(LockstepDriverTest, a_reboot_is_seen_by_its_boot_id_and_streaming_goes_on) {
    ASSERT_TRUE(connect());
    ASSERT_TRUE(driver->start());
    std::this_thread::sleep_for(200ms);
    const uint64_t before = listener.boot_id;
    board->reboot();
    ASSERT_TRUE(listener.wait("started reboot")) << listener.log();
    EXPECT_NE(listener.boot_id, before);
    EXPECT_THAT(listener.log(), HasSubstr("rebooted"));
    const uint64_t samples = listener.samples;
    std::this_thread::sleep_for(300ms);
    EXPECT_GT(listener.samples, samples);
    EXPECT_EQ(listener.gaps, 0);
}

TEST_F(LockstepDriverTest, an_epoch_begun_by_somebody_else_ends_in_a_new_segment) {
    ASSERT_TRUE(connect());
    ASSERT_TRUE(driver->start());
    std::this_thread::sleep_for(200ms);
    board->restart_epoch();
    ASSERT_TRUE(listener.wait("started restarted")) << listener.log();
}

TEST_F(LockstepDriverTest, a_vanished_port_is_told_within_a_second_and_found_again) {
    ASSERT_TRUE(connect());
    ASSERT_TRUE(driver->start());
    std::this_thread::sleep_for(200ms);
    unplugged = true;
    board->detach();
    ASSERT_TRUE(listener.wait("lost", 1s)) << listener.log();
    std::this_thread::sleep_for(300ms);
    unplugged = false;
    ASSERT_TRUE(listener.wait("reconnected", 4s)) << listener.log();
    const uint64_t samples = listener.samples;
    std::this_thread::sleep_for(300ms);
    EXPECT_GT(listener.samples, samples);
    EXPECT_EQ(board->starts(), 1) << "the same epoch went on; the gap is the ledger's";
    ASSERT_TRUE(driver->stop());
}

TEST_F(LockstepDriverTest, stopping_while_the_port_is_gone_ends_the_segment) {
    ASSERT_TRUE(connect());
    ASSERT_TRUE(driver->start());
    unplugged = true;
    board->detach();
    ASSERT_TRUE(listener.wait("lost", 2s));
    (void)driver->stop();
    EXPECT_THAT(listener.log(), HasSubstr("stopped link lost"));
}

TEST_F(LockstepDriverTest, a_flood_is_few_events_and_no_crash) {
    ASSERT_TRUE(connect());
    ASSERT_TRUE(driver->start());
    board->flood(20000);
    std::this_thread::sleep_for(500ms);
    ASSERT_TRUE(driver->stop());
    const std::string log = listener.log();
    EXPECT_LT(std::count(log.begin(), log.end(), '\n'), 30) << log;
}

TEST_F(LockstepDriverTest, damaged_frames_are_told_once_a_second) {
    options.damage = [](uint64_t frame, std::vector<uint8_t>* bytes) {
        if (frame % 3 == 1) (*bytes)[4] ^= 0x40;
    };
    ASSERT_TRUE(connect());
    ASSERT_TRUE(driver->start());
    std::this_thread::sleep_for(600ms);
    ASSERT_TRUE(driver->stop());
    EXPECT_THAT(listener.log(), HasSubstr("damaged"));
    EXPECT_GT(driver->statistics().damaged, 5u);
    EXPECT_GT(driver->statistics().lost_frames, 5u);
}

// ---- on a pseudo terminal ------------------------------------------------------------------------

struct Pty {
    Pty() {
        char name[128];
        EXPECT_EQ(::openpty(&master, &slave, name, nullptr, nullptr), 0);
        path = name;
        ::fcntl(master, F_SETFL, O_NONBLOCK);
    }
    // Open all along: a master without a slave reads as hung up.
    ~Pty() { ::close(slave); }
    Pty(const Pty&) = delete;
    Pty& operator=(const Pty&) = delete;
    int master = -1;
    int slave = -1;
    std::string path;
};

TEST(SerialPort, a_second_program_gets_a_clear_error) {
    Pty pty;
    SerialLink first(pty.path, 115200);
    ASSERT_TRUE(first.open());
    SerialLink second(pty.path, 115200);
    const Status status = second.open();
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().message(), HasSubstr("another program"));
    ::close(pty.master);
}

TEST(SerialPort, bad_names_and_rates_are_refused_in_words) {
    Pty pty;
    SerialLink rate(pty.path, 12345);
    EXPECT_THAT(rate.open().error().message(), HasSubstr("12345"));
    SerialLink none("/dev/ttyNOTHING", 115200);
    EXPECT_THAT(none.open().error().message(), HasSubstr("no such port"));
    SerialLink file("/dev/null", 115200);
    EXPECT_THAT(file.open().error().message(), HasSubstr("no serial port"));
    ::close(pty.master);
}

TEST(SerialPort, bytes_pass_unchanged) {
    Pty pty;
    SerialLink link(pty.path, 921600);
    ASSERT_TRUE(link.open());
    uint8_t all[256];
    for (int i = 0; i < 256; ++i)
        all[i] = uint8_t(i);
    ASSERT_EQ(::write(pty.master, all, sizeof all), ssize_t(sizeof all));
    std::vector<uint8_t> got;
    uint8_t part[512];
    for (int i = 0; i < 100 && got.size() < sizeof all; ++i) {
        const auto n = link.read(part, sizeof part, 100);
        ASSERT_TRUE(n);
        got.insert(got.end(), part, part + *n);
    }
    EXPECT_EQ(got, std::vector<uint8_t>(all, all + sizeof all));
    ::close(pty.master);
    const auto gone = [&] {
        for (int i = 0; i < 100; ++i)
            if (!link.read(part, sizeof part, 10)) return true;
        return false;
    };
    EXPECT_TRUE(gone()) << "a hang-up is an error, not silence";
}

TEST(SerialPort, a_board_that_returns_under_another_name_is_found_through_its_link) {
    char folder[] = "/tmp/lockstep-test-XXXXXX";
    ASSERT_NE(::mkdtemp(folder), nullptr);
    const std::string name = std::string(folder) + "/board";
    FakeBoard board({});
    Pty first;
    ASSERT_EQ(::symlink(first.path.c_str(), name.c_str()), 0);
    board.attach(first.master);
    const auto driver = make_serial_driver("serial:" + name, name, 115200, 20);
    Listener listener;
    const auto info = driver->open(&listener);
    ASSERT_TRUE(info) << info.error().message();
    ASSERT_TRUE(driver->start());
    std::this_thread::sleep_for(200ms);
    board.detach();  // hangs up
    ASSERT_TRUE(listener.wait("lost", 2s)) << listener.log();
    Pty second;
    ::unlink(name.c_str());
    ASSERT_EQ(::symlink(second.path.c_str(), name.c_str()), 0);
    board.attach(second.master);
    EXPECT_TRUE(listener.wait("reconnected", 5s)) << listener.log();
    EXPECT_TRUE(driver->stop());
    driver->close();
    board.detach();
    ::unlink(name.c_str());
    ::rmdir(folder);
}

}  // namespace
}  // namespace lockstep
