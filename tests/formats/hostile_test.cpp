// Sources that are cut off at any byte, or changed at random, give a session or one clear error that
// blames the source - never a crash, and never a file left behind. LOCKSTEP_MUTANTS: changed copies per
// source, 10000 for the long form.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "storage/formats/formats.h"
#include "storage/labels/label_files.h"

namespace lockstep::storage {
namespace {

namespace fs = std::filesystem;

// Checks what it is fed and keeps nothing.
class Checker : public SessionWriter {
  public:
    void append(Event event) override {
        if (const auto* block = std::get_if<std::shared_ptr<const Block>>(&event)) {
            const Block& b = **block;
            ASSERT_EQ(b.counts.size(), size_t(b.count) * b.channels);
            ASSERT_GT(b.count, 0u);
        }
        if (const auto* edit = std::get_if<LabelEdit>(&event)) {
            ASSERT_GE(edit->after.stop, edit->after.start);
        }
    }
    std::optional<Error> take_error() override { return {}; }
    WriterStatistics statistics() const override { return {}; }
    Result<std::string> finish() override { return std::string(); }
};

Result<std::unique_ptr<SessionWriter>> check(const WriterOptions&) {
    return std::unique_ptr<SessionWriter>(new Checker);
}

class Hostile : public testing::Test {
  protected:
    void SetUp() override {
        const char* folder_of_data = std::getenv("LOCKSTEP_DATA");
        ASSERT_NE(folder_of_data, nullptr);
        data_ = folder_of_data;
        const char* count = std::getenv("LOCKSTEP_MUTANTS");
        mutants_ = count != nullptr ? std::atoi(count) : 300;
        char name[] = "/tmp/lockstep_hostile_XXXXXX";
        folder_ = mkdtemp(name);
    }
    void TearDown() override { fs::remove_all(folder_); }

    std::string bytes_of(const std::string& name, size_t limit = 1u << 20) {
        std::ifstream file(data_ + "/" + name, std::ios::binary);
        std::string bytes(limit, 0);
        file.read(bytes.data(), std::streamsize(limit));
        bytes.resize(size_t(file.gcount()));
        EXPECT_GT(bytes.size(), 100u) << name;
        return bytes;
    }
    void put(const fs::path& path, const std::string& bytes) {
        std::ofstream(path, std::ios::binary | std::ios::trunc)
            .write(bytes.data(), std::streamsize(bytes.size()));
    }
    // Was it taken? A refusal says why and is the source's fault, not the system's.
    bool import(const fs::path& source, const ImportOptions& options = {}) {
        const fs::path out = folder_ / "out.h5";
        const auto result = import_session(source.string(), out.string(), options, check);
        EXPECT_FALSE(fs::exists(out));
        if (result) return true;
        EXPECT_FALSE(result.error().what.empty());
        EXPECT_EQ(result.error().kind, ErrorKind::usage) << result.error().message();
        return false;
    }
    bool import(const std::string& bytes, const std::string& suffix) {
        const fs::path path = folder_ / ("x" + suffix);
        put(path, bytes);
        ImportOptions options;
        if (suffix == ".csv") options.values["rate"] = "50";
        if (suffix == ".log") options.format = "emotibit";
        return import(path, options);
    }
    // Bytes overwritten, doubled or cut out: the same ones in every run.
    std::string mutant(const std::string& bytes) {
        std::string changed = bytes;
        for (size_t k = 0, n = 1 + random(4); k < n; ++k) {
            // Headers are where the lengths are.
            const size_t at = random(random(2) != 0 ? std::min(changed.size(), size_t(512)) : changed.size());
            switch (random(4)) {
                case 0:
                    changed.erase(at, 1 + random(8));
                    break;
                case 1:
                    changed.insert(at, changed.substr(random(changed.size()), 1 + random(8)));
                    break;
                case 2:
                    changed[at] = "09-+.eE,\n\t\0\xFF"[random(12)];
                    break;
                default:
                    changed[at] = char(random(256));
            }
            if (changed.size() < 16) return bytes;
        }
        return changed;
    }
    void attack(const std::string& bytes, const std::string& suffix) {
        ASSERT_TRUE(import(bytes, suffix)) << suffix;
        for (size_t n = 0; n < bytes.size() && !HasFailure(); ++n)
            import(bytes.substr(0, n), suffix);
        for (int i = 0; i < mutants_ && !HasFailure(); ++i)
            import(mutant(bytes), suffix);
    }
    size_t random(size_t n) {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return size_t((state_ >> 33) % n);
    }

