#include "dsp/base/code.h"

namespace lockstep {

const char* code_name(Code code) {
    switch (code) {
        case Code::ok:
            return "ok";
        case Code::invalid:
            return "invalid";
        case Code::out_of_range:
            return "out of range";
        case Code::no_space:
            return "no space";
        case Code::corrupt:
            return "corrupt";
        case Code::unsupported:
            return "unsupported";
        case Code::not_ready:
            return "not ready";
        case Code::not_found:
            return "not found";
        case Code::busy:
            return "busy";
    }
    return "unknown";
}

}  // namespace lockstep
