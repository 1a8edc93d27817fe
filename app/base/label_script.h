// Labels from a script (`start_s,stop_s,class,stream,channel`), given at their session times.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "acquisition/label_track.h"
#include "acquisition/stream.h"

namespace lockstep::app {

struct ScriptLabel {
    Label label;
    std::string where;    // file and line
    std::string stream;   // by name, "" = all
    std::string channel;  // by name or index, "" = all
};
Result<std::vector<ScriptLabel>> read_label_script(const std::string& path);

// Thread: one caller at a time.
class LabelScript {
  public:
    LabelScript(std::vector<ScriptLabel> labels, std::function<void(const LabelEdit&)> publish);
    // Names become numbers; the error names the line's stream or channel that is not there.
    Status bind(const std::vector<StreamInfo>& streams);
    // Gives the labels that are complete at `seconds`.
    void advance(double seconds);
    // The recording ends: labels that began are cut there, later ones are left out; how many were.
    size_t finish(double seconds);
    size_t given() const { return track_.labels().size(); }

  private:
    void give(Label label);
    std::vector<ScriptLabel> labels_;  // by stop time
    size_t next_ = 0;
    LabelTrack track_;
    std::function<void(const LabelEdit&)> publish_;
};

}  // namespace lockstep::app
