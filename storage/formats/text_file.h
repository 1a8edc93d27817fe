// A new text file and CSV's quoting rule.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "acquisition/error.h"

namespace lockstep::storage {

// Buffered; the first failure is kept and told by close().
class TextFile {
  public:
    explicit TextFile(const std::string& path);
    ~TextFile();
    TextFile(const TextFile&) = delete;
    TextFile& operator=(const TextFile&) = delete;
    void write(const std::string& text) { write(text.data(), text.size()); }
    void write(const void* data, size_t size);
    Status close();

  private:
    std::string path_;
    FILE* file_ = nullptr;
    int error_ = 0;
};

// Quoted when it holds the separator, a quote or a line end (RFC 4180).
std::string csv_field(const std::string& text, char separator = ',');
// A TSV cell: tabs and line ends become spaces, an empty text "n/a" (BIDS).
std::string tsv_field(const std::string& text);
// Splits one line; quotes are taken off. A carriage return at the end is dropped.
std::vector<std::string> csv_split(const std::string& line, char separator = ',');

}  // namespace lockstep::storage
