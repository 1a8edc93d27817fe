// Recordings of every format become sessions that verify, with the streams, rates and labels that they really
// have. Every recording of the shared data set, sample by sample: every_recording.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "storage/formats/formats.h"
#include "storage/formats/samples.h"
#include "storage/reader.h"
#include "storage/repair.h"

namespace lockstep::storage {
namespace {

namespace fs = std::filesystem;

class Import : public testing::Test {
  protected:
    void SetUp() override {
        const char* folder = std::getenv("LOCKSTEP_DATA");
        data = folder != nullptr ? folder : "";
        work = fs::temp_directory_path() / ("lockstep_import_" + std::to_string(getpid()));
        fs::create_directories(work);
    }
    void TearDown() override { fs::remove_all(work); }

    std::unique_ptr<SessionReader> import(const std::string& source,
                                          std::map<std::string, std::string> values = {},
                                          bool absolute = false) {
        const std::string path = (work / (std::to_string(made++) + ".h5")).string();
        ImportOptions options;
        options.values = std::move(values);
        options.subject = "P01";
        const auto notes = import_session(absolute ? source : data + "/" + source, path, options);
        EXPECT_TRUE(notes) << source << ": " << (notes ? "" : notes.error().message());
        if (!notes) return nullptr;
        last_notes = *notes;
        const auto wrong = verify(path);
        EXPECT_TRUE(wrong) << source << ": " << (wrong ? "" : wrong.error().message());
        if (wrong) {
            EXPECT_THAT(*wrong, testing::IsEmpty()) << source;
        }
        auto session = open_session(path);
        EXPECT_TRUE(session) << source << ": " << (session ? "" : session.error().message());
        last_path = path;
        return session ? std::move(*session) : nullptr;
    }
    float value(SessionReader& session, int stream, uint64_t row, size_t channel) {
        const StreamInfo& info = session.streams()[size_t(stream)].info;
        std::vector<int32_t> counts(info.channels.size());
        EXPECT_TRUE(session.read(stream, row, 1, counts.data()));
        return physical(info, channel, counts[channel]);
    }

