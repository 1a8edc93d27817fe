# The plans in the image as read-only data, and their SHA-256 in an object of its own, so that a test can
# patch the one without the other.
set(LOCKSTEP_PLANS "" CACHE STRING "Plans to build in, a list of paths; empty: resources/models/*/*.lsplan")
set(plans ${LOCKSTEP_PLANS})
if(NOT plans)
  file(GLOB plans CONFIGURE_DEPENDS ${LOCKSTEP_ROOT}/resources/models/*/*.lsplan)
endif()
set(blobs "    .section .rodata.plan_blobs, \"a\"\n")
set(entries "")
set(ids "")
set(externs "")
set(n 0)
foreach(plan ${plans})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${plan})
  file(SHA256 ${plan} sha)
  string(REGEX REPLACE "(..)" "0x\\1, " bytes ${sha})
  string(APPEND blobs "    .balign 16\n    .global plan_blob_${n}, plan_blob_${n}_end\nplan_blob_${n}:\n"
    "    .incbin \"${plan}\"\nplan_blob_${n}_end:\n")
  string(APPEND externs "extern \"C\" const uint8_t plan_blob_${n}[];\nextern \"C\" const uint8_t plan_blob_${n}_end[];\n")
  string(APPEND entries "    {plan_blob_${n}, plan_blob_${n}_end, plan_ids[${n}]},\n")
  string(APPEND ids "    {${bytes}},\n")
  math(EXPR n "${n} + 1")
endforeach()
set(rows ${n})
if(n EQUAL 0)
  set(rows 1)
  set(entries "    {nullptr, nullptr, nullptr},\n")
  set(ids "    {},\n")
endif()
set(dir ${CMAKE_CURRENT_BINARY_DIR}/plans)
file(CONFIGURE OUTPUT ${dir}/plan_blobs.S CONTENT "${blobs}" @ONLY)
file(CONFIGURE OUTPUT ${dir}/plan_ids.cpp CONTENT
"#include \"embedded_target/plans.h\"
namespace lockstep::firmware {
extern const uint8_t plan_ids[][32] = {
${ids}};
}  // namespace lockstep::firmware
" @ONLY)
file(CONFIGURE OUTPUT ${dir}/plan_table.cpp CONTENT
"#include \"embedded_target/plans.h\"
${externs}namespace lockstep::firmware {
extern const EmbeddedPlan plans[] = {
${entries}};
extern const size_t plan_count = ${n};
}  // namespace lockstep::firmware
" @ONLY)
set(PLAN_SOURCES ${dir}/plan_blobs.S ${dir}/plan_ids.cpp ${dir}/plan_table.cpp)
set_source_files_properties(${dir}/plan_blobs.S PROPERTIES OBJECT_DEPENDS "${plans}")
