// Session files, journals and waiting label edits that are cut off at any byte or changed at random: an
// error that blames the file in one line, or a session; never a crash, bounded memory, no file outside
// opened. LOCKSTEP_MUTANTS: changed copies, 10000 for the long form.
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "fixture.h"
#include "storage/h5.h"
#include "storage/journal.h"
#include "storage/label_editor.h"

namespace lockstep::storage {
namespace {

namespace fs = std::filesystem;

#if defined(__SANITIZE_ADDRESS__)
#define LOCKSTEP_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LOCKSTEP_ASAN 1
#endif
#endif
// What the reader of a small file may take; a sanitizer's own memory comes on top.
#if defined(LOCKSTEP_ASAN)
constexpr long kMostMemory = 2048;
#else
constexpr long kMostMemory = 256;
#endif

void expect_clear(const Error& error) {
    EXPECT_FALSE(error.what.empty());
    EXPECT_EQ(error.message().find('\n'), std::string::npos) << error.message();
}

// A file that nobody may open: tells whether one did, in whatever process.
class Outside {
  public:
    explicit Outside(const std::string& path) : events_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
        EXPECT_GE(::inotify_add_watch(events_, path.c_str(), IN_OPEN | IN_ACCESS), 0);
    }
    ~Outside() { ::close(events_); }
    Outside(const Outside&) = delete;
    Outside& operator=(const Outside&) = delete;
    bool was_opened() const {
        alignas(inotify_event) char event[4096];
        return ::read(events_, event, sizeof event) > 0;
    }

  private:
    int events_;
};

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
            expect_clear(session.error());
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
        rusage used{};
        ::wait4(child, &status, 0, &used);
        EXPECT_LT(used.ru_maxrss >> 10, kMostMemory)
            << "MB for a file of " << fs::file_size(path) << " bytes";
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
            expect_clear(session.error());
        }
    }
}

TEST_F(Hostile, NothingOutsideIsOpenedNotEvenByMutants) {
    const std::string session = content(record("a.h5", synthetic::events(1, 8)));
    const std::string other = record("outside.h5", synthetic::events(1, 9));
    const std::vector<std::pair<std::string, std::function<void(hid_t)>>> links = {
        {"external link",
         [&](hid_t file) {
             ASSERT_GE(
                 H5Lcreate_external(other.c_str(), "/", file, "general/other", H5P_DEFAULT, H5P_DEFAULT), 0);
         }},
        {"external storage",
         [&](hid_t file) {
             const hsize_t size = 1000;
             const h5::Id space(H5Screate_simple(1, &size, nullptr), "space");
             const h5::Id create(H5Pcreate(H5P_DATASET_CREATE), "list");
             ASSERT_GE(H5Pset_external(create.get(), other.c_str(), 0, size), 0);
             const h5::Id made(H5Dcreate2(file, "general/other", H5T_STD_U8LE, space.get(), H5P_DEFAULT,
                                          create.get(), H5P_DEFAULT),
                               "dataset");
         }},
        {"virtual dataset",
         [&](hid_t file) {
             const hsize_t size = 10;
             const h5::Id space(H5Screate_simple(1, &size, nullptr), "space");
             const h5::Id create(H5Pcreate(H5P_DATASET_CREATE), "list");
             ASSERT_GE(H5Pset_virtual(create.get(), space.get(), other.c_str(), "models/0/plan", space.get()),
                       0);
             const h5::Id made(H5Dcreate2(file, "general/other", H5T_STD_U8LE, space.get(), H5P_DEFAULT,
                                          create.get(), H5P_DEFAULT),
                               "dataset");
         }},
    };
    for (const auto& [name, add] : links) {
        const std::string path = at("hostile.h5");
        put(path, session);
        {
            const auto held = h5::lock();
            const h5::Id access(H5Pcreate(H5P_FILE_ACCESS), "list");
            H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110);
            const h5::Id file(H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()), "open");
            add(file.get());
        }
        const std::string all = content(path);
        const Outside outside(other);
        auto refused = open_session(path);
        ASSERT_FALSE(refused) << name;
        EXPECT_NE(refused.error().message().find(name), std::string::npos) << refused.error().message();
        for (int i = 0; i < mutants_ / 8 && !HasFailure(); ++i) {
            put(path, mutant(all));
            (void)read_whole_apart(path);
            (void)open_session(path);
        }
        EXPECT_FALSE(outside.was_opened()) << name;
    }
}

TEST_F(Hostile, AJournalCutAtAnyByteGivesWhatIsBeforeTheCut) {
    {
        auto writer = create_session(synthetic::options(at("a.h5")));
        ASSERT_TRUE(writer);
        for (const Event& event : synthetic::events(1, 10))
            (*writer)->append(event);
    }
    const std::string all = content(at("a.h5.journal"));
    put(at("cut.h5.journal"), all);
    uint64_t before = UINT64_MAX;
    for (size_t n = all.size() + 1; n-- > 0 && !HasFailure();) {
        fs::resize_file(at("cut.h5.journal"), n);
        auto read = read_journal(at("cut.h5.journal"), [](RecordKind, Bytes) { return true; });
        if (n < 16) {  // its head
            ASSERT_FALSE(read) << n;
            expect_clear(read.error());
            continue;
        }
        ASSERT_TRUE(read) << n << ": " << read.error().message();
        ASSERT_EQ(read->whole_bytes + read->torn_bytes, n);
        ASSERT_EQ(read->damaged_bytes, 0u) << n;
        ASSERT_LE(read->records, before);
        before = read->records;
        // Every cut is read; a session is made of some.
        if (n % (1 + all.size() / 40) != 0) continue;
        auto made = build_from_journal(at("cut.h5.journal"), at("cut.h5"), "recovered");
        ASSERT_TRUE(made) << n << ": " << made.error().message();
        fs::remove(at("cut.h5"));
    }
    EXPECT_EQ(before, 0u);
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
            expect_clear(made.error());
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
