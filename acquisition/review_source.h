// A stored session as a trace source: samples from the file when a column holds few of them, the
// stored min/max pyramid otherwise, so that any span of any length draws at once.
// Thread: any; the reader itself is used under `reader_mutex` only, so that others can share it.
#pragma once

#include <memory>
#include <mutex>

#include "acquisition/session_store.h"
#include "acquisition/trace_store.h"

namespace lockstep {

class ReviewSource : public TraceSource {
  public:
    explicit ReviewSource(std::shared_ptr<SessionReader> reader,
                          std::shared_ptr<std::mutex> reader_mutex = std::make_shared<std::mutex>());
    ~ReviewSource() override;

    std::vector<StreamInfo> streams() const override;
    double begin_time() const override;
    double end_time() const override;
    double begin_time(int stream) const override;
    double end_time(int stream) const override;
    void extent(int stream, int channel, double t0, double t1, int columns, Extent* out) const override;
    size_t samples(int stream, int channel, double t0, double t1, size_t limit, double* time,
                   float* value) const override;

    // What could not be read, once, for people; "" when all is well.
    std::string take_error() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lockstep
