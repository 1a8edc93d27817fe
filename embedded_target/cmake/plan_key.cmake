# Whose plans a firmware takes over the link. The development key is public, both halves of it: an image for people
# outside the workshop is built with a key of its own (lockstep model sign --new-key NAME).
set(LOCKSTEP_PLAN_KEY ${LOCKSTEP_ROOT}/embedded_target/keys/development.pub CACHE FILEPATH
  "NAME.pub of the key that signs plans for this firmware")
option(LOCKSTEP_UNSIGNED_PLANS "Take plans without a signature, too" OFF)
file(STRINGS ${LOCKSTEP_PLAN_KEY} line LIMIT_COUNT 1)
if(NOT line MATCHES "^lockstep-ed25519-public ([0-9a-f]+)$")
  message(FATAL_ERROR "${LOCKSTEP_PLAN_KEY} is not a public key file of 'lockstep model sign --new-key'")
endif()
set(key ${CMAKE_MATCH_1})
string(LENGTH ${key} digits)
if(NOT digits EQUAL 64)
  message(FATAL_ERROR "${LOCKSTEP_PLAN_KEY}: the key must have 64 digits")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${LOCKSTEP_PLAN_KEY})
string(REGEX REPLACE "(..)" "0x\\1, " bytes ${key})
set(signed_only true)
if(LOCKSTEP_UNSIGNED_PLANS)
  set(signed_only false)
endif()
file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/plans/plan_key.cpp CONTENT
"#include \"embedded_target/plan_store.h\"
namespace lockstep::firmware {
extern const uint8_t plan_key[32] = {${bytes}};
extern const bool signed_plans_only = ${signed_only};
}  // namespace lockstep::firmware
" @ONLY)
list(APPEND PLAN_SOURCES ${CMAKE_CURRENT_BINARY_DIR}/plans/plan_key.cpp)