    std::string data_;
    fs::path folder_;
    int mutants_ = 0;
    uint64_t state_ = 12345;
};

TEST_F(Hostile, Xdf) {
    attack(bytes_of("formats/minimal.xdf"), ".xdf");
}

// An EDF header, one record of two signals, written down here because real ones are large.
// `interrupted`: EDF+D or BDF+D, the second signal the list of annotations, the first a trigger channel.
std::string small_edf(bool bdf, bool interrupted = false) {
    const auto field = [](std::string text, size_t width) {
        text.resize(width, ' ');
        return text;
    };
    std::string all = (bdf ? std::string("\xFF"
                                         "BIOSEMI")
                           : field("0", 8)) +
                      field("P1 M 01-JAN-1990 X", 80) + field("Startdate 01-JAN-2024 X X X", 80) +
                      "01.01.24" + "10.00.00" + field("768", 8) +
                      field(interrupted ? (bdf ? "BDF+D" : "EDF+D")
                            : bdf       ? "24BIT"
                                        : "",
                            44) +
                      field("4", 8) + field("1", 8) + field("2", 4);
    all += field(interrupted ? "Status" : "EEG Fp1", 16);
    all += field(!interrupted ? "EEG Cz" : bdf ? "BDF Annotations" : "EDF Annotations", 16);
    const auto twice = [&](const std::string& text, size_t width) {
        all += field(text, width) + field(text, width);
    };
    twice("AgAgCl", 80);
    twice("uV", 8);
    twice("-1000", 8);
    twice("1000", 8);
    twice(bdf ? "-8388608" : "-32768", 8);
    twice(bdf ? "8388607" : "32767", 8);
    twice("", 80);
    twice("16", 8);
    twice("", 32);
    const int bytes = 16 * (bdf ? 3 : 2);
    for (int record = 0; record < 4; ++record) {
        for (int i = 0; i < bytes; ++i)
            all += char(interrupted ? (i / 9 + record) % 3 : (2 * record * bytes + i) * 7);
        if (!interrupted) {
            for (int i = 0; i < bytes; ++i)
                all += char(((2 * record + 1) * bytes + i) * 7);
            continue;
        }
        const std::string onset = "+" + std::to_string(2 * record);
        std::string list =
            onset + "\x14\x14" + std::string(1, 0) + onset + "\x15" + "1\x14" + "a@@Status\x14";
        list.resize(size_t(bytes), 0);
        all += list;
    }
    return all;
}

TEST_F(Hostile, Edf) {
    attack(small_edf(false), ".edf");
}

TEST_F(Hostile, Bdf) {
    attack(small_edf(true), ".bdf");
}

TEST_F(Hostile, InterruptedEdfWithTriggers) {
    attack(small_edf(false, true), ".edf");
    attack(small_edf(true, true), ".bdf");
}

TEST_F(Hostile, EdfAnnotations) {
    attack(bytes_of("formats/SC4001EC-Hypnogram.edf"), ".edf");
}

TEST_F(Hostile, OpenBci) {
    attack(bytes_of("eeg_openbci/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt", 2500), ".txt");
}

TEST_F(Hostile, EmotiBit) {
    attack(bytes_of("multimodal_emotibit/2025-06-27_09-56-59-929206.csv", 2500), ".log");
}

TEST_F(Hostile, Csv) {
    attack(bytes_of("imu_hapt/exp01_user01.csv", 600), ".csv");
}

TEST_F(Hostile, CsvWithUnitsAndDecimalCommas) {
    std::string table = "time;EMG;force\nms;mV;N\n";
    for (int i = 0; i < 12; ++i)
        table += std::to_string(i * 10) + ";" + std::to_string(i) + ",5;" + std::to_string(i) + "\n";
    attack(table, ".csv");
}

TEST_F(Hostile, CsvWithDates) {
    std::string table = "time,a,b\n";
    for (int i = 0; i < 12; ++i)
        table += "2024-05-01T10:00:0" + std::to_string(i / 10) + "." + std::to_string(i % 10) + "+02:00," +
                 std::to_string(i) + ",0.5\n";
    attack(table, ".csv");
}

TEST_F(Hostile, Arff) {
    const fs::path path = folder_ / "x.arff";
    const std::string bytes = bytes_of("eeg_eye_state/EEG_Eye_State.arff", 2000);
    ImportOptions options;
    options.values["rate"] = "128";
    put(path, bytes);
    ASSERT_TRUE(import(path, options));
    for (size_t n = 0; n < bytes.size() && !HasFailure(); ++n) {
        put(path, bytes.substr(0, n));
        import(path, options);
    }
    for (int i = 0; i < mutants_ && !HasFailure(); ++i) {
        put(path, mutant(bytes));
        import(path, options);
    }
}

TEST_F(Hostile, DescriptionOfATable) {
    put(folder_ / "x.csv", bytes_of("imu_hapt/exp01_user01.csv", 600));
    const std::string json = R"({"rate": 50, "streams": [{"name": "acc", "kind": "imu", "unit": "g",
        "scale": 0.00138888889, "columns": ["acc_x", "acc_y", "acc_z"]}]})";
    ImportOptions options;
    options.values["description"] = (folder_ / "d.json").string();
    const auto take = [&](const std::string& bytes) {
        put(folder_ / "d.json", bytes);
        return import(folder_ / "x.csv", options);
    };
    ASSERT_TRUE(take(json));
    for (size_t n = 0; n < json.size() && !HasFailure(); ++n)
        take(json.substr(0, n));
    for (int i = 0; i < mutants_ && !HasFailure(); ++i)
        take(mutant(json));
}

