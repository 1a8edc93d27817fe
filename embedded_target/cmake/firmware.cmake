# lockstep_board(NAME): boards/NAME/board.cmake names the processor, the memories and the chip
# drivers; everything else is the same source for every board.
set(LOCKSTEP_BOARDS "" CACHE INTERNAL "")
file(GLOB CORE_SOURCES CONFIGURE_DEPENDS
  ${LOCKSTEP_ROOT}/dsp/base/*.cpp ${LOCKSTEP_ROOT}/dsp/*.cpp ${LOCKSTEP_ROOT}/devices/wire/*.cpp
  ${LOCKSTEP_ROOT}/models/core/*.cpp ${LOCKSTEP_ROOT}/models/core/ops/*.cpp
  ${LOCKSTEP_ROOT}/models/core/kernels/*.cpp)
file(GLOB FIRMWARE_SOURCES CONFIGURE_DEPENDS
  ${CMAKE_CURRENT_LIST_DIR}/../*.cpp ${CMAKE_CURRENT_LIST_DIR}/../sensors/*.cpp)

function(lockstep_board name)
  # Set by board.cmake: BOARD_CPU (flags), BOARD_CHIPS (driver sources), ROM_ORIGIN, ROM_SIZE,
  # RAM_ORIGIN, RAM_SIZE, STACK_SIZE.
  include(${CMAKE_CURRENT_SOURCE_DIR}/boards/${name}/board.cmake)
  set(script ${CMAKE_CURRENT_BINARY_DIR}/${name}.ld)
  configure_file(${CMAKE_CURRENT_SOURCE_DIR}/cortex_m.ld.in ${script} @ONLY)
  list(TRANSFORM BOARD_CHIPS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  set(elf ${name}.elf)
  add_executable(${elf} ${FIRMWARE_SOURCES} ${CORE_SOURCES} ${BOARD_CHIPS} ${PLAN_SOURCES})
  target_include_directories(${elf} PRIVATE ${LOCKSTEP_ROOT} ${CMAKE_CURRENT_SOURCE_DIR}/boards/${name})
  target_compile_definitions(${elf} PRIVATE LOCKSTEP_FIRMWARE_VERSION="${PROJECT_VERSION}")
  target_compile_options(${elf} PRIVATE ${BOARD_CPU})
  target_link_options(${elf} PRIVATE ${BOARD_CPU} -mthumb -nostartfiles --specs=nano.specs -Wl,--gc-sections
    -Wl,--build-id=sha1 -Wl,-T,${script} -Wl,-Map,${CMAKE_CURRENT_BINARY_DIR}/${name}.map -Wl,--fatal-warnings)
  set_target_properties(${elf} PROPERTIES LINK_DEPENDS ${script} RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  set(LOCKSTEP_BOARDS ${LOCKSTEP_BOARDS} ${name} CACHE INTERNAL "")
endfunction()

# Prints text/data/bss of every board and leaves sizes.json.
function(lockstep_size_report)
  list(TRANSFORM LOCKSTEP_BOARDS APPEND .elf OUTPUT_VARIABLE elfs)
  add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/sizes.json
    COMMAND ${CMAKE_COMMAND} -DSIZE=${CMAKE_SIZE} "-DBOARDS=${LOCKSTEP_BOARDS}" -DDIR=${CMAKE_BINARY_DIR}
      -P ${CMAKE_CURRENT_SOURCE_DIR}/cmake/sizes.cmake
    DEPENDS ${elfs} ${CMAKE_CURRENT_SOURCE_DIR}/cmake/sizes.cmake VERBATIM)
  add_custom_target(sizes ALL DEPENDS ${CMAKE_BINARY_DIR}/sizes.json)
endfunction()
