#include "models/plan/plan_writer.h"

#include <algorithm>
#include <cstring>

#include "dsp/base/crc32c.h"
#include "models/core/plan_format.h"
#include "models/plan/arena_planner.h"

namespace lockstep {
namespace {

using namespace model;

uint32_t aligned(uint64_t n) {
    return uint32_t((n + kPlanAlign - 1) & ~uint64_t(kPlanAlign - 1));
}

// Collects the blob; tables are appended behind the header, which is written last.
class Image {
  public:
    Image() : bytes_(sizeof(PlanHeader)) {}

    template <typename T>
    Table table(const std::vector<T>& records) {
        bytes_.resize(aligned(bytes_.size()));
        const Table out{uint32_t(bytes_.size()), uint32_t(records.size())};
        bytes_.resize(bytes_.size() + records.size() * sizeof(T));
        if (!records.empty()) memcpy(bytes_.data() + out.offset, records.data(), records.size() * sizeof(T));
        return out;
    }
    size_t size() const { return bytes_.size(); }
    std::vector<uint8_t> seal(PlanHeader header) {
        bytes_.resize(aligned(bytes_.size()));
        header.bytes = uint32_t(bytes_.size());
        memcpy(bytes_.data(), &header, sizeof header);
        seal_plan(bytes_);
        return std::move(bytes_);
    }

  private:
    std::vector<uint8_t> bytes_;
};

// Every string once, each ending with a 0 byte. Goes first into the image, so offsets are known at once.
class Strings {
  public:
    uint32_t add(const std::string& s) {
        const std::string entry(s.c_str(), s.size() + 1);
        size_t at = text_.find(entry);
        while (at != std::string::npos && at != 0 && text_[at - 1] != 0)
            at = text_.find(entry, at + 1);
        if (at == std::string::npos) {
            at = text_.size();
            text_ += entry;
        }
        return uint32_t(sizeof(PlanHeader) + aligned_gap() + at);
    }
    std::vector<char> bytes() const { return {text_.begin(), text_.end()}; }

