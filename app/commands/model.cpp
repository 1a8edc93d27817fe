// lockstep model convert | info | run
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "app/base/report_data.h"
#include "app/commands/commands.h"
#include "models/convert.h"
#include "models/plan_file.h"
#include "models/run.h"

namespace lockstep::app {
namespace {

int convert_model(const ConvertRequest& request, const std::string& output, bool force, bool json) {
    ConvertReport report;
    const auto bytes = convert(request, &report);
    if (!bytes) return complain(bytes.error());
    if (const Status saved = save_plan(output, *bytes, force); !saved) return complain(saved.error());
    const std::string id = plan_id_of(*bytes);
    if (json)
        print_json({{"plan", output},
                    {"plan_id", id},
                    {"bytes", bytes->size()},
                    {"macs", report.macs},
                    {"calibration_windows", report.calibration_windows},
                    {"same_decision", report.same_decision},
                    {"largest_error", report.largest_error}});
    say(output + ": plan " + id.substr(0, 16) + ", " + std::to_string(bytes->size()) + " bytes; on " +
        std::to_string(report.calibration_windows) + " calibration windows " +
        std::to_string(report.same_decision) + " have the float network's decision");
    return kYes;
}

const char* kind_name(model::StageKind kind) {
    static const char* const names[] = {"samples",         "filtered", "features",
                                        "quantised_input", "layer",    "output"};
    return size_t(kind) < 6 ? names[size_t(kind)] : "?";
}

int info(const std::string& path, bool json) {
    const auto loaded = load_plan(path);
    if (!loaded) return complain(loaded.error());
    const model::Plan& plan = (*loaded)->plan;
    Json out = {{"plan", path},
                {"name", plan.name()},
                {"plan_id", (*loaded)->plan_id},
                {"bytes", (*loaded)->bytes.size()},
                {"arena_bytes", plan.arena_bytes()},
                {"classifier", plan.is_classifier()},
                {"inputs", Json::array()},
                {"stages", Json::array()},
                {"scores", Json::array()}};
    for (size_t i = 0; i < plan.inputs(); ++i) {
        const model::InputSpec input = plan.input(i);
        Json channels = Json::array();
        for (size_t c = 0; c < input.channels; ++c)
            channels.push_back({{"name", plan.channel_name(i, c)}, {"unit", plan.channel_unit(i, c)}});
        out["inputs"].push_back({{"kind", input.kind},
                                 {"rate", double(input.rate_num) / input.rate_den},
                                 {"window", input.window},
                                 {"hop", input.hop},
                                 {"warmup", input.warmup},
                                 {"reset_period", input.reset_period},
                                 {"channels", channels}});
    }
    for (size_t i = 0; i < plan.stages(); ++i)
        out["stages"].push_back({{"name", plan.stage(i).name}, {"kind", kind_name(plan.stage(i).kind)}});
    for (size_t i = 0; i < plan.scores(); ++i)
        out["scores"].push_back({{"name", plan.score_name(i)}, {"unit", plan.score_unit(i)}});
    if (json) {
        print_json(out);
        return kYes;
    }
    std::printf("%s: %s, %zu bytes, arena %zu bytes\n  plan %s\n", path.c_str(), plan.name(),
                (*loaded)->bytes.size(), plan.arena_bytes(), (*loaded)->plan_id.c_str());
    for (const Json& input : out["inputs"])
        std::printf("  input %s: %zu channels at %g Hz, window %u, hop %u\n",
                    input["kind"].get<std::string>().c_str(), input["channels"].size(),
                    input["rate"].get<double>(), input["window"].get<unsigned>(),
                    input["hop"].get<unsigned>());
    for (size_t i = 0; i < plan.stages(); ++i)
        std::printf("  stage %2zu %-16s %s\n", i, kind_name(plan.stage(i).kind), plan.stage(i).name);
    for (size_t i = 0; i < plan.scores(); ++i)
        std::printf("  score %2zu %s %s\n", i, plan.score_name(i), plan.score_unit(i));
    return kYes;
}

int run(const std::string& path, const std::string& input, const std::string& output) {
    const auto plan = load_plan(path);
    if (!plan) return complain(plan.error());
    std::vector<uint8_t> bytes;
    if (input == "-") {
        std::freopen(nullptr, "rb", stdin);
        uint8_t block[65536];
        for (size_t n; (n = std::fread(block, 1, sizeof block, stdin)) > 0;)
            bytes.insert(bytes.end(), block, block + n);
    } else {
        std::ifstream file(input, std::ios::binary);
        if (!file) return complain({ErrorKind::usage, "cannot read the file", input, "check the path"});
        bytes.assign(std::istreambuf_iterator<char>(file), {});
    }
    const auto result = run_raw(*plan, bytes);
    if (!result) return complain(result.error());
    if (output == "-") {
        std::fwrite(result->data(), 1, result->size(), stdout);
        return std::fflush(stdout) == 0 ? kYes : kFailed;
    }
    std::error_code error;
    if (std::filesystem::exists(output, error))
        return complain({ErrorKind::usage, "the file exists already", output,
                         "nothing is overwritten: choose another name"});
    const std::string part = output + ".part";
    std::ofstream file(part, std::ios::binary);
    file.write(reinterpret_cast<const char*>(result->data()), std::streamsize(result->size()));
    file.close();
    if (file) std::filesystem::rename(part, output, error);
    if (!file || error)
        return complain(
            {ErrorKind::system, "cannot write the file", output, "check the folder and the free space"});
    return kYes;
}

}  // namespace

void add_model(CLI::App& root, Chosen* chosen) {
    CLI::App* model = root.add_subcommand("model", "Plans: models for the engine that device and host share");
    model->require_subcommand(1);
    const auto request = std::make_shared<ConvertRequest>();
    const auto output = std::make_shared<std::string>();
    const auto path = std::make_shared<std::string>();
    const auto input = std::make_shared<std::string>();
    const auto force = std::make_shared<bool>(false);
    const auto json = std::make_shared<bool>(false);

    CLI::App* c = model->add_subcommand("convert", "Make a plan from a trained network");
    c->add_option("source", request->source,
                  ".onnx or .tflite, or a preprocessing file that is a whole model")
        ->required();
    c->add_option("plan,-o,--output", *output, "NAME.lsplan")->required();
    c->add_option("--preprocessing", request->preprocessing,
                  "JSON: streams, filters, windows, names of the outputs");
    c->add_option("--calibration", request->calibration,
                  ".npy or .npz with windows to choose the quantisation by");
    c->add_option("--name", request->name, "Name of the plan");
    c->add_option("--clip", request->clip, "Share of the calibration values at each end that may be clipped");
    c->add_flag("--force", *force, "Replace an existing plan");
    c->add_flag("--json", *json, "One JSON object on standard output");
    c->callback([=] { *chosen = [=] { return convert_model(*request, *output, *force, *json); }; });

    CLI::App* i = model->add_subcommand("info", "Inputs, stages, outputs and memory of a plan");
    i->add_option("plan", *path, "NAME.lsplan")->required();
    i->add_flag("--json", *json, "One JSON object on standard output");
    i->callback([=] { *chosen = [=] { return info(*path, *json); }; });

    CLI::App* r = model->add_subcommand("run", "Run a plan's network on raw tensors");
    r->add_option("plan", *path, "NAME.lsplan")->required();
    r->add_option("--raw-input,--raw", *input, "Input tensors, one after another; - for standard input")
        ->required();
    r->add_option("--raw-output,-o,--output", *output, "Outputs, one after another; - for standard output")
        ->required();
    r->callback([=] { *chosen = [=] { return run(*path, *input, *output); }; });
}

}  // namespace lockstep::app
