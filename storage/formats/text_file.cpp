#include "storage/formats/text_file.h"

#include <cerrno>
#include <cstring>

namespace lockstep::storage {

TextFile::TextFile(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "wbx")) {
    if (file_ == nullptr) error_ = errno;
}

TextFile::~TextFile() {
    if (file_ != nullptr) std::fclose(file_);
}

void TextFile::write(const void* data, size_t size) {
    if (error_ == 0 && std::fwrite(data, 1, size, file_) != size) error_ = errno;
}

Status TextFile::close() {
    if (file_ != nullptr && std::fclose(file_) != 0 && error_ == 0) error_ = errno;
    file_ = nullptr;
    if (error_ != 0)
        return fail(ErrorKind::system, std::string("cannot be written: ") + std::strerror(error_), path_);
    return {};
}

std::string csv_field(const std::string& text, char separator) {
    const char special[] = {separator, '"', '\n', '\r', 0};
    if (text.find_first_of(special) == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"') quoted += '"';
        quoted += c;
    }
    return quoted + "\"";
}

std::string tsv_field(const std::string& text) {
    if (text.empty()) return "n/a";
    std::string cell = text;
    for (char& c : cell)
        if (c == '\t' || c == '\n' || c == '\r') c = ' ';
    return cell;
}

std::vector<std::string> csv_split(const std::string& line, char separator) {
    std::vector<std::string> fields(1);
    bool quoted = false;
    for (size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (quoted) {
            if (c != '"')
                fields.back() += c;
            else if (i + 1 < line.size() && line[i + 1] == '"')
                fields.back() += line[++i];
            else
                quoted = false;
        } else if (c == '"' && fields.back().empty()) {
            quoted = true;
        } else if (c == separator) {
            fields.emplace_back();
        } else if (c != '\r' || i + 1 < line.size()) {
            fields.back() += c;
        }
    }
    return fields;
}

}  // namespace lockstep::storage
