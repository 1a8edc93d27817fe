// Errors as values. Below ui/ a function that can fail returns Result<T> or Status; app/ shows the
// message once. An Error says what happened, where (file and offset, device URI, field) and what to
// do about it, in words for a person.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace lockstep {

enum class ErrorKind {
    usage,   // wrong arguments or bad input: exit status 2
    device,  // the device failed or vanished: 3
    system,  // the operating system refused (disk full, permission): 3
};

struct [[nodiscard]] Error {
    ErrorKind kind = ErrorKind::system;
    std::string what;    // "cannot open the port"
    std::string where;   // "/dev/ttyACM0", "rec.h5: /acquisition/eeg/data", may be empty
    std::string remedy;  // "close the other program that uses it", may be empty

    std::string message() const {
        std::string text = where.empty() ? what : where + ": " + what;
        return remedy.empty() ? text : text + "; " + remedy;
    }
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> fail(ErrorKind kind, std::string what, std::string where = {},
                                  std::string remedy = {}) {
    return tl::make_unexpected(Error{kind, std::move(what), std::move(where), std::move(remedy)});
}

}  // namespace lockstep