  private:
    static size_t aligned_gap() { return aligned(sizeof(PlanHeader)) - sizeof(PlanHeader); }
    std::string text_;
};

Error misfit(std::string what) {
    return Error{ErrorKind::usage, std::move(what), "plan", ""};
}

}  // namespace

uint32_t PlanBuilder::TensorEntry::bytes() const {
    uint64_t n = element_bytes(type);
    for (const uint16_t d : dims)
        n = std::min<uint64_t>(n * d, kMaxArenaBytes + 1);
    return uint32_t(n);
}

uint16_t PlanBuilder::add_input(PlanInput input) {
    const uint16_t tensor = add_tensor(
        ElementType::float32,
        {1, 1, uint16_t(std::min<uint32_t>(input.window, 65535)), uint16_t(input.channels.size())});
    inputs_.push_back(std::move(input));
    input_tensors_.push_back(tensor);
    return tensor;
}

uint16_t PlanBuilder::add_tensor(ElementType type, const std::vector<uint16_t>& dims, float scale,
                                 int32_t zero_point) {
    tensors_.push_back({type, dims, scale, zero_point});
    return uint16_t(tensors_.size() - 1);
}

void PlanBuilder::add_operator(uint16_t code, std::vector<uint16_t> inputs, uint16_t output,
                               std::vector<uint8_t> params, std::string stage_name, StageKind kind,
                               uint32_t scratch_bytes, uint16_t keeps) {
    operators_.push_back({code, std::move(inputs), output, std::move(params), std::move(stage_name), kind,
                          scratch_bytes, keeps});
}

void PlanBuilder::set_scores(std::vector<std::string> names, std::vector<std::string> units,
                             bool is_classifier) {
    score_names_ = std::move(names);
    score_units_ = std::move(units);
    is_classifier_ = is_classifier;
}

PlanBuilder::Placement PlanBuilder::place() const {
    std::vector<ArenaNeed> needs(tensors_.size() + operators_.size());
    for (size_t t = 0; t < tensors_.size(); ++t)
        needs[t].bytes = tensors_[t].bytes();
    for (size_t i = 0; i < operators_.size(); ++i) {
        const int now = int(i);
        const bool keeps = operators_[i].keeps != 0;
        const int end = int(operators_.size());
        needs[tensors_.size() + i] = {operators_[i].scratch_bytes, keeps ? 0 : now, keeps ? end : now, 0};
        for (const uint16_t t : operators_[i].inputs)
            needs[t].last = now;
        ArenaNeed& out = needs[operators_[i].output];
        out.first = now;
        out.last = now;
    }
    for (const OperatorEntry& op : operators_)
        if ((op.keeps & kOperatorKeepsOutput) != 0) {
            needs[op.output].first = 0;
            needs[op.output].last = int(operators_.size());
        }
    Placement p;
    p.bytes = place_in_arena(needs);
    for (size_t t = 0; t < tensors_.size(); ++t)
        p.tensor.push_back(needs[t].offset);
    for (size_t i = 0; i < operators_.size(); ++i)
        p.scratch.push_back(needs[tensors_.size() + i].offset);
    return p;
}

Result<std::vector<uint8_t>> PlanBuilder::finish() const {
    if (inputs_.empty() || operators_.empty()) return tl::make_unexpected(misfit("no input or no operator"));
    if (score_units_.size() != score_names_.size())
        return tl::make_unexpected(misfit("every score needs a name and a unit"));
    for (const PlanInput& in : inputs_)
        if (in.window == 0 || in.window > 65535 || in.channels.empty() ||
            in.channels.size() > kMaxInputChannels || in.span > 65535)
            return tl::make_unexpected(misfit("an input has 1 to 65535 samples of 1 to 256 channels"));
    for (const OperatorEntry& op : operators_) {
        if (op.inputs.empty() || op.inputs.size() > kMaxOperatorInputs)
            return tl::make_unexpected(misfit("operator " + op.stage_name + " has " +
                                              std::to_string(op.inputs.size()) +
                                              " inputs, 1 to 4 are possible"));
        for (const uint16_t t : op.inputs)
            if (t >= tensors_.size())
                return tl::make_unexpected(misfit("operator " + op.stage_name + " reads no known tensor"));
        if (op.output >= tensors_.size())
            return tl::make_unexpected(misfit("operator " + op.stage_name + " writes no known tensor"));
    }
    for (const TensorEntry& t : tensors_)
        if (t.dims.empty() || t.dims.size() > 4)
            return tl::make_unexpected(misfit("a tensor has 1 to 4 dimensions"));

    const Placement placement = place();
    Strings strings;
    PlanHeader header{};
    memcpy(header.magic, kPlanMagic, sizeof header.magic);
    header.major = kPlanMajor;
    header.minor = kPlanMinor;
    header.flags = is_classifier_ ? kPlanIsClassifier : 0;
    header.name = strings.add(name_);
    header.arena_bytes = placement.bytes;

    std::vector<InputRecord> inputs;
    std::vector<ChannelRecord> channels;
    std::vector<SectionRecord> sections;
    for (size_t i = 0; i < inputs_.size(); ++i) {
        const PlanInput& in = inputs_[i];
        InputRecord r{};
        r.kind = strings.add(in.kind);
        r.rate_num = in.rate_num;
        r.rate_den = in.rate_den;
        r.window = in.window;
        r.span = uint16_t(in.span);
        r.hop = in.hop;
        r.warmup = in.warmup;
        r.reset_period = in.reset_period;
        r.first_channel = uint32_t(channels.size());
        r.channels = uint16_t(in.channels.size());
        r.first_section = uint32_t(sections.size());
        r.sections = uint16_t(in.sections.size());
        r.tensor = input_tensors_[i];
        r.samples_stage = strings.add(in.kind + ".samples");
        r.filtered_stage = strings.add(in.sections.empty() ? "" : in.kind + ".filtered");
        inputs.push_back(r);
        for (const PlanChannel& c : in.channels)
            channels.push_back({strings.add(c.name), strings.add(c.unit)});
        for (const auto& s : in.sections)
            sections.push_back({s[0], s[1], s[2], s[3], s[4]});
    }
    std::vector<TensorRecord> tensors;
    for (size_t t = 0; t < tensors_.size(); ++t) {
        const TensorEntry& in = tensors_[t];
        TensorRecord r{uint8_t(in.type), uint8_t(in.dims.size()), 0, {1, 1, 1, 1}, in.scale,
                       in.zero_point,    placement.tensor[t]};
        std::copy(in.dims.begin(), in.dims.end(), r.dim);
        tensors.push_back(r);
    }
    std::vector<ScoreRecord> scores;
    for (size_t i = 0; i < score_names_.size(); ++i)
        scores.push_back({strings.add(score_names_[i]), strings.add(score_units_[i])});
    std::vector<uint32_t> stage_names;
    for (const OperatorEntry& op : operators_)
        stage_names.push_back(strings.add(op.stage_name));

    Image image;
    header.strings = image.table(strings.bytes());
    header.inputs = image.table(inputs);
    header.channels = image.table(channels);
    header.sections = image.table(sections);
    header.tensors = image.table(tensors);
    header.scores = image.table(scores);
    std::vector<uint8_t> data;
    std::vector<uint32_t> params_at;
    for (const OperatorEntry& op : operators_) {
        data.resize(aligned(data.size()));
        params_at.push_back(uint32_t(data.size()));
        data.insert(data.end(), op.params.begin(), op.params.end());
    }
    header.data = image.table(data);
    std::vector<OperatorRecord> operators;
    for (size_t i = 0; i < operators_.size(); ++i) {
        const OperatorEntry& op = operators_[i];
        OperatorRecord r{};
        r.code = op.code;
        r.inputs = uint8_t(op.inputs.size());
        r.stage_kind = uint8_t(op.kind);
        std::copy(op.inputs.begin(), op.inputs.end(), r.input);
        r.output = op.output;
        r.flags = op.keeps;
        r.stage_name = stage_names[i];
        r.params = header.data.offset + params_at[i];
        r.params_bytes = uint32_t(op.params.size());
        r.scratch = placement.scratch[i];
        r.scratch_bytes = op.scratch_bytes;
        operators.push_back(r);
    }
    header.operators = image.table(operators);
    header.provenance = image.table(std::vector<char>(provenance_.begin(), provenance_.end()));
    std::vector<uint8_t> blob = image.seal(header);

    Plan plan;
    const Code code = Plan::open(Bytes(blob.data(), blob.size()), &plan);
    if (code != Code::ok)
        return tl::make_unexpected(misfit(std::string("does not fit the format (") + code_name(code) + ")"));
    return blob;
}

void seal_plan(std::vector<uint8_t>& blob) {
    const uint32_t zero = 0;
    const size_t at = offsetof(PlanHeader, crc);
    memcpy(blob.data() + at, &zero, 4);
    const uint32_t crc = crc32c(Bytes(blob.data(), blob.size()));
    memcpy(blob.data() + at, &crc, 4);
}

}  // namespace lockstep
