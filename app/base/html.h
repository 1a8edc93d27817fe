// Pieces of a self-contained page: no script, no request to anywhere.
#pragma once

#include <string>
#include <vector>

namespace lockstep::app {

std::string html_escape(const std::string& text);
// Cells are text; the columns named in `left` are aligned left.
std::string html_table(const std::vector<std::string>& head,
                       const std::vector<std::vector<std::string>>& rows, size_t left = 1);
// `style`: what the body needs beside the style of every page.
std::string html_page(const std::string& title, const std::string& body, const std::string& style = {});

}  // namespace lockstep::app