    std::string data;
    fs::path work;
    int made = 0;
    std::string last_path;
    std::vector<std::string> last_notes;
};

TEST_F(Import, EdfOfMentalArithmetic) {
    auto session = import("eeg_mental_arithmetic/S02_rest.edf");
    ASSERT_TRUE(session);
    ASSERT_EQ(session->streams().size(), 1u);
    const SessionStream& eeg = session->streams()[0];
    EXPECT_EQ(eeg.info.kind, "eeg");
    EXPECT_EQ(eeg.info.channels.size(), 8u);
    EXPECT_EQ(eeg.info.channels[0].unit, "uV");
    EXPECT_EQ(eeg.info.rate(), 250);
    EXPECT_EQ(eeg.rows, 22500u);
    EXPECT_NEAR(session->duration(), 90, 0.01);
    EXPECT_EQ(session->header().subject, "P01");
}

TEST_F(Import, OtherEdfAndBdf) {
    auto bdf = import("formats/test_generator.bdf");
    ASSERT_TRUE(bdf);
    EXPECT_EQ(bdf->streams()[0].info.type, SampleType::int24);
    EXPECT_EQ(bdf->streams()[0].rows, 30000u);
    auto psg = import("formats/short_psg.edf");
    ASSERT_TRUE(psg);
    size_t channels = 0;
    for (const SessionStream& stream : psg->streams())
        channels += stream.info.channels.size();
    EXPECT_EQ(channels, 7u);
    EXPECT_NEAR(psg->duration(), 300, 1.1);
    auto original = import("eeg_mental_arithmetic/original_format/Subject02_2.edf");
    ASSERT_TRUE(original);
    EXPECT_EQ(original->streams()[0].info.rate(), 500);
}

TEST_F(Import, SleepStagesWithoutSignals) {
    auto session = import("formats/SC4001EC-Hypnogram.edf");
    ASSERT_TRUE(session);
    const auto labels = current_labels(*session);
    ASSERT_TRUE(labels);
    EXPECT_EQ(labels->labels.size(), 154u);
    EXPECT_EQ(labels->labels[0].label_class, "Sleep stage W");
    EXPECT_EQ(labels->labels[0].stop, 30630);
}

TEST_F(Import, OpenBci) {
    auto session = import("eeg_openbci/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt",
                          {{"labels", data + "/eeg_openbci/labels.csv"}});
    ASSERT_TRUE(session);
    ASSERT_EQ(session->streams().size(), 2u);
    EXPECT_EQ(session->streams()[0].info.channels.size(), 8u);
    EXPECT_EQ(session->streams()[0].info.rate(), 250);
    EXPECT_TRUE(session->streams()[0].gaps.empty());
    EXPECT_EQ(value(*session, 0, 0, 0), 61379.36f);
    EXPECT_EQ(value(*session, 1, 0, 1), 0.42f);
    EXPECT_EQ(session->header().start_utc_ns / 1000000, 1557936053329);
    const auto labels = current_labels(*session);
    ASSERT_TRUE(labels);
    EXPECT_GE(labels->labels.size(), 10u);
}

TEST_F(Import, EmpaticaFolder) {
    auto session = import("wrist_e4_stress/S05", {{"labels", data + "/wrist_e4_stress/labels.csv"}});
    ASSERT_TRUE(session);
    std::vector<std::string> names;
    for (const SessionStream& stream : session->streams())
        names.push_back(stream.info.name);
    EXPECT_THAT(names, testing::ElementsAre("eda", "bvp", "acc", "temp", "hr"));
    EXPECT_EQ(session->streams()[1].info.rate(), 64);
    EXPECT_EQ(value(*session, 2, 0, 2), 63.0f / 64);
    const auto labels = current_labels(*session);
    ASSERT_TRUE(labels);
    size_t beats = 0, tags = 0, stress = 0;
    for (const Label& label : labels->labels) {
        beats += label.label_class == "beat";
        tags += label.label_class == "tag";
        stress += label.label_class.rfind("stress_", 0) == 0;
        if (label.label_class == "stress_stroop") {
            EXPECT_EQ(label.start, 674);
        }
    }
    EXPECT_GT(beats, 500u);
    EXPECT_EQ(tags, 7u);
    EXPECT_EQ(stress, 3u);
    for (const char* other : {"S06", "S17", "S21"})
        EXPECT_TRUE(import(std::string("wrist_e4_stress/") + other)) << other;
}

TEST_F(Import, EmotiBit) {
    auto session = import("multimodal_emotibit/2025-06-27_09-56-59-929206.csv");
    ASSERT_TRUE(session);
    for (const SessionStream& stream : session->streams()) {
        if (stream.info.name == "ppg") {
            EXPECT_EQ(stream.info.rate(), 25);
            EXPECT_EQ(stream.info.channels.size(), 3u);
            EXPECT_NEAR(double(stream.rows), 73 * 25, 60);
        }
        if (stream.info.name == "eda") {
            EXPECT_EQ(stream.info.channels[0].unit, "uS");
        }
    }
    EXPECT_NEAR(session->duration(), 73, 3);
    EXPECT_EQ(value(*session, 0, 0, 0), 145606);
    const auto labels = current_labels(*session);
    ASSERT_TRUE(labels);
    size_t beats = 0;
    for (const Label& label : labels->labels)
        beats += label.label_class == "beat";
    EXPECT_GE(beats, 70u);
}

TEST_F(Import, CsvWithDescription) {
    const fs::path description = work / "hapt.json";
    std::ofstream(description) << R"({"rate": 50, "streams": [
        {"name": "acc", "kind": "imu", "unit": "g", "scale": 0.001388888888888889, "columns": ["acc_x", "acc_y", "acc_z"]},
        {"name": "gyro", "kind": "imu", "unit": "rad/s", "scale": 0.00030543261909900763, "columns": ["gyro_x", "gyro_y", "gyro_z"]}]})";
    auto session = import("imu_hapt/exp01_user01.csv",
                          {{"description", description.string()}, {"labels", data + "/imu_hapt/labels.csv"}});
    ASSERT_TRUE(session);
    ASSERT_EQ(session->streams().size(), 2u);
    EXPECT_EQ(session->streams()[0].info.type, SampleType::int16);
    EXPECT_NEAR(value(*session, 0, 0, 0), 661 / 720.0, 1e-6);
    const auto labels = current_labels(*session);
    ASSERT_TRUE(labels);
    EXPECT_EQ(labels->labels[0].label_class, "STANDING");
    EXPECT_EQ(labels->labels[0].start, 4.98);
}

