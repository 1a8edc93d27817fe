#include "models/preprocessing/preprocessing.h"

#include <cmath>
#include <fstream>
#include <iterator>

#include "models/core/plan_format.h"
#include "models/preprocessing/json_fields.h"

namespace lockstep {
namespace {

using namespace fields;

// A rate as an exact fraction with at most three decimals: 62.5 Hz is 125/2.
void set_rate(const json& stream, const std::string& pointer, PlanInput* in) {
    const json& value = at(stream, "rate_hz", pointer);
    const double rate = value.is_number() ? value.get<double>() : 0;
    const double thousand = rate * 1000;
    if (!(rate > 0) || rate >= model::kMaxRateHz || std::abs(thousand - std::round(thousand)) > 1e-3)
        throw Misfit{pointer + "/rate_hz", "not a rate in Hz with at most three decimals, below 100 kHz"};
    uint32_t a = uint32_t(std::lround(thousand));
    uint32_t b = 1000;
    in->rate_num = a;
    in->rate_den = b;
    while (b != 0) {
        const uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    in->rate_num /= a;
    in->rate_den /= a;
}

// A second-order notch, 3 dB deep at hz -+ hz / 2q; designed in double.
std::array<float, 5> notch(double hz, double q, double rate) {
    const double w = 2 * 3.14159265358979323846 * hz / rate;
    const double gain = 1 / (1 + std::tan(w / (2 * q))), middle = -2 * std::cos(w) * gain;
    return {float(gain), float(middle), float(gain), float(middle), float(2 * gain - 1)};
}

void set_notches(const json& list, const std::string& pointer, PlanInput* in) {
    if (!list.is_array() || list.empty()) throw Misfit{pointer, "not a list of notches"};
    const double rate = double(in->rate_num) / in->rate_den;
    for (size_t i = 0; i < list.size(); ++i) {
        const std::string here = pointer + "/" + std::to_string(i);
        only(list[i], here, {"hz", "q"});
        const double hz = positive(list[i], "hz", here);
        if (hz >= rate / 2) throw Misfit{here + "/hz", "not below half the rate"};
        const double q = positive(list[i], "q", here, 30);
        if (hz / q >= rate / 2) throw Misfit{here + "/q", "too wide"};
        in->sections.push_back(notch(hz, q, rate));
    }
}

void set_sections(const json& sos, const std::string& pointer, PlanInput* in) {
    if (!sos.is_array() || sos.empty() || sos.size() > model::kMaxSections)
        throw Misfit{pointer, "not a list of 1 to 16 sections"};
    for (size_t i = 0; i < sos.size(); ++i) {
        const std::string section = pointer + "/" + std::to_string(i);
        if (!sos[i].is_array() || sos[i].size() != 6)
            throw Misfit{section, "not six numbers b0 b1 b2 1 a1 a2"};
        float c[6];
        for (size_t k = 0; k < 6; ++k)
            c[k] = number(sos[i][k], section + "/" + std::to_string(k));
        if (c[3] != 1) throw Misfit{section + "/3", "a0 is not 1"};
        in->sections.push_back({c[0], c[1], c[2], c[4], c[5]});
    }
}

void set_filter(const json& filter, const std::string& pointer, PlanInput* in) {
    if (filter.is_null()) return;
    only(filter, pointer, {"form", "arithmetic", "design", "notch", "sos", "reset_period", "warm_up"});
    if (text(filter, "form", pointer) != "df2t") throw Misfit{pointer + "/form", "only \"df2t\" is known"};
    if (text(filter, "arithmetic", pointer) != "float32")
        throw Misfit{pointer + "/arithmetic", "only \"float32\" is known"};
    const bool notched = filter.contains("notch");
    if (notched) set_notches(filter["notch"], pointer + "/notch", in);
    if (!notched || filter.contains("sos")) set_sections(at(filter, "sos", pointer), pointer + "/sos", in);
    if (in->sections.size() > model::kMaxSections) throw Misfit{pointer, "more than 16 sections"};
    in->reset_period = natural(filter, "reset_period", pointer, 1, model::kMaxPeriod);
    in->warmup = natural(filter, "warm_up", pointer, 0, in->reset_period);
}

// What stands between the window and the model.
void set_stages(const json& j, const std::string& pointer, PreprocessingInput* in) {
    FrontSignal signal = {in->stream.kind, in->stream.window, uint32_t(in->stream.channels.size()),
                          double(in->stream.rate_num) / in->stream.rate_den};
    if (j.contains("resample")) in->resample = resample_stage(j["resample"], pointer + "/resample", &signal);
    in->dims = {1, 1, uint16_t(signal.length), uint16_t(signal.channels)};
    if (!j.contains("features")) return;
    in->features = feature_stages(j["features"], pointer + "/features", signal);
    size_t count = 0;
    for (const FrontStage& stage : in->features)
        count += stage.dims[1];
    in->dims = {1, uint16_t(count)};
}

PreprocessingInput parse_input(const json& j, const std::string& pointer, bool primary) {
    only(j, pointer,
         {"tensor", "shape", "layout", "role", "stream", "filter", "window", "resample", "features",
          "normalise"});
    PreprocessingInput in;
    in.tensor = text(j, "tensor", pointer);
    in.layout = text(j, "layout", pointer);
    if (in.layout != "NCT" && in.layout != "NTC") throw Misfit{pointer + "/layout", "not \"NCT\" or \"NTC\""};
    const json& shape = at(j, "shape", pointer);
    if (!shape.is_array()) throw Misfit{pointer + "/shape", "not a list"};
    for (const json& d : shape) {
        if (!d.is_number_unsigned()) throw Misfit{pointer + "/shape", "not a list of whole numbers"};
        in.shape.push_back(int64_t(d.get<uint64_t>()));
    }
    const json& stream = at(j, "stream", pointer);
    const std::string s = pointer + "/stream";
    only(stream, s, {"kind", "rate_hz", "sample_type", "channels"});
    in.stream.kind = text(stream, "kind", s);
    set_rate(stream, s, &in.stream);
    const json& channels = at(stream, "channels", s);
    if (!channels.is_array() || channels.empty() || channels.size() > model::kMaxInputChannels)
        throw Misfit{s + "/channels", "not a list of 1 to 256 channels"};
    for (size_t c = 0; c < channels.size(); ++c) {
        const std::string channel = s + "/channels/" + std::to_string(c);
        only(channels[c], channel, {"name", "unit", "scale", "offset"});
        in.stream.channels.push_back(
            {text(channels[c], "name", channel), text(channels[c], "unit", channel)});
    }
    if (j.contains("filter")) set_filter(j["filter"], pointer + "/filter", &in.stream);
    const json& window = at(j, "window", pointer);
    only(window, pointer + "/window", {"length", "hop", "rule"});
    in.stream.window = natural(window, "length", pointer + "/window", 1, 65535);
    if (primary) in.stream.hop = natural(window, "hop", pointer + "/window", 1, model::kMaxPeriod);
    set_stages(j, pointer, &in);
    const std::string n = pointer + "/normalise";
    const json& normalise = at(j, "normalise", pointer);
    const std::string kind = text(normalise, "kind", n);
    only(normalise, n, {"kind", "mean", "std"});
    if (kind == "standardise") {
        in.standardise = true;
        in.mean = numbers(normalise, "mean", n, in.dims.back());
        in.deviation = numbers(normalise, "std", n, in.dims.back());
        for (const float v : in.deviation)
            if (!(v > 0)) throw Misfit{n + "/std", "not above 0"};
    } else if (kind != "none") {
        throw Misfit{n + "/kind", "not \"none\" or \"standardise\""};
    }
    return in;
}

Preprocessing parse(const json& j) {
    if (text(j, "schema", "") != "lockstep-preprocessing")
        throw Misfit{"/schema", "not \"lockstep-preprocessing\""};
    natural(j, "version", "", 1, 1);
    only(j, "", {"schema", "version", "model", "inputs", "operator", "outputs"});
    Preprocessing p;
    p.model = text(j, "model", "");
    const json& inputs = at(j, "inputs", "");
    if (!inputs.is_array() || inputs.empty() || inputs.size() > model::kMaxInputs)
        throw Misfit{"/inputs", "not a list of 1 to 4 inputs"};
    for (size_t i = 0; i < inputs.size(); ++i) {
        const std::string pointer = "/inputs/" + std::to_string(i);
        const std::string expected = i == 0 ? "primary" : "secondary";
        if (inputs[i].is_object() && inputs[i].value("role", expected) != expected)
            throw Misfit{pointer + "/role", "the first input is the primary, the others are secondary"};
        p.inputs.push_back(parse_input(inputs[i], pointer, i == 0));
    }
    if (j.contains("operator")) {
        only(j["operator"], "/operator",
             {"name", "arithmetic", "decimation", "lag_min", "lag_max", "first_peak", "gap", "low", "high"});
        p.operator_name = text(j["operator"], "name", "/operator");
        p.operator_json = j["operator"].dump();
    }
    const json& outputs = at(j, "outputs", "");
    if (!outputs.is_array() || outputs.size() != 1) throw Misfit{"/outputs", "not a list of one output"};
    const json& out = outputs[0];
    only(out, "/outputs/0", {"tensor", "shape", "kind", "names", "units", "classes", "post"});
    p.output_tensor = text(out, "tensor", "/outputs/0");
    p.output_kind = text(out, "kind", "/outputs/0");
    if (p.output_kind == "values") {
        p.score_names = texts(out, "names", "/outputs/0");
        p.score_units = texts(out, "units", "/outputs/0");
        if (p.score_units.size() != p.score_names.size())
            throw Misfit{"/outputs/0/units", "not one unit for each name"};
    } else if (p.output_kind == "logits" || p.output_kind == "probabilities") {
        p.score_names = texts(out, "classes", "/outputs/0");
        p.score_units.assign(p.score_names.size(), "");
    } else {
        throw Misfit{"/outputs/0/kind", "not \"logits\", \"probabilities\" or \"values\""};
    }
    if (out.contains("post")) p.post = post_stages(out["post"], "/outputs/0/post");
    if (p.score_names.size() > model::kMaxScores) throw Misfit{"/outputs/0", "more than 64 scores"};
    return p;
}

}  // namespace

Result<Preprocessing> parse_preprocessing(const std::string& json_text, const std::string& where) {
    try {
        return parse(json::parse(json_text));
    } catch (const Misfit& m) {
        return fail(ErrorKind::usage, m.what, where + ": " + m.pointer);
    } catch (const json::exception& e) {
        return fail(ErrorKind::usage, std::string("not readable as JSON: ") + e.what(), where);
    }
}

Result<Preprocessing> read_preprocessing(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail(ErrorKind::usage, "cannot open the file", path);
    const std::string content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    return parse_preprocessing(content, path);
}

}  // namespace lockstep
