// From a board's hello and descriptions to desktop types. Everything a board says is untrusted.
#pragma once

#include <vector>

#include "acquisition/error.h"
#include "acquisition/stream.h"
#include "devices/wire/messages.h"

namespace lockstep {

struct DescribedStream {
    wire::StreamDescription stream;
    std::vector<wire::ChannelDescription> channels;  // all pages
};

// Refuses, with a reason, a description that contradicts itself: names twice or unusable, a model fed
// from a stream that does not exist.
Result<DeviceInfo> describe_device(const std::string& uri, const wire::Hello& hello,
                                   const std::vector<DescribedStream>& streams,
                                   const std::vector<wire::ModelDescription>& models);

// One model of a device with so many streams.
Result<DeviceModel> describe_model(const wire::ModelDescription& model, size_t streams,
                                   const std::string& uri);

// Whether samples and predictions mean the same under both.
bool same_meaning(const DeviceInfo& a, const DeviceInfo& b);

}  // namespace lockstep
