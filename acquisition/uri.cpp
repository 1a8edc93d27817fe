#include <algorithm>
#include <cctype>

#include "acquisition/driver.h"

namespace lockstep {
namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool percent_decode(const std::string& text, std::string* out) {
    out->clear();
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out->push_back(text[i]);
            continue;
        }
        if (i + 2 >= text.size()) return false;
        const int high = hex_digit(text[i + 1]);
        const int low = hex_digit(text[i + 2]);
        if (high < 0 || low < 0) return false;
        out->push_back(char(high * 16 + low));
        i += 2;
    }
    return true;
}

// Only what would be read as structure is escaped, so that paths stay readable.
std::string percent_encode(const std::string& text) {
    static const char digits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '%' || c == '&' || c == '=' || c == '?' || byte <= ' ' || byte == 127) {
            out += {'%', digits[byte >> 4], digits[byte & 15]};
        } else {
            out.push_back(c);
        }
    }
    return out;
}

const char kShape[] = "name a device as SCHEME:ADDRESS, for example serial:/dev/ttyACM0?baud=921600";

}  // namespace

Result<Uri> Uri::parse(const std::string& text) {
    const size_t colon = text.find(':');
    if (colon == std::string::npos || colon == 0)
        return fail(ErrorKind::usage, "not a device address", text, kShape);
    Uri uri;
    uri.scheme = text.substr(0, colon);
    const bool letters = std::all_of(uri.scheme.begin(), uri.scheme.end(), [](unsigned char c) {
        return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '-' || c == '_';
    });
    if (!letters) return fail(ErrorKind::usage, "'" + uri.scheme + "' is no scheme", text, kShape);
    const size_t question = text.find('?', colon);
    uri.address = text.substr(colon + 1, question == std::string::npos ? question : question - colon - 1);
    if (uri.address.empty()) return fail(ErrorKind::usage, "the address is missing", text, kShape);
    if (question == std::string::npos) return uri;
    for (size_t at = question + 1; at < text.size();) {
        const size_t end = std::min(text.find('&', at), text.size());
        const std::string item = text.substr(at, end - at);
        const size_t equals = item.find('=');
        std::string key;
        std::string value;
        if (equals == std::string::npos || equals == 0 || !percent_decode(item.substr(0, equals), &key) ||
            !percent_decode(item.substr(equals + 1), &value))
            return fail(ErrorKind::usage, "'" + item + "' is not key=value", text, kShape);
        uri.query.emplace_back(std::move(key), std::move(value));
        at = end + 1;
    }
    return uri;
}

std::string Uri::value(const std::string& key, const std::string& fallback) const {
    for (const auto& entry : query)
        if (entry.first == key) return entry.second;
    return fallback;
}

std::string Uri::text() const {
    std::string out = scheme + ":" + address;
    char separator = '?';
    for (const auto& entry : query) {
        out += separator + percent_encode(entry.first) + "=" + percent_encode(entry.second);
        separator = '&';
    }
    return out;
}

}  // namespace lockstep
