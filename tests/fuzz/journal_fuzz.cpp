// A hostile journal: any bytes behind a right header, with every record's checksum made right, so that the
// fuzzer reaches the event decoder. What decodes must encode to the same event again.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "dsp/base/crc32c.h"
#include "storage/event_codec.h"
#include "storage/journal.h"

namespace {

using namespace lockstep;
using namespace lockstep::storage;

template <typename T>
void round_trip(Bytes payload) {
    T value;
    if (!decode(payload, &value)) return;
    std::vector<uint8_t> once, twice;
    encode(value, &once);
    T again;
    if (!decode(Bytes(once.data(), once.size()), &again)) __builtin_trap();
    encode(again, &twice);
    if (once != twice) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    round_trip<Event>(Bytes(data, size));
    round_trip<WriterOptions>(Bytes(data, size));
    round_trip<LabelClass>(Bytes(data, size));

    // The same bytes as records of a file: a kind, a length, a payload, again and again.
    std::vector<uint8_t> file = {'L', 'K', 'S', 'T', 'J', 'R', 'N', 'L', 1, 0, 0, 0};
    const auto put = [&file](uint64_t value, int bytes) {
        for (int i = 0; i < bytes; ++i)
            file.push_back(uint8_t(value >> (8 * i)));
    };
    put(crc32c(Bytes(file.data(), file.size())), 4);
    uint64_t index = 0;
    for (size_t at = 0; at + 2 <= size;) {
        const uint8_t kind = data[at];
        const size_t n = data[at + 1] < size - at - 2 ? data[at + 1] : size - at - 2;
        put(0x524B534Cu, 4);
        const size_t begin = file.size();
        put(n, 4);
        put(index++, 8);
        put(kind, 1);
        file.insert(file.end(), data + at + 2, data + at + 2 + n);
        put(crc32c(Bytes(file.data() + begin, file.size() - begin)), 4);
        at += 2 + n;
    }
    static const int fd = ::memfd_create("journal", 0);
    static const std::string path = "/proc/self/fd/" + std::to_string(fd);
    if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, file.data(), file.size(), 0) != ssize_t(file.size()))
        return 0;
    (void)read_journal(path, [](RecordKind kind, Bytes payload) {
        Event event;
        if (kind == RecordKind::event) (void)decode(payload, &event);
        return true;
    });
    return 0;
}
