// Records a synthetic session for the Python tests: feeder PATH SECONDS [--pace MS]. What was fed goes
// to standard output as JSON lines, one before each event; with --pace it sleeps between events. Ends early
// when the disk is full.
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "storage/recorder.h"
#include "synthetic.h"

using lockstep::Event;
using nlohmann::json;

namespace {

json line_of(const Event& event) {
    json j = {{"kind", event.index()}};
    if (const auto* shared = std::get_if<std::shared_ptr<const lockstep::Block>>(&event)) {
        const auto& b = **shared;
        j.update({{"stream", b.stream},
                  {"segment", b.segment},
                  {"first", b.first},
                  {"device_us", b.device_us},
                  {"host_ns", b.host_ns},
                  {"sequence", b.sequence},
                  {"flags", int(b.discontinuity)},
                  {"count", b.count},
                  {"counts", b.counts}});
    } else if (const auto* g = std::get_if<lockstep::Gap>(&event)) {
        j.update({{"stream", g->stream},
                  {"segment", g->segment},
                  {"first", g->first},
                  {"missing", g->missing},
                  {"cause", int(g->cause)}});
    } else if (const auto* p = std::get_if<lockstep::Prediction>(&event)) {
        j.update({{"origin", int(p->origin)},
                  {"window", p->window},
                  {"segment", p->segment},
                  {"first", p->first},
                  {"scores", p->scores},
                  {"stages", p->stages},
                  {"input_hash", p->input_hash}});
    } else if (const auto* e = std::get_if<lockstep::LabelEdit>(&event)) {
        j.update({{"revision", e->revision},
                  {"operation", int(e->operation)},
                  {"author", e->author},
                  {"old_class", e->before.label_class},
                  {"new_class", e->after.label_class},
                  {"new_start", e->after.start},
                  {"new_note", e->after.note},
                  {"old_id", e->before.id},
                  {"new_id", e->after.id}});
    } else if (const auto* v = std::get_if<lockstep::WindowVerdict>(&event)) {
        j.update({{"window", v->window}, {"verdict", int(v->verdict)}, {"reason", v->reason}});
    }
    return j;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    setvbuf(stdout, nullptr, _IOLBF, 0);
    const int pace_ms = argc > 4 && strcmp(argv[3], "--pace") == 0 ? atoi(argv[4]) : 0;
    auto writer = lockstep::storage::create_session(lockstep::synthetic::options(argv[1]));
    if (!writer) {
        fprintf(stderr, "%s\n", writer.error().message().c_str());
        return 3;
    }
    for (const Event& event : lockstep::synthetic::events(atoi(argv[2]), 42)) {
        const std::string line = line_of(event).dump();
        while (const auto error = (*writer)->take_error())
            fprintf(stderr, "%s\n", error->message().c_str());
        if ((*writer)->statistics().full) break;
        // Told first: whatever the recorder has is among what was told, however the program ends.
        timespec now{};
        clock_gettime(CLOCK_MONOTONIC, &now);
        printf("%lld.%09ld %s\n", static_cast<long long>(now.tv_sec), now.tv_nsec, line.c_str());
        (*writer)->append(event);
        if (pace_ms != 0) usleep(useconds_t(pace_ms) * 1000);
    }
    const auto finished = (*writer)->finish();
    if (finished) return 0;
    fprintf(stderr, "%s\n", finished.error().message().c_str());
    return 3;
}
