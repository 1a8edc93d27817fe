// lockstep-worker: reads files that may be damaged or hostile, where a crash or an endless loop harms
// nobody (storage/worker.h). One line of JSON on standard output.
//   check PATH                        can the session be opened, and the ends of its data be read?
//   recover JOURNAL BUILDING TARGET   makes the session TARGET from a journal
#include <sys/resource.h>

#include <cstdio>
#include <cstring>
#include <new>

#include "storage/reader.h"
#include "storage/repair.h"
#include "storage/worker.h"

namespace {

using namespace lockstep;

// Memory and processor time that no honest file needs.
void set_limits() {
#ifndef LOCKSTEP_SANITIZED  // whose bookkeeping reserves terabytes
    const rlimit memory{2ull << 30, 2ull << 30};
    ::setrlimit(RLIMIT_AS, &memory);
#endif
    const rlimit seconds{60, 60};
    ::setrlimit(RLIMIT_CPU, &seconds);
    const rlimit nothing{0, 0};
    ::setrlimit(RLIMIT_FSIZE, &nothing);  // a check writes nothing but its answer, to a pipe
    ::setrlimit(RLIMIT_CORE, &nothing);
}

Result<std::string> check(const std::string& path) {
    auto session = storage::open_session_here(path);
    if (!session) return tl::make_unexpected(session.error());
    if (auto history = (*session)->label_history(); !history) return tl::make_unexpected(history.error());
    for (size_t i = 0; i < (*session)->streams().size(); ++i) {
        const SessionStream& stream = (*session)->streams()[i];
        std::vector<int32_t> row(stream.info.channels.size());
        for (const uint64_t at : {uint64_t(0), stream.rows - 1})
            if (stream.rows != 0)
                if (auto ok = (*session)->read(int(i), at, 1, row.data()); !ok)
                    return tl::make_unexpected(ok.error());
        std::vector<MinMax> bin(row.size());
        for (const uint32_t level : (*session)->overview_levels())
            if (stream.rows != 0)
                if (auto ok = (*session)->read_overview(int(i), level, 0, 1, bin.data()); !ok)
                    return tl::make_unexpected(ok.error());
    }
    return std::string();
}

Result<std::string> run(int argc, char** argv) {
    if (argc == 3 && std::strcmp(argv[1], "check") == 0) {
        set_limits();
        auto result = check(argv[2]);
        if (!result) result.error().kind = ErrorKind::usage;  // whatever it is, the file is to blame
        return result;
    }
    if (argc == 5 && std::strcmp(argv[1], "recover") == 0)
        return storage::recover_here(argv[2], argv[3], argv[4]);
    return fail(ErrorKind::usage, "lockstep-worker is run by Lockstep itself", "lockstep-worker",
                "see lockstep --help");
}

}  // namespace

int main(int argc, char** argv) {
    std::string answer;
    try {
        answer = storage::worker_answer(run(argc, argv));
    } catch (const std::exception& e) {
        answer = storage::worker_answer(
            fail(ErrorKind::usage, std::string("reading it needs more than this computer gives: ") + e.what(),
                 argc > 2 ? argv[2] : ""));
    }
    std::puts(answer.c_str());
    return 0;
}