TEST_F(Import, CsvWithTimesAndLabels) {
    auto session = import("imu_phone_watch/s01_01_sp.csv");
    ASSERT_TRUE(session);
    EXPECT_NEAR(session->streams()[0].info.rate(), 103, 3);
    EXPECT_EQ(session->header().start_utc_ns / 1000000, 1657533977813);
    const auto labels = current_labels(*session);
    ASSERT_TRUE(labels);
    EXPECT_EQ(labels->labels.front().label_class, "SEATED");
    EXPECT_EQ(labels->labels.back().label_class, "SEATED");
}

TEST_F(Import, Xdf) {
    auto minimal = import("formats/minimal.xdf");
    ASSERT_TRUE(minimal);
    EXPECT_EQ(minimal->streams()[0].info.type, SampleType::int16);
    EXPECT_EQ(minimal->streams()[0].info.channels.size(), 3u);
    EXPECT_EQ(minimal->streams()[0].rows, 9u);
    auto labels = current_labels(*minimal);
    ASSERT_TRUE(labels);
    EXPECT_EQ(labels->labels.size(), 9u);
    auto resets = import("formats/clock_resets.xdf");
    ASSERT_TRUE(resets);
    EXPECT_EQ(resets->streams()[0].info.channels.size(), 8u);
    labels = current_labels(*resets);
    ASSERT_TRUE(labels);
    EXPECT_EQ(labels->labels.size(), 175u);
}

TEST_F(Import, OtherTables) {
    auto neurokit = import("bio_neurokit/bio_eventrelated_100hz.csv", {{"rate", "100"}});
    ASSERT_TRUE(neurokit);
    EXPECT_EQ(neurokit->streams()[0].info.channels.size(), 4u);
    EXPECT_FLOAT_EQ(value(*neurokit, 0, 0, 1), 13.196867709f);
    auto resting = import("bio_neurokit/bio_resting_5min_100hz.csv", {{"rate", "100"}});
    ASSERT_TRUE(resting);
    EXPECT_EQ(resting->streams()[0].rows, 30000u);
    auto ppg = import("ppg_heartpy/data.csv", {{"rate", "100"}});
    ASSERT_TRUE(ppg);
    EXPECT_EQ(value(*ppg, 0, 0, 0), 530);
    auto timed = import("ppg_heartpy/data2.csv");
    ASSERT_TRUE(timed);
    EXPECT_NEAR(timed->streams()[0].info.rate(), 116.99, 0.05);
    auto arff =
        import("eeg_eye_state/EEG_Eye_State.arff", {{"rate", "128"}, {"kind", "eeg"}, {"unit", "uV"}});
    ASSERT_TRUE(arff);
    EXPECT_EQ(arff->streams()[0].info.channels.size(), 14u);
    EXPECT_EQ(arff->streams()[0].rows, 14980u);
    const auto labels = current_labels(*arff);
    ASSERT_TRUE(labels);
    EXPECT_EQ(labels->labels.size(), 24u);  // 23 changes
}

TEST_F(Import, ARateThatNobodyKnowsIsAskedFor) {
    ImportOptions options;
    const auto result = import_session(data + "/ppg_heartpy/data.csv", (work / "x.h5").string(), options);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::usage);
    EXPECT_THAT(result.error().message(), testing::HasSubstr("rate"));
    EXPECT_TRUE(fs::is_empty(work));
}

}  // namespace
}  // namespace lockstep::storage
