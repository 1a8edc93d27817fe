#include "storage/formats/dataset_samples.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "storage/formats/text_file.h"

namespace lockstep::storage {
namespace {

class SessionWindows : public WindowSource {
  public:
    SessionWindows(SessionSource& sessions, const DatasetPlan& plan) : sessions_(sessions), plan_(plan) {}

    Status read(size_t index, float* out) override {
        const DatasetWindow& window = plan_.windows[index];
        if (!reader_ || open_ != window.session) {
            auto opened = sessions_.open(window.session);
            if (!opened) return tl::make_unexpected(opened.error());
            reader_ = std::move(*opened);
            open_ = window.session;
            begin_ = end_ = 0;
        }
        const DatasetSession& session = plan_.sessions[window.session];
        const SessionStream& stream = reader_->streams()[size_t(session.stream)];
        const size_t width = stream.info.channels.size();
        if (window.row < begin_ || window.row + plan_.window > end_) {
            begin_ = window.row;
            const uint64_t ahead = std::max<uint64_t>(plan_.window, std::max<uint64_t>(1, kAhead / width));
            end_ = std::min(begin_ + ahead, stream.rows);
            counts_.resize((end_ - begin_) * width);
            if (auto status = reader_->read(session.stream, begin_, end_ - begin_, counts_.data()); !status)
                return status;
        }
        const int32_t* row = counts_.data() + (window.row - begin_) * width;
        for (uint64_t i = 0; i < plan_.window; ++i, row += width)
            for (const int channel : session.channels)
                *out++ = physical(stream.info, size_t(channel), row[channel]);
        return {};
    }

  private:
    static constexpr uint64_t kAhead = 1 << 18;  // counts read at once
    SessionSource& sessions_;
    const DatasetPlan& plan_;
    std::unique_ptr<SessionReader> reader_;
    uint32_t open_ = 0;
    std::vector<int32_t> counts_;
    uint64_t begin_ = 0;
    uint64_t end_ = 0;
};

constexpr char kMagic[] = "lockstep-shard-1";
constexpr size_t kHead = 16 + 64;  // magic, fingerprint

// What a shard must agree on with the run that merges it.
std::string fingerprint(const DatasetPlan& plan) {
    std::string text =
        std::to_string(plan.window) + "," + std::to_string(plan.hop) + "," + number_text(plan.rate) + "\n";
    for (const ChannelInfo& channel : plan.channels)
        text += channel.name + "\t" + channel.unit + "\n";
    for (const DatasetSession& session : plan.sessions)
        text +=
            session.identifier + "\t" + session.sha256 + "\t" + std::to_string(session.label_revision) + "\n";
    for (const DatasetWindow& window : plan.windows)
        text += std::to_string(window.session) + "," + std::to_string(window.row) + "\n";
    return hex_sha256(text);
}

class ShardWindows : public WindowSource {
  public:
    struct Shard {
        std::unique_ptr<FILE, int (*)(FILE*)> file;
        size_t begin;
        size_t end;
    };
    ShardWindows(std::vector<Shard> shards, size_t bytes) : shards_(std::move(shards)), bytes_(bytes) {}

    Status read(size_t index, float* out) override {
        for (const Shard& shard : shards_) {
            if (index < shard.begin || index >= shard.end) continue;
            if (fseeko(shard.file.get(), off_t(kHead + (index - shard.begin) * bytes_), SEEK_SET) == 0 &&
                std::fread(out, 1, bytes_, shard.file.get()) == bytes_)
                return {};
        }
        return fail(ErrorKind::system, "a shard cannot be read");
    }

  private:
    std::vector<Shard> shards_;
    size_t bytes_;
};

}  // namespace

std::unique_ptr<WindowSource> session_windows(SessionSource& sessions, const DatasetPlan& plan) {
    return std::make_unique<SessionWindows>(sessions, plan);
}

std::string shard_path(const std::string& output, uint32_t shard, uint32_t shards) {
    return output + ".shard-" + std::to_string(shard) + "-of-" + std::to_string(shards);
}

std::pair<size_t, size_t> shard_range(size_t windows, uint32_t shard, uint32_t shards) {
    return {windows * (shard - 1) / shards, windows * shard / shards};
}

Status write_shard(const DatasetPlan& plan, WindowSource& source, uint32_t shard, uint32_t shards,
                   const std::string& path, const Progress& progress) {
    const auto [begin, end] = shard_range(plan.windows.size(), shard, shards);
    TextFile file(path);
    file.write(kMagic, 16);
    file.write(fingerprint(plan));
    std::vector<float> window(plan.window * plan.channels.size());
    for (size_t i = begin; i < end; ++i) {
        if (auto status = source.read(i, window.data()); !status) return status;
        file.write(window.data(), window.size() * sizeof(float));
        if (progress && i % 256 == 0 && !progress(double(i - begin) / double(end - begin)))
            return fail(ErrorKind::usage, "stopped", path);
    }
    return file.close();
}

Result<std::unique_ptr<WindowSource>> shard_windows(const DatasetPlan& plan, const std::string& output,
                                                    uint32_t shards) {
    const std::string expected = std::string(kMagic, 16) + fingerprint(plan);
    const size_t bytes = plan.window * plan.channels.size() * sizeof(float);
    std::vector<ShardWindows::Shard> opened;
    for (uint32_t k = 1; k <= shards; ++k) {
        const std::string path = shard_path(output, k, shards);
        const auto [begin, end] = shard_range(plan.windows.size(), k, shards);
        std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
        if (!file)
            return fail(
                ErrorKind::usage, "the shard is missing", path,
                "run the same command with --shard " + std::to_string(k) + "/" + std::to_string(shards));
        char head[kHead];
        if (std::fread(head, 1, kHead, file.get()) != kHead || std::memcmp(head, expected.data(), kHead) != 0)
            return fail(ErrorKind::usage, "was made from other sessions, labels or options", path,
                        "make the shard again");
        if (fseeko(file.get(), 0, SEEK_END) != 0 ||
            size_t(ftello(file.get())) != kHead + (end - begin) * bytes)
            return fail(ErrorKind::usage, "is not complete", path, "make the shard again");
        opened.push_back({std::move(file), begin, end});
    }
    return std::unique_ptr<WindowSource>(std::make_unique<ShardWindows>(std::move(opened), bytes));
}

}  // namespace lockstep::storage
