// The samples of a training file's windows: read from the sessions, or from the shards that other runs
// made of them. Windows are asked for in the plan's order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "storage/formats/dataset_plan.h"

namespace lockstep::storage {

class WindowSource {
  public:
    virtual ~WindowSource() = default;
    // Physical values [window][channels] of windows[index].
    virtual Status read(size_t index, float* out) = 0;
};

std::unique_ptr<WindowSource> session_windows(SessionSource& sessions, const DatasetPlan& plan);

// "OUT.shard-2-of-8"
std::string shard_path(const std::string& output, uint32_t shard, uint32_t shards);
// The windows [first, second) of shard 1..shards.
std::pair<size_t, size_t> shard_range(size_t windows, uint32_t shard, uint32_t shards);
Status write_shard(const DatasetPlan& plan, WindowSource& source, uint32_t shard, uint32_t shards,
                   const std::string& path, const Progress& progress);
// Error when a shard is missing, incomplete or made from other sessions, labels or rules.
Result<std::unique_ptr<WindowSource>> shard_windows(const DatasetPlan& plan, const std::string& output,
                                                    uint32_t shards);

}  // namespace lockstep::storage