// Labels in every form, as `label import` reads them.
TEST_F(Hostile, LabelFiles) {
    LabelSet set;
    for (int i = 0; i < 4; ++i) {
        Label label;
        label.id = uint64_t(i) + 1;
        label.start = i;
        label.stop = i + 0.5;
        label.label_class = "class \"" + std::to_string(i) + "\", \xC2\xB5";
        label.note = "a, b\nc";
        set.labels.push_back(label);
        set.authors[label.id] = "ann";
    }
    set.classes.push_back({"blink", "#ff0000", '1', "Sensory-event"});
    for (const char* format : {"csv", "tsv", "audacity", "json", "edf"}) {
        const auto bytes = write_labels(format, set);
        ASSERT_TRUE(bytes) << format;
        const fs::path path = folder_ / "labels";
        const auto take = [&](const std::string& changed) {
            put(path, changed);
            std::vector<LabelClass> classes;
            const auto lines = read_labels(path.string(), format, &classes);
            if (!lines) {
                EXPECT_EQ(lines.error().kind, ErrorKind::usage) << lines.error().message();
                return size_t(0);
            }
            for (const LabelLine& line : *lines) {
                EXPECT_GE(line.label.stop, line.label.start);
                EXPECT_TRUE(std::isfinite(line.label.start));
            }
            return lines->size();
        };
        ASSERT_EQ(take(*bytes), set.labels.size()) << format;
        for (size_t n = 0; n < bytes->size() && !HasFailure(); ++n)
            take(bytes->substr(0, n));
        for (int i = 0; i < mutants_ && !HasFailure(); ++i)
            take(mutant(*bytes));
    }
}

// The table of labels that goes with a source.
TEST_F(Hostile, LabelsOfASource) {
    put(folder_ / "x.csv", bytes_of("imu_hapt/exp01_user01.csv", 600));
    const std::string labels = "file,start_s,end_s,label\nx.csv,0,0.1,walk\nx.csv,0.1,0.2,\"sit, still\"\n";
    ImportOptions options;
    options.values = {{"rate", "50"}, {"labels", (folder_ / "l.csv").string()}};
    const auto take = [&](const std::string& bytes) {
        put(folder_ / "l.csv", bytes);
        return import(folder_ / "x.csv", options);
    };
    ASSERT_TRUE(take(labels));
    for (size_t n = 0; n < labels.size() && !HasFailure(); ++n)
        take(labels.substr(0, n));
    for (int i = 0; i < mutants_ && !HasFailure(); ++i)
        take(mutant(labels));
}

// Each file of the folder in turn is the damaged one.
TEST_F(Hostile, EmpaticaFolder) {
    const fs::path folder = folder_ / "e4";
    fs::create_directory(folder);
    std::string source;
    for (const auto& entry : fs::recursive_directory_iterator(data_ + "/wrist_e4_stress"))
        if (entry.path().filename() == "EDA.csv") source = entry.path().parent_path().string();
    ASSERT_FALSE(source.empty());
    std::vector<std::pair<fs::path, std::string>> files;
    for (const auto& entry : fs::directory_iterator(source)) {
        std::ifstream file(entry.path(), std::ios::binary);
        std::string bytes(400, 0);
        file.read(bytes.data(), 400);
        bytes.resize(size_t(file.gcount()));
        files.emplace_back(folder / entry.path().filename(), bytes);
        put(files.back().first, bytes);
    }
    ASSERT_TRUE(import(folder));
    for (const auto& [path, bytes] : files) {
        for (size_t n = 0; n < bytes.size() && !HasFailure(); ++n) {
            put(path, bytes.substr(0, n));
            import(folder);
        }
        for (int i = 0; i < mutants_ / 4 && !HasFailure() && bytes.size() > 16; ++i) {
            put(path, mutant(bytes));
            import(folder);
        }
        put(path, bytes);
    }
}

}  // namespace
}  // namespace lockstep::storage
