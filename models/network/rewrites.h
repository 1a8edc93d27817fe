// Makes a float graph smaller without changing what it computes: batch norms and constants go into the
// weights beside them, a ReLU into its producer's clamp, moves of data into the order of weights, a
// spatial filter before the temporal one where that saves work. Each has a name and can be left out.
#pragma once

#include <set>

#include "models/network/graph.h"

namespace lockstep::model {

struct RewriteInfo {
    const char* name;
    const char* what;  // for a person
};
const std::vector<RewriteInfo>& rewrite_list();

struct AppliedRewrite {
    std::string name;
    std::string node;  // that went away or changed
};

// REQUIRES: check_graph(graph) was ok. It still is afterwards. Gives what was done, in order.
std::vector<AppliedRewrite> simplify(Graph* graph, const std::set<std::string>& without = {});

}  // namespace lockstep::model
