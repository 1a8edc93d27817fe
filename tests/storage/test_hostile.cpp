// Session files, journals and waiting label edits that are cut off at any byte or changed at random: an
// error that blames the file, or a session; never a crash. LOCKSTEP_MUTANTS: changed copies, 10000 for the
// long form.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "fixture.h"
#include "storage/journal.h"
#include "storage/label_editor.h"

namespace lockstep::storage {
namespace {

namespace fs = std::filesystem;

class Hostile : public Storage {
  protected:
    void SetUp() override {
        Storage::SetUp();
        const char* count = std::getenv("LOCKSTEP_MUTANTS");
        mutants_ = count != nullptr ? std::atoi(count) : 80;
    }
    size_t random(size_t n) {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return size_t((state_ >> 33) % n);
    }
    std::string mutant(const std::string& bytes) {
        std::string changed = bytes;
        for (size_t k = 0, n = 1 + random(6); k < n; ++k) {
            const size_t at = random(changed.size());
            switch (random(3)) {
                case 0:
                    changed[at] = char(changed[at] ^ (1 << random(8)));
                    break;
                case 1:
                    changed[at] = char(random(2) != 0 ? 0xFF : 0);
                    break;
                default:
                    changed[at] = char(random(256));
            }
        }
        return changed;
    }
    // Everything that a reader can be asked for.
    bool read_whole(const std::string& path) {
        auto session = open_session_here(path);
        if (!session) {
            EXPECT_EQ(session.error().kind, ErrorKind::usage) << session.error().message();
            EXPECT_FALSE(session.error().what.empty());
            return false;
        }
        uint64_t rows = 0;
        auto replayed_all = (*session)->replay([&](const Event& event) {
            if (const auto* block = std::get_if<std::shared_ptr<const Block>>(&event))
                rows += (*block)->count;
            return true;
        });
        for (size_t i = 0; i < (*session)->streams().size(); ++i) {
            const SessionStream& s = (*session)->streams()[i];
            for (const uint32_t level : (*session)->overview_levels()) {
                const uint64_t bins = (s.rows + level - 1) / level;
                std::vector<MinMax> out(size_t(bins) * s.info.channels.size());
                (void)(*session)->read_overview(int(i), level, 0, bins, out.data());
            }
        }
        (void)verify(path);
        return bool(replayed_all);
    }
    enum class Outcome { read, refused, crashed };
    // read_whole() in a process of its own, its last words in crash.txt.
    Outcome read_whole_apart(const std::string& path) {
        constexpr int kRead = 40, kRefused = 41, kWrong = 42;
        const std::string words = at("crash.txt");
        const pid_t child = ::fork();
        if (child == 0) {
            const int log = ::open(words.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
            ::dup2(log, STDERR_FILENO);
            const bool read = read_whole(path);
            ::_exit(HasFailure() ? kWrong : read ? kRead : kRefused);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
        EXPECT_NE(code, kWrong) << content(words);
        return code == kRead ? Outcome::read : code == kRefused ? Outcome::refused : Outcome::crashed;
    }
    int mutants_ = 0;
    uint64_t state_ = 99;
};

TEST_F(Hostile, ASessionCutAtAnyByteIsRefused) {
    const std::string all = content(record("a.h5", synthetic::events(1, 3)));
    put(at("cut.h5"), all);
    ASSERT_TRUE(read_whole(at("cut.h5")));
    for (size_t n = all.size(); n-- > 0 && !HasFailure();) {
        fs::resize_file(at("cut.h5"), n);
        ASSERT_FALSE(open_session_here(at("cut.h5"))) << n;
    }
}

TEST_F(Hostile, MutantsOfASessionNeverCrashTheReader) {
    const std::string all = content(record("a.h5", synthetic::events(1, 4)));
    int opened = 0;
    for (int i = 0; i < mutants_ && !HasFailure(); ++i) {
        put(at("mutant.h5"), mutant(all));
        switch (read_whole_apart(at("mutant.h5"))) {
            case Outcome::read:
                ++opened;
                break;
            case Outcome::refused:
                break;
            case Outcome::crashed:
                // HDF5 itself has faults; they stay in the child that looks first. A sanitizer tells whose it
                // is.
                const std::string words = content(at("crash.txt"));
                if (!words.empty()) {
                    EXPECT_NE(words.substr(0, words.find("\n\n")).find("libhdf5"), std::string::npos)
                        << words;
                }
                EXPECT_FALSE(open_session(at("mutant.h5")));
        }
    }
    EXPECT_LT(opened, mutants_);
}

// The same through the door that everybody uses: the child looks first.
TEST_F(Hostile, MutantsAreOpenedInAChildFirst) {
    const std::string all = content(record("a.h5", synthetic::events(1, 5)));
    for (int i = 0; i < mutants_ / 8 && !HasFailure(); ++i) {
        put(at("mutant.h5"), mutant(all));
        if (auto session = open_session(at("mutant.h5")); !session) {
            EXPECT_EQ(session.error().kind, ErrorKind::usage) << session.error().message();
        }
    }
}

TEST_F(Hostile, MutantsOfAJournalGiveASessionThatVerifies) {
    {
        auto writer = create_session(synthetic::options(at("a.h5")));
        ASSERT_TRUE(writer);
        for (const Event& event : synthetic::events(1, 6))
            (*writer)->append(event);
    }
    const std::string all = content(at("a.h5.journal"));
    for (int i = 0; i < mutants_ / 8 && !HasFailure(); ++i) {
        put(at("m.h5.journal"), mutant(all));
        auto made = build_from_journal(at("m.h5.journal"), at("m.h5"), "recovered");
        if (made) {
            auto problems = verify(at("m.h5"), Depth::storage);
            ASSERT_TRUE(problems) << problems.error().message();
            EXPECT_TRUE(problems->empty()) << problems->front();
        } else {
            EXPECT_FALSE(made.error().what.empty());
        }
        fs::remove(at("m.h5"));
    }
}

TEST_F(Hostile, WaitingLabelEditsThatAreDamagedDoNotHideTheSession) {
    const std::string path = record("a.h5", synthetic::events(1, 7));
    auto journal = JournalWriter::create(edits_path(path));
    ASSERT_TRUE(journal);
    LabelEdit edit;
    edit.after.id = 1000;
    edit.after.label_class = "late";
    edit.revision = 1000;
    (*journal)->add(edit);
    ASSERT_TRUE((*journal)->flush());
    const std::string all = content(edits_path(path));
    for (size_t n = 0; n < all.size() && !HasFailure(); ++n) {
        put(edits_path(path), all.substr(0, n));
        auto session = open_session_here(path);
        ASSERT_TRUE(session) << n << ": " << session.error().message();
        ASSERT_TRUE((*session)->label_history()) << n;
    }
}

}  // namespace
}  // namespace lockstep::storage
