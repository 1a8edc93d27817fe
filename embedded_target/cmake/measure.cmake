# measure/BOARD.elf and measure/libmarks.so: what `lockstep model report` counts instructions and stack with.
find_program(HOST_CC NAMES gcc cc)
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/measure/libmarks.so
  COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/measure
  COMMAND ${HOST_CC} -O2 -shared -fPIC ${CMAKE_CURRENT_SOURCE_DIR}/measure/marks.c -o ${CMAKE_BINARY_DIR}/measure/libmarks.so
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/measure/marks.c VERBATIM)
add_custom_target(marks ALL DEPENDS ${CMAKE_BINARY_DIR}/measure/libmarks.so)

foreach(name ${LOCKSTEP_BOARDS})
  include(${CMAKE_CURRENT_SOURCE_DIR}/boards/${name}/board.cmake)
  add_executable(measure-${name} measure/measure.cpp chips/cortex_m.cpp ${CORE_SOURCES})
  target_include_directories(measure-${name} PRIVATE ${LOCKSTEP_ROOT} ${CMAKE_CURRENT_SOURCE_DIR}/boards/${name})
  target_compile_options(measure-${name} PRIVATE ${BOARD_CPU})
  target_link_options(measure-${name} PRIVATE ${BOARD_CPU} -mthumb -nostartfiles --specs=nano.specs -Wl,--gc-sections
    -Wl,--build-id=sha1 -Wl,-T,${CMAKE_CURRENT_BINARY_DIR}/${name}.ld -Wl,--fatal-warnings)
  set_target_properties(measure-${name} PROPERTIES LINK_DEPENDS ${CMAKE_CURRENT_BINARY_DIR}/${name}.ld
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/measure OUTPUT_NAME ${name}.elf)
endforeach()
