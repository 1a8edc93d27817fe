// Fields of a JSON file that is read strictly: what is missing or has another type is said with its place.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lockstep::fields {

using nlohmann::json;

// Thrown and caught within one reader; nlohmann's own errors take the same way.
struct Misfit {
    std::string pointer;
    std::string what;
};

inline const json& at(const json& j, const char* key, const std::string& pointer) {
    const auto it = j.is_object() ? j.find(key) : j.end();
    if (!j.is_object() || it == j.end()) throw Misfit{pointer + "/" + key, "missing"};
    return *it;
}

// A field that nobody reads is a slip of the pen, and would make another model in silence; one whose name
// begins with _ is the writer's own.
inline void only(const json& j, const std::string& pointer, std::initializer_list<const char*> known) {
    if (!j.is_object()) return;
    for (const auto& [key, value] : j.items()) {
        const std::string& name = key;
        if (name.rfind('_', 0) == 0 ||
            std::any_of(known.begin(), known.end(), [&](const char* k) { return name == k; }))
            continue;
        std::string list;
        for (const char* k : known)
            list += (list.empty() ? "" : ", ") + std::string(k);
        throw Misfit{pointer + "/" + name, "no such field here, which takes " + list};
    }
}

inline std::string text(const json& j, const char* key, const std::string& pointer) {
    const json& v = at(j, key, pointer);
    if (!v.is_string()) throw Misfit{pointer + "/" + key, "not a text"};
    return v.get<std::string>();
}

inline uint32_t natural(const json& j, const char* key, const std::string& pointer, uint32_t low,
                        uint32_t high) {
    const json& v = at(j, key, pointer);
    if (!v.is_number_unsigned() || v.get<uint64_t>() < low || v.get<uint64_t>() > high)
        throw Misfit{pointer + "/" + key,
                     "not a whole number from " + std::to_string(low) + " to " + std::to_string(high)};
    return v.get<uint32_t>();
}

inline float number(const json& v, const std::string& pointer) {
    if (!v.is_number() || !std::isfinite(v.get<float>())) throw Misfit{pointer, "not a finite number"};
    return v.get<float>();
}

// A number above 0; without `otherwise` it must be there.
inline double positive(const json& j, const char* key, const std::string& pointer, double otherwise = 0) {
    if (otherwise > 0 && j.is_object() && !j.contains(key)) return otherwise;
    const json& v = at(j, key, pointer);
    if (!v.is_number() || !(v.get<double>() > 0) || v.get<double>() > 1e6)
        throw Misfit{pointer + "/" + key, "not a number above 0"};
    return v.get<double>();
}

inline std::vector<float> numbers(const json& j, const char* key, const std::string& pointer, size_t count) {
    const json& v = at(j, key, pointer);
    if (!v.is_array() || v.size() != count)
        throw Misfit{pointer + "/" + key, "not a list of " + std::to_string(count) + " numbers"};
    std::vector<float> out;
    for (size_t i = 0; i < v.size(); ++i)
        out.push_back(number(v[i], pointer + "/" + key + "/" + std::to_string(i)));
    return out;
}

inline std::vector<std::string> texts(const json& j, const char* key, const std::string& pointer) {
    const json& v = at(j, key, pointer);
    if (!v.is_array() || v.empty()) throw Misfit{pointer + "/" + key, "not a list of texts"};
    std::vector<std::string> out;
    for (const json& item : v) {
        if (!item.is_string()) throw Misfit{pointer + "/" + key, "not a list of texts"};
        out.push_back(item.get<std::string>());
    }
    return out;
}

}  // namespace lockstep::fields
