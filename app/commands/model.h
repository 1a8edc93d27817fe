// The parts of `lockstep model`: each adds one subcommand.
#pragma once

#include "app/base/report_data.h"
#include "app/commands/commands.h"
#include "models/convert.h"
#include "models/evaluate.h"

namespace lockstep::app {

void add_model_convert(CLI::App& model, Chosen* chosen);
void add_model_info(CLI::App& model, Chosen* chosen);
void add_model_run(CLI::App& model, Chosen* chosen);
void add_model_evaluate(CLI::App& model, Chosen* chosen);
void add_model_report(CLI::App& model, Chosen* chosen);
void add_model_source(CLI::App& model, Chosen* chosen);
void add_model_device(CLI::App& model, Chosen* chosen);  // push, list, activate, rollback
void add_model_parity(CLI::App& model, Chosen* chosen);
void add_model_sign(CLI::App& model, Chosen* chosen);  // and verify

// When the calibration is a session: its windows, cut by the preprocessing's way from counts.
Result<std::optional<WindowSet>> session_windows(const ConvertRequest& request);
void add_calibration_options(CLI::App& command, ConvertRequest* request);

struct DataRequest;  // model_data.h
// Each window by itself; of a session also what a board decides, where that looks beyond the window.
Result<Evaluation> evaluate_on(const PlanPtr& plan, const DataRequest& data, const std::string& float_model);
Json evaluation_json(const Evaluation& evaluation);
std::string evaluation_text(const Evaluation& evaluation);

// A new file, written beside its name first.
Status write_new(const std::string& path, const void* data, size_t bytes, bool replace);

}  // namespace lockstep::app
